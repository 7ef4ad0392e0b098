"""The rounding bound: the jaxpr evaluated on pairs (value, error), by running error analysis.

Each operation carries the errors of its operands to its result, by the exact range of the operation where that is as short
as the first-order rule, and adds what rounding its result may cost in the target's dtype. With u the unit roundoff:

- an elementwise operation adds ROUNDINGS * u * |result|;
- a sum of n terms, in any order, adds n * u * sum of |terms| (Higham, Accuracy and Stability of Numerical Algorithms,
  2nd ed., section 4.2; a product of matrices, section 3.5); a sum of sums counts as one sum of all their terms;
- a transcendental function adds its allowance in ULPS (u times twice that);
- a result that is not 0 also adds the smallest normal number: it may underflow, and XLA flushes subnormals;
- sums and products of exact integers below 2^precision are exact and add nothing, in a layer of sums and products
  alone: where there are quotients, a mean may be a running one (Welford's), which rounds;
- where value and error together leave the range of the dtype, the error is infinite: overflow is allowed.

A comparison is undecided where its operands lie within their errors of each other, or are equal (a kink), or one is NaN.
A select on an undecided comparison may give either branch, or anything between: its error is their distance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from oracle.truth.interpreter import (
    COMPARISONS,
    LOGIC,
    STRUCTURE,
    VALUES,
    Floating,
    Uninterpretable,
    scatter_places,
    split_axes,
)

# An implementation may reach the same result by one rounding more: a multiplication by a rounded reciprocal instead of a
# division, a scale folded in beforehand, a constant that is itself rounded.
ROUNDINGS = 2

# Largest error of a library function in units in the last place (1 ulp is at most 2 u relative), the largest over the
# libraries that targets run on. glibc 2.28+ manual, "Errors in Math Functions": exp, log 1; expm1, log1p 1; tanh 2; erf 1.
# CUDA C++ Programming Guide, "Mathematical Functions" (float): expf 2, logf 1, expm1f 1, log1pf 1, tanhf 2, erff 2,
# rsqrtf 2. Intel SVML and SLEEF (PyTorch's vector code) 1 to 4. XLA evaluates tanh, erf and log1p by rational
# approximations of its own, without a documented bound; the tests measure them on the CPU against 200-bit arithmetic.
ULPS = {
    "exp": 3,
    "expm1": 4,
    "log": 3,
    "log1p": 4,
    "tanh": 5,
    "logistic": 5,
    "erf": 5,
    "sqrt": 1,
    "rsqrt": 3,
}


@dataclass(frozen=True)
class Precision:
    """What the analysis needs to know of a target's dtype."""

    name: str
    unit_roundoff: float
    smallest_normal: float
    largest: float
    bits: int

    @classmethod
    def of(cls, dtype: Any) -> Precision:
        """The precision of float16, bfloat16, float32 or float64."""
        info = ml_dtypes.finfo(dtype)
        bits = int(info.nmant) + 1
        return cls(np.dtype(dtype).name, 2.0**-bits, float(info.smallest_normal), float(info.max), bits)


@dataclass(frozen=True)
class Terms:
    """What a sum consists of: how many terms, the sum of their magnitudes, and the errors that they carry."""

    count: np.ndarray
    size: np.ndarray
    carried: np.ndarray

    def moved(self, move: Callable[[np.ndarray], np.ndarray]) -> Terms:
        """The same for a rearrangement of the sums, or a sum of them."""
        return Terms(move(self.count), move(self.size), move(self.carried))


@dataclass(frozen=True)
class Pair:
    """A value and the error that a target may have in it; for booleans, whether the value is undecided.

    ``terms`` where the value is a sum: an outer sum may then take its terms in another order.
    """

    value: np.ndarray
    error: np.ndarray
    terms: Terms | None = None

    def as_terms(self) -> Terms:
        """The terms of a sum; any other value is one term, and 0 is none."""
        if self.terms is not None:
            return self.terms
        return Terms((self.value != 0).astype(np.float64), np.abs(self.value).astype(np.float64), self.error)


