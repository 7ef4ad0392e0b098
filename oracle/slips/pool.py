"""Slips of maximum pooling."""

from __future__ import annotations

import numpy as np

from oracle.slips.slip import NOTHING, Answers, Circumstances, slip

MAXIMA = ("max_pool*", "global_max_pool")


def _scattered(at: Circumstances, *, add: bool) -> Answers:
    """Give every maximum of a window the whole of dy: add it, or write it over what stands there."""
    x = at.array("x")
    if x is None or at.layer.ties is None or not x.size:
        return NOTHING
    rows = x.shape[0] * x.shape[1]
    flat, dy, dx = x.reshape(rows, -1), at.dy.reshape(rows, -1).astype(np.float64), np.zeros((rows, x[0, 0].size))
    windows = at.layer.ties(at.case.configuration, at.case.shapes)
    for row in range(rows):
        for places, share in zip(windows, dy[row], strict=True):
            inside = places[places < flat.shape[1]]
            if inside.size:
                largest = inside[flat[row, inside] == flat[row, inside].max()]
                if not add:
                    dx[row, inside] = 0
                dx[row, largest] = dx[row, largest] * add + share
    return {"dx": dx.reshape(x.shape)}


@slip("every one of several equal maxima receives the whole of dy", *MAXIMA)
def _every_tie_paid(at: Circumstances) -> Answers:
    return _scattered(at, add=True)


@slip("dx is written with = where windows overlap and must be added", *MAXIMA)
def _overwritten_windows(at: Circumstances) -> Answers:
    return _scattered(at, add=False)
