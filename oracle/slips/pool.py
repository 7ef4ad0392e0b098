"""Slips of the windows of every pooling: their places, and the shapes of value and gradient."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from oracle.slips import windows
from oracle.slips.misreadings import put_misreadings
from oracle.slips.pooling import Pooling, changed, computed, counted, pooling_of
from oracle.slips.slip import NOTHING, Answers, Circumstances, slip
from oracle.slips.windows import Axes

WINDOWED = ("max_pool*", "avg_pool*")
PLANES = ("max_pool2d", "max_pool3d", "avg_pool2d", "avg_pool3d")


# -- windows ----------------------------------------------------------------------------------------------------------


put_misreadings(changed, WINDOWED, PLANES)


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
