"""The ways in which an array can lie in memory."""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from oracle.cases.guarded import guarded

FILL = 77  # stands between the elements that belong to the array; whoever reads it gets a wrong answer


class Memory(StrEnum):
    """A memory layout. The elements and the shape stay the same in all of them."""

    CONTIGUOUS = "contiguous"
    FORTRAN = "fortran"
    CHANNELS_LAST = "channels_last"
    STRIDED = "strided"
    REVERSED = "reversed"
    OFFSET = "offset"
    GUARDED_END = "guarded_end"
    GUARDED_START = "guarded_start"

    @property
    def guarded(self) -> bool:
        """Whether a protected page lies directly beside the array."""
        return self in (Memory.GUARDED_END, Memory.GUARDED_START)

    def lay_out(self, x: np.ndarray) -> np.ndarray:
        """Return a copy of x that lies in memory like this. A layout that needs more axes than x has is contiguous."""
        if self.guarded:
            return guarded(x, at_the_end=self is Memory.GUARDED_END)
        if self is Memory.FORTRAN:
            return np.array(x, order="F")
        if self is Memory.CHANNELS_LAST and x.ndim >= 3:
            return np.moveaxis(np.array(np.moveaxis(x, 1, -1), order="C"), -1, 1)
        if self is Memory.STRIDED and x.ndim:
            wide = np.full((*x.shape[:-1], 2 * x.shape[-1]), FILL).astype(x.dtype)
            wide[..., ::2] = x
            return wide[..., ::2]
        if self is Memory.REVERSED and x.ndim:
            return np.array(x[..., ::-1], order="C")[..., ::-1]
        if self is Memory.OFFSET and x.ndim:
            wide = np.full((x.shape[0] + 2, *x.shape[1:]), FILL).astype(x.dtype)
            wide[1:-1] = x
            return wide[1:-1]
        return np.array(x)
