"""What rounding may cost in a target's dtype, by running error analysis.

The jaxpr is evaluated on pairs (value, error). Each operation carries the errors of its operands to its result. It uses the
exact range of the operation if that is as short as the first-order rule. It then adds what rounding its result may cost in
the target's dtype. With u the unit roundoff:

- an elementwise operation adds ROUNDINGS * u * |result|;
- a sum of n terms, in any order, adds (n - 1) * u * sum of |terms| (Higham, Accuracy and Stability of Numerical Algorithms,
  2nd ed., section 4.2; a product of matrices, section 3.5); a sum of sums counts as one sum of all their terms;
- a sum in float16 or bfloat16 is added up in float32, so u is that of float32 there; then its result is rounded to the half
  once. A partial sum that the mathematics names (one side of an addition) may be rounded to the half, too;
- a library function adds the ulps of its row in the table of primitives (u times twice that);
- a result that is not 0 also adds the smallest normal number: it may underflow, and XLA flushes subnormals;
- an input that is subnormal in the dtype that is computed in (float32 for a half) may be read as 0: hardware that flushes
  results flushes inputs, too;
- sums and products of exact integers below 2^precision are exact and add nothing, if the layer has only sums and products:
  if it has quotients, a mean may be a running one (Welford's), which rounds;
- if value and error together leave the range of the dtype, the error is infinite: overflow is allowed.

A comparison is undecided if its operands lie within their errors of each other, or are equal (a kink), or one is NaN.
A select on an undecided comparison may return either branch, or anything between: its error is their distance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import ml_dtypes
import numpy as np

# An implementation may reach the same result by one rounding more: a multiplication by a rounded reciprocal instead of a
# division, a scale folded in beforehand, a constant that is itself rounded.
ROUNDINGS = 2
BLOCK = 2**16  # elements


@dataclass(frozen=True)
class Precision:
    """What the analysis needs to know of a target's dtype."""

    name: str
    unit_roundoff: float
    smallest_normal: float
    largest: float
    bits: int

    @property
    def accumulator(self) -> Precision:
        """The precision that a target has to add up in: float32 for a half, otherwise its own."""
        return self if self.bits >= 24 else Precision.of(np.float32)

    @classmethod
    def of(cls, dtype: Any) -> Precision:
        """Return the precision of float16, bfloat16, float32 or float64."""
        info = ml_dtypes.finfo(dtype)
        bits = int(info.nmant) + 1
        return cls(np.dtype(dtype).name, 2.0**-bits, float(info.smallest_normal), float(info.max), bits)


@dataclass(frozen=True)
class Terms:
    """What a sum consists of: the number of terms, the sum of their magnitudes, and the errors that they carry.

    ``stored`` says how many times a target may round what it has added up so far to its own dtype: once for the result, and
    once for each partial sum that the mathematics names. It only matters if the dtype is not the one that is added up in.
    Magnitudes and errors are raised to the norm of the rounding, so that they can be added.
    """

    count: np.ndarray
    size: np.ndarray
    carried: np.ndarray
    stored: np.ndarray

    def moved(self, move: Callable[[np.ndarray], np.ndarray]) -> Terms:
        """Return the terms of a rearrangement of these sums."""
        return Terms(move(self.count), move(self.size), move(self.carried), move(self.stored))


@dataclass(frozen=True)
class Pair:
    """A value and the error that a target may have in it; for a boolean, whether the value is undecided.

    A value that is a sum has ``terms``: an outer sum may then take its terms in another order.
    """

    value: np.ndarray
    error: np.ndarray
    terms: Terms | None = None

    @property
    def nbytes(self) -> int:
        """How much memory the arrays take."""
        t = self.terms
        arrays = (self.value, self.error, *(() if t is None else (t.count, t.size, t.carried, t.stored)))
        return sum(x.nbytes for x in arrays)


