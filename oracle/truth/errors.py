"""How errors move: what the errors of the operands do to the result, and what rounding the result costs.

A rule takes the rounding of the target's dtype, the parameters of the equation, the value of the result, and the operands
as pairs. It returns the error of the result; for a comparison or a logical operation, whether the result is undecided.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from oracle.truth.rounding import Pair, Rounding, Terms, in_blocks, only_number
from oracle.truth.values import added_at, scatter_places, split_axes

Rule = Callable[..., np.ndarray]


# -- elementwise ------------------------------------------------------------------------------------------------------


def add(n: Rounding, p: Any, v: np.ndarray, a: Pair, b: Pair) -> np.ndarray:
    """Add the errors of a sum or a difference."""
    return n.together(np.where(n.exact(np.abs(v), a, b), 0.0, n.rounded(v)), a.error, b.error)


def mul(n: Rounding, p: Any, v: np.ndarray, a: Pair, b: Pair) -> np.ndarray:
    """Multiply each error by the other operand, and the errors by each other."""
    own = np.where(n.exact(np.abs(v), a, b), 0.0, n.rounded(v))
    return n.together(own, np.abs(a.value) * b.error, np.abs(b.value) * a.error, a.error * b.error)


def div(n: Rounding, p: Any, v: np.ndarray, a: Pair, b: Pair) -> np.ndarray:
    """Bound a quotient; the error is infinite if the divisor may be 0."""
    room = np.abs(b.value) - b.error
    exactly = (a.error == 0) & (b.error == 0)
    carried = np.where(exactly, 0.0, np.where(room > 0, n.together(a.error, np.abs(v) * b.error) / room, np.inf))
    return n.together(n.rounded(v), carried)


def unchanged(n: Rounding, p: Any, v: np.ndarray, x: Pair) -> np.ndarray:
    """Keep the error: the result is not rounded."""
    return x.error


def larger(n: Rounding, p: Any, v: np.ndarray, a: Pair, b: Pair) -> np.ndarray:
    """Take the larger error of the two operands of a maximum or a minimum."""
    return np.maximum(a.error, b.error)


def power(n: Rounding, p: Any, v: np.ndarray, x: Pair) -> np.ndarray:
    """Bound an integer power by its steepest slope within the error, and round it once per factor."""
    y = p.get("y", 2)
    size = np.abs(x.value)
    steps = np.maximum(size - x.error, 0.0) if y < 0 else size + x.error
    slope = np.abs(y * (1 / steps ** (1 - y) if y < 1 else steps ** (y - 1)))
    carried = np.where(x.error == 0, 0.0, slope * x.error)
    own = np.where(n.exact(np.abs(v), x) if y > 0 else False, 0.0, n.rounded(v, max(1, abs(y))))
    return n.together(own, carried)


def sign(n: Rounding, p: Any, v: np.ndarray, x: Pair) -> np.ndarray:
    """Allow any number from -1 to 1 if the sign is undecided, as at the kink of |x|."""
    undecided = order(n, p, v, x, Pair(np.zeros_like(x.value), np.zeros_like(x.error)))
    return np.where(undecided, 1 + np.abs(v), 0.0).astype(np.float64)


def one_minus_square(n: Rounding, p: Any, v: np.ndarray, x: Pair) -> np.ndarray:
    """Bound 1 - x x, which is what most implementations of the derivative of tanh compute."""
    square = x.value * x.value
    return n.together(n.rounded(v), n.rounded(square), 2 * np.abs(x.value) * x.error, x.error**2)


# -- library functions: their own ulps are in the table ---------------------------------------------------------------


def function(moves: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]) -> Rule:
    """Make a rule of ``moves(x, e, v)``: how far the value v moves when x moves by its error e."""

    def rule(n: Rounding, p: Any, v: np.ndarray, x: Pair) -> np.ndarray:
        return np.where(x.error == 0, 0.0, moves(x.value, x.error, v))

    return rule


def _below(x: np.ndarray, e: np.ndarray) -> np.ndarray:
    """Return the magnitude of the point within e of x that is nearest to 0."""
    return np.maximum(np.abs(x) - e, 0.0)


def _log_moves(x: np.ndarray, e: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.where(x > e, -np.log1p(-np.minimum(e / x, 1.0)), np.inf)


def _logistic_moves(x: np.ndarray, e: np.ndarray, v: np.ndarray) -> np.ndarray:
    near = np.exp(-_below(x, e))
    return np.minimum(e * near / (1 + near) ** 2, 1.0)


def _sqrt_moves(x: np.ndarray, e: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.where(x > e, e / (v + np.sqrt(np.maximum(x - e, 0.0))), np.sqrt(np.maximum(x, 0.0) + e))


def _rsqrt_moves(x: np.ndarray, e: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return 1 / sqrt(x - e) - 1 / sqrt(x), without its cancellation."""
    low = np.sqrt(np.maximum(x - e, 0.0))
    return np.where(x > e, e * v / (low * (low + np.sqrt(np.maximum(x, 0.0)))), np.inf)


