"""Slips of the fused layers and of the residual blocks: how their parts are put together.

A fused layer is a branch of steps and an end, which adds the shortcut, if there is one, and takes the maximum with 0. A step
returns its value and its pullback. A slip replaces a step, or takes another way through the branch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from oracle.layers.places import per_axis
from oracle.slips import windows
from oracle.slips.conv import sum_over
from oracle.slips.slip import NOTHING, Answers, Circumstances, slip
from oracle.slips.windows import Axes

Array = np.ndarray
Pullback = Callable[[Array], tuple[Array, ...]]
Step = Callable[[Array], tuple[Array, Pullback]]
End = Callable[[Array, Array], tuple[Array, Pullback]]

BLOCKS = ("residual_block", "bottleneck_block")
NORMALISED = ("conv_bn_relu", *BLOCKS)
ENDED = ("affine_relu", *NORMALISED)  # their last step is a ReLU
INNER = ("conv_relu_pool", *BLOCKS)  # they have a ReLU between two steps


# -- the steps --------------------------------------------------------------------------------------------------------


def relu(x: Array) -> tuple[Array, Pullback]:
    """Compute max(x, 0)."""
    return np.maximum(x, 0), lambda dy: (dy * (x > 0),)


def unchanged(x: Array) -> tuple[Array, Pullback]:
    """Leave out a step."""
    return x, lambda dy: (dy,)


def end(h: Array, by: Array) -> tuple[Array, Pullback]:
    """Compute max(h + by, 0)."""
    y, back = relu(h + by)
    return y, lambda dy: (*back(dy), *back(dy))


def affine(x: Array, w: Array, b: Array | None) -> tuple[Array, Pullback]:
    """Compute x w + b."""
    flat = x.reshape(len(x), -1)
    y = flat @ w if b is None else flat @ w + b
    return y, lambda dy: ((dy @ w.T).reshape(x.shape), flat.T @ dy, dy.sum(0))


def convolved(
    x: Array, w: Array, b: Array | None, saved: Array, *, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups=1
) -> tuple[Array, Pullback]:
    """Convolve x with w; the pullback computes dw from what was saved of x."""
    axes = windows.axes_of(x.shape[2:], w.shape[2:], None, stride, padding, dilation)
    sum_ = sum_over(x, w, b, np.zeros((len(x), len(w), *(axis.m for axis in axes))), axes, groups)

    def back(dy: Array) -> tuple[Array, ...]:
        pulled = replace(sum_, dy=dy)
        return pulled.answer("dx"), replace(pulled, x=saved).answer("dw"), dy.sum((0, 2, 3))

    return sum_.answer("y"), back


@dataclass(frozen=True)
class Norm:
    """A batch normalisation with its parameters, and the running statistics that it leaves."""

    gamma: Array | None
    beta: Array | None
    running: tuple[Array | None, Array | None]
    training: bool
    momentum: float
    eps: float
    updated: dict[str, Array] = field(default_factory=dict)

    def __call__(self, x: Array) -> tuple[Array, Pullback]:
        """Normalise x."""
        return self.by(x, *(self.of_batch(x) if self.training else self.given()))

    def of_batch(self, x: Array) -> tuple[Array, Array]:
        """Return mean and variance of the batch."""
        return x.mean((0, 2, 3)), x.var((0, 2, 3))

    def given(self) -> tuple[Array, Array]:
        """Return the running statistics."""
        mean, var = self.running
        assert mean is not None and var is not None
        return mean, var

    def by(self, x: Array, mean: Array, var: Array, *, constant: bool = False) -> tuple[Array, Pullback]:
        """Normalise x by a mean and a variance, which are constants in evaluation."""
        inv_std = _wide(1 / np.sqrt(var + self.eps))
        x_hat = (x - _wide(mean)) * inv_std
        gamma = np.ones(x.shape[1]) if self.gamma is None else self.gamma
        beta = np.zeros(x.shape[1]) if self.beta is None else self.beta

        def back(dy: Array) -> tuple[Array, ...]:
            d = dy * _wide(gamma)
            if self.training and not constant:
                d = d - _wide(d.mean((0, 2, 3))) - x_hat * _wide((d * x_hat).mean((0, 2, 3)))
            return d * inv_std, (dy * x_hat).sum((0, 2, 3)), dy.sum((0, 2, 3))

        return x_hat * _wide(gamma) + _wide(beta), back


def _wide(v: Array) -> Array:
    return v.reshape(-1, 1, 1)


@dataclass(frozen=True)
class Maximum:
    """The maximum pooling after a convolution."""

    kernel: tuple[int, ...]
    stride: Any

    def axes(self, x: Array) -> Axes:
        """Return the axes of the windows."""
        return windows.axes_of(x.shape[2:], self.kernel, None, self.stride, 0, 1)

    def __call__(self, x: Array) -> tuple[Array, Pullback]:
        """Pool x."""
        axes = self.axes(x)
        index = windows.index_of(axes)
        seen = windows.gather(x, index, -np.inf)
        only = seen.argmax(3)[..., None] == np.arange(seen.shape[3])

        def back(dy: Array) -> tuple[Array, ...]:
            parts = dy.reshape(*dy.shape[:2], -1, 1) * only
            return (windows.scatter(parts, index, x.shape[2:]),)

        return seen.max(3).reshape(*x.shape[:2], *(axis.m for axis in axes)), back


# -- the layers -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Parts:
    """The steps of a fused layer, and the way through them. A slip replaces one of them."""

    relu: Step = relu
    end: End = end
    norm: Callable[[Norm, Array], tuple[Array, Pullback]] = lambda norm, x: norm(x)
    pool: Callable[[Maximum, Array], tuple[Array, Pullback]] = lambda pool, x: pool(x)
    shortcut: Step = unchanged  # before the projection
    projected: bool = True
    normalised_shortcut: bool = True
    strided: str = ""  # the suffix of the part that takes the stride, if it is another
    saved: Callable[[Array, Array], Array] = lambda before, after: after  # of a part's input, before and after the ReLU
    chained: bool = True  # each part reads the one before; otherwise all read x


class Tape:
    """The steps of a branch, with the names of the gradients of their parameters."""

    def __init__(self) -> None:
        self.steps: list[tuple[tuple[str, ...], Pullback]] = []

    def record(self, step: tuple[Array, Pullback], *names: str) -> Array:
        """Keep the pullback of a step and return its value."""
        value, back = step
        self.steps.append((names, back))
        return value

    def back(self, dy: Array, found: dict[str, Array]) -> Array:
        """Pull dy back through the branch and note the gradients of its parameters."""
        for names, pullback in reversed(self.steps):
            dy, *gradients = pullback(dy)
            found.update(zip(names, gradients, strict=False))
        return dy


def _suffixes(at: Circumstances) -> list[str]:
    return ["1", "2"] if at.case.layer == "residual_block" else ["1", "2", "3"]


def _norm(at: Circumstances, suffix: str) -> Norm:
    gamma, beta, mean, var = (at.array(name + suffix) for name in ("gamma", "beta", "running_mean", "running_var"))
    return Norm(gamma, beta, (mean, var), at.option("training"), at.option("momentum"), at.option("eps"))


def computed(at: Circumstances, parts: Parts) -> dict[str, Array]:
    """Compute y and every gradient of a fused layer from its parts."""
    x, main, by = at.array("x"), Tape(), Tape()
    assert x is not None
    found: dict[str, Array] = {}
    if at.case.layer in BLOCKS:
        h = _block(at, parts, x, main)
        around = _around(at, parts, x, by)
    else:
        h, around = _branch(at, parts, x, main), np.zeros(())
    dy = at.dy.astype(np.float64)
    if at.case.layer == "conv_relu_pool":
        y, ended = unchanged(h)
    else:
        y, ended = parts.end(h, around)
    if y.shape != dy.shape:
        return {"y": y}
    d, *rest = ended(dy)
    dx = main.back(d, found)
    if at.case.layer in BLOCKS:
        dx = dx + by.back(rest[0], found)
    return {"y": y, "dx": dx} | {name: value for name, value in found.items() if name in at.truth.pairs}


def _branch(at: Circumstances, parts: Parts, x: Array, tape: Tape) -> Array:
    w, b = at.array("w"), at.array("b")
    assert w is not None
    if at.case.layer == "affine_relu":
        return tape.record(affine(x, w, b), "dw", "db")
    options = {name: at.option(name) for name in ("stride", "padding", "dilation", "groups")}
    h = tape.record(convolved(x, w, b, parts.saved(x, x), **options), "dw", "db")
    if at.case.layer == "conv_relu_pool":
        h = tape.record(parts.relu(h))
        return tape.record(parts.pool(Maximum(per_axis(at.option("kernel_size"), 2), at.option("pool_stride")), h))
    return tape.record(parts.norm(_norm(at, ""), h), "dgamma", "dbeta")


def _block(at: Circumstances, parts: Parts, x: Array, tape: Tape) -> Array:
    h = x
    strided = parts.strided or ("1" if at.case.layer == "residual_block" else "2")
    for suffix in _suffixes(at):
        before = h
        if suffix != "1":
            h = tape.record(parts.relu(h if parts.chained else x))
        w = at.array("w" + suffix)
        assert w is not None
        stride, padding = at.option("stride") if suffix == strided else 1, tuple(k // 2 for k in w.shape[2:])
        step = convolved(h, w, None, parts.saved(before, h), stride=stride, padding=padding)
        h = tape.record(step, "dw" + suffix)
        h = tape.record(parts.norm(_norm(at, suffix), h), "dgamma" + suffix, "dbeta" + suffix)
    return h


def _around(at: Circumstances, parts: Parts, x: Array, tape: Tape) -> Array:
    w, by = at.array("w_shortcut"), tape.record(parts.shortcut(x))
    if w is None or not parts.projected:
        return by
    by = tape.record(convolved(by, w, None, parts.saved(by, by), stride=at.option("stride")), "dw_shortcut")
    if not parts.normalised_shortcut:
        return by
    return tape.record(parts.norm(_norm(at, "_shortcut"), by), "dgamma_shortcut", "dbeta_shortcut")


# -- the catalogue ----------------------------------------------------------------------------------------------------


def wrong(
    sentence: str, *layers: str, value: bool, options: tuple[str, ...] = (), resembles: str = "", **changes: Any
) -> None:
    """Put other parts into the catalogue: a slip of y (``value``), or one of the gradients."""

    @slip(sentence, *layers, options=options, resembles=resembles)
    def answers(at: Circumstances) -> Answers:
        if not windows.small(at):
            return NOTHING
        found = computed(at, Parts(**changes))
        return {name: found[name] for name in found if (name == "y") == value}


def backward(forward: Callable[[Array], Array], pullback: Callable[[Array, Array], Array]) -> Step:
    """Return a step from its value and its gradient, a function of x and dy."""
    return lambda x: (forward(x), lambda dy: (pullback(x, dy),))


def end_of(h_and_by: Callable[[Array, Array], Array], pullback: Callable[[Array, Array, Array], Any]) -> End:
    """Return an end from its value and its gradients, a function of h, by and dy."""
    return lambda h, by: (h_and_by(h, by), lambda dy: pullback(h, by, dy))


def _positive(x: Array) -> Array:
    return np.maximum(x, 0)


# ReLU, between two steps and at the end: its value is right, its gradient wrong.
_MASKS: tuple[tuple[str, Callable[[Array, Array], Array]], ...] = (
    ("passes the whole gradient: it is not masked", lambda x, dy: dy),
    ("passes the gradient where its input is negative", lambda x, dy: dy * (x < 0)),
    ("passes the gradient where the gradient is positive", lambda x, dy: dy * (dy > 0)),
    ("multiplies the gradient by its value, not by the mask", lambda x, dy: dy * _positive(x)),
    ("returns its mask: it is not multiplied by the gradient", lambda x, dy: (x > 0) * np.ones_like(dy)),
)


def _ended(mask: Callable[[Array, Array], Array]) -> End:
    return end_of(lambda h, by: _positive(h + by), lambda h, by, dy: (mask(h + by, dy),) * 2)


for _words, _mask in _MASKS:
    wrong(f"the gradients: the last ReLU {_words}", *ENDED, value=False, end=_ended(_mask))
    wrong(f"the gradients: the ReLU between two steps {_words}", *INNER, value=False, relu=backward(_positive, _mask))

wrong(
    "y lacks the ReLU at the end",
    *ENDED,
    value=True,
    end=end_of(lambda h, by: h + by, lambda h, by, dy: (dy, dy)),
    resembles="ajbrock/BoilerPlate #2",
)
wrong("y lacks the ReLU between two steps", *INNER, value=True, relu=unchanged)
wrong(
    "the gradients of the kernels are computed from what ReLU has not been applied to",
    *BLOCKS,
    value=False,
    saved=lambda before, after: before,
)
wrong(
    "the gradients of the kernels are computed from x after a ReLU in place",
    "conv_bn_relu",
    "conv_relu_pool",
    *BLOCKS,
    value=False,
    saved=lambda before, after: _positive(after),
)


# -- the shortcut -----------------------------------------------------------------------------------------------------


def summed(sentence: str, pullback: Callable[[Array, Array, Array], Any]) -> None:
    """Put a wrong gradient of the sum of both branches into the catalogue."""
    wrong(sentence, *BLOCKS, value=False, end=end_of(lambda h, by: _positive(h + by), pullback))


def _masked(h: Array, by: Array, dy: Array) -> Array:
    return dy * (h + by > 0)


summed("the gradients lack the path through the shortcut", lambda h, by, dy: (_masked(h, by, dy), 0 * dy))
summed("the gradients lack the path through the convolutions", lambda h, by, dy: (0 * dy, _masked(h, by, dy)))
summed(
    "the gradients: the shortcut receives its gradient twice",
    lambda h, by, dy: (_masked(h, by, dy), 2 * _masked(h, by, dy)),
)
summed(
    "the gradients: each branch receives half of the gradient of the sum",
    lambda h, by, dy: (_masked(h, by, dy) / 2, _masked(h, by, dy) / 2),
)
summed("the gradients: the shortcut receives dy before the mask of ReLU", lambda h, by, dy: (_masked(h, by, dy), dy))
summed("the gradients: the convolutions receive dy before the mask of ReLU", lambda h, by, dy: (dy, _masked(h, by, dy)))
summed(
    "the gradients: ReLU's mask is taken before the shortcut is added, not after",
    lambda h, by, dy: (dy * (h > 0), dy * (h > 0)),
)
summed("the gradients: each branch takes ReLU's mask from itself", lambda h, by, dy: (dy * (h > 0), dy * (by > 0)))


def joined(sentence: str, value: Callable[[Array, Array], Array], resembles: str = "") -> None:
    """Put a wrong sum of both branches into the catalogue."""
    wrong(
        sentence,
        *BLOCKS,
        value=True,
        end=end_of(value, lambda h, by, dy: (dy, dy)),
        resembles=resembles,
    )


joined("y lacks the shortcut", lambda h, by: _positive(h))
joined("y lacks the convolutions: it is the shortcut", lambda h, by: _positive(by))
joined("y adds the shortcut twice", lambda h, by: _positive(h + 2 * by), "yakhyo/darknet-pytorch #2")
joined("y applies ReLU before the sum, too", lambda h, by: _positive(_positive(h) + by), "kuangliu/pytorch-cifar #4")
joined("y applies ReLU before the sum, not after it", lambda h, by: _positive(h) + by, "fastai/fastbook #1")
wrong(
    "y adds x after a ReLU in place, not x itself",
    *BLOCKS,
    value=True,
    shortcut=relu,
    resembles="rosinality/vq-vae-2-pytorch #60",
)


@slip("y adds x itself although a projection is given", *BLOCKS)
def _not_projected(at: Circumstances) -> Answers:
    x = at.array("x")
    if at.array("w_shortcut") is None or x is None or x.shape != at.dy.shape or not windows.small(at):
        return NOTHING
    return {"y": computed(at, Parts(projected=False))["y"]}


@slip("y does not normalise the projection", *BLOCKS)
def _projection_not_normalised(at: Circumstances) -> Answers:
    if at.array("w_shortcut") is None or not windows.small(at):
        return NOTHING
    return {"y": computed(at, Parts(normalised_shortcut=False))["y"]}


@slip("dx lacks the path through the projection", *BLOCKS)
def _projection_forgotten(at: Circumstances) -> Answers:
    if at.array("w_shortcut") is None or not windows.small(at):
        return NOTHING
    forgetful = end_of(lambda h, by: _positive(h + by), lambda h, by, dy: (_masked(h, by, dy), 0 * dy))
    return {"dx": computed(at, Parts(end=forgetful))["dx"]}


wrong(
    "y takes the stride in the first convolution, not in the middle one",
    "bottleneck_block",
    value=True,
    strided="1",
    resembles="FluxML/Metalhead.jl #114",
)
wrong("y takes the stride in the last convolution", *BLOCKS, value=True, strided="2")


@slip("y reads x in every convolution, not what the one before returns", *BLOCKS, resembles="Multiview2Novelview #11")
def _not_chained(at: Circumstances) -> Answers:
    x, later = at.array("x"), [at.array("w" + suffix) for suffix in _suffixes(at)[1:]]
    assert x is not None
    if not windows.small(at) or any(w is None or w.shape[1] != x.shape[1] for w in later):
        return NOTHING
    y = computed(at, Parts(chained=False))["y"]
    return {"y": y}


def _exchanged_parameters(at: Circumstances) -> Iterator[tuple[str, Array]]:
    for name in ("gamma", "beta"):
        first, second = at.array(name + "1"), at.array(name + "2")
        if first is not None and second is not None and first.shape == second.shape:
            yield name + "1", second
            yield name + "2", first


@slip("y exchanges gamma and beta of the first and the second normalisation", *BLOCKS)
def _parameters_exchanged(at: Circumstances) -> Answers:
    given = dict(_exchanged_parameters(at)) if windows.small(at) else {}
    arrays = [given.get(name, x) for name, x in zip(at.layer.arrays, at.arrays, strict=True)]
    return {"y": computed(replace(at, arrays=arrays), Parts())["y"]} if given else NOTHING


# -- the normalisation ------------------------------------------------------------------------------------------------


def _constant(norm: Norm, x: Array) -> tuple[Array, Pullback]:
    mean, var = norm.of_batch(x) if norm.training else norm.given()
    return norm.by(x, mean, var, constant=True)


def _running(norm: Norm, x: Array) -> tuple[Array, Pullback]:
    return norm.by(x, *(norm.of_batch(x) if None in map(type, norm.running) else norm.given()))


def _of_batch(norm: Norm, x: Array) -> tuple[Array, Pullback]:
    return norm.by(x, *norm.of_batch(x))


def _positive_first(norm: Norm, x: Array) -> tuple[Array, Pullback]:
    return norm(_positive(x))


wrong("the gradients treat mean and variance of the batch as constants", *NORMALISED, value=False, norm=_constant)
wrong("y does not normalise", *NORMALISED, value=True, norm=lambda norm, x: norm.by(x, 0 * x[0, :, 0, 0], 1 + 0 * x[0, :, 0, 0]))
wrong("y applies ReLU before the normalisation, too", *NORMALISED, value=True, norm=_positive_first)
