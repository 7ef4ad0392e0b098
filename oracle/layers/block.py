"""The mathematics of the composed layers and of the residual blocks, composed from that of their parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st
from jax import lax

from oracle.layers.activation import relu
from oracle.layers.conv import CONVOLUTION, PADDING_WORDS, convolution, convolution_refusals
from oracle.layers.draws import BATCH, maybe, option, size
from oracle.layers.linear import affine
from oracle.layers.norm import BATCH_NORM, BATCH_NORM_CHOICES, batch_norm, statistics_fit
from oracle.layers.places import at_least_one, per_axis
from oracle.layers.spec import Configuration, Draw, Edge, Layer, Range, Refusal, Shapes, register


def affine_relu(x: Any, w: Any, b: Any = None) -> Any:
    """y = max(x w + b, 0)."""
    return relu(affine(x, w, b))


def _largest_of_windows(x: Any, kernel_size: Any, stride: Any) -> Any:
    """Take the maximum over each window two places at a time, because after a ReLU many tie and either may be the one."""
    kernel = per_axis(kernel_size, 2)
    steps = kernel if stride is None else per_axis(stride, 2)
    count = [at_least_one((n - k) // s + 1) for n, k, s in zip(x.shape[2:], kernel, steps, strict=True)]
    largest = None
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            end = (*x.shape[:2], i + (count[0] - 1) * steps[0] + 1, j + (count[1] - 1) * steps[1] + 1)
            seen = lax.slice(x, (0, 0, i, j), end, (1, 1, *steps))
            largest = seen if largest is None else lax.select(lax.ge(largest, seen), largest, seen)
    return largest


def conv_relu_pool(
    x: Any, w: Any, b: Any = None, *, stride=1, padding=0, dilation=1, groups=1, kernel_size=2, pool_stride=None
) -> Any:
    """y = the largest element of max(conv(x), 0) in each window."""
    h = relu(convolution(x, w, b, stride=stride, padding=padding, dilation=dilation, groups=groups))
    return _largest_of_windows(h, kernel_size, pool_stride)


def conv_bn_relu(
    x: Any,
    w: Any,
    b: Any = None,
    gamma: Any = None,
    beta: Any = None,
    running_mean: Any = None,
    running_var: Any = None,
    *,
    stride=1,
    padding=0,
    dilation=1,
    groups=1,
    training=True,
    momentum=0.1,
    eps=1e-5,
) -> Any:
    """y = max(batch_norm(conv(x)), 0), and the new running statistics."""
    a = convolution(x, w, b, stride=stride, padding=padding, dilation=dilation, groups=groups)
    h, mean, var = batch_norm(a, gamma, beta, running_mean, running_var, training=training, momentum=momentum, eps=eps)
    return relu(h), mean, var


@dataclass(frozen=True)
class _Part:
    """A convolution of a block and the batch_norm after it.

    Its arrays are w, gamma, beta and the running statistics, each with the suffix. The shape of w is (filters,
    channels, kernel, kernel).
    """

    suffix: str
    filters: str
    channels: str
    kernel: int
    strided: bool = False


_SHORTCUT = _Part("_shortcut", "F", "C", 1, strided=True)


@dataclass(frozen=True)
class _Block:
    """A residual block: its parts in order with ReLU between them, added to its input or to a projection of it."""

    name: str
    formula: str
    parts: tuple[_Part, ...]
    documents: tuple[str, ...]

    @property
    def all_parts(self) -> tuple[_Part, ...]:
        return (*self.parts, _SHORTCUT)

    @property
    def running(self) -> tuple[str, ...]:
        """Return the names of the running statistics."""
        return tuple(f"{name}{part.suffix}" for part in self.all_parts for name in ("running_mean", "running_var"))

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the arrays, in order."""
        kernels = [f"w{part.suffix}" for part in self.parts]
        norms = [f"{name}{part.suffix}" for part in self.parts for name in ("gamma", "beta")]
        return ("x", *kernels, *norms, "w_shortcut", "gamma_shortcut", "beta_shortcut", *self.running)

    @property
    def text(self) -> str:
        """Return the signature, put together from those of the parts."""
        arrays, outputs = {"x": "x (N, C, *S:2)"}, ["y (N, F, *O:2)"]
        for part in self.all_parts:
            s, optional = part.suffix, "?" if part is _SHORTCUT else ""
            arrays[f"w{s}"] = f"w{s}{optional} ({part.filters}, {part.channels}, *K{s}:2)"
            for name, holds in (("gamma", ""), ("beta", ""), ("running_mean", ""), ("running_var", "positive ")):
                arrays[name + s] = f"{name}{s}? {holds}({part.filters})"
            outputs += [f"new_running_{what}{s}? ({part.filters})" for what in ("mean", "var")]
        return f"{'; '.join(arrays[name] for name in self.names)} -> {'; '.join(outputs)}"

    def mathematics(self) -> Callable[..., Any]:
        """Return the function of the block, with its arrays by position or by name."""

        def block(*arrays: Any, stride=1, training=True, momentum=0.1, eps=1e-5, **named: Any) -> Any:
            given: dict[str, Any] = dict.fromkeys(self.names) | dict(zip(self.names, arrays, strict=False)) | named
            if len(arrays) > len(self.names) or len(given) > len(self.names):
                raise TypeError(f"{self.name} takes the arrays {', '.join(self.names)}")

            def convolved(h: Any, part: _Part) -> Any:
                w, *norm = (given[name + part.suffix] for name in _ARRAYS)
                step, padding = stride if part.strided else 1, tuple(k // 2 for k in w.shape[2:])
                a = convolution(h, w, stride=step, padding=padding)
                return batch_norm(a, *norm, training=training, momentum=momentum, eps=eps)

            h, running = given["x"], []
            for i, part in enumerate(self.parts):
                h, *new = convolved(relu(h) if i else h, part)
                running += new
            by = given["x"]
            if given["w_shortcut"] is not None:
                by, *new = convolved(by, _SHORTCUT)
                running += new
            return (relu(lax.add(h, by)), *running)

        block.__name__, block.__doc__ = self.name, self.formula
        return block

    def shapes(
        self, x: tuple[int, ...], filters: int, narrow: int, project: bool, norm: bool = True, running: bool = True
    ) -> Shapes:
        """Return the shapes in the order of the arrays; ``narrow`` is the number of filters within a bottleneck."""
        inner = filters if len(self.parts) == 2 else narrow
        sizes = {"C": x[1], "L": inner, "M": inner, "F": filters}
        found: dict[str, tuple[int, ...]] = {"x": x}
        for part in self.all_parts if project else self.parts:
            out = sizes[part.filters]
            found[f"w{part.suffix}"] = (out, sizes[part.channels], part.kernel, part.kernel)
            given = ("gamma", "beta") * norm + ("running_mean", "running_var") * running
            found |= {name + part.suffix: (out,) for name in given}
        return tuple(found.get(name) for name in self.names)


_ARRAYS = ("w", "gamma", "beta", "running_mean", "running_var")
_PROJECTED = "with bn(conv(x)) in place of the last x if w_shortcut is given."
_BLOCKS = (
    _Block(
        "residual_block",
        f"y = relu(bn(conv(relu(bn(conv(x))))) + x), {_PROJECTED}",
        (_Part("1", "M", "C", 3, strided=True), _Part("2", "F", "M", 3)),
        ("000: 5.1, 5.2",),
    ),
    _Block(
        "bottleneck_block",
        f"y = relu(bn(conv(relu(bn(conv(relu(bn(conv(x)))))))) + x), {_PROJECTED}",
        (_Part("1", "L", "C", 1), _Part("2", "M", "L", 3, strided=True), _Part("3", "F", "M", 1)),
        ("000: 5.2",),
    ),
)


# -- domains ----------------------------------------------------------------------------------------------------------


def _affine_relu_domain(draw: Draw) -> tuple[Shapes, Configuration]:
    x = (draw(BATCH), *(draw(size(1, 3)) for _ in range(draw(size(1, 3)))))
    features = 1
    for n in x[1:]:
        features *= n
    m = draw(size(1, 4))
    return (x, (features, m), maybe(draw, (m,))), {}


def _convolution(draw: Draw) -> tuple[Shapes, Configuration, list[int]]:
    """Draw the shapes of x, w and b and the options of a convolution; return the spatial size of its output too."""
    groups, per_group, filters = draw(st.sampled_from([1, 1, 2])), draw(size(1, 2)), draw(size(1, 2))
    kernel = [draw(size(1, 3)) for _ in range(2)]
    configuration: Configuration = {"groups": groups} if groups > 1 else {}
    stride, padding, dilation = draw(size(1, 2)), draw(size(0, 1)), draw(st.sampled_from([1, 1, 2]))
    for name, value, default in (("stride", stride, 1), ("padding", padding, 0), ("dilation", dilation, 1)):
        if value != default:
            configuration[name] = value
    sizes, output = [], []
    for k in kernel:
        least = max(1, (k - 1) * dilation + 1 - 2 * padding)
        sizes.append(draw(size(least, least + 4)))
        output.append((sizes[-1] + 2 * padding - (k - 1) * dilation - 1) // stride + 1)
    filters *= groups
    x, w = (draw(BATCH), groups * per_group, *sizes), (filters, per_group, *kernel)
    return (x, w, maybe(draw, (filters,))), configuration, output


def _conv_relu_pool_domain(draw: Draw) -> tuple[Shapes, Configuration]:
    shapes, configuration, output = _convolution(draw)
    window = draw(size(1, min(3, *output)))
    if window != 2:
        configuration["kernel_size"] = window
    option(draw, configuration, "pool_stride", [1, 2, 3])
    return shapes, configuration


def _norm_options(draw: Draw, configuration: Configuration) -> bool:
    option(draw, configuration, "eps", [1e-3, 0.5])
    option(draw, configuration, "momentum", [0.0, 0.3])
    option(draw, configuration, "training", [False])
    return bool(configuration.get("training", True))


def _conv_bn_relu_domain(draw: Draw) -> tuple[Shapes, Configuration]:
    (x, w, b), configuration, output = _convolution(draw)
    assert x is not None and w is not None
    training = _norm_options(draw, configuration)
    if training and x[0] * output[0] * output[1] == 1:
        x = (2, *x[1:])
    c = (w[0],)
    running = maybe(draw, c) if training else c
    return (x, w, b, maybe(draw, c), maybe(draw, c), running, running), configuration


def _block_domain(block: _Block) -> Callable[[Draw], tuple[Shapes, Configuration]]:
    bottleneck = len(block.parts) == 3

    def domain(draw: Draw) -> tuple[Shapes, Configuration]:
        configuration: Configuration = {}
        channels, filters, stride = draw(size(1, 3)), draw(size(1, 3)), draw(size(1, 2))
        x = (draw(BATCH), channels, draw(size(1, 4)), draw(size(1, 4)))
        if stride != 1:
            configuration["stride"] = stride
        training = _norm_options(draw, configuration)
        if training and x[0] * -(-x[2] // stride) * -(-x[3] // stride) == 1:
            x = (2, *x[1:])
        narrow = draw(size(1, 2)) if bottleneck else filters
        norm, running = draw(st.booleans()), not training or draw(st.booleans())
        project = channels != filters or stride != 1 or draw(st.booleans())
        return block.shapes(x, filters, narrow, project, norm, running), configuration

    return domain


def _block_edges(block: _Block) -> list[Edge]:
    def edge(
        x: Any, filters: int, project: bool, configuration: Configuration, given: bool = True, **more: Any
    ) -> Edge:
        return Edge(block.shapes(x, filters, 2, project, norm=given, running=given), configuration, **more)

    return [
        edge((2, 1, 1, 1), 1, False, {}),
        edge((0, 2, 3, 3), 2, False, {}),
        edge((2, 2, 3, 3), 2, False, {}, given=False),
        edge((2, 2, 3, 4), 3, True, {}),
        edge((2, 2, 4, 3), 3, True, {"stride": 2}),
        edge((1, 3, 5, 5), 2, True, {"stride": 2, "momentum": 0.3}),
        edge((1, 2, 1, 2), 2, False, {"training": False}),
        edge((2, 2, 3, 3), 3, True, {"training": False, "stride": 2}),
        edge((3, 2, 3, 3), 2, True, {}, values="integers"),
        edge((2, 2, 2, 3), 2, False, {"momentum": 0.0, "eps": 0.5}),
        edge((2, 2, 3, 2), 2, False, {"momentum": 1.0, "training": True, "stride": 1}),
    ]


def _block_fits(call: Mapping[str, Any]) -> bool:
    """Whether the statistics fit, x has the shape of y without a projection, and what belongs to one has its kernel."""
    projected = call["w_shortcut"] is not None
    if not projected and call["x"] != call["y"]:
        return False
    return statistics_fit(call) and all(projected or call[name] is None for name in call if name.endswith("_shortcut"))


def _block_refusals(block: _Block) -> list[Refusal]:
    """Return calls that need a projection and have none; the sum with x would be broadcast."""

    def no_shortcut(channels: int, filters: int) -> Shapes:
        return block.shapes((2, channels, 3, 3), filters, 2, project=False, running=False)

    return [
        Refusal("more filters", no_shortcut(1, 3), {}, "more filters than channels and no shortcut"),
        Refusal("fewer filters", no_shortcut(3, 1), {}, "fewer filters than channels and no shortcut"),
        Refusal("stride", no_shortcut(2, 2), {"stride": 3}, "the output is smaller than x and there is no shortcut"),
    ]


register(
    Layer(
        "affine_relu",
        "x (N, *A); w (prod(A), M); b? (M) -> (N, M)",
        affine_relu,
        _affine_relu_domain,
        [
            Edge(((0, 3), (3, 2), (2,))),
            Edge(((1, 1), (1, 1), (1,))),
            Edge(((3, 2, 2), (4, 5), (5,))),
            Edge(((4, 3), (3, 2), None)),
        ],
        nan_may_spread=True,
        documents=("004: 5.3",),
    )
)
register(
    Layer(
        "conv_relu_pool",
        "x (N, C, *S:2); w (F, C/groups, *K:2); b? (F) -> (N, F, *O:2)",
        conv_relu_pool,
        _conv_relu_pool_domain,
        [
            Edge(((1, 1, 2, 2), (1, 1, 1, 1), (1,))),
            Edge(((0, 2, 4, 4), (3, 2, 3, 3), (3,)), {"padding": 1}),
            Edge(((2, 2, 5, 6), (3, 2, 2, 3), (3,))),
            Edge(((2, 2, 5, 7), (3, 2, 3, 3), (3,)), {"padding": 1}),
            Edge(((1, 2, 7, 4), (2, 2, 3, 3), (2,)), {"padding": 1, "stride": 2, "kernel_size": 1}),
            Edge(((1, 2, 7, 6), (2, 2, 2, 2), (2,)), {"dilation": 2, "kernel_size": 2, "pool_stride": 3}),
            Edge(((2, 2, 5, 5), (2, 2, 2, 2), (2,)), {"kernel_size": 3, "pool_stride": 1}),
            Edge(((1, 2, 6, 5), (2, 1, 2, 2), None), {"groups": 2, "pool_stride": 1}),
        ],
        [
            *convolution_refusals(2),
            *(
                Refusal(
                    f"kernel_size, axis {axis}",
                    ((1, 1, 3, 3), (1, 1, 1, 1), (1,)),
                    {"kernel_size": kernel, "pool_stride": 1},
                    f"the pooling window {kernel} is larger than the output of the convolution",
                )
                for axis, kernel in enumerate([(4, 1), (1, 4)])
            ),
        ],
        choices=PADDING_WORDS,
        ranges=CONVOLUTION
        | {"kernel_size": Range(1, whole=True, axes="S"), "pool_stride": Range(1, whole=True, axes="S")},
        nan_may_spread=True,
        documents=("004: 4, 5.3",),
    )
)
register(
    Layer(
        "conv_bn_relu",
        "x (N, C, *S:2); w (F, C/groups, *K:2); b? (F); gamma? (F); beta? (F); running_mean? (F); running_var? positive (F)"
        " -> y (N, F, *O:2); new_running_mean? (F); new_running_var? (F)",
        conv_bn_relu,
        _conv_bn_relu_domain,
        [
            Edge(((2, 1, 1, 1), (1, 1, 1, 1), (1,), (1,), (1,), (1,), (1,))),
            Edge(((0, 2, 3, 3), (2, 2, 2, 2), (2,), (2,), (2,), (2,), (2,))),
            Edge(((2, 2, 3, 4), (3, 2, 2, 2), (3,), (3,), (3,), (3,), (3,))),
            Edge(((2, 2, 4, 5), (3, 2, 3, 3), None, (3,), (3,), (3,), (3,)), {"padding": 1}),
            Edge(((2, 2, 4, 5), (2, 1, 3, 3), (2,), None, None, None, None), {"groups": 2, "stride": 2, "padding": 1}),
            Edge(((1, 2, 3, 3), (2, 2, 2, 2), (2,), (2,), (2,), (2,), (2,)), {"training": False}),
            *(
                Edge(((2, 1, 4, 3), (2, 1, 2, 2), (2,), (2,), (2,), (2,), (2,)), {"momentum": limit, "dilation": 2})
                for limit in (0.0, 1.0)
            ),
            Edge(((1, 2, 4, 3), (2, 2, 2, 2), None, (2,), None, (2,), (2,)), {"training": True, "eps": 0.5}),
        ],
        [
            *(replace(refusal, shapes=(*refusal.shapes, *[None] * 4)) for refusal in convolution_refusals(2)),
            Refusal(
                "evaluation",
                ((2, 2, 4, 4), (2, 2, 3, 3), None, (2,), (2,), None, None),
                {"training": False},
                "evaluation needs running statistics",
            ),
        ],
        choices=PADDING_WORDS | BATCH_NORM_CHOICES,
        ranges=CONVOLUTION | BATCH_NORM,
        no_gradient=("running_mean", "running_var"),
        where=statistics_fit,
        nan_may_spread=True,
        documents=("000: 4.9, 5.3",),
    )
)
for _block in _BLOCKS:
    register(
        Layer(
            _block.name,
            _block.text,
            _block.mathematics(),
            _block_domain(_block),
            _block_edges(_block),
            _block_refusals(_block),
            choices=BATCH_NORM_CHOICES,
            ranges=BATCH_NORM | {"stride": Range(1, whole=True, axes="S")},
            no_gradient=_block.running,
            where=_block_fits,
            nan_may_spread=True,
            documents=_block.documents,
        )
    )
