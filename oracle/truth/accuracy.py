"""How accurate an answer is, compared with the error that is usual: a grade, which does not decide if it is right.

The bound is a worst case: all roundings go in the same direction. Usually they are independent, and their errors partly
cancel: then squares add up, not magnitudes. The error of a sum of n terms grows like the square root of n, not like n.
"""

from __future__ import annotations

from math import sqrt

import numpy as np

from oracle.cases import Arrays, Case, numpy_dtype
from oracle.truth.autodiff import derive
from oracle.truth.bounded import Bounded
from oracle.truth.parts import evaluated
from oracle.truth.rounding import Precision


class Usual(Bounded):
    """Pairs of a value and its usual error: the rules are those of the bounds, but the errors are independent."""

    norm = 2

    def rounded(self, value: np.ndarray, operations: int = 1) -> np.ndarray:
        """Return what rounding a result usually costs: one rounding per operation, and none to spare."""
        return self.cost(value, sqrt(operations))

    def library(self, value: np.ndarray, ulps: int) -> np.ndarray:
        """Return what a good library function is off by: 1 ulp, however much the table allows."""
        return self.cost(value, 2)

    def underflow(self, precision: Precision) -> float:
        """Return the distance of neighbours near 0: usually nothing is flushed."""
        return precision.smallest_normal * 2 * precision.unit_roundoff


def usual_error(case: Case, arrays: Arrays, dy: np.ndarray) -> dict[str, np.ndarray]:
    """Compute the usual error of each element of each output and gradient; it costs as much as the bounds do."""
    derivation = derive(case.layer, case.shapes, case.configuration)
    numbers = Usual(Precision.of(numpy_dtype(case.dtype)), integers_exact=not derivation.divides)
    return {name: x.error for name, x in evaluated(case, arrays, dy, numbers).items()}


def grade(got: np.ndarray, truth: np.ndarray, usual: np.ndarray) -> float:
    """Return the largest error in units of the usual error: about 1 for a good implementation, 0 if nothing is graded.

    An element is graded if its truth and its usual error are finite.
    """
    graded = np.isfinite(truth) & np.isfinite(usual)
    with np.errstate(invalid="ignore", divide="ignore"):
        miss = np.abs(np.asarray(got).astype(truth.dtype) - truth)[graded]
        ratio = np.where(miss == 0, 0.0, miss / usual[graded])
    return float(np.where(np.isnan(ratio), np.inf, ratio).max(initial=0.0))
