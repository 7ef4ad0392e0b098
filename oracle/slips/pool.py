"""Slips of pooling: windows of the maximum and of the mean, global and adaptive pooling."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from oracle.slips import windows
from oracle.slips.misreadings import MISREADINGS, Misreading
from oracle.slips.pooling import Bounds, Pooling, changed, computed, counted, exact_regions, inside, pooling_of, regions
from oracle.slips.slip import NOTHING, Answers, Circumstances, slip
from oracle.slips.windows import Axes

MAXIMA = ("max_pool*", "global_max_pool")
MEANS = ("avg_pool*", "global_avg_pool", "adaptive_avg_pool")
WINDOWED = ("max_pool*", "avg_pool*")
PLANES = ("max_pool2d", "max_pool3d", "avg_pool2d", "avg_pool3d")


# -- windows ----------------------------------------------------------------------------------------------------------


def misreading(kind: Misreading) -> None:
    """Put a misreading of the windows into the catalogue."""
    layers = PLANES if kind.planes else WINDOWED

    @changed(kind.sentence, *layers, options=kind.options, resembles=kind.resembles)
    def other(pooling: Pooling) -> Pooling | None:
        index = kind.index(pooling.axes)
        return None if np.array_equal(index, pooling.index) else replace(pooling, index=index)


for _kind in MISREADINGS:
    misreading(_kind)


def _with_axes(pooling: Pooling, axes: Axes) -> Pooling | None:
    return None if axes == pooling.axes else replace(pooling, index=windows.index_of(axes))


@changed("{output} exchanges height and width of the window", *PLANES, options=("kernel_size",))
def _window_turned(pooling: Pooling) -> Pooling | None:
    pairs = zip(pooling.axes, windows.exchanged(pooling.axes), strict=True)
    return _with_axes(pooling, tuple(axis._replace(k=other.k) for axis, other in pairs))


@changed("{output} uses the first axis of the window for every axis", *PLANES, options=("kernel_size",))
def _window_square(pooling: Pooling) -> Pooling | None:
    return _with_axes(pooling, tuple(axis._replace(k=pooling.axes[0].k) for axis in pooling.axes))


@changed("{output} uses the size of the window as the stride", *WINDOWED, options=("stride",))
def _stride_of_window(pooling: Pooling) -> Pooling | None:
    return _with_axes(pooling, tuple(axis._replace(s=axis.k) for axis in pooling.axes))


# -- shapes -----------------------------------------------------------------------------------------------------------


@computed("dx", "dx is cropped by [padding:-padding], which is empty if the padding is 0", *WINDOWED)
def _cropped_to_nothing(pooling: Pooling) -> np.ndarray | None:
    if all(axis.after for axis in pooling.axes):
        return None
    return windows.cropped(pooling.answer("dx"), [axis.n if axis.after else 0 for axis in pooling.axes])


@computed("dx", "dx lacks the places that the stride leaves over", *WINDOWED)
def _leftovers_lacking(pooling: Pooling) -> np.ndarray | None:
    if not any(axis.leftover for axis in pooling.axes):
        return None
    return windows.cropped(pooling.answer("dx"), [axis.n - axis.leftover for axis in pooling.axes])


def _resized(pooling: Pooling, axes: Axes) -> np.ndarray | None:
    """Compute y for another number of windows along each axis."""
    if axes == pooling.axes or any(axis.m < 1 for axis in axes):
        return None
    counts = None if pooling.counts is None else counted(axes)
    dy = np.zeros((*pooling.x.shape[:2], *(axis.m for axis in axes)))
    return replace(pooling, axes=axes, index=windows.index_of(axes), counts=counts, dy=dy).answer("y")


@computed("y", "y has its size rounded down in spite of ceil_mode", *WINDOWED, options=("ceil_mode",))
def _rounded_down(pooling: Pooling) -> np.ndarray | None:
    axes = tuple(axis._replace(m=min(axis.m, axis.last_start // axis.s + 1)) for axis in pooling.axes)
    return _resized(pooling, axes)


@slip("y has its size rounded up without ceil_mode", *WINDOWED, options=("ceil_mode",))
def _rounded_up(at: Circumstances) -> Answers:
    if at.option("ceil_mode") or not windows.small(at):
        return NOTHING
    pooling = pooling_of(at)
    y = _resized(pooling, tuple(axis._replace(m=-(-axis.last_start // axis.s) + 1) for axis in pooling.axes))
    return NOTHING if y is None else {"y": y}


@slip("y keeps the window of ceil_mode that starts in the padding after x", *WINDOWED, options=("ceil_mode",))
def _started_in_padding(at: Circumstances) -> Answers:
    if not at.option("ceil_mode") or not windows.small(at):
        return NOTHING
    pooling = pooling_of(at)
    y = _resized(pooling, tuple(axis._replace(m=-(-axis.last_start // axis.s) + 1) for axis in pooling.axes))
    return NOTHING if y is None else {"y": y}


# -- the maximum ------------------------------------------------------------------------------------------------------


@computed("y", "y pads with zeros; a maximum needs minus infinity", "max_pool*", resembles="distdl/distdl #195")
def _padded_with_zeros(pooling: Pooling) -> np.ndarray | None:
    return pooling.shaped(pooling.seen(0.0).max(axis=3))


@computed("dx", "dx is lost where a zero of the padding is larger than the elements", "max_pool*")
def _lost_in_padding(pooling: Pooling) -> np.ndarray | None:
    return windows.scatter(pooling.to_tap(pooling.seen(0.0).argmax(axis=3)), pooling.index, pooling.sizes)


@computed("y", "y starts its maximum at 0, so no maximum is negative", *MAXIMA)
def _started_at_zero(pooling: Pooling) -> np.ndarray | None:
    return np.maximum(pooling.answer("y"), 0.0)


@computed("dx", "dx is lost where the maximum is negative", *MAXIMA)
def _lost_below_zero(pooling: Pooling) -> np.ndarray | None:
    return windows.scatter(pooling.parts() * (pooling.seen(-np.inf) > 0), pooling.index, pooling.sizes)


@computed("y", "y starts its maximum at the smallest positive number, not at the most negative one", *MAXIMA)
def _started_at_tiny(pooling: Pooling) -> np.ndarray | None:
    return np.maximum(pooling.answer("y"), np.finfo(np.float32).tiny)


@computed("y", "y starts its maximum at a finite number, which a window of minus infinity shows", *MAXIMA)
def _started_at_finite(pooling: Pooling) -> np.ndarray | None:
    return np.maximum(pooling.answer("y"), -1e5)


@computed("y", "y is the smallest element of the window", *MAXIMA)
def _smallest(pooling: Pooling) -> np.ndarray | None:
    return pooling.shaped(pooling.seen(np.inf).min(axis=3))


@computed("y", "y is the element of the largest magnitude", *MAXIMA)
def _largest_magnitude(pooling: Pooling) -> np.ndarray | None:
    seen = pooling.seen(0.0)
    return pooling.shaped(np.take_along_axis(seen, np.abs(seen).argmax(axis=3)[..., None], axis=3)[..., 0])


@computed("y", "y is the mean of the window, not its maximum", *MAXIMA)
def _mean_for_maximum(pooling: Pooling) -> np.ndarray | None:
    return replace(pooling, counts=inside(pooling.index, pooling.sizes)).answer("y")


@computed("dx", "dx is shared by the whole window, as that of a mean is", *MAXIMA)
def shared_by_window(pooling: Pooling) -> np.ndarray | None:
    """Share dy among the window."""
    return replace(pooling, counts=inside(pooling.index, pooling.sizes)).answer("dx")


@computed("dx", "dx goes to the smallest element of the window", *MAXIMA)
def _to_the_smallest(pooling: Pooling) -> np.ndarray | None:
    return windows.scatter(pooling.to_tap(pooling.seen(np.inf).argmin(axis=3)), pooling.index, pooling.sizes)


@computed("dx", "dx goes to the first element of the window, whichever is the largest", *MAXIMA)
def to_the_first(pooling: Pooling) -> np.ndarray | None:
    """Pay the first element of each window."""
    inside = pooling.index < prod(pooling.sizes)
    tap = np.broadcast_to(inside.argmax(axis=1), pooling.flat_dy.shape)
    return windows.scatter(pooling.to_tap(tap), pooling.index, pooling.sizes)


def _tied(pooling: Pooling) -> np.ndarray:
    seen = pooling.seen(-np.inf)
    return (seen == seen.max(axis=3, keepdims=True)) & (pooling.index < prod(pooling.sizes))


@computed("dx", "every one of several equal maxima receives the whole of dy", *MAXIMA)
def _every_tie_paid(pooling: Pooling) -> np.ndarray | None:
    return windows.scatter(pooling.flat_dy[..., None] * _tied(pooling), pooling.index, pooling.sizes)


@computed("dx", "none of several equal maxima receives dy", *MAXIMA)
def _no_tie_paid(pooling: Pooling) -> np.ndarray | None:
    tied = _tied(pooling)
    only = tied & (tied.sum(axis=3, keepdims=True) == 1)
    return windows.scatter(pooling.flat_dy[..., None] * only, pooling.index, pooling.sizes)


@computed("dx", "dx is the mask of the maxima: it is not multiplied by dy", *MAXIMA)
def _mask_for_gradient(pooling: Pooling) -> np.ndarray | None:
    return replace(pooling, dy=np.ones_like(pooling.dy)).answer("dx")


@computed("dx", "dx is multiplied by the maximum", *MAXIMA)
def _times_maximum(pooling: Pooling) -> np.ndarray | None:
    return replace(pooling, dy=pooling.dy * pooling.answer("y")).answer("dx")


@computed(
    "dx",
    "dx is written with = where windows overlap and must be added",
    "max_pool*",
    resembles="ahrefs/ocannl #512",
)
def window_overwritten(pooling: Pooling) -> np.ndarray | None:
    """Write each window over the one before."""
    return windows.assign(pooling.parts(), pooling.index, pooling.sizes)


@computed(
    "dx",
    "dx is written with = at the maximum where windows overlap and must be added",
    "max_pool*",
    resembles="FluxML/NNlib.jl #205",
)
def maximum_overwritten(pooling: Pooling) -> np.ndarray | None:
    """Write each maximum over the one before."""
    dx = np.zeros((*pooling.x.shape[:2], prod(pooling.sizes) + 1))
    np.put_along_axis(dx, pooling.largest, pooling.flat_dy, axis=2)
    return dx[..., :-1].reshape(pooling.x.shape)


@computed(
    "dx",
    "dx is written with = at the maximum in the loop over the taps, where windows overlap and must be added",
    "max_pool*",
)
def _maximum_overwritten_by_tap(pooling: Pooling) -> np.ndarray | None:
    """Write the maxima at a later tap over those at an earlier one."""
    taps = pooling.seen(-np.inf).argmax(axis=3)
    dx = np.zeros((*pooling.x.shape[:2], prod(pooling.sizes) + 1))
    order = np.argsort(taps, axis=2, kind="stable")
    places, dy = (np.take_along_axis(array, order, axis=2) for array in (pooling.largest, pooling.flat_dy))
    np.put_along_axis(dx, places, dy, axis=2)
    return dx[..., :-1].reshape(pooling.x.shape)


@computed("dx", "dx takes the place of the maximum in its window for a place of x", "max_pool*")
def place_in_window(pooling: Pooling) -> np.ndarray | None:
    """Pay the place that the tap has in its window."""
    return pooling.to_place(pooling.seen(-np.inf).argmax(axis=3))


@computed("dx", "dx takes the places of the first channel's maxima for every channel", *MAXIMA)
def of_first_channel(pooling: Pooling) -> np.ndarray | None:
    """Pay the places of the first channel's maxima."""
    return pooling.to_place(np.broadcast_to(pooling.largest[:, :1], pooling.flat_dy.shape))


@computed("dx", "dx takes the places of the first sample's maxima for every sample", *MAXIMA)
def _of_first_sample(pooling: Pooling) -> np.ndarray | None:
    return pooling.to_place(np.broadcast_to(pooling.largest[:1], pooling.flat_dy.shape))


@computed(
    "dx",
    "dx counts the place of the maximum with height and width exchanged",
    "*max_pool2d",
    "*max_pool3d",
    "global_max_pool",
)
def _place_turned(pooling: Pooling) -> np.ndarray | None:
    turned = np.arange(prod(pooling.sizes)).reshape(pooling.sizes).transpose().ravel()
    return pooling.to_place(np.append(turned, prod(pooling.sizes))[pooling.largest])


# -- the mean ---------------------------------------------------------------------------------------------------------


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
