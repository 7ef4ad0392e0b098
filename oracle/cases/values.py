"""The kinds of values that arrays are filled with."""

from __future__ import annotations

from enum import StrEnum

import ml_dtypes
import numpy as np

# Shifted values have the standard deviation 1 and the mean 1 / sqrt(eps). The bound of a variance in two passes is then
# finite up to about 1,000 terms, and a variance in a single pass loses nearly all of its digits.


class Values(StrEnum):
    """A kind of values, and what it means for the judge."""

    NORMAL = "normal"
    INTEGERS = "integers"
    TIES = "ties"
    ZEROS = "zeros"
    SHIFTED = "shifted"
    WIDE = "wide"
    LARGE = "large"
    NEGATIVE = "negative"
    EXTREME = "extreme"
    TINY = "tiny"
    NAN = "nan"
    INFINITE = "infinite"
    MINUS_INFINITE = "minus_infinite"

    @property
    def finite(self) -> bool:
        """Whether every value is a finite number."""
        return self is not Values.NAN and not self.infinite

    @property
    def infinite(self) -> bool:
        """Whether some values are infinite, and none is NaN."""
        return self in (Values.INFINITE, Values.MINUS_INFINITE)

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
        """Whether a cotangent times -2 gives exactly -2 times the gradient: nothing underflows or overflows."""
        return self.finite and self not in (Values.TINY, Values.EXTREME)

    def draw(self, shape: tuple[int, ...], dtype: np.dtype, rng: np.random.Generator) -> np.ndarray:
        """Draw an array of this kind. The magnitudes depend on the dtype, the result still has to be cast to it."""
        limits, half = ml_dtypes.finfo(dtype), dtype.itemsize == 2
        if self is Values.INTEGERS:
            return rng.integers(-4, 5, shape)
        if self is Values.TIES:
            return rng.integers(-1, 2, shape)
        if self is Values.ZEROS:
            return np.zeros(shape)
        normal = np.asarray(rng.standard_normal(shape))
        if self is Values.SHIFTED:
            return 1 / np.sqrt(float(limits.eps)) + normal
        if self is Values.WIDE:
            size = np.where(rng.random(shape) < 0.5, 10.0 ** rng.uniform(-4, 1, shape), rng.uniform(1, 40, shape))
            return np.sign(normal) * size
        if self is Values.LARGE:
            return normal * (100 if half else 1e4)
        if self is Values.NEGATIVE:
            return -min(1e6, float(limits.max) / 64) * (1 + rng.random(shape))
        if self is Values.EXTREME:
            small = _with_some(normal * float(limits.smallest_normal), normal, 0.1, rng)
            return _with_some(np.sign(normal) * rng.uniform(0.1, 0.5, shape) * float(limits.max), small, 0.1, rng)
        if self is Values.TINY:
            return rng.integers(-1000, 1001, shape) * float(limits.smallest_subnormal)
        if self is Values.NAN:
            return _with_some(np.full(shape, np.nan), normal, 0.2, rng)
        if self is Values.INFINITE:
            return _with_some(np.where(rng.random(shape) < 0.5, np.inf, -np.inf), normal, 0.2, rng)
        if self is Values.MINUS_INFINITE:
            return _with_some(np.full(shape, -np.inf), normal, 0.8, rng)
        return normal

    def probabilities(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Draw probabilities of this kind. Those that may tie are also exactly 0 and 1."""
        if self is Values.TINY:
            return np.asarray(10.0 ** -rng.uniform(0, 15, shape))
        if self.may_tie:
            return np.asarray(rng.integers(0, 5, shape) / 4)
        return np.asarray(rng.uniform(0.02, 0.98, shape))


def _with_some(odd: np.ndarray, usual: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Put a share of the odd values, and at least one of them, among the usual ones."""
    hit = rng.random(odd.shape) < share
    if hit.size:
        hit.flat[rng.integers(hit.size)] = True
    return np.where(hit, odd, usual)
