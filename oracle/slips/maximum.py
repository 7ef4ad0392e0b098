"""Slips of the maximum over windows, and of its gradient."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from oracle.slips import windows
from oracle.slips.pooling import Pooling, computed, inside

MAXIMA = ("max_pool*", "global_max_pool")


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
