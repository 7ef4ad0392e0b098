"""Pooling over 1, 2 and 3 spatial axes."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from impl.array import Array, namespace
from impl.functional.checks import PaddingOption, PerAxis, flag, per_axis, spatial
from impl.functional.window import Windows
from impl.rule import Ranked, refuse, rule


@Ranked
def _max_pool(
    rank: int,
    x: Array,
    /,
    *,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: PaddingOption = 0,
    dilation: PerAxis = 1,
    ceil_mode: bool = False,
) -> tuple[Array, Any]:
    """Take the largest element of each window, over {rank} spatial axes; the padding never wins.

    y[o] = max over k of x[o * stride + k * dilation - padding]

    dx: each dy[o] is added at the place of its window's largest element (contributions of overlapping windows add up).
    Among equal elements the first receives it.

    Shapes: x (N, C, *S) with {rank} spatial axes; y (N, C, *O) with
    O = (S + before + after - dilation * (kernel_size - 1) - 1) // stride + 1, rounded up with ceil_mode.
    Raises ValueError if the window does not fit or the padding exceeds half of it.
    Source: document 000, section 4.8; document 001; document 002; document 004, sections 1.2 and 3.

    >>> x = np.array([1.0, 4.0, 2.0, 3.0]).reshape(1, 1, {ones}4)
    >>> y, pullback = F.max_pool{rank}d.vjp(x, kernel_size=({ones}2), stride=1)
    >>> y.ravel(), pullback(np.ones_like(y))[0].ravel()
    (array([4., 4., 3.]), array([0., 2., 0., 1.]))
    """
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


@_max_pool.pullback
def _(
    rank: int,
    residuals: Any,
    dy: Array,
    *,
    kernel_size: PerAxis,
    stride: PerAxis | None,
    padding: PaddingOption,
    dilation: PerAxis,
    ceil_mode: bool,
) -> tuple[Array]:
    x, place = residuals
    xp = namespace(x)
    windows = Windows.of(x, kernel_size, stride, padding, dilation, ceil_mode)
    parts = (xp.where(place == k, dy, 0) for k in range(prod(windows.kernel)))
    return (windows.gather_back(parts, x),)


@Ranked
def _avg_pool(
    rank: int,
    x: Array,
    /,
    *,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: PaddingOption = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> tuple[Array, Any]:
    """Take the mean of each window, over {rank} spatial axes.

    y[o] = (1 / count[o]) * sum over k of x[o * stride + k - padding]

    Here count[o] is the number of places of the window inside x and its padding, or only those inside x
    (count_include_pad=False). dx: each dy[o] / count[o] is added at every place of its window.

    Shapes: x (N, C, *S) with {rank} spatial axes; y (N, C, *O) with
    O = (S + before + after - kernel_size) // stride + 1, rounded up with ceil_mode.
    Raises ValueError if the window does not fit or the padding exceeds half of it.
    Source: document 000, section 4.8; document 001; document 002.

    >>> x = np.array([1.0, 3.0, 5.0, 7.0]).reshape(1, 1, {ones}4)
    >>> y, pullback = F.avg_pool{rank}d.vjp(x, kernel_size=({ones}2), stride=1)
    >>> y.ravel(), pullback(np.ones_like(y))[0].ravel()
    (array([2., 4., 6.]), array([0.5, 1. , 1. , 0.5]))
    """
    spatial(x, rank)
    windows = Windows.of(x, kernel_size, stride, padding, 1, ceil_mode)
    padded = windows.pad(x, 0.0)
    total = sum(padded[(..., *tap)] for tap in windows.taps())
    return total / _divisor(windows, count_include_pad, x), (x,)


@_avg_pool.pullback
def _(
    rank: int,
    residuals: Any,
    dy: Array,
    *,
    kernel_size: PerAxis,
    stride: PerAxis | None,
    padding: PaddingOption,
    ceil_mode: bool,
    count_include_pad: bool,
) -> tuple[Array]:
    (x,) = residuals
    windows = Windows.of(x, kernel_size, stride, padding, 1, ceil_mode)
    share = dy / _divisor(windows, count_include_pad, x)
    return (windows.gather_back((share for _ in range(prod(windows.kernel))), x),)


def _divisor(windows: Windows, count_include_pad: bool, x: Array) -> Any:
    """Return how many places each window is averaged over."""
    included = flag("count_include_pad", count_include_pad)
    return namespace(x).asarray(windows.counts_with_padding() if included else windows.counts(), dtype=x.dtype)


max_pool1d, max_pool2d, max_pool3d = _max_pool.rules
avg_pool1d, avg_pool2d, avg_pool3d = _avg_pool.rules


@rule
def global_avg_pool(x: Array, /) -> tuple[Array, Any]:
    """Take the mean of each channel of each sample.

    y[n, c] = (1 / M) * sum of x[n, c], with M the number of spatial places.
    dx = dy / M at every place.

    Shapes: x (N, C, *S) with 1 to 3 spatial axes; y (N, C). Raises ValueError for another rank or an empty S.
    Source: document 000, section 5.3.

    >>> y, pullback = F.global_avg_pool.vjp(np.array([[[1.0, 3.0], [5.0, 9.0]]]))
    >>> y, pullback(np.array([[1.0, 10.0]]))
    (array([[2., 7.]]), (array([[[0.5, 0.5],
            [5. , 5. ]]]),))
    """
    return _flat(x).mean(axis=2), (x,)


@global_avg_pool.pullback
def _(residuals: Any, dy: Array) -> tuple[Array]:
    (x,) = residuals
    share = (dy / prod(x.shape[2:])).reshape(*dy.shape, *[1] * (x.ndim - 2))
    return (share + namespace(x).zeros_like(x),)


@rule
def global_max_pool(x: Array, /) -> tuple[Array, Any]:
    """Take the largest element of each channel of each sample.

    y[n, c] = max of x[n, c].
    dx = dy at the place of the largest element, shared equally among equal ones, and 0 elsewhere.

    Shapes: x (N, C, *S) with 1 to 3 spatial axes; y (N, C). Raises ValueError for another rank or an empty S.
    Source: document 000, section 4.8, with one window over the whole image.

    >>> y, pullback = F.global_max_pool.vjp(np.array([[[1.0, 3.0], [9.0, 9.0]]]))
    >>> y, pullback(np.array([[1.0, 10.0]]))
    (array([[3., 9.]]), (array([[[0., 1.],
            [5., 5.]]]),))
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


