"""Slips of softmax and its logarithm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from oracle.cases import numpy_dtype
from oracle.slips.slip import NOTHING, Answers, Circumstances, slip

BOTH = ("softmax", "log_softmax")


@dataclass(frozen=True)
class Row:
    """The parts of softmax along its axis."""

    x: np.ndarray
    axis: int
    dy: np.ndarray
    y: np.ndarray  # the true value of the layer
    logarithm: bool
    dtype: np.dtype

    @cached_property
    def largest(self) -> np.ndarray:
        """The maximum of each row."""
        return self.x.max(self.axis, keepdims=True)

    @cached_property
    def p(self) -> np.ndarray:
        """The probabilities."""
        return np.exp(self.y) if self.logarithm else self.y

    def sum(self, v: np.ndarray) -> np.ndarray:
        """Sum along the axis."""
        return np.asarray(v.sum(self.axis, keepdims=True))

    def value(self, shifted: np.ndarray, total: np.ndarray) -> np.ndarray:
        """Return the value made from x less something, and from the sum of the exponentials."""
        return np.asarray(shifted - np.log(total) if self.logarithm else np.exp(shifted) / total, np.float64)


def row(at: Circumstances) -> Row | None:
    """Return the parts, or None if x is empty."""
    x = at.array("x")
    if x is None or not x.size:
        return None
    dy, y = at.dy.astype(np.float64), at.true("y")
    return Row(x, at.option("axis") % x.ndim, dy, y, at.case.layer == "log_softmax", numpy_dtype(at.case.dtype))


def _value(sentence: str, f: Callable[[Row], np.ndarray], *layers: str, resembles: str = "") -> None:
    @slip(sentence, *layers, resembles=resembles)
    def _one(at: Circumstances) -> Answers:
        r = row(at)
        return NOTHING if r is None else {"y": np.asarray(f(r), np.float64)}


def _dx(sentence: str, f: Callable[[Row], np.ndarray], *layers: str, resembles: str = "") -> None:
    @slip(sentence, *layers, resembles=resembles)
    def _one(at: Circumstances) -> Answers:
        r = row(at)
        return NOTHING if r is None else {"dx": np.asarray(f(r), np.float64)}


# -- the value --------------------------------------------------------------------------------------------------------


def _naive(r: Row) -> np.ndarray:
    own = r.x.astype(r.dtype)
    e = np.exp(own)
    total = e.sum(r.axis, keepdims=True)
    return np.asarray(own - np.log(total) if r.logarithm else e / total)


def _global_maximum(r: Row) -> np.ndarray:
    shifted = (r.x - r.x.max()).astype(r.dtype)
    return r.value(shifted, np.exp(shifted).sum(r.axis, keepdims=True))


def _smallest_subtracted(r: Row) -> np.ndarray:
    shifted = (r.x - r.x.min(r.axis, keepdims=True)).astype(r.dtype)
    return r.value(shifted, np.exp(shifted).sum(r.axis, keepdims=True))


def online_total(x: np.ndarray, axis: int) -> np.ndarray:
    """Sum exp(x - largest so far) along an axis, without a correction when a larger element comes."""
    return np.asarray(np.exp(x - np.maximum.accumulate(x, axis)).sum(axis, keepdims=True))


def _maximum_not_in_sum(r: Row) -> np.ndarray:
    return np.asarray(r.x - np.log(np.exp(r.x - r.largest).sum(r.axis, keepdims=True)))


def _log_of_softmax(r: Row) -> np.ndarray:
    e = np.exp((r.x - r.largest).astype(r.dtype))
    return np.log(e / e.sum(r.axis, keepdims=True))


def _over_all(r: Row) -> np.ndarray:
    shifted = r.x - r.x.max()
    return r.value(shifted, np.exp(shifted).sum())


_value("no maximum is subtracted: the exponential of a large x overflows", _naive, *BOTH)
_value("the maximum of the whole of x is subtracted, so all exponentials of a row may be 0", _global_maximum, *BOTH)
_value("the smallest element is subtracted, not the largest", _smallest_subtracted, *BOTH)
_value(
    "the sum of exponentials is not corrected when a larger element comes",
    lambda r: r.value(r.x - r.largest, online_total(r.x, r.axis)),
    *BOTH,
)
_value("the sum is taken over the whole of x", _over_all, *BOTH, resembles="nntrainer/nntrainer #430")
_value(
    "the exponentials have the base 2",
    lambda r: r.value((r.x - r.largest) * np.log(2), r.sum(np.exp2(r.x - r.largest))),
    *BOTH,
)
_value("x is divided by the sum of x", lambda r: r.x / r.sum(r.x), "softmax")
_value("the exponentials are not divided by their sum", lambda r: np.exp(r.x - r.largest), "softmax")
_value("the exponentials are divided by their mean", lambda r: r.p * r.x.shape[r.axis], "softmax")
_value(
    "the exponentials are divided by the root of the sum of their squares",
    lambda r: r.p / np.sqrt(r.sum(r.p * r.p)),
    "softmax",
)
_value("y is the logarithm of the softmax", lambda r: np.log(r.p), "softmax")
_value("y is the logarithm of a softmax that may be 0: minus infinity", _log_of_softmax, "log_softmax")
_value("y is the logarithm of the softmax plus 1e-8", lambda r: np.log(r.p + 1e-8), "log_softmax")
_value(
    "y is the logarithm of the softmax, which is at least 1e-7", lambda r: np.log(np.maximum(r.p, 1e-7)), "log_softmax"
)
_value("the maximum is subtracted in the sum and not from x itself", _maximum_not_in_sum, "log_softmax")
_value("y is x - max: the logarithm of the sum is forgotten", lambda r: r.x - r.largest, "log_softmax")
_value(
    "y subtracts the logarithm of the mean of the exponentials",
    lambda r: r.y + np.log(r.x.shape[r.axis]),
    "log_softmax",
)
_value(
    "y subtracts the sum of the exponentials, not its logarithm",
    lambda r: r.x - r.largest - r.sum(np.exp(r.x - r.largest)),
    "log_softmax",
)
_value("y is the softmax: the logarithm is forgotten", lambda r: r.p, "log_softmax")
_value("y is the logarithm to the base 2", lambda r: r.y / np.log(2), "log_softmax")


# -- the gradient -----------------------------------------------------------------------------------------------------


def _sum_over(r: Row, v: np.ndarray) -> np.ndarray | None:
    """Sum over the last axis that is not that of the layer, or return None if there is none."""
    others = [axis for axis in range(r.x.ndim) if axis != r.axis]
    return np.asarray(v.sum(others[-1], keepdims=True)) if others else None


@slip("dx sums over another axis than that of the layer", *BOTH)
def _other_axis(at: Circumstances) -> Answers:
    r = row(at)
    if r is None:
        return NOTHING
    total = _sum_over(r, r.dy if r.logarithm else r.dy * r.p)
    if total is None:
        return NOTHING
    return {"dx": r.dy - r.p * total if r.logarithm else r.p * (r.dy - total)}


_dx(
    "dx has the diagonal of the Jacobian only: dy y (1 - y)",
    lambda r: r.dy * r.p * (1 - r.p),
    "softmax",
    resembles="pocketpy/cTensor #31",
)
_dx(
    "dx is dy y: the sum of dy * y is forgotten",
    lambda r: r.dy * r.p,
    "softmax",
    resembles="HomericIntelligence/Odyssey #2134",
)
_dx("dx subtracts the sum of dy; it must be that of dy * y", lambda r: r.p * (r.dy - r.sum(r.dy)), "softmax")
_dx(
    "dx subtracts the mean of dy * y; it must be the sum",
    lambda r: r.p * (r.dy - r.sum(r.dy * r.p) / r.x.shape[r.axis]),
    "softmax",
)
_dx("dx does not multiply the sum of dy * y by y", lambda r: r.p * r.dy - r.sum(r.dy * r.p), "softmax")
_dx("dx does not multiply dy by y", lambda r: r.dy - r.p * r.sum(r.dy * r.p), "softmax")
_dx("dx is dy less the sum of dy * y: the factor y is forgotten", lambda r: r.dy - r.sum(r.dy * r.p), "softmax")
_dx("dx adds the sum of dy * y; it must subtract it", lambda r: r.p * (r.dy + r.sum(r.dy * r.p)), "softmax")
_dx("dx is y - dy, as for a cross entropy", lambda r: r.p - r.dy, "softmax")
_dx("dx uses x in the place of y", lambda r: r.x * (r.dy - r.sum(r.dy * r.x)), "softmax")
_dx("dx uses the sum of the whole of dy * y", lambda r: r.p * (r.dy - (r.dy * r.p).sum()), "softmax")
_dx("dx subtracts dy times the sum of y * y", lambda r: r.p * r.dy * (1 - r.sum(r.p * r.p)), "softmax")

_dx("dx is dy: the sum of dy is forgotten", lambda r: r.dy, "log_softmax")
_dx("dx subtracts the softmax: the sum of dy is forgotten", lambda r: r.dy - r.p, "log_softmax")
_dx("dx subtracts dy times the softmax: the sum of dy is forgotten", lambda r: r.dy * (1 - r.p), "log_softmax")
_dx("dx multiplies the sum of dy by y, the logarithm", lambda r: r.dy - r.y * r.sum(r.dy), "log_softmax")
_dx("dx uses the mean of dy", lambda r: r.dy - r.p * r.sum(r.dy) / r.x.shape[r.axis], "log_softmax")
_dx(
    "dx subtracts the mean of dy: the softmax is forgotten",
    lambda r: r.dy - r.sum(r.dy) / r.x.shape[r.axis],
    "log_softmax",
)
_dx("dx subtracts the sum of dy: the softmax is forgotten", lambda r: r.dy - r.sum(r.dy), "log_softmax")
_dx("dx uses the sum of dy times the softmax", lambda r: r.dy - r.p * r.sum(r.dy * r.p), "log_softmax")
_dx("dx is that of softmax", lambda r: r.p * (r.dy - r.sum(r.dy * r.p)), "log_softmax")
_dx("dx adds the sum of dy times the softmax", lambda r: r.dy + r.p * r.sum(r.dy), "log_softmax")
_dx("dx uses the sum of the whole of dy", lambda r: r.dy - r.p * r.dy.sum(), "log_softmax")
_dx(
    "dx takes the softmax of y with a sum that is not corrected when a larger element comes",
    lambda r: r.dy - np.exp(r.x - r.largest) / online_total(r.x, r.axis) * r.sum(r.dy),
    "log_softmax",
)
