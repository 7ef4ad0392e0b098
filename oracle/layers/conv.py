"""The mathematics of convolution and its transpose: a gather of windows and one contraction."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from hypothesis import strategies as st
from jax import lax

from oracle.layers.draws import BATCH, maybe, short, size
from oracle.layers.places import at_least_one, combine, edges, gather, per_axis, transposed_axis, window_axis
from oracle.layers.spec import Configuration, Draw, Edge, Layer, Range, Refusal, Shapes, register


def _contract(x: Any, w: Any, b: Any, index: Any, groups: int, output: list[int], transposed: bool) -> Any:
    """Compute y[n, f, o] = b[f] + the sum of w[f, c, k] x[n, c, index[o, k]] over the group's channels c and the taps k."""
    n, channels = x.shape[:2]
    per_group = channels // groups
    taps = prod(w.shape[2:])
    filters = w.shape[1] if transposed else w.shape[0] // groups  # per group
    windows = lax.reshape(gather(x, index, 0.0), (n, groups, per_group, *index.shape))
    if transposed:
        kernel, contracted = lax.reshape(w, (groups, per_group, filters, taps)), (1, 3)
    else:
        kernel, contracted = lax.reshape(w, (groups, filters, per_group, taps)), (2, 3)
    y = lax.dot_general(windows, kernel, (((2, 4), contracted), ((1,), (0,))))  # (G, N, O, F/G)
    y = lax.reshape(lax.transpose(y, (1, 0, 3, 2)), (n, groups * filters, *output))
    return y if b is None else lax.add(y, lax.broadcast_in_dim(b, y.shape, (1,)))


def convolution(x: Any, w: Any, b: Any = None, *, stride=1, padding=0, dilation=1, groups=1) -> Any:
    """Cross-correlation: y[n, f, o] = b[f] + sum over c, k of w[f, c, k] x[n, c, o stride + k dilation - padding]."""
    sizes, kernel = x.shape[2:], w.shape[2:]
    strides, dilations = per_axis(stride, len(kernel)), per_axis(dilation, len(kernel))
    axes, output = [], []
    for n, k, s, d, (before, after) in zip(
        sizes, kernel, strides, dilations, edges(padding, kernel, dilations), strict=True
    ):
        m = (n + before + after - (k - 1) * d - 1) // s + 1
        output.append(at_least_one(m))
        axes.append(window_axis(n, k, s, d, before, m))
    return _contract(x, w, b, combine(axes, sizes), groups, output, transposed=False)


def transposed_convolution(
    x: Any, w: Any, b: Any = None, *, stride=1, padding=0, output_padding=0, dilation=1, groups=1
) -> Any:
    """y[n, f, o] = b[f] + sum over c, i, k with i stride + k dilation - padding = o of w[c, f, k] x[n, c, i]."""
    sizes, kernel = x.shape[2:], w.shape[2:]
    strides, dilations = per_axis(stride, len(kernel)), per_axis(dilation, len(kernel))
    extra = per_axis(output_padding, len(kernel))
    axes, output = [], []
    for n, k, s, d, (before, after), e in zip(
        sizes, kernel, strides, dilations, edges(padding, kernel, dilations), extra, strict=True
    ):
        m = (n - 1) * s - before - after + (k - 1) * d + 1 + e
        output.append(at_least_one(m))
        axes.append(transposed_axis(n, k, s, d, before, m))
    return _contract(x, w, b, combine(axes, sizes), groups, output, transposed=True)


def _output_padding_fits(call: Mapping[str, Any]) -> bool:
    """Whether the padding of the output is smaller than the stride or the dilation along each axis."""
    rank = len(call["x"]) - 2
    options = (per_axis(call[name], rank) for name in ("output_padding", "stride", "dilation"))
    return all(extra < max(s, d) for extra, s, d in zip(*options, strict=True))


def _geometry(draw: Draw, rank: int) -> tuple[Configuration, int, int, int, list[int], list[int], list[int]]:
    """Draw groups, C/groups, F/groups, and kernel, stride and dilation with one entry per axis."""
    lengths = [1, 2, 3, 1, 2, 3, 5, 7] if rank < 3 else [1, 2]
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    per_group, filters = draw(size(1, 3)), draw(size(1, 3))
    kernel = [draw(st.sampled_from(lengths)) for _ in range(rank)]
    stride = [draw(size(1, 3))] * rank if draw(st.booleans()) else [draw(size(1, 3)) for _ in range(rank)]
    dilation = [draw(st.sampled_from([1, 1, 2, 3]))] * rank
    configuration: Configuration = {}
    if groups > 1:
        configuration["groups"] = groups
    if any(s != 1 for s in stride):
        configuration["stride"] = short(draw, stride)
    if any(d != 1 for d in dilation):
        configuration["dilation"] = short(draw, dilation)
    return configuration, groups, per_group, filters, kernel, stride, dilation


