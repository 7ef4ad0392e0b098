"""The truth of a case: every output and every gradient, with a rounding bound for each element."""

from __future__ import annotations

from collections import OrderedDict
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


class _Known:
    """The cases that were asked for last, with what they lead to: at most so many, and at most so many bytes."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self.most, self.most_bytes = most, most_bytes
        self.cases: OrderedDict[Case, tuple[Drawn, int]] = OrderedDict()
        self.nbytes = 0

    def get(self, case: Case) -> Drawn | None:
        """Return what is known of a case, and keep it longest."""
        if case not in self.cases:
            return None
        self.cases.move_to_end(case)
        return self.cases[case][0]

    def put(self, case: Case, known: Drawn) -> None:
        """Remember a case."""
        size = known.nbytes
        self.cases[case] = known, size
        self.nbytes += size

    def make_room(self) -> None:
        """Forget the cases that were not asked for the longest."""
        while self.cases and (len(self.cases) >= self.most or self.nbytes > self.most_bytes):
            _, (_, size) = self.cases.popitem(last=False)
            self.nbytes -= size


_KNOWN = _Known(512, 2**28)


def drawn(case: Case) -> Drawn:
    """Draw the arrays and the cotangent of a case, and compute their truth.

    It is the same for every target and in every memory layout.
    """
    contiguous = case.contiguous
    known = _KNOWN.get(contiguous)
    if known is None:
        arrays = contiguous.arrays()
        dy = contiguous.cotangent(derive(case.layer, case.shapes, case.configuration).value_shape)
        _KNOWN.make_room()
        known = Drawn(arrays, dy, truth_of(contiguous, arrays, dy))
        _KNOWN.put(contiguous, known)
    return known


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
