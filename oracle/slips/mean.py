"""Slips of the mean over windows: average, global average and adaptive pooling."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from oracle.slips import windows
from oracle.slips.pooling import Bounds, Pooling, changed, computed, counted, exact_regions, inside, regions

MEANS = ("avg_pool*", "global_avg_pool", "adaptive_avg_pool")


def _divided(pooling: Pooling, counts: np.ndarray | float) -> Pooling | None:
    wide = np.broadcast_to(np.asarray(counts, np.float64), len(pooling.index))
    assert pooling.counts is not None
    return None if np.array_equal(wide, pooling.counts) else replace(pooling, counts=wide)


@changed("{output} is the sum of the window: it is not divided", *MEANS)
def _undivided(pooling: Pooling) -> Pooling | None:
    return _divided(pooling, 1.0)


@changed("{output} is divided twice", *MEANS)
def _divided_twice(pooling: Pooling) -> Pooling | None:
    assert pooling.counts is not None
    return _divided(pooling, pooling.counts**2)


@changed("{output} counts the padding although count_include_pad is false, or the reverse", "avg_pool*")
def _count_reversed(pooling: Pooling) -> Pooling | None:
    in_x, counts = inside(pooling.index, pooling.sizes), pooling.counts
    assert counts is not None
    return _divided(pooling, counted(pooling.axes) if np.array_equal(in_x, counts) else in_x)


@changed(
    "{output} divides the last window of ceil_mode by the full size of the window",
    "avg_pool*",
    resembles="microsoft/onnxruntime #16203",
)
def _full_window(pooling: Pooling) -> Pooling | None:
    assert pooling.counts is not None
    beyond = [axis.places[:, -1] >= axis.n + axis.after for axis in pooling.axes]
    reaching = np.zeros(1, bool)
    for axis in beyond:
        reaching = (reaching[:, None] | axis).ravel()
    return _divided(pooling, np.where(reaching, pooling.index.shape[1], pooling.counts))


@changed("{output} divides by the strides, not by the size of the window", "avg_pool*")
def _divided_by_strides(pooling: Pooling) -> Pooling | None:
    return _divided(pooling, prod(axis.s for axis in pooling.axes))


@changed("{output} divides by the first axis of the window only", "avg_pool2d", "avg_pool3d")
def _divided_by_first_axis(pooling: Pooling) -> Pooling | None:
    return _divided(pooling, pooling.axes[0].k)


@changed("{output} divides by the last axis of x only", "global_avg_pool")
def _divided_by_last_axis(pooling: Pooling) -> Pooling | None:
    return _divided(pooling, pooling.sizes[-1])


@changed("{output} divides by the number of channels", "global_avg_pool")
def _divided_by_channels(pooling: Pooling) -> Pooling | None:
    return _divided(pooling, pooling.x.shape[1])


@computed("y", "y is the maximum of the window, not its mean", *MEANS)
def _maximum_for_mean(pooling: Pooling) -> np.ndarray | None:
    return replace(pooling, counts=None).answer("y")


@computed("dx", "dx goes to the largest element of the window, as that of a maximum does", *MEANS)
def _to_the_largest(pooling: Pooling) -> np.ndarray | None:
    return replace(pooling, counts=None).answer("dx")


@computed("dx", "dx goes to the first element of the window only", *MEANS)
def _to_the_first_only(pooling: Pooling) -> np.ndarray | None:
    inside = pooling.index < prod(pooling.sizes)
    first = np.arange(pooling.index.shape[1]) == inside.argmax(axis=1)[:, None]
    return windows.scatter(pooling.parts() * first, pooling.index, pooling.sizes)


def _overwritten(loop: str, by_tap: bool, *layers: str) -> None:
    sentence = f"dx is written with = {loop}where windows overlap and must be added"

    @computed("dx", sentence, *layers)
    def overwritten(pooling: Pooling) -> np.ndarray | None:
        return windows.assign(pooling.parts(), pooling.index, pooling.sizes, by_tap=by_tap)


_overwritten("", False, "avg_pool*", "adaptive_avg_pool")
_overwritten("in the loop over the taps, ", True, "avg_pool*")


@computed("dx", "dx is divided by the number of windows that see a place", "avg_pool*", "adaptive_avg_pool")
def _divided_by_windows(pooling: Pooling) -> np.ndarray | None:
    seen = np.bincount(pooling.index.ravel(), minlength=prod(pooling.sizes) + 1)[:-1].reshape(pooling.sizes)
    return pooling.answer("dx") / np.maximum(1, seen)


@changed("{output} takes the first row of x for the whole of x", "global_avg_pool", "global_max_pool")
def _first_row(pooling: Pooling) -> Pooling | None:
    if len(pooling.sizes) == 1 or pooling.sizes[0] == 1:
        return None
    count = prod(pooling.sizes)
    row = count // pooling.sizes[0]
    index = np.where(pooling.index < row, pooling.index, count)
    return replace(pooling, index=index, counts=None if pooling.counts is None else np.array([row]))


@computed("y", "y is pooled over the channels, too", "global_avg_pool", "global_max_pool")
def _over_channels(pooling: Pooling) -> np.ndarray | None:
    y = pooling.answer("y")
    total = y.max(axis=1, keepdims=True) if pooling.counts is None else y.mean(axis=1, keepdims=True)
    return np.broadcast_to(total, y.shape)


@computed("y", "y is pooled over the samples, too", "global_avg_pool", "global_max_pool")
def _over_samples(pooling: Pooling) -> np.ndarray | None:
    y = pooling.answer("y")
    total = y.max(axis=0, keepdims=True) if pooling.counts is None else y.mean(axis=0, keepdims=True)
    return np.broadcast_to(total, y.shape)


@computed("y", "y keeps the pooled axes with the length 1", "global_avg_pool", "global_max_pool")
def _kept_axes(pooling: Pooling) -> np.ndarray | None:
    return pooling.answer("y").reshape(*pooling.dy.shape, *[1] * len(pooling.sizes))


# -- adaptive pooling -------------------------------------------------------------------------------------------------


def _bounded(sentence: str, bounds: Bounds, resembles: str = "") -> None:
    @changed(sentence, "adaptive_avg_pool", resembles=resembles)
    def other(pooling: Pooling) -> Pooling | None:
        index = regions(pooling.sizes, pooling.dy.shape[2:], bounds)
        return replace(pooling, index=index, counts=np.maximum(1, inside(index, pooling.sizes)))


_bounded(
    "{output} rounds the end of a region down; it must be rounded up",
    lambda n, m: [(o * n // m, max(o * n // m + 1, (o + 1) * n // m)) for o in range(m)],
    "flagos-ai/FlagGems #4915",
)
_bounded(
    "{output} rounds the start of a region up; it must be rounded down",
    lambda n, m: [(-(-o * n // m), max(-(-o * n // m) + 1, -(-(o + 1) * n // m))) for o in range(m)],
)
_bounded("{output} includes the end of a region", lambda n, m: [(start, end + 1) for start, end in exact_regions(n, m)])
_bounded(
    "{output} uses regions of one size, n // m, as a plain pooling does",
    lambda n, m: [(o * max(1, n // m), (o + 1) * max(1, n // m)) for o in range(m)],
)
_bounded(
    "{output} uses regions of one size, rounded up",
    lambda n, m: [(o * -(-n // m), (o + 1) * -(-n // m)) for o in range(m)],
)
_bounded(
    "{output} takes every m-th place of x for a region, not neighbouring ones",
    lambda n, m: [(o, o + 1) for o in range(m)],
    "riccardomusmeci/mlx-image #16",
)


@changed("{output} divides by the size of the largest region", "adaptive_avg_pool")
def _largest_region(pooling: Pooling) -> Pooling | None:
    assert pooling.counts is not None
    return _divided(pooling, pooling.counts.max())


@changed("{output} divides by the ratio of the sizes of x and y, not by the size of the region", "adaptive_avg_pool")
def _ratio_of_sizes(pooling: Pooling) -> Pooling | None:
    return _divided(pooling, prod(pooling.sizes) / prod(pooling.dy.shape[2:]))


@computed("dx", "dx pays a place in several regions once, by the first of them", "adaptive_avg_pool")
def _paid_once(pooling: Pooling) -> np.ndarray | None:
    parts = pooling.parts()[:, :, ::-1]
    return windows.assign(parts, pooling.index[::-1], pooling.sizes)