class Rounding:
    """The cost of rounding for a target of a given precision, and a count of the undecided comparisons.

    ``norm`` says how errors combine: 1 if they all go in the same direction, which is the worst case.
    """

    norm = 1

    def __init__(self, precision: Precision, integers_exact: bool = True) -> None:
        self.precision, self.integers_exact = precision, integers_exact
        self.undecided = 0
        self.may_overflow = False  # whether a value with its error has left the range of the dtype

    def rounded(self, value: np.ndarray, operations: int = 1) -> np.ndarray:
        """Return what rounding a result may cost, after one operation or several."""
        return self.cost(value, ROUNDINGS * operations)

    def library(self, value: np.ndarray, ulps: int) -> np.ndarray:
        """Return what a library function may be off by; 1 ulp is at most 2 u relative."""
        return self.cost(value, 2 * ulps)

    def underflow(self, precision: Precision) -> float:
        """Return what a result near 0 may lose."""
        return precision.smallest_normal

    def cost(self, value: np.ndarray, roundings: float) -> np.ndarray:
        """Return what a number of roundings of a value may cost."""
        p = self.precision
        return (np.abs(value) * (roundings * p.unit_roundoff) + (value != 0) * self.underflow(p)).astype(np.float64)

    def raised(self, x: np.ndarray) -> np.ndarray:
        """Raise magnitudes or errors to the norm: such numbers combine by addition."""
        size = np.abs(x)
        return np.asarray(size if self.norm == 1 else size**self.norm, np.float64)

    def together(self, *errors: np.ndarray | float) -> np.ndarray:
        """Combine errors of a result that have different sources."""
        if self.norm == 1:
            return np.asarray(sum(errors))
        return np.asarray(sum(e**self.norm for e in errors) ** (1 / self.norm))

    def exact(self, size: np.ndarray, *operands: Pair) -> Any:
        """Decide if sums and products are exact: of integers without error, the sum of |terms| within the precision."""
        return self._may_be_exact(operands) and size <= 2.0**self.precision.bits

    def _may_be_exact(self, operands: tuple[Pair, ...]) -> bool:
        return self.integers_exact and not any(x.error.any() or not whole(x.value).all() for x in operands)

    def terms_of(self, x: Pair) -> Terms:
        """Return the terms of a sum; any other value is one term, and 0 is no term."""
        if x.terms is not None:
            return x.terms
        count = (x.value != 0).astype(np.float64)
        return Terms(count, self.raised(x.value), self.raised(x.error), np.zeros_like(count))

    def sum_of(self, value: np.ndarray, terms: Terms, *operands: Pair) -> np.ndarray:
        """Return the error of a sum: what its terms carry, and n - 1 roundings of the sum of their magnitudes.

        It is infinite if a part of the sum may overflow, in the order of some target, or if the sum itself may.
        """
        exact = self._may_be_exact(operands)

        def error(value: np.ndarray, *columns: np.ndarray) -> np.ndarray:
            return self._within_range(value, self._error_of_sum(value, Terms(*columns), exact), operands)

        return in_blocks(error, value, terms.count, terms.size, terms.carried, terms.stored)

    def _error_of_sum(self, value: np.ndarray, terms: Terms, exact: bool) -> np.ndarray:
        own = self.added_up(np.maximum(terms.count - 1, 0), terms.size + terms.carried, self.precision.accumulator)
        if self.precision.accumulator is not self.precision:
            stored = np.minimum(terms.stored, np.maximum(terms.count - 1, 0))
            own = own + self.added_up(np.maximum(stored - 1, 0), terms.size + terms.carried + own, self.precision)
            before = self.raised(value) + own + terms.carried
            own = own + self.added_up(np.minimum(stored, 1), before, self.precision)
        own = np.where(terms.size <= 2.0**self.precision.bits, 0.0, own) if exact else own
        error = (own + terms.carried) ** (1 / self.norm)
        size = terms.size ** (1 / self.norm)
        overflows = np.isfinite(size) & (size + error > self.precision.accumulator.largest)
        overflows |= np.isinf(size) & np.isfinite(value)  # the terms of a finite sum are beyond float64
        self.may_overflow |= bool((overflows & (np.isfinite(error) | np.isinf(size))).any())
        return np.where(overflows, np.inf, error)

    def added_up(self, additions: np.ndarray, size: np.ndarray, precision: Precision) -> np.ndarray:
        """Return what additions cost, raised to the norm, if no partial sum is larger than ``size``."""
        u, tiny = precision.unit_roundoff**self.norm, self.underflow(precision) ** self.norm
        return np.asarray(additions * (size * u + (size != 0) * tiny))

    def within_range(self, value: np.ndarray, error: np.ndarray, operands: tuple[Pair, ...]) -> np.ndarray:
        """Return an infinite error if the dtype may overflow, and 0 if an infinity or NaN of the inputs goes through."""
        return in_blocks(lambda v, e: self._within_range(v, e, operands), value, error)

    def _within_range(self, value: np.ndarray, error: np.ndarray, operands: tuple[Pair, ...]) -> np.ndarray:
        finite = np.isfinite(value)
        if finite.all():
            error = np.where(np.isnan(error), np.inf, error)
        else:
            numbers = [x for x in operands if x.value.dtype.kind == "f"]
            overflowed = any(np.isinf(x.error).any() for x in numbers)
            overflowed |= all(np.isfinite(x.value).all() for x in numbers)
            self.may_overflow |= bool(overflowed)
            error = np.where(finite, np.where(np.isnan(error), np.inf, error), np.inf if overflowed else 0.0)
        outside = finite & (np.abs(value) + error > self.precision.largest)
        self.may_overflow |= bool((outside & np.isfinite(error)).any())
        return np.where(outside, np.inf, error)


def whole(x: np.ndarray) -> np.ndarray:
    """Decide which elements are whole numbers."""
    return x == np.floor(x)


def only_number(x: np.ndarray) -> float | None:
    """Return the number that an array repeats without memory for more than one; None if it has more memory, or for NaN."""
    number = float(x.flat[0]) if x.size and not any(x.strides) else np.nan
    return None if np.isnan(number) else number


def in_blocks(compute: Callable[..., np.ndarray], *arrays: np.ndarray) -> np.ndarray:
    """Return ``compute(*arrays)``, which works elementwise, block by block: what it needs on the way stays small."""
    shape = arrays[0].shape
    if arrays[0].size <= BLOCK:
        return np.asarray(compute(*arrays))
    inner = [prod(shape[axis + 1 :]) for axis in range(len(shape))]
    axis = next(axis for axis, size in enumerate(inner) if size <= BLOCK)
    rows = BLOCK // inner[axis]
    result = None
    for outer in np.ndindex(shape[:axis]):
        for start in range(0, shape[axis], rows):
            place = (*outer, slice(start, start + rows))
            block = compute(*(x[place] for x in arrays))
            result = np.empty(shape, block.dtype) if result is None else result
            result[place] = block
    assert result is not None
    return result