class Bounded:
    """Pairs for a target of a given precision; values in float64, or in extended precision for a float64 target."""

    def __init__(self, precision: Precision, integers_exact: bool = True) -> None:
        self.precision, self.integers_exact = precision, integers_exact
        self.values = Floating(np.longdouble if precision.bits > 30 else np.float64)
        self.undecided = 0

    def exactly(self, x: np.ndarray) -> Pair:
        """An input, which the target holds exactly."""
        value = x if x.dtype.kind in "iub" else x.astype(self.values.dtype)
        return Pair(value, np.zeros(value.shape, bool if value.dtype == bool else np.float64))

    def constant(self, value: np.ndarray) -> Pair:
        """A constant of the mathematics; the target may have to round it."""
        pair = self.exactly(value)
        if value.dtype.kind != "f" or not np.isfinite(value).all():
            return pair
        u, tiny = self.precision.unit_roundoff, self.precision.smallest_normal
        whole = _whole(value) & (np.abs(value) <= 2.0**self.precision.bits)
        scaled = np.frexp(value)[0] * 2.0**self.precision.bits  # an integer where the constant is representable
        return Pair(pair.value, np.where(whole | _whole(scaled), 0.0, u * np.abs(value) + tiny))

    def apply(self, primitive: str, parameters: dict[str, Any], *operands: Pair) -> Pair:
        """The primitive's value and its error."""
        values = [x.value for x in operands]
        value = np.asarray(self.values.apply(primitive, parameters, *values))
        if primitive in STRUCTURE:
            move = VALUES[primitive]
            if primitive == "gather":
                indices = values[1]
                return _rearranged(value, operands[:1], lambda x: move(parameters, x, indices))
            return _rearranged(value, operands, lambda *xs: move(parameters, *xs))
        if value.dtype.kind in "iu" or primitive == "iota":
            return self.exactly(value)
        if primitive in COMPARISONS:
            return Pair(value, self._undecided(primitive, *operands))
        if primitive in LOGIC:
            return Pair(value, np.logical_or.reduce([x.error for x in operands]))
        if primitive in SUMS and value.dtype.kind == "f":
            terms = SUMS[primitive](self, parameters, *operands)
            if terms is not None:
                error = self.sum_of(terms, *operands)
                return Pair(value, self._within_range(value, error, operands), terms)
        if primitive not in ERRORS:
            raise Uninterpretable(f"the rounding analysis has no rule for the primitive {primitive!r}")
        error = np.asarray(ERRORS[primitive](self, parameters, value, *operands), np.float64)
        error = error * (1 + ROUNDINGS * self.precision.unit_roundoff)  # what is off is rounded too
        return Pair(value, self._within_range(value, error, operands))

    # -- what the rules below share -----------------------------------------------------------------------------------

    def rounded(self, value: np.ndarray, times: float = ROUNDINGS) -> np.ndarray:
        """What a few roundings of a result may cost."""
        p = self.precision
        return (np.abs(value) * (times * p.unit_roundoff) + (value != 0) * p.smallest_normal).astype(np.float64)

    def exact(self, size: np.ndarray, *operands: Pair) -> Any:
        """Where sums and products of these operands are exact: integers without error, the sum of |terms| in range."""
        if not self.integers_exact or any(x.error.any() or not _whole(x.value).all() for x in operands):
            return False
        return size <= 2.0**self.precision.bits

    def sum_of(self, terms: Terms, *operands: Pair) -> np.ndarray:
        """The error of a sum: what its terms carry, and a rounding of the sum of their magnitudes for each but one."""
        p = self.precision
        additions = np.maximum(terms.count - 1, 0)
        own = additions * ((terms.size + terms.carried) * p.unit_roundoff + (terms.size != 0) * p.smallest_normal)
        return np.where(self.exact(terms.size, *operands), 0.0, own) + terms.carried

    def _undecided(self, primitive: str, a: Pair, b: Pair) -> np.ndarray:
        if a.value.dtype.kind in "iub":
            return np.zeros(np.broadcast(a.value, b.value).shape, bool)
        tiny = self.precision.smallest_normal
        flushed = sum(((np.abs(x.value) < tiny) & (x.value != 0)) * tiny for x in (a, b))
        room = a.error + b.error + flushed
        undecided = ~(np.abs(a.value - b.value) > room)
        if primitive in ("eq", "ne"):
            undecided &= room > 0
        else:
            self.undecided += int(undecided.sum())
        return np.asarray(undecided)

    def _within_range(self, value: np.ndarray, error: np.ndarray, operands: tuple[Pair, ...]) -> np.ndarray:
        """Infinite where the dtype may overflow; 0 where infinity or NaN of the inputs goes through."""
        finite = np.isfinite(value)
        if finite.all():
            error = np.where(np.isnan(error), np.inf, error)
        else:
            numbers = [x for x in operands if x.value.dtype.kind == "f"]
            overflowed = any(np.isinf(x.error).any() for x in numbers)
            overflowed |= all(np.isfinite(x.value).all() for x in numbers)
            error = np.where(finite, np.where(np.isnan(error), np.inf, error), np.inf if overflowed else 0.0)
        return np.where(finite & (np.abs(value) + error > self.precision.largest), np.inf, error)


def _whole(x: np.ndarray) -> np.ndarray:
    return x == np.floor(x)


# -- the error rules: what the operands' errors do to the result, and what rounding it costs ---------------------------

