"""Restate the claims of document 000 about residual networks."""

from __future__ import annotations

from typing import Any

import numpy as np

from reference.claim import Claim, LayerFunction, one, require
from reference.computation_framework.convolution import conv2d
from reference.computation_framework.normalisation import batch_norm

Array = Any
SHORTCUT = "_shortcut"


def relu(x: Array) -> tuple[Array, Any]:
    """Compute max(x, 0)."""
    return np.maximum(x, 0).astype(x.dtype), lambda dy: (dy * (x > 0),)


def residual_unit(x: Array, w1: Array, w2: Array) -> Array:
    """Compute relu(A2 relu(A1 x) + x). Each row is a sample."""
    return np.maximum(np.maximum(x @ w1, 0) @ w2 + x, 0)


def residual_unit_dx(x: Array, w1: Array, w2: Array, dy: Array) -> Array:
    """Gate the gradient from above, and add the gradient that comes through the block."""
    inside = x @ w1
    gated = dy * (np.maximum(inside, 0) @ w2 + x > 0)
    return gated + (gated @ w2.T * (inside > 0)) @ w1.T


def gate_by_the_block(x: Array, w1: Array, w2: Array) -> Array:
    """Return 1 at the places where the output of A2 is positive, else 0."""
    return (np.maximum(x @ w1, 0) @ w2 > 0).astype(float)


def gate_by_the_sum(x: Array, w1: Array, w2: Array) -> Array:
    """Return 1 at the places where the output of A2 plus the bypass is positive, else 0."""
    return (np.maximum(x @ w1, 0) @ w2 + x > 0).astype(float)


