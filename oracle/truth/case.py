"""The truth of a case: every output and every gradient, with a rounding bound for each element."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from oracle.cases import Arrays, Case, numpy_dtype
from oracle.truth.autodiff import derive
from oracle.truth.bounded import Bounded
from oracle.truth.parts import evaluated
from oracle.truth.rounding import Pair, Precision


@dataclass(frozen=True)
class Truth:
    """Outputs and gradients as pairs of value and bound, and how many comparisons were undecided.

    A gradient is named after its array: dx for x. ``gradients`` has the names of the gradients, ``outputs`` those of the
    outputs, of which only the first is differentiable. ``may_overflow`` says whether anything on the way to them may leave
    the range of the dtype; then infinity less infinity is NaN.
    """

    pairs: dict[str, Pair]
    outputs: tuple[str, ...]
    gradients: tuple[str, ...]
    undecided: int
    may_overflow: bool = True


MOST_KNOWN = 2**28  # bytes of the cases that are remembered
_KNOWN: dict[Case, Drawn] = {}


class Drawn(NamedTuple):
    """What a case leads to."""

    arrays: Arrays
    dy: np.ndarray
    truth: Truth

    @property
    def nbytes(self) -> int:
        """How much memory the arrays and the truth take."""
        given = sum(x.nbytes for x in (*self.arrays, self.dy) if x is not None)
        return given + sum(pair.nbytes for pair in self.truth.pairs.values())


def drawn(case: Case) -> Drawn:
    """Draw the arrays and the cotangent of a case, and compute their truth.

    It is the same for every target and in every memory layout.
    """
    contiguous = case.contiguous
    known = _KNOWN.pop(contiguous, None)
    if known is None:
        arrays = contiguous.arrays()
        dy = contiguous.cotangent(derive(case.layer, case.shapes, case.configuration).value_shape)
        _make_room(MOST_KNOWN)
        known = Drawn(arrays, dy, truth_of(contiguous, arrays, dy))
    _KNOWN[contiguous] = known  # the last one is the one that was asked for last
    return known


def _make_room(most: int) -> None:
    """Forget the cases that were not asked for the longest, until the others have at most so many bytes."""
    sizes = {case: known.nbytes for case, known in _KNOWN.items()}
    total = sum(sizes.values())
    for case, size in sizes.items():
        if total <= most:
            return
        total -= size
        _KNOWN.pop(case, None)


def truth_of(case: Case, arrays: Arrays, dy: np.ndarray) -> Truth:
    """Compute the truth of a case for given arrays, with the bounds of the case's dtype."""
    derivation = derive(case.layer, case.shapes, case.configuration)
    numbers = Bounded(Precision.of(numpy_dtype(case.dtype)), integers_exact=not derivation.divides)
    results = evaluated(case, arrays, dy, numbers)
    # The truth is rounded too: to float64, or to extended precision if the target computes in float64.
    own = float(np.finfo(numbers.values.dtype).eps) / numbers.precision.unit_roundoff
    pairs = {name: Pair(x.value, x.error * (1 + own)) for name, x in results.items()}
    gradients = derivation.names[len(derivation.outputs) :]
    return Truth(pairs, derivation.outputs, gradients, numbers.undecided, numbers.may_overflow)