Rule = Callable[..., np.ndarray]


def _add(n: Bounded, p: Any, v: np.ndarray, a: Pair, b: Pair) -> np.ndarray:
    return np.where(n.exact(np.abs(v), a, b), 0.0, n.rounded(v)) + a.error + b.error


def _mul(n: Bounded, p: Any, v: np.ndarray, a: Pair, b: Pair) -> np.ndarray:
    carried = np.abs(a.value) * b.error + np.abs(b.value) * a.error + a.error * b.error
    return np.where(n.exact(np.abs(v), a, b), 0.0, n.rounded(v)) + carried


def _div(n: Bounded, p: Any, v: np.ndarray, a: Pair, b: Pair) -> np.ndarray:
    room = np.abs(b.value) - b.error
    exactly = (a.error == 0) & (b.error == 0)
    carried = np.where(exactly, 0.0, np.where(room > 0, (a.error + np.abs(v) * b.error) / room, np.inf))
    return n.rounded(v) + carried


def _neg(n: Bounded, p: Any, v: np.ndarray, x: Pair) -> np.ndarray:
    return x.error


def _larger(n: Bounded, p: Any, v: np.ndarray, a: Pair, b: Pair) -> np.ndarray:
    return np.maximum(a.error, b.error)


def _power(n: Bounded, p: Any, v: np.ndarray, x: Pair) -> np.ndarray:
    y = p.get("y", 2)
    size = np.abs(x.value)
    steps = np.maximum(size - x.error, 0.0) if y < 0 else size + x.error
    slope = np.abs(y * (1 / steps ** (1 - y) if y < 1 else steps ** (y - 1)))
    carried = np.where(x.error == 0, 0.0, slope * x.error)
    return np.where(n.exact(np.abs(v), x) if y > 0 else False, 0.0, n.rounded(v, ROUNDINGS * max(1, abs(y)))) + carried


def _function(name: str, carried: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]) -> Rule:
    """A transcendental function: how far it moves when x moves by its error, and its library's allowance."""

    def rule(n: Bounded, p: Any, v: np.ndarray, x: Pair) -> np.ndarray:
        moved = np.where(x.error == 0, 0.0, carried(x.value, x.error, v))
        return moved + n.rounded(v, 2 * ULPS[name])

    return rule


def _below(x: np.ndarray, e: np.ndarray) -> np.ndarray:
    """The point within e of x that is nearest to 0."""
    return np.maximum(np.abs(x) - e, 0.0)