def _array_names(parts: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of a block's arrays, in order. Each part of the block has a suffix."""
    norms = [name + part for part in parts for name in ("gamma", "beta")]
    running = [name + part for part in (*parts, SHORTCUT) for name in ("running_mean", "running_var")]
    shortcut = [name + SHORTCUT for name in ("w", "gamma", "beta")]
    return ("x", *("w" + part for part in parts), *norms, *shortcut, *running)


def _conv_bn(x: Array, given: dict[str, Array], part: str, stride: int, eps: float) -> tuple[Array, Any]:
    """Convolve with same padding and normalise. The pullback returns dx, and the gradients of the part by name."""
    w, gamma, beta = (given[name + part] for name in ("w", "gamma", "beta"))
    a, conv_back = conv2d(x, w, stride=stride, padding=(w.shape[-1] - 1) // 2)
    y, norm_back = batch_norm(a, gamma, beta, eps=eps)

    def pullback(dy: Array) -> tuple[Array, dict[str, Array]]:
        da, dgamma, dbeta, _, _ = norm_back(dy)
        dx, dw, _ = conv_back(da)
        return dx, {"w" + part: dw, "gamma" + part: dgamma, "beta" + part: dbeta}

    return y, pullback


def _residual_layer(parts: tuple[str, ...], strided: str, overwritten: bool) -> LayerFunction:
    """Make the layer of a block. If ``overwritten``, a shortcut convolution replaces the main path, as printed."""
    names = _array_names(parts)

    def layer(
        *arrays: Array, stride: Any = 1, training: bool = True, momentum: float = 0.1, eps: float = 1e-5
    ) -> tuple[Array, Any]:
        given: dict[str, Any] = dict.fromkeys(names) | dict(zip(names, arrays, strict=False))
        x, step = given["x"], one(stride)
        require(training and all(given[n] is None for n in names if n.startswith("running")), "running statistics")
        require(x.size > 0 and isinstance(step, int), "an empty batch or a stride per axis")
        h, backs, gates = x, [], []
        for part in parts:
            if part != parts[0]:
                gates.append(h > 0)
                h = np.maximum(h, 0)
            h, back = _conv_bn(h, given, part, step if part == strided else 1, eps)
            backs.append(back)
        by, by_back = x, None
        if given["w" + SHORTCUT] is not None:
            by, by_back = _conv_bn(x, given, SHORTCUT, step, eps)
            h = by if overwritten else h
        if h.shape != by.shape:
            raise ValueError("the block and its shortcut differ in shape")
        total = h + by

        def pullback(dy: Array) -> tuple[Array, ...]:
            gated = dy * (total > 0)
            twice = overwritten and by_back is not None  # the shortcut is added to itself
            found: dict[str, Array] = {}
            d = gated * (not twice)
            for i in reversed(range(len(backs))):
                d, of_part = backs[i](d)
                found |= of_part
                d = d * gates[i - 1] if i else d
            d_by = gated
            if by_back is not None:
                d_by, of_part = by_back(2 * gated if twice else gated)
                found |= of_part
            found["x"] = d + d_by
            return tuple(found.get(name) for name in names)

        return np.maximum(total, 0), pullback

    return layer


def _plain_block(layer: LayerFunction) -> Any:
    """Return the value of a block that has no gamma and no beta."""

    def says(x: Array, w1: Array, w2: Array, w3: Array = None, shortcut: Array = None, stride: int = 1) -> Array:
        kernels = [w1, w2] if w3 is None else [w1, w2, w3]
        return layer(x, *kernels, *[None] * (2 * len(kernels)), shortcut, stride=stride)[0]

    return says


residual_block = _residual_layer(("1", "2"), strided="1", overwritten=True)
residual_block_corrected = _residual_layer(("1", "2"), strided="1", overwritten=False)
bottleneck_block = _residual_layer(("1", "2", "3"), strided="2", overwritten=True)
bottleneck_block_corrected = _residual_layer(("1", "2", "3"), strided="2", overwritten=False)


def block_size(x: Array, w: Array, stride: int, padding: int) -> Array:
    """Return the stated shape, h / stride by w / stride."""
    return (x[0], w[0], x[2] / stride, x[3] / stride)


def block_size_corrected(x: Array, w: Array, stride: int, padding: int) -> Array:
    """Return the shape with h / stride and w / stride rounded up."""
    return (x[0], w[0], -(-x[2] // stride), -(-x[3] // stride))


# What the document's calls build: the kind of block, the blocks per stage, and the stride of the first stage.
RECIPES: dict[int, tuple[str, tuple[int, ...], int]] = {
    34: ("basic", (3, 4, 6, 3), 2),
    50: ("bottleneck", (3, 4, 6, 3), 2),
    101: ("bottleneck", (3, 4, 23, 3), 2),
    152: ("bottleneck", (3, 8, 56, 3), 2),
}


def weighted_layers(layers: int) -> int:
    """Count the convolutions on the main path and the two ends, as the name of a network counts them."""
    kind, depths, _ = RECIPES[layers]
    return (2 if kind == "basic" else 3) * sum(depths) + 2


def stage_depths(layers: int) -> Array:
    """Return the number of blocks per stage."""
    return tuple(RECIPES[layers][1])


def parameters(layers: int, depths: tuple[int, ...] | None = None, first_stride: int | None = None) -> int:
    """Count the trainable numbers of a recipe with 64 entry kernels of 7 x 7 on RGB, and 1000 classes."""
    kind, own_depths, own_stride = RECIPES[layers]
    expansion, channels = (1, 64) if kind == "basic" else (4, 64)
    total = 3 * 64 * 49 + 2 * 64
    for stage, depth in enumerate(own_depths if depths is None else depths):
        stride = 2 if stage else own_stride if first_stride is None else first_stride
        narrow, wide = 64 * 2**stage, 64 * 2**stage * expansion
        for block in range(depth):
            shapes = (
                [(channels, wide, 9), (wide, wide, 9)]
                if kind == "basic"
                else [(channels, narrow, 1), (narrow, narrow, 9), (narrow, wide, 1)]
            )
            if channels != wide or (stride != 1 and block == 0):
                shapes.append((channels, wide, 1))
            total += sum(n * m * area + 2 * m for n, m, area in shapes)
            channels = wide
    return total + channels * 1000 + 1000


def blocks_of_34_layers(**given: Any) -> Any:
    """Make the call for 34 layers, which leaves out an argument that the signature requires."""

    def res_net_blocks(x, inchannel, outchannel, stride, depth, knum):
        return depth

    arguments: dict[str, int] = {"inchannel": 64, "outchannel": 64, "stride": 2, "depth": 3}
    return res_net_blocks(0, **arguments)


def head(**given: Any) -> Any:
    """Call the last layer without the output of the network."""

    def mlp(x, infeature, outfeature):
        return outfeature

    arguments: dict[str, int] = {"infeature": 512, "outfeature": 10}
    return mlp(**arguments)


def multiplications_saved(**given: Any) -> Array:
    """Compare the multiplications per pixel at 256 channels: 1x1 to 64, 3x3, 1x1 back; and two 3x3 on all channels."""
    bottleneck = 256 * 64 + 64 * 64 * 9 + 64 * 256
    return np.array(bottleneck < 2 * 256 * 256 * 9, float)


RESIDUAL = ({"x": (1, 1), "w1": (1, 1), "w2": (1, 1)}, {"x": (2, 3), "w1": (3, 4), "w2": (4, 3)})
BLOCK = {"x": (2, 2, 4, 4), "w1": (3, 2, 3, 3), "w2": (3, 3, 3, 3), "shortcut": (3, 2, 1, 1), "stride": 2}
DEEP_BLOCK = {
    "x": (2, 4, 4, 4), "w1": (2, 4, 1, 1), "w2": (2, 2, 3, 3), "w3": (6, 2, 1, 1), "shortcut": (6, 4, 1, 1), "stride": 2,
}  # fmt: skip
_TEXT = "it is a statement of purpose, and no computation can decide it"

CLAIMS: tuple[Claim, ...] = (
    Claim(
        "000/5.0-purpose",
        "5 deep residual networks",
        "Very deep networks lose what the lower layers need from the higher layers.",
        why_not=_TEXT,
    ),
    Claim(
        "000/5.1-unit",
        "5.1 residual unit",
        "The unit is relu(A2 relu(A1 x) + x).",
        formula="y = relu(A2 relu(A1 x) + x)",
        question="the residual unit",
        says=residual_unit,
        examples=RESIDUAL,
    ),
    Claim(
        "000/5.1-gradient",
        "5.1 residual unit",
        "The gradient with respect to X is the gradient that the layers above send plus the gradient that"
        " comes through the block.",
        question="the gradient of the residual unit",
        says=residual_unit_dx,
        examples=tuple(e | {"dy": e["x"]} for e in RESIDUAL),
    ),
    Claim(
        "000/5.1-gate",
        "5.1 residual unit",
        "The last ReLU passes the gradient on only at places where the output of A2 is positive.",
        question="the places at which the residual unit passes on a gradient",
        says=gate_by_the_block,
        examples=({"x": np.array([[2.0]]), "w1": np.array([[1.0]]), "w2": np.array([[-0.5]])}, RESIDUAL[1]),
        corrected=gate_by_the_sum,
        correction="It passes the gradient on if the output of A2 plus X is positive, because the bypass is added "
        "before the ReLU.",
        consequence="A reader thinks that neurons are dead although the bypass keeps them alive.",
        condition="X is 0",
        under=({"x": np.zeros((1, 1)), "w1": np.ones((1, 1)), "w2": np.ones((1, 1))},),
    ),
    Claim(
        "000/5.1-identity",
        "5.1 residual unit",
        "A plain block approximates H(X) = X only with difficulty. H(X) - X is nearer to the origin.",
        why_not="it is a heuristic about training, not a computation",
    ),
    Claim(
        "000/5.2-basic",
        "5.2 residual convolution unit",
        "The block for up to 34 layers adds the result of its two convolutions to the shortcut convolution.",
        layer="residual_block",
        formula="sc_out = out = BatchNorm2d(sc_out); out = Add(out, sc_out)",
        question="the basic residual block",
        says=_plain_block(residual_block),
        examples=(
            {"x": (2, 1, 1, 1), "w1": (2, 1, 3, 3), "w2": (2, 2, 3, 3), "shortcut": (2, 1, 1, 1)},
            BLOCK,
        ),
        corrected=_plain_block(residual_block_corrected),
        correction="The line must be sc_out = BatchNorm2d(sc_out), without the assignment to out.",
        consequence="The results of the convolutions are lost, and the block returns twice its shortcut.",
        condition="the shapes agree and there is no shortcut convolution",
        under=({"x": (2, 2, 3, 3), "w1": (2, 2, 3, 3), "w2": (2, 2, 3, 3)},),
        tried=True,
    ),
    Claim(
        "000/5.2-bottleneck",
        "5.2 residual convolution unit",
        "The block for deeper networks has a 1 x 1 convolution to fewer channels, a 3 x 3 convolution, "
        "and a 1 x 1 convolution to more channels.",
        layer="bottleneck_block",
        formula="sc_out = out = BatchNorm2d(sc_out); out = Add(out, sc_out)",
        question="the bottleneck residual block",
        says=_plain_block(bottleneck_block),
        examples=(
            {"x": (2, 1, 1, 1), "w1": (1, 1, 1, 1), "w2": (1, 1, 3, 3), "w3": (2, 1, 1, 1), "shortcut": (2, 1, 1, 1)},
            DEEP_BLOCK,
        ),
        corrected=_plain_block(bottleneck_block_corrected),
        correction="The line must be sc_out = BatchNorm2d(sc_out), without the assignment to out.",
        consequence="The results of the convolutions are lost, and the block returns twice its shortcut.",
        condition="the shapes agree and there is no shortcut convolution",
        under=({"x": (2, 4, 3, 3), "w1": (2, 4, 1, 1), "w2": (2, 2, 3, 3), "w3": (4, 2, 1, 1)},),
        tried=True,
    ),
    Claim(
        "000/5.2-size",
        "5.2 residual convolution unit",
        "The output of a block is h / stride by w / stride.",
        layer="conv2d",
        formula="(batch, outchannel, h / stride, w / stride)",
        question="shape of conv2d",
        says=block_size,
        examples=({"x": (1, 1, 3, 3), "w": (1, 1, 3, 3), "stride": 2, "padding": 1},),
        corrected=block_size_corrected,
        correction="The sizes are h / stride and w / stride, rounded up.",
        consequence="For odd images, the stated shapes are too small.",
        condition="the stride divides h and w",
        under=tuple(
            {"x": (1, 1, n, n), "w": (1, 1, 3, 3), "stride": s, "padding": 1} for n, s in ((4, 2), (3, 1), (6, 3))
        ),
    ),
    Claim(
        "000/5.2-cheaper",
        "5.2 residual convolution unit",
        "Fewer kernels in the middle of the block save computation.",
        question="fewer multiplications in a bottleneck of 256 channels",
        says=multiplications_saved,
    ),
    *(
        Claim(
            f"000/5.3-layers-{n}",
            "5.3 deep residual networks",
            f"The recipe for {n} layers has {n} layers with weights.",
            question="the number of weighted layers",
            says=weighted_layers,
            examples=({"layers": n},),
        )
        for n in (34, 50, 101)
    ),
    Claim(
        "000/5.3-layers-152",
        "5.3 deep residual networks",
        "The recipe for 152 layers has 152 layers with weights.",
        formula="depths 3, 8, 56, 3",
        question="the number of weighted layers",
        says=weighted_layers,
        examples=({"layers": 152},),
        corrected=lambda layers: 3 * (3 + 8 + 36 + 3) + 2,
        correction="The depths are 3, 8, 36, 3.",
        consequence="The network has 212 layers, and no published weights fit it.",
    ),
    *(
        Claim(
            f"000/5.3-depths-{n}",
            "5.3 deep residual networks",
            f"The stages of the published {n}-layer network have these depths.",
            formula=str(RECIPES[n][1]),
            question="the published depths",
            says=stage_depths,
            examples=({"layers": n},),
        )
        for n in (34, 50, 101)
    ),
    Claim(
        "000/5.3-depths-152",
        "5.3 deep residual networks",
        "The stages of the published 152-layer network have these depths.",
        formula="3, 8, 56, 3",
        question="the published depths",
        says=stage_depths,
        examples=({"layers": 152},),
        corrected=lambda layers: (3, 8, 36, 3),
        correction="The depths are 3, 8, 36, 3.",
        consequence="The third stage has twenty blocks too many.",
    ),
    Claim(
        "000/5.3-parameters-34",
        "5.3 deep residual networks",
        "The recipe for 34 layers is the official design. With 64 entry kernels and 1000 classes, it has "
        "the published number of parameters.",
        question="the published number of parameters",
        says=parameters,
        examples=({"layers": 34},),
        corrected=lambda layers: parameters(layers, first_stride=1),
        correction="The first stage has stride 1, because the official design has a pooling before it. Then the "
        "number is 21,797,672.",
        consequence="With stride = 2, the first stage gets a shortcut convolution with 4,224 parameters, and its maps"
        " are half as large.",
    ),
    Claim(
        "000/5.3-parameters-50",
        "5.3 deep residual networks",
        "The recipe for 50 layers has the published number of parameters.",
        formula="25,557,032",
        question="the published number of parameters",
        says=parameters,
        examples=({"layers": 50},),
    ),
    Claim(
        "000/5.3-parameters-101",
        "5.3 deep residual networks",
        "The recipe for 101 layers has the published number of parameters.",
        formula="44,549,160",
        question="the published number of parameters",
        says=parameters,
        examples=({"layers": 101},),
    ),
    Claim(
        "000/5.3-first-stride",
        "5.3 deep residual networks",
        "In the official designs, the first stage has stride 2.",
        question="the published stride of the first stage",
        says=lambda layers: RECIPES[layers][2],
        examples=({"layers": 34}, {"layers": 50}, {"layers": 101}, {"layers": 152}),
        corrected=lambda layers: 1,
        correction="It has stride 1. A 3 x 3 max pooling with stride 2 before it halves the maps.",
        consequence="The recipe has no pooling, and the sizes of its stages differ from those in the paper.",
    ),
    Claim(
        "000/5.3-widths",
        "5.3 deep residual networks",
        "Each time the maps are halved, the number of kernels is doubled: 64, 128, 256, 512.",
        question="the published widths",
        says=lambda: tuple(64 * 2**stage for stage in range(4)),
    ),
    Claim(
        "000/5.3-knum",
        "5.3 deep residual networks",
        "The recipe for 34 layers calls the block function in agreement with its definition.",
        question="a call without an error",
        says=blocks_of_34_layers,
        corrected=lambda **given: 3,
        correction="A second form of the block function, without knum, must build the basic block.",
        consequence="The call lacks an argument. With this argument, the function builds bottlenecks.",
    ),
    Claim(
        "000/5.3-head",
        "5.3 deep residual networks",
        "The last layer takes the pooled maps as its input.",
        question="a call without an error",
        says=head,
        corrected=lambda **given: 10,
        correction="The call must be out = MLP(out, infeature = 512, outfeature = classes).",
        consequence="The last layer is not connected to the rest of the network.",
    ),
)
