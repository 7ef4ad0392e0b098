"""Pooling over 1, 2 and 3 spatial axes."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from impl.array import Array, namespace
from impl.functional.checks import flag, per_axis, spatial
from impl.functional.window import Windows
from impl.rule import Rule, refuse, rule


def _max_pool(rank: int) -> Rule:
    def forward(x: Array, *, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False) -> tuple[Array, Any]:
        spatial(x, rank)
        windows = Windows.of(x, kernel_size, stride, padding, dilation, ceil_mode)
        xp = namespace(x)
        padded, inside = windows.pad(x, -np.inf), windows.pad(np.ones(x.shape[2:], bool), False)
        taps = windows.taps()
        first = next(taps)
        largest, real = padded[(..., *first)], inside[first]
        place = xp.zeros(largest.shape, np.int32)
        for k, tap in enumerate(taps, start=1):
            seen = padded[(..., *tap)]
            better = (seen > largest) | xp.isnan(seen) | (inside[tap] & ~real)  # -inf of x wins over the padding
            real = real | inside[tap]
            largest = xp.where(better, seen, largest)
            place = xp.where(better, k, place)
        return largest, (x, place)

    forward.__doc__ = f"""{rank}-D max pooling: the largest element of each window; the padding never wins.

    y[o] = max over k of x[o * stride + k * dilation - padding]

    dx: each dy[o] is added at the place of its window's largest element (where windows overlap they add up); among
    equal elements the first receives it.

    Shapes: x (N, C, *S) with {rank} spatial axes; y (N, C, *O) with
    O = (S + before + after - dilation * (kernel_size - 1) - 1) // stride + 1, rounded up with ceil_mode.
    Raises ValueError where the window does not fit or the padding exceeds half of it.
    Source: document 000, section 4.8; document 001; document 002; document 004, sections 1.2 and 3.
    """
    layer = rule(forward, name=f"max_pool{rank}d")

    @layer.pullback
    def _(residuals: Any, dy: Array, *, kernel_size, stride, padding, dilation, ceil_mode) -> tuple[Array]:
        x, place = residuals
        xp = namespace(x)
        windows = Windows.of(x, kernel_size, stride, padding, dilation, ceil_mode)
        parts = (xp.where(place == k, dy, 0) for k in range(prod(windows.kernel)))
        return (windows.gather_back(parts, x),)

    return layer


def _avg_pool(rank: int) -> Rule:
    def forward(
        x: Array, *, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True
    ) -> tuple[Array, Any]:
        spatial(x, rank)
        windows = Windows.of(x, kernel_size, stride, padding, 1, ceil_mode)
        padded = windows.pad(x, 0.0)
        total = sum(padded[(..., *tap)] for tap in windows.taps())
        return total / _divisor(windows, count_include_pad, x), (x,)

    forward.__doc__ = f"""{rank}-D average pooling.

    y[o] = (1 / count[o]) * sum over k of x[o * stride + k - padding]

    where count is the number of places of the window inside x and its padding, or inside x alone
    (count_include_pad=False). dx: each dy[o] / count[o] is added at every place of its window.

    Shapes: x (N, C, *S) with {rank} spatial axes; y (N, C, *O) as in max pooling.
    Raises ValueError where the window does not fit or the padding exceeds half of it.
    Source: document 000, section 4.8; document 001; document 002.
    """
    layer = rule(forward, name=f"avg_pool{rank}d")

    @layer.pullback
    def _(residuals: Any, dy: Array, *, kernel_size, stride, padding, ceil_mode, count_include_pad) -> tuple[Array]:
        (x,) = residuals
        windows = Windows.of(x, kernel_size, stride, padding, 1, ceil_mode)
        share = dy / _divisor(windows, count_include_pad, x)
        return (windows.gather_back((share for _ in range(prod(windows.kernel))), x),)

    return layer


def _divisor(windows: Windows, count_include_pad: Any, x: Array) -> Array:
    included = flag("count_include_pad", count_include_pad)
    return namespace(x).asarray(windows.counts_with_padding() if included else windows.counts(), dtype=x.dtype)


max_pool1d, max_pool2d, max_pool3d = map(_max_pool, (1, 2, 3))
avg_pool1d, avg_pool2d, avg_pool3d = map(_avg_pool, (1, 2, 3))


@rule
def global_avg_pool(x: Array) -> Any:
    """The mean of each channel of each sample: y[n, c] = (1 / M) * sum of x[n, c], M the number of spatial places.

    dx = dy / M at every place.

    Shapes: x (N, C, *S) with 1 to 3 spatial axes; y (N, C). Raises ValueError for another rank or an empty S.
    Source: document 000, section 5.3.
    """
    return _flat(x).mean(axis=2), (x,)


@global_avg_pool.pullback
def _(residuals: Any, dy: Array) -> tuple[Array]:
    (x,) = residuals
    share = (dy / prod(x.shape[2:])).reshape(*dy.shape, *[1] * (x.ndim - 2))
    return (share + namespace(x).zeros_like(x),)


@rule
def global_max_pool(x: Array) -> Any:
    """The largest element of each channel of each sample: y[n, c] = max of x[n, c].

    dx = dy at the place of the largest element, shared equally among equal ones, and 0 elsewhere.

    Shapes: x (N, C, *S) with 1 to 3 spatial axes; y (N, C). Raises ValueError for another rank or an empty S.
    Source: document 000, section 4.8, with one window over the whole image.
    """
    largest = _flat(x).max(axis=2)
    return largest, (x, largest)


@global_max_pool.pullback
def _(residuals: Any, dy: Array) -> tuple[Array]:
    x, largest = residuals
    kept = largest.reshape(*largest.shape, *[1] * (x.ndim - 2))
    winners = x == kept
    share = dy / winners.sum(axis=tuple(range(2, x.ndim)))
    return (namespace(x).where(winners, share.reshape(kept.shape), 0),)


def _flat(x: Array) -> Array:
    spatial(x, None)
    places = prod(x.shape[2:])
    if places == 0:
        refuse(f"x has no spatial place to pool over, got shape {tuple(x.shape)}")
    return x.reshape(x.shape[0], x.shape[1], places)


@rule
def adaptive_avg_pool(x: Array, *, output_size: Any) -> Any:
    """Average pooling to a given output size: window i of m over n places is [floor(i n / m), ceil((i + 1) n / m)).

    y[o] = (1 / count[o]) * sum of x over window o; a box's sum is the sum of sums, axis by axis.
    dx = each dy[o] / count[o] added at every place of its window, likewise axis by axis.

    Shapes: x (N, C, *S) with 1 to 3 spatial axes; y (N, C, *output_size).
    Raises ValueError for an output size below 1 or an empty S.
    Source: PyTorch's adaptive_avg_pool; document 000, section 5.3, is the case of output size 1.
    """
    output = per_axis("output_size", output_size, spatial(x, None), 1)
    _flat(x)
    y = x
    for axis, (n, m) in enumerate(zip(x.shape[2:], output, strict=True), 2):
        y = _sums(y, axis, _cells(n, m))
    return y / _cell_sizes(x, output), (x,)


@adaptive_avg_pool.pullback
def _(residuals: Any, dy: Array) -> tuple[Array]:
    (x,) = residuals
    share = dy / _cell_sizes(x, dy.shape[2:])
    for axis in range(2, x.ndim):
        n, m = x.shape[axis], dy.shape[axis]
        cells = _cells(n, m)
        holding = [[o for o, cell in enumerate(cells) if cell.start <= i < cell.stop] for i in range(n)]
        share = _sums(share, axis, [slice(mine[0], mine[-1] + 1) for mine in holding])
    return (share,)


def _sums(x: Array, axis: int, cells: list[slice]) -> Array:
    """The sums of x over slices of one axis, in their order."""
    lead = (slice(None),) * axis
    return namespace(x).concatenate([x[(*lead, cell)].sum(axis=axis, keepdims=True) for cell in cells], axis=axis)


def _cell_sizes(x: Array, output: tuple[int, ...]) -> Array:
    """How many places each window holds, shape (*output)."""
    sizes = np.ones((), np.int64)
    for n, m in zip(x.shape[2:], output, strict=True):
        sizes = np.multiply.outer(sizes, np.array([cell.stop - cell.start for cell in _cells(n, m)]))
    return namespace(x).asarray(sizes, dtype=x.dtype)


def _cells(n: int, m: int) -> list[slice]:
    return [slice(i * n // m, -((-(i + 1) * n) // m)) for i in range(m)]