def _padding(draw: Draw, rank: int, most: int) -> Any:
    form = draw(st.sampled_from(["none", "int", "axis", "pair"]))
    if form == "none":
        return 0
    if form == "int":
        return draw(size(1, most))
    if form == "axis":
        return tuple(draw(size(0, most)) for _ in range(rank))
    return tuple((draw(size(0, most)), draw(size(0, most))) for _ in range(rank))


def _conv_domain(rank: int) -> Any:
    def domain(draw: Draw) -> tuple[Shapes, Configuration]:
        configuration, groups, per_group, filters, kernel, _, dilation = _geometry(draw, rank)
        padding = _padding(draw, rank, 2)
        if "stride" not in configuration:
            padding = draw(st.sampled_from([padding, padding, "same", "valid"]))
        elif draw(st.sampled_from([False, False, False, True])):
            padding = "valid"
        if padding != 0:
            configuration["padding"] = padding
        lengths = []
        for k, d, (before, after) in zip(kernel, dilation, edges(padding, kernel, dilation), strict=True):
            least = max(1, (k - 1) * d + 1 - before - after)
            lengths.append(draw(size(least, least + (4 if rank < 3 else 2))))
        x = (draw(BATCH), groups * per_group, *lengths)
        return (x, (groups * filters, per_group, *kernel), maybe(draw, (groups * filters,))), configuration

    return domain