exp = function(lambda x, e, v: v * np.expm1(e))
expm1 = function(lambda x, e, v: (v + 1) * np.expm1(e))
log = function(_log_moves)
log1p = function(lambda x, e, v: _log_moves(1 + x, e, v))
tanh = function(lambda x, e, v: np.minimum(e / np.cosh(_below(x, e)) ** 2, 2.0))
logistic = function(_logistic_moves)
erf = function(lambda x, e, v: np.minimum(e * (2 / np.sqrt(np.pi)) * np.exp(-(_below(x, e) ** 2)), 2.0))
sqrt = function(_sqrt_moves)
rsqrt = function(_rsqrt_moves)


def exp_neg_sq(n: Rounding, p: Any, v: np.ndarray, x: Pair) -> np.ndarray:
    """Bound exp of -(x x); the square is rounded too."""
    square = n.together(n.rounded(x.value * x.value), 2 * np.abs(x.value) * x.error, x.error**2)
    return v * np.expm1(square)


# -- comparisons and logic: which results are undecided ---------------------------------------------------------------


def equality(n: Rounding, p: Any, v: np.ndarray, a: Pair, b: Pair) -> np.ndarray:
    """Leave "equal" and "not equal" undecided if the operands may be equal and at least one is not exact."""
    if a.value.dtype.kind in "iub":
        return _decided(a, b)
    near, room = _near(n, a, b)
    return near & (room > 0)


def order(n: Rounding, p: Any, v: np.ndarray, a: Pair, b: Pair) -> np.ndarray:
    """Leave an order undecided, and count it, if the operands may be equal."""
    if a.value.dtype.kind in "iub":
        return _decided(a, b)
    near, _ = _near(n, a, b)
    n.undecided += int(near.sum())
    return near


def either(n: Rounding, p: Any, v: np.ndarray, *operands: Pair) -> np.ndarray:
    """Leave a logical operation undecided if one of its operands is undecided."""
    return np.logical_or.reduce([x.error for x in operands])


def _decided(a: Pair, b: Pair) -> np.ndarray:
    return np.zeros(np.broadcast(a.value, b.value).shape, bool)


def _near(n: Rounding, a: Pair, b: Pair) -> tuple[np.ndarray, np.ndarray]:
    """Return which operands may be equal, or are NaN, and by how much both together may be off."""
    tiny = n.precision.smallest_normal
    flushed = sum(((np.abs(x.value) < tiny) & (x.value != 0)) * tiny for x in (a, b))
    room = a.error + b.error + flushed
    return np.asarray(~(np.abs(a.value - b.value) > room)), room


# -- selections -------------------------------------------------------------------------------------------------------


def select(n: Rounding, p: Any, v: np.ndarray, which: Pair, no: Pair, yes: Pair) -> np.ndarray:
    """Take the error of the chosen case; if the choice is undecided, add the distance of the two cases."""
    chosen = np.where(which.value, yes.error, no.error)
    both = np.abs(yes.value - no.value) + np.maximum(yes.error, no.error)
    return np.where(which.error, np.asarray(both, np.float64), chosen)