def _flat(x: Array) -> Any:
    """Return x (N, C, *S) as (N, C, prod(S)); refuse an empty S."""
    spatial(x, None)
    places = prod(x.shape[2:])
    if places == 0:
        refuse(f"x has no spatial place to pool over, got shape {tuple(x.shape)}")
    return x.reshape(x.shape[0], x.shape[1], places)


@rule
def adaptive_avg_pool(x: Array, /, *, output_size: PerAxis) -> tuple[Array, Any]:
    """Average over windows that are placed so that the output has a given size.

    Window i of m over n places is [floor(i n / m), ceil((i + 1) n / m)).
    y[o] = (1 / count[o]) * sum of x over window o. A box is summed axis by axis.
    dx = each dy[o] / count[o] added at every place of its window, also axis by axis.

    Shapes: x (N, C, *S) with 1 to 3 spatial axes; y (N, C, *output_size).
    Raises ValueError for an output size below 1 or an empty S.
    Source: PyTorch's adaptive_avg_pool; document 000, section 5.3, is the case of output size 1.

    >>> y, pullback = F.adaptive_avg_pool.vjp(np.array([[[1.0, 3.0, 5.0]]]), output_size=2)
    >>> y, pullback(np.ones_like(y))
    (array([[[2., 4.]]]), (array([[[0.5, 1. , 0.5]]]),))
    """
    output = per_axis("output_size", output_size, spatial(x, None), 1)
    _flat(x)
    y: Any = x
    for axis, (n, m) in enumerate(zip(x.shape[2:], output, strict=True), 2):
        y = _sums(y, axis, _cells(n, m))
    return y / _cell_sizes(x, output), (x,)


@adaptive_avg_pool.pullback
def _(residuals: Any, dy: Array) -> tuple[Array]:
    (x,) = residuals
    share: Any = dy / _cell_sizes(x, dy.shape[2:])
    for axis in range(2, x.ndim):
        n, m = x.shape[axis], dy.shape[axis]
        cells = _cells(n, m)
        holding = [[o for o, cell in enumerate(cells) if cell.start <= i < cell.stop] for i in range(n)]
        share = _sums(share, axis, [slice(mine[0], mine[-1] + 1) for mine in holding])
    return (share,)


def _sums(x: Array, axis: int, cells: list[slice]) -> Any:
    """Return the sums of x over slices of one axis, in the order of the slices."""
    lead = (slice(None),) * axis
    return namespace(x).concatenate([x[(*lead, cell)].sum(axis=axis, keepdims=True) for cell in cells], axis=axis)


def _cell_sizes(x: Array, output: tuple[int, ...]) -> Any:
    """Count the places in each window; shape (*output)."""
    sizes = np.ones((), np.int64)
    for n, m in zip(x.shape[2:], output, strict=True):
        sizes = np.multiply.outer(sizes, np.array([cell.stop - cell.start for cell in _cells(n, m)]))
    return namespace(x).asarray(sizes, dtype=x.dtype)


def _cells(n: int, m: int) -> list[slice]:
    """Return the m windows over n places."""
    return [slice(i * n // m, -((-(i + 1) * n) // m)) for i in range(m)]