def _tanh_moves(x: np.ndarray, e: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.minimum(e / np.cosh(_below(x, e)) ** 2, 2.0)


def _logistic_moves(x: np.ndarray, e: np.ndarray, v: np.ndarray) -> np.ndarray:
    near = np.exp(-_below(x, e))
    return np.minimum(e * near / (1 + near) ** 2, 1.0)


def _erf_moves(x: np.ndarray, e: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.minimum(e * (2 / np.sqrt(np.pi)) * np.exp(-(_below(x, e) ** 2)), 2.0)


def _log_moves(x: np.ndarray, e: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.where(x > e, -np.log1p(-np.minimum(e / x, 1.0)), np.inf)


def _log1p_moves(x: np.ndarray, e: np.ndarray, v: np.ndarray) -> np.ndarray:
    return _log_moves(1 + x, e, v)


def _sqrt_moves(x: np.ndarray, e: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.where(x > e, e / (v + np.sqrt(np.maximum(x - e, 0.0))), np.sqrt(np.maximum(x, 0.0) + e))


def _rsqrt_moves(x: np.ndarray, e: np.ndarray, v: np.ndarray) -> np.ndarray:
    """1 / sqrt(x - e) - 1 / sqrt(x), without its cancellation."""
    low = np.sqrt(np.maximum(x - e, 0.0))
    return np.where(x > e, e * v / (low * (low + np.sqrt(np.maximum(x, 0.0)))), np.inf)


def _one_minus_square(n: Bounded, p: Any, v: np.ndarray, x: Pair) -> np.ndarray:
    """As 1 - x x, which is what most implementations of tanh's derivative compute."""
    square = x.value * x.value
    return n.rounded(v) + n.rounded(square) + 2 * np.abs(x.value) * x.error + x.error**2


def _exp_neg_sq(n: Bounded, p: Any, v: np.ndarray, x: Pair) -> np.ndarray:
    """As exp of -(x x), the square rounded."""
    square = n.rounded(x.value * x.value) + 2 * np.abs(x.value) * x.error + x.error**2
    return v * np.expm1(square) + n.rounded(v, 2 * ULPS["exp"])


def _select(n: Bounded, p: Any, v: np.ndarray, which: Pair, no: Pair, yes: Pair) -> np.ndarray:
    chosen = np.where(which.value, yes.error, no.error)
    either = np.abs(yes.value - no.value) + np.maximum(yes.error, no.error)
    return np.where(which.error, np.asarray(either, np.float64), chosen)


def _convert(n: Bounded, p: Any, v: np.ndarray, x: Pair) -> np.ndarray:
    return x.error.astype(np.float64)


def _reduce_max(n: Bounded, p: Any, v: np.ndarray, x: Pair) -> np.ndarray:
    return x.error.max(axis=tuple(p["axes"]))


# -- the rules of sums: which terms they consist of --------------------------------------------------------------------

SumRule = Callable[..., "Terms | None"]


def _added(n: Bounded, p: Any, a: Pair, b: Pair) -> Terms | None:
    """An addition to a sum is one of its terms: many a kernel begins with the bias."""
    if a.terms is None and b.terms is None:
        return None
    shape = np.broadcast_shapes(a.value.shape, b.value.shape)
    x, y = (t.as_terms().moved(lambda v: np.broadcast_to(v, shape)) for t in (a, b))
    return Terms(x.count + y.count, x.size + y.size, x.carried + y.carried)


def _negated(n: Bounded, p: Any, x: Pair) -> Terms | None:
    return x.terms


def _summed(n: Bounded, p: Any, x: Pair) -> Terms:
    return x.as_terms().moved(lambda v: v.sum(axis=tuple(p["axes"])))


def _products_summed(n: Bounded, p: Any, a: Pair, b: Pair) -> Terms:
    left, right, shape = split_axes(p, np.abs(a.value).astype(np.float64), np.abs(b.value).astype(np.float64))
    size = np.matmul(left, right)
    count = np.matmul((left != 0).astype(np.float64), (right != 0).astype(np.float64))
    carried = np.zeros_like(size)
    if a.error.any() or b.error.any():
        left_error, right_error, _ = split_axes(p, a.error, b.error)
        carried = np.matmul(left, right_error) + np.matmul(left_error, right + right_error)
        count = np.full_like(size, left.shape[-1])
    # Each product is rounded once itself.
    rounded = (size + carried) * n.precision.unit_roundoff + count * n.precision.smallest_normal
    carried = np.where(n.exact(size, a, b), carried, carried + rounded)
    return Terms(count, size, carried).moved(lambda v: v.reshape(shape))


def _scattered(n: Bounded, p: Any, x: Pair, indices: Pair, updates: Pair) -> Terms:
    places = scatter_places(p, x.value, indices.value)

    def onto(into: np.ndarray, what: np.ndarray) -> np.ndarray:
        total = np.array(into, np.float64)
        np.add.at(total, places, what)
        return total

    a, b = x.as_terms(), updates.as_terms()
    return Terms(onto(a.count, b.count), onto(a.size, b.size), onto(a.carried, b.carried))


SUMS: dict[str, SumRule] = {
    "add": _added,
    "add_any": _added,
    "sub": _added,
    "neg": _negated,
    "reduce_sum": _summed,
    "dot_general": _products_summed,
    "scatter-add": _scattered,
    "scatter_add": _scattered,
}


def _rearranged(value: np.ndarray, operands: tuple[Pair, ...], move: Callable[..., np.ndarray]) -> Pair:
    error = move(*(x.error for x in operands))
    if all(x.terms is None for x in operands):
        return Pair(value, error)
    parts = [x.as_terms() for x in operands]
    terms = Terms(move(*(t.count for t in parts)), move(*(t.size for t in parts)), move(*(t.carried for t in parts)))
    return Pair(value, error, terms)


ERRORS: dict[str, Rule] = {
    "add": _add,
    "add_any": _add,
    "sub": _add,
    "mul": _mul,
    "div": _div,
    "neg": _neg,
    "abs": _neg,
    "max": _larger,
    "min": _larger,
    "square": _power,
    "integer_pow": _power,
    "exp": _function("exp", lambda x, e, v: v * np.expm1(e)),
    "expm1": _function("expm1", lambda x, e, v: (v + 1) * np.expm1(e)),
    "log": _function("log", _log_moves),
    "log1p": _function("log1p", _log1p_moves),
    "tanh": _function("tanh", _tanh_moves),
    "logistic": _function("logistic", _logistic_moves),
    "erf": _function("erf", _erf_moves),
    "sqrt": _function("sqrt", _sqrt_moves),
    "rsqrt": _function("rsqrt", _rsqrt_moves),
    "one_minus_square": _one_minus_square,
    "exp_neg_sq": _exp_neg_sq,
    "select_n": _select,
    "convert_element_type": _convert,
    "reduce_max": _reduce_max,
    "reduce_min": _reduce_max,
}
