"""Windows in NumPy, for any number of axes: what the slips of convolution and pooling are computed with."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from oracle.layers.places import combine, edges, per_axis
from oracle.slips.slip import Circumstances

MOST = 20_000  # elements of an array beyond which a slip is not computed: as many as a diagnosis looks at


class Axis(NamedTuple):
    """An axis of windows: window o sees the places o s + j d - before of n, for m windows and k taps."""

    n: int
    k: int
    s: int
    d: int
    before: int
    after: int
    m: int

    @property
    def last_start(self) -> int:
        """The last place, counted from the start of the padding, where a whole window can start."""
        return self.n + self.before + self.after - (self.k - 1) * self.d - 1

    @property
    def leftover(self) -> int:
        """How many places after the last window no window sees."""
        return max(0, self.n - ((self.m - 1) * self.s + (self.k - 1) * self.d + 1 - self.before))

    @property
    def places(self) -> np.ndarray:
        """The places (m, k) that each window sees; some of them are outside."""
        return np.arange(self.m)[:, None] * self.s + np.arange(self.k) * self.d - self.before


Axes = tuple[Axis, ...]


def small(at: Circumstances) -> bool:
    """Whether a case has elements, but so few that a slip is worth computing."""
    return all(0 < x.size <= MOST for x in (*at.arrays, at.dy) if x is not None)


def axes_of(
    large: Sequence[int], kernel: Sequence[int], count: Sequence[int] | None, stride: Any, padding: Any, dilation: Any
) -> Axes:
    """Return the axes of windows: those that the sizes allow, or ``count`` of them."""
    rank = len(large)
    dilations = per_axis(dilation, rank)
    strides = tuple(kernel) if stride is None else per_axis(stride, rank)
    found = [
        Axis(n, k, s, d, before, after, 0)
        for n, k, s, d, (before, after) in zip(
            large, kernel, strides, dilations, edges(padding, kernel, dilations), strict=True
        )
    ]
    counts = [axis.last_start // axis.s + 1 for axis in found] if count is None else count
    return tuple(axis._replace(m=m) for axis, m in zip(found, counts, strict=True))


def exchanged(axes: Axes) -> Axes:
    """Exchange height and width, the last two axes."""
    return (*axes[:-2], axes[-1], axes[-2])


@functools.lru_cache(maxsize=256)
def index_of(axes: Axes) -> np.ndarray:
    """Return the flat place that each tap of each window sees, (windows, taps); outside it is the number of places."""
    return index_at(axes, [axis.places for axis in axes])


def index_at(axes: Axes, places: Sequence[np.ndarray]) -> np.ndarray:
    """Return the index of windows that see these places (m, k) along each axis."""
    pairs = [(p, (p >= 0) & (p < axis.n)) for axis, p in zip(axes, places, strict=True)]
    index = combine(pairs, [axis.n for axis in axes])
    index.setflags(write=False)  # it is kept in a cache
    return index


def cropped(x: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """Keep the first places of x (N, C, *S) along each spatial axis."""
    return x[(slice(None), slice(None), *(slice(0, size) for size in sizes))]


def gather(x: np.ndarray, index: np.ndarray, fill: float) -> np.ndarray:
    """Take x (N, C, *S) at the places of an index, with ``fill`` outside; the result is (N, C, windows, taps)."""
    flat = x.reshape(*x.shape[:2], -1)
    return np.concatenate([flat, np.full((*x.shape[:2], 1), fill)], axis=2)[:, :, index]


def scatter(parts: np.ndarray, index: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """Add parts (N, C, windows, taps) up at the places of an index; the result is (N, C, *sizes)."""
    n, c, count = *parts.shape[:2], prod(sizes)
    rows = np.arange(n * c).reshape(n, c, 1, 1) * (count + 1)
    total = np.bincount((rows + index).ravel(), parts.ravel(), n * c * (count + 1))
    return total.reshape(n, c, count + 1)[:, :, :count].reshape(n, c, *sizes)


def assign(parts: np.ndarray, index: np.ndarray, sizes: Sequence[int], *, by_tap: bool = False) -> np.ndarray:
    """Write parts at the places of an index, the later ones over the earlier, window by window or tap by tap."""
    n, c, count = *parts.shape[:2], prod(sizes)
    result = np.zeros((n, c, count + 1))
    if by_tap:
        parts, index = parts.swapaxes(2, 3), index.T
    result[:, :, index.ravel()] = parts.reshape(n, c, -1)
    return result[:, :, :count].reshape(n, c, *sizes)