def reduce_max(n: Rounding, p: Any, v: np.ndarray, x: Pair) -> np.ndarray:
    """Take the largest error of the elements that a maximum or a minimum is chosen from."""
    return x.error.max(axis=tuple(p["axes"]))


# -- sums: a rule says which terms the sum consists of; None if it is not a sum of sums -----------------------------

TermsRule = Callable[..., "Terms | None"]


def added(n: Rounding, p: Any, a: Pair, b: Pair) -> Terms | None:
    """Count what is added to a sum as one of its terms: many kernels begin with the bias."""
    if a.terms is None and b.terms is None:
        return None
    shape = np.broadcast_shapes(a.value.shape, b.value.shape)
    x, y = (n.terms_of(t).moved(lambda v: np.broadcast_to(v, shape)) for t in (a, b))
    both = (x.count > 0) & (y.count > 0)  # adding 0 rounds nothing
    return Terms(x.count + y.count, x.size + y.size, x.carried + y.carried, x.stored + y.stored + both)


def negated(n: Rounding, p: Any, x: Pair) -> Terms | None:
    """Keep the terms: their magnitudes do not change."""
    return x.terms


def summed(n: Rounding, p: Any, x: Pair) -> Terms:
    """Take the terms of all elements that are summed."""
    axes, t = tuple(p["axes"]), x.terms
    if t is None:  # as if each element were one term, but without an array for each column
        count, size = np.asarray((x.value != 0).sum(axis=axes, dtype=np.float64)), n.raised(x.value).sum(axis=axes)
        return Terms(count, size, n.raised(x.error).sum(axis=axes), np.ones_like(count))
    stored = t.stored.max(axis=axes, initial=0.0) + 1
    return Terms(t.count.sum(axis=axes), t.size.sum(axis=axes), t.carried.sum(axis=axes), stored)


def products_summed(n: Rounding, p: Any, a: Pair, b: Pair) -> Terms:
    """Take the products of a product of matrices as terms; each product is itself rounded once."""
    left, right, shape = split_axes(p, n.raised(a.value), n.raised(b.value))
    size = np.matmul(left, right)
    count = np.broadcast_to(float(left.shape[-1]), size.shape)
    carried = np.broadcast_to(0.0, size.shape)
    if a.error.any() or b.error.any():
        left_error, right_error, _ = split_axes(p, n.raised(a.error), n.raised(b.error))
        carried = np.matmul(left, right_error) + np.matmul(left_error, right + right_error)
    elif not (left.all() and right.all()):
        count = np.matmul((left != 0).astype(np.float64), (right != 0).astype(np.float64))
    u, tiny = n.precision.unit_roundoff**n.norm, n.underflow(n.precision) ** n.norm
    exact = n.exact(size, a, b)

    def with_products(size: np.ndarray, count: np.ndarray, carried: np.ndarray) -> np.ndarray:
        return carried + ((size + carried) * u + count * tiny)

    rounded = in_blocks(with_products, size, count, carried)
    carried = rounded if exact is False else np.where(exact, carried, rounded)
    stored = np.broadcast_to(1.0, size.shape)
    return Terms(count, size, carried, stored).moved(lambda v: v.reshape(shape))


def scattered(n: Rounding, p: Any, x: Pair, indices: Pair, updates: Pair) -> Terms:
    """Add the terms of the updates to the terms at their places; each addition may be rounded to the target's dtype."""
    places = scatter_places(p, x.value, indices.value)

    def onto(into: np.ndarray, what: np.ndarray) -> np.ndarray:
        return added_at(np.array(into, np.float64), places, what)

    a, b = n.terms_of(x), n.terms_of(updates)
    if only_number(b.stored) is None or only_number(b.count) is None:
        additions = b.stored + (b.count > 0)
    else:
        additions = np.broadcast_to(b.stored.flat[0] + (b.count.flat[0] > 0), b.count.shape)
    return Terms(onto(a.count, b.count), onto(a.size, b.size), onto(a.carried, b.carried), onto(a.stored, additions))