def _conv_transpose_domain(rank: int) -> Any:
    def domain(draw: Draw) -> tuple[Shapes, Configuration]:
        configuration, groups, per_group, filters, kernel, stride, dilation = _geometry(draw, rank)
        extra = [draw(size(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True)]
        if any(extra):
            configuration["output_padding"] = short(draw, extra)
        padding = _padding(draw, rank, 2)
        if "stride" not in configuration and "output_padding" not in configuration:
            padding = draw(st.sampled_from([padding, padding, padding, "same"]))
        if padding != 0:
            configuration["padding"] = padding
        lengths = []
        for k, s, d, e, (before, after) in zip(
            kernel, stride, dilation, extra, edges(padding, kernel, dilation), strict=True
        ):
            least = 1
            while (least - 1) * s - before - after + (k - 1) * d + 1 + e < 1:
                least += 1
            lengths.append(draw(size(least, least + (3 if rank < 3 else 1))))
        x = (draw(BATCH), groups * per_group, *lengths)
        return (x, (groups * per_group, filters, *kernel), maybe(draw, (groups * filters,))), configuration

    return domain


def _conv_edges(rank: int) -> list[Edge]:
    def s(*tail: Any) -> tuple[Any, ...]:
        return tail[:rank]

    return [
        Edge(((1, 1, *s(1, 1, 1)), (1, 1, *s(1, 1, 1)), (1,))),
        Edge(((0, 2, *s(4, 3, 3)), (3, 2, *s(2, 2, 2)), (3,)), {"padding": 1}),
        Edge(((2, 1, *s(5, 4, 3)), (1, 1, *s(3, 2, 2)), (1,))),
        Edge(((2, 2, *s(4, 5, 3)), (3, 2, *s(2, 3, 2)), (3,))),
        Edge(((2, 2, *s(7, 4, 3)), (3, 2, *s(3, 3, 3)), (3,)), {"stride": 2, "padding": 1}),
        Edge(((1, 2, *s(8, 5, 4)), (2, 2, *s(2, 2, 2)), (2,)), {"stride": 3}),
        Edge(((2, 2, *s(3, 5, 4)), (2, 2, *s(3, 3, 3)), (2,)), {"padding": 1}),
        Edge(((1, 2, *s(1, 1, 1)), (2, 2, *s(3, 3, 3)), (2,)), {"padding": 1}),
        Edge(((1, 2, *s(9, 8, 3)), (2, 2, *s(7, 5, 2)), (2,)), {"padding": 2}),
        Edge(((2, 4, *s(5, 4, 3)), (6, 2, *s(2, 3, 2)), (6,)), {"groups": 2, "padding": 1}),
        Edge(((2, 3, *s(5, 4, 3)), (6, 1, *s(2, 2, 2)), None), {"groups": 3, "stride": 2}),
        Edge(((1, 2, *s(8, 7, 5)), (2, 2, *s(3, 2, 2)), (2,)), {"dilation": 2, "stride": 2, "padding": 1}),
        Edge(((1, 2, *s(8, 5, 4)), (2, 2, *s(3, 2, 2)), (2,)), {"dilation": 3}),
        Edge(((1, 2, *s(5, 6, 4)), (2, 2, *s(3, 2, 2)), (2,)), {"padding": s((2, 0), (0, 1), (1, 2))}),
        Edge(((1, 2, *s(4, 5, 3)), (2, 2, *s(2, 4, 2)), (2,)), {"padding": "same"}),
        Edge(((1, 1, *s(6, 4, 3)), (2, 1, *s(5, 1, 3)), (2,)), {"padding": "same"}),
        Edge(((1, 1, *s(5, 6, 3)), (2, 1, *s(4, 3, 1)), (2,)), {"padding": "same", "dilation": 2}),
        Edge(((1, 1, *s(3, 6, 3)), (2, 1, *s(1, 5, 2)), (2,)), {"padding": "same", "stride": 1}),
        Edge(((1, 1, *s(3, 4, 3)), (1, 1, *s(3, 4, 3)), (1,)), {"padding": "valid"}),
        Edge(((1, 2, *s(6, 7, 5)), (2, 2, *s(3, 2, 2)), (2,)), {"padding": "valid", "stride": 2, "dilation": 2}),
        Edge(((2, 2, *s(5, 4, 3)), (2, 2, *s(2, 3, 2)), (2,)), {"stride": s(1, 2, 2), "padding": s(0, 1, 1)}),
        *last_axis_edges(rank),
    ]


def convolution_refusals(rank: int) -> list[Refusal]:
    """Return the calls to be refused for a kernel, groups or a padding that do not fit."""
    one, two, four = (1,) * rank, (2,) * rank, (4,) * rank
    too_large = [tuple(5 if axis == large else 2 for axis in range(rank)) for large in range(rank)]
    too_far = [tuple(4 if axis == large else 1 for axis in range(rank)) for large in range(rank)]
    return [
        *(
            Refusal(
                f"kernel, axis {axis}", ((1, 2, *four), (2, 2, *kernel), (2,)), {}, f"the kernel {kernel} exceeds x"
            )
            for axis, kernel in enumerate(too_large)
        ),
        *(
            Refusal(
                f"dilated kernel, axis {axis}",
                ((1, 2, *four), (2, 2, *two), (2,)),
                {"dilation": dilation},
                f"with the dilation {dilation} the kernel reaches over 5 places, and x has 4",
            )
            for axis, dilation in enumerate(too_far)
        ),
        Refusal("filters", ((1, 4, *four), (3, 2, *one), (3,)), {"groups": 2}, "groups = 2 does not divide 3 filters"),
        Refusal(
            "channels", ((1, 5, *four), (4, 2, *one), (4,)), {"groups": 2}, "groups = 2 does not divide 5 channels"
        ),
        Refusal(
            "same",
            ((1, 2, *four), (2, 2, *two), (2,)),
            {"padding": "same", "stride": 2},
            'padding "same" needs stride 1, but the stride is 2',
        ),
    ]


def last_axis_edges(rank: int) -> list[Edge]:
    """Return calls whose stride or dilation differs along the last axis, for any layer with a kernel."""
    last, sizes, two = (1, 1, 2)[3 - rank :], (4, 5, 7)[3 - rank :], (2,) * rank
    return [Edge(((1, 2, *sizes), (2, 2, *two), (2,)), {name: last}) for name in ("dilation", "stride") if rank > 1]


def _transpose_edges(rank: int) -> list[Edge]:
    def s(*tail: Any) -> tuple[Any, ...]:
        return tail[:rank]

    return [
        Edge(((1, 1, *s(1, 1, 1)), (1, 1, *s(1, 1, 1)), (1,))),
        Edge(((0, 2, *s(3, 2, 2)), (2, 3, *s(2, 2, 2)), (3,))),
        Edge(((2, 2, *s(3, 2, 2)), (2, 3, *s(2, 2, 2)), (3,))),
        Edge(((2, 2, *s(3, 4, 2)), (2, 3, *s(3, 2, 2)), (3,)), {"stride": 2, "padding": 1, "output_padding": 1}),
        Edge(((1, 2, *s(3, 2, 2)), (2, 2, *s(2, 3, 2)), None), {"stride": 3}),
        Edge(((2, 2, *s(4, 2, 3)), (2, 2, *s(3, 3, 3)), (2,)), {"stride": 2, "padding": 1}),
        Edge(((1, 2, *s(1, 1, 1)), (2, 2, *s(3, 3, 3)), (2,))),
        Edge(((1, 2, *s(4, 3, 2)), (2, 2, *s(7, 5, 2)), (2,)), {"padding": 1}),
        Edge(((1, 1, *s(4, 5, 3)), (1, 2, *s(2, 5, 3)), (2,)), {"padding": "same"}),
        Edge(((1, 1, *s(5, 4, 3)), (1, 2, *s(4, 3, 1)), (2,)), {"padding": "same", "dilation": 2}),
        Edge(((1, 1, *s(3, 2, 2)), (1, 2, *s(2, 3, 2)), (2,)), {"padding": "valid", "stride": 2}),
        Edge(((2, 4, *s(3, 3, 2)), (4, 3, *s(2, 2, 2)), (6,)), {"groups": 2}),
        Edge(((1, 2, *s(4, 3, 3)), (2, 1, *s(3, 2, 2)), (1,)), {"dilation": 2, "padding": 1}),
        Edge(((1, 2, *s(3, 3, 2)), (2, 1, *s(3, 2, 2)), (1,)), {"dilation": 3}),
        Edge(((1, 2, *s(4, 3, 3)), (2, 1, *s(3, 3, 2)), (1,)), {"padding": s((1, 0), (0, 1), (1, 0))}),
        Edge(((1, 1, *s(3, 3, 3)), (1, 1, *s(1, 1, 1)), (1,)), {"padding": 1, "stride": 2}),
        Edge(((1, 2, *s(3, 3, 3)), (2, 4, *s(2, 2, 2)), (4,))),  # as many filters as places along the last axis
        *last_axis_edges(rank),
    ]


def _transpose_refusals(rank: int) -> list[Refusal]:
    two = (2,) * rank
    shapes = ((1, 2, *two), (2, 2, *two), (2,))
    too_large = [tuple(2 if axis == large else 0 for axis in range(rank)) for large in range(rank)]
    return [
        *(
            Refusal(
                f"output_padding, axis {axis}",
                shapes,
                {"stride": 2, "output_padding": extra},
                f"output_padding {extra} is not smaller than the stride",
            )
            for axis, extra in enumerate(too_large)
        ),
        Refusal("channels", ((1, 3, *two), (3, 2, *two), (4,)), {"groups": 2}, "groups = 2 does not divide 3 channels"),
        Refusal("empty", shapes, {"padding": 2}, "the padding leaves no place of the output"),
    ]


PADDING_WORDS = {"padding": ("same", "valid")}
CONVOLUTION = {
    "stride": Range(1, whole=True, axes="S"),
    "padding": Range(0, whole=True, axes="S", pairs=True),
    "dilation": Range(1, whole=True, axes="S"),
    "groups": Range(1, whole=True),
}

for _rank in (1, 2, 3):
    register(
        Layer(
            f"conv{_rank}d",
            f"x (N, C, *S:{_rank}); w (F, C/groups, *K:{_rank}); b? (F) -> (N, F, *O:{_rank})",
            convolution,
            _conv_domain(_rank),
            _conv_edges(_rank),
            convolution_refusals(_rank),
            choices=PADDING_WORDS,
            ranges=CONVOLUTION,
            nan_may_spread=True,
            documents=("000: 4.1-4.7", "001", "002: I.2, I.3, III.4, III.5", "004: 1.1, 2") if _rank == 2 else (),
        )
    )
    register(
        Layer(
            f"conv_transpose{_rank}d",
            f"x (N, C, *S:{_rank}); w (C, F/groups, *K:{_rank}); b? (F) -> (N, F, *O:{_rank})",
            transposed_convolution,
            _conv_transpose_domain(_rank),
            _transpose_edges(_rank),
            _transpose_refusals(_rank),
            choices=PADDING_WORDS,
            ranges=CONVOLUTION | {"output_padding": Range(0, whole=True, axes="S")},
            where=_output_padding_fits,
            nan_may_spread=True,
        )
    )
