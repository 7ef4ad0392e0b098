"""Slips of maximum pooling."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from oracle.layers import LAYERS
from oracle.slips.slip import Circumstances, Slip


def maximum_slips(at: Circumstances) -> Iterator[Slip]:
    """Every tie receives the whole gradient, or overlapping windows overwrite each other."""
    windows_of = LAYERS[at.case.layer].ties
    if at.output != "dx" or windows_of is None:
        return
    (x,) = at.arrays
    assert x is not None
    windows = windows_of(at.case.configuration, at.case.shapes)
    rows = x.shape[0] * x.shape[1]
    flat, flat_dy = x.reshape(rows, -1).astype(np.float64), at.dy.reshape(rows, -1).astype(np.float64)
    every, last = np.zeros(flat.shape), np.zeros(flat.shape)
    for row in range(rows):
        for places, share in zip(windows, flat_dy[row], strict=True):
            inside = places[places < flat.shape[1]]
            if not inside.size:
                continue
            largest = inside[flat[row, inside] == flat[row, inside].max()]
            every[row, largest] += share
            last[row, inside] = 0
            last[row, largest] = share
    yield Slip("every one of several equal maxima receives the whole of dy", every.reshape(x.shape))
    yield Slip("dx is written with = where windows overlap and must be added", last.reshape(x.shape))
