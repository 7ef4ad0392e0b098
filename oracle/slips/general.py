"""Slips that every layer can have."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from oracle.slips.slip import Circumstances, Slip


def general_slips(at: Circumstances) -> Iterator[Slip]:
    """Nothing is written, the sign is wrong, or a factor is."""
    x, truth, output = at.arrays[0], at.truth, at.output
    yield Slip(f"{output} is all zeros: it was never written", np.zeros_like(truth))
    yield Slip(f"{output} has the wrong sign", -truth)
    sizes = () if x is None or x.ndim == 0 else ((x.shape[0], "the batch size"), (x.size, "the number of elements"))
    for factor, what in sizes:
        if factor > 1:
            yield Slip(f"{output} is divided by {what} ({factor}) once too often", truth / factor)
            yield Slip(f"{output} is not divided by {what} ({factor})", truth * factor)
    yield Slip(f"{output} is twice what it should be", 2 * truth)
    yield Slip(f"{output} is half of what it should be", truth / 2)
