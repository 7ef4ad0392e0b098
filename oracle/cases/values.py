"""The kinds of values that arrays are filled with."""

from __future__ import annotations

from enum import StrEnum

import ml_dtypes
import numpy as np


class Values(StrEnum):
    """A kind of values, and what it means for the judge."""

    NORMAL = "normal"
    INTEGERS = "integers"
    TIES = "ties"
    ZEROS = "zeros"
    SHIFTED = "shifted"
    LARGE = "large"
    TINY = "tiny"
    NAN = "nan"
    INFINITE = "infinite"

    @property
    def finite(self) -> bool:
        """Whether every value is a finite number."""
        return self not in (Values.NAN, Values.INFINITE)

    @property
    def may_tie(self) -> bool:
        """Whether two values are often equal, so that a maximum has a choice."""
        return self in (Values.INTEGERS, Values.TIES, Values.ZEROS, Values.TINY)

    @property
    def exact(self) -> bool:
        """Whether sums and products of the values have no rounding error, as long as they stay small."""
        return self is Values.INTEGERS

    @property
    def scalable(self) -> bool:
        """Whether a cotangent times -2 gives exactly -2 times the gradient: nothing underflows, nothing is NaN."""
        return self.finite and self is not Values.TINY

    def draw(self, shape: tuple[int, ...], dtype: np.dtype, rng: np.random.Generator) -> np.ndarray:
        """Draw an array of this kind. The magnitudes depend on the dtype, the result still has to be cast to it."""
        half = dtype.itemsize == 2
        if self is Values.INTEGERS:
            return rng.integers(-4, 5, shape)
        if self is Values.TIES:
            return rng.integers(-1, 2, shape)
        if self is Values.ZEROS:
            return np.zeros(shape)
        normal = np.asarray(rng.standard_normal(shape))
        if self is Values.SHIFTED:
            return 100 + normal if half else 1e4 + 1e-2 * normal
        if self is Values.LARGE:
            return normal * (100 if half else 1e4)
        if self is Values.TINY:
            return rng.integers(-1000, 1001, shape) * float(ml_dtypes.finfo(dtype).smallest_subnormal)
        if self is Values.NAN:
            return _with_some(np.full(shape, np.nan), normal, rng)
        if self is Values.INFINITE:
            return _with_some(np.where(rng.random(shape) < 0.5, np.inf, -np.inf), normal, rng)
        return normal


def _with_some(odd: np.ndarray, normal: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Put about a fifth of the odd values, and at least one of them, among the normal ones."""
    hit = rng.random(odd.shape) < 0.2
    if hit.size:
        hit.flat[rng.integers(hit.size)] = True
    return np.where(hit, odd, normal)
