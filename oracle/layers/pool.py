"""The mathematics of pooling: a gather of windows and a maximum or a mean over each."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from hypothesis import strategies as st
from jax import lax

from oracle.layers.draws import BATCH, option, short, size
from oracle.layers.places import at_least_one, combine, edges, gather, per_axis, window_axis
from oracle.layers.spec import Configuration, Draw, Edge, Layer, Range, Refusal, Shapes, register


def _window_index(
    sizes: tuple[int, ...], kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> tuple[np.ndarray, list[int], np.ndarray]:
    """Return the index of the windows, the size of the output, and how many places of each window lie in x or its padding.

    With ceil_mode the size of the output is rounded up, but every window must start inside x or in the padding before it.
    """
    rank = len(sizes)
    kernel, dilations = per_axis(kernel_size, rank), per_axis(dilation, rank)
    strides = kernel if stride is None else per_axis(stride, rank)
    axes, output, counts = [], [], np.ones(1)
    for n, k, s, d, (before, after) in zip(
        sizes, kernel, strides, dilations, edges(padding, kernel, dilations), strict=True
    ):
        last_start = n + before + after - (k - 1) * d - 1
        starts = [start for start in range(0, last_start + s, s) if start <= last_start or ceil_mode]
        starts = [start for start in starts if start <= last_start or start < n + before]
        output.append(at_least_one(len(starts)))
        places, inside = window_axis(n, k, s, d, before, len(starts))
        axes.append((places, inside))
        counts = np.outer(counts, (places < n + after).sum(axis=1)).ravel()
    return combine(axes, sizes), output, counts


def max_pooling(x: Any, *, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False) -> Any:
    """y[n, c, o] = the largest element x[n, c, o stride + k dilation - padding] over k inside x."""
    index, output, _ = _window_index(x.shape[2:], kernel_size, stride, padding, dilation, ceil_mode)
    y = lax.reduce_max(gather(x, index, -np.inf), (3,))
    return lax.reshape(y, (*x.shape[:2], *output))


def max_windows(configuration: Configuration, shapes: Shapes) -> np.ndarray:
    """Return the index of the windows over which ``max_pooling`` takes its maxima."""
    options: Configuration = {"stride": None, "padding": 0, "dilation": 1, "ceil_mode": False} | configuration
    assert shapes[0] is not None
    return _window_index(shapes[0][2:], **options)[0]


def average_pooling(x: Any, *, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True) -> Any:
    """y[n, c, o] = the sum of the window, divided by its number of places inside x (and, by default, its padding)."""
    sizes = x.shape[2:]
    index, output, with_padding = _window_index(sizes, kernel_size, stride, padding, 1, ceil_mode)
    counts = with_padding if count_include_pad else (index < prod(sizes)).sum(axis=1)
    return _mean(x, index, counts, output)


def _mean(x: Any, index: np.ndarray, counts: np.ndarray, output: list[int]) -> Any:
    total = lax.reduce_sum(gather(x, index, 0.0), (3,))
    divisor = lax.broadcast_in_dim(counts.astype(x.dtype), total.shape, (2,))
    return lax.reshape(lax.div(total, divisor), (*x.shape[:2], *output))


def global_avg_pool(x: Any) -> Any:
    """y[n, c] = the mean of x[n, c]."""
    return lax.div(lax.reduce_sum(x, tuple(range(2, x.ndim))), float(prod(x.shape[2:])))


def global_max_pool(x: Any) -> Any:
    """y[n, c] = the largest element of x[n, c]."""
    return lax.reduce_max(x, tuple(range(2, x.ndim)))


def global_windows(configuration: Configuration, shapes: Shapes) -> np.ndarray:
    """Return the index of the only window, which sees all places."""
    assert shapes[0] is not None
    return np.arange(prod(shapes[0][2:]))[None]


def adaptive_avg_pool(x: Any, *, output_size) -> Any:
    """y[n, c, o] = the mean of x[n, c] over [floor(o n / m), ceil((o + 1) n / m)) along each axis."""
    sizes = x.shape[2:]
    output = per_axis(output_size, len(sizes))
    axes = []
    for n, m in zip(sizes, output, strict=True):
        starts = [(o * n) // m for o in range(m)]
        ends = [-(-((o + 1) * n) // m) for o in range(m)]
        longest = max(e - s for s, e in zip(starts, ends, strict=True))
        places = np.array(starts)[:, None] + np.arange(longest)
        axes.append((places, places < np.array(ends)[:, None]))
    index = combine(axes, sizes)
    return _mean(x, index, (index < prod(sizes)).sum(axis=1), list(output))


def _pool_domain(rank: int, dilated: bool) -> Any:
    def domain(draw: Draw) -> tuple[Shapes, Configuration]:
        lengths = [1, 2, 3, 1, 2, 3, 5, 7] if rank < 3 else [1, 2]
        kernel = [draw(st.sampled_from(lengths)) for _ in range(rank)]
        configuration: Configuration = {"kernel_size": short(draw, kernel)}
        stride = draw(st.sampled_from([None, 1, 2, 3, "axis"]))
        if stride is not None:
            configuration["stride"] = tuple(draw(size(1, 3)) for _ in range(rank)) if stride == "axis" else stride
        dilation = [1] * rank
        if dilated:
            dilation = [draw(st.sampled_from([1, 1, 2, 3])) for _ in range(rank)]
            if any(d > 1 for d in dilation):
                configuration["dilation"] = short(draw, dilation)
        reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
        half = [k // 2 for k in kernel]
        padding: Any = draw(st.sampled_from([0, 0, 0, "axis", "axis", "pair", "pair", "valid", "same"]))
        if padding == "same":
            configuration["stride"] = 1
        elif padding == "axis":
            padding = short(draw, [draw(size(0, h)) for h in half])
        elif padding == "pair":
            padding = tuple((draw(size(0, h)), draw(size(0, h))) for h in half)
        if padding != 0:
            configuration["padding"] = padding
        option(draw, configuration, "ceil_mode", [True])
        if not dilated:
            option(draw, configuration, "count_include_pad", [False])
        sizes = []
        for r, (before, after) in zip(reach, edges(padding, kernel, dilation), strict=True):
            least = max(1, r - before - after)
            sizes.append(draw(size(least, least + (4 if rank < 3 else 2))))
        x = (draw(BATCH), draw(size(1, 3)), *sizes)
        if not _every_window_sees_x(x, configuration):
            # A maximum over no element is undefined; PyTorch 2.13 then writes out of bounds.
            del configuration["padding"]
            x = (*x[:2], *(max(n, r) for n, r in zip(sizes, reach, strict=True)))
        return (x,), configuration

    return domain


def _every_window_sees_x(x: tuple[int, ...], configuration: Configuration) -> bool:
    options: Configuration = {"stride": None, "padding": 0, "dilation": 1, "ceil_mode": False} | configuration
    options.pop("count_include_pad", None)
    index, _, _ = _window_index(x[2:], **options)
    return bool((index < prod(x[2:])).any(axis=1).all())


_FAR_BELOW = ("negative", "minus_infinite")  # where a maximum that starts at 0 or at a large negative number is wrong


def _pool_edges(rank: int, dilated: bool) -> list[Edge]:
    def s(*tail: Any) -> tuple[Any, ...]:
        return tail[:rank]

    cases = [
        Edge(((1, 1, *s(1, 1, 1)),), {"kernel_size": 1}),
        Edge(((0, 2, *s(4, 4, 4)),), {"kernel_size": 2}),
        Edge(((2, 2, *s(4, 4, 4)),), {"kernel_size": 2}),
        Edge(((1, 2, *s(5, 6, 4)),), {"kernel_size": 3, "stride": 1}, "ties"),
        Edge(((2, 1, *s(7, 4, 5)),), {"kernel_size": 3, "stride": 2, "padding": 1}),
        Edge(((1, 2, *s(8, 5, 5)),), {"kernel_size": 2, "stride": 3}),
        Edge(((2, 2, *s(4, 7, 5)),), {"kernel_size": 2, "stride": 2}),
        Edge(((1, 1, *s(9, 6, 2)),), {"kernel_size": s(7, 5, 2), "stride": 1, "padding": s(3, 2, 1)}),
        Edge(((1, 1, *s(1, 1, 1)),), {"kernel_size": 5, "stride": 1, "padding": 2}),  # more padding than x
        Edge(((1, 1, *s(6, 4, 3)),), {"kernel_size": s(5, 4, 1), "stride": 1, "padding": "same"}),
        Edge(((1, 1, *s(4, 6, 3)),), {"kernel_size": s(2, 3, 2), "stride": 1, "padding": "same"}),
        Edge(((1, 1, *s(5, 6, 3)),), {"kernel_size": s(3, 2, 2), "stride": 2, "padding": "valid"}),
        Edge(((1, 2, *s(5, 4, 3)),), {"kernel_size": 2, "ceil_mode": True}),
        Edge(((1, 1, *s(6, 6, 4)),), {"kernel_size": s(3, 2, 2), "stride": 2, "ceil_mode": True, "padding": 1}),
        Edge(((1, 1, *s(5, 4, 4)),), {"kernel_size": 2, "stride": 1, "padding": s((1, 0), (0, 1), (1, 1))}),
        Edge(((2, 1, *s(4, 4, 3)),), {"kernel_size": 2, "stride": 1}, "zeros"),
        Edge(((1, 2, *s(7, 5, 7)),), {"kernel_size": 2, "stride": (1, 1, 2)[3 - rank :]}),
        # With ceil_mode, one window more would start in the padding after x.
        Edge(((1, 2, *s(5, 5, 5)),), {"kernel_size": 2, "padding": 1, "ceil_mode": True}),
        *(Edge(((1, 1, *s(5, 4, 3)),), {"kernel_size": 2, "stride": 1, "padding": 1}, values) for values in _FAR_BELOW),
    ]
    if dilated:
        cases.append(Edge(((1, 2, *s(6, 5, 4)),), {"kernel_size": 2, "stride": 1, "dilation": 2}))
        cases.append(Edge(((1, 1, *s(8, 7, 5)),), {"kernel_size": s(3, 2, 2), "dilation": s(2, 3, 1), "padding": 1}))
        same = {"kernel_size": s(3, 2, 2), "stride": 1, "padding": "same", "dilation": 2}
        cases.append(Edge(((1, 1, *s(5, 4, 3)),), same))
    else:
        options = {"kernel_size": 3 if rank < 3 else 2, "stride": 2, "padding": 1, "count_include_pad": False}
        cases.append(Edge(((1, 2, *s(5, 4, 3)),), options))
        cases.append(Edge(((1, 2, *s(5, 4, 3)),), options | {"ceil_mode": True, "count_include_pad": True}))
    return cases


def _pool_refusals(rank: int, dilated: bool) -> list[Refusal]:
    x = ((1, 1, *[4] * rank),)

    def along(axis: int, large: int) -> tuple[int, ...]:
        return tuple(large if a == axis else 1 for a in range(rank))

    found = []
    for axis in range(rank):
        kernel, padding = along(axis, 5), tuple(n - 1 for n in along(axis, 3))
        found += [
            Refusal(f"kernel, axis {axis}", x, {"kernel_size": kernel}, f"the kernel {kernel} exceeds x"),
            Refusal(
                f"padding, axis {axis}",
                x,
                {"kernel_size": 2, "padding": padding},
                f"the padding {padding} is more than half of the kernel",
            ),
        ]
        if dilated:
            dilation = along(axis, 4)
            why = f"with the dilation {dilation} the kernel reaches over 5 places, and x has 4"
            found.append(Refusal(f"dilated kernel, axis {axis}", x, {"kernel_size": 2, "dilation": dilation}, why))
    same = {"kernel_size": 2, "stride": 2, "padding": "same"}
    return [*found, Refusal("same", x, same, 'padding "same" needs stride 1, but the stride is 2')]


def _global_domain(draw: Draw) -> tuple[Shapes, Configuration]:
    rank = draw(st.sampled_from([2, 1, 3]))
    return ((draw(BATCH), draw(size(1, 3)), *(draw(size(1, 4)) for _ in range(rank))),), {}


def _adaptive_domain(draw: Draw) -> tuple[Shapes, Configuration]:
    (x,), _ = _global_domain(draw)
    assert x is not None
    output = [draw(size(1, 5)) for _ in x[2:]]
    return (x,), {"output_size": short(draw, output)}


_GLOBAL_EDGES = [
    Edge(((1, 1, 1),)),
    Edge(((2, 3, 5),)),
    Edge(((0, 2, 3, 2),)),
    Edge(((2, 2, 3, 4),), values="ties"),
    Edge(((1, 2, 2, 3, 2),)),
    Edge(((1, 2, 3, 3),), values="zeros"),
    *(Edge(((2, 2, 3),), values=values) for values in _FAR_BELOW),
]

_WINDOW_CHOICES = {"padding": ("same", "valid"), "ceil_mode": (False, True)}
_WINDOW = {
    "kernel_size": Range(1, whole=True, axes="S"),
    "stride": Range(1, whole=True, axes="S"),
    "padding": Range(0, whole=True, axes="S", pairs=True),
}

for _rank in (1, 2, 3):
    register(
        Layer(
            f"max_pool{_rank}d",
            f"x (N, C, *S:{_rank}) -> (N, C, *O:{_rank})",
            max_pooling,
            _pool_domain(_rank, dilated=True),
            _pool_edges(_rank, dilated=True),
            _pool_refusals(_rank, dilated=True),
            choices=_WINDOW_CHOICES,
            ranges=_WINDOW | {"dilation": Range(1, whole=True, axes="S")},
            ties=max_windows,
            documents=("000: 4.8", "001", "002: I.4, III.3", "004: 1.2, 3") if _rank == 2 else (),
        )
    )
    register(
        Layer(
            f"avg_pool{_rank}d",
            f"x (N, C, *S:{_rank}) -> (N, C, *O:{_rank})",
            average_pooling,
            _pool_domain(_rank, dilated=False),
            _pool_edges(_rank, dilated=False),
            _pool_refusals(_rank, dilated=False),
            choices=_WINDOW_CHOICES | {"count_include_pad": (True, False)},
            ranges=_WINDOW,
            documents=("000: 4.8", "001", "002: I.4, III.3") if _rank == 2 else (),
        )
    )
for _function, _ties, _documents in ((global_avg_pool, None, ("000: 5.3",)), (global_max_pool, global_windows, ())):
    register(
        Layer(
            _function.__name__,
            "x (N, C, *S) -> (N, C)",
            _function,
            _global_domain,
            _GLOBAL_EDGES,
            ties=_ties,
            documents=_documents,
        )
    )
register(
    Layer(
        "adaptive_avg_pool",
        "x (N, C, *S) -> (N, C, *O)",
        adaptive_avg_pool,
        _adaptive_domain,
        [
            Edge(((1, 1, 1),), {"output_size": 1}),
            Edge(((0, 2, 4, 4),), {"output_size": 2}),
            Edge(((2, 2, 5, 7),), {"output_size": (3, 2)}),
            Edge(((1, 2, 5, 4),), {"output_size": 3}),
            Edge(((2, 1, 7),), {"output_size": 3}),
            Edge(((2, 1, 1, 1),), {"output_size": (1, 2)}),
            Edge(((1, 2, 3, 2),), {"output_size": 5}),
            Edge(((1, 1, 4, 3, 5),), {"output_size": (2, 3, 4)}),
        ],
        [Refusal("4 spatial axes", ((1, 1, 2, 2, 2, 2),), {"output_size": 1}, "x has 4 spatial axes, not 1 to 3")],
        ranges={"output_size": Range(1, whole=True, axes="S", refused=(-1,))},  # PyTorch accepts 0: the output is empty
    )
)
