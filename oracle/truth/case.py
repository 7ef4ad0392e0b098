"""The truth of a case: every output and every gradient, with a rounding bound for each element."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from oracle.cases import Arrays, Case, numpy_dtype
from oracle.truth.autodiff import derive
from oracle.truth.bounded import Bounded
from oracle.truth.interpreter import evaluate
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


def drawn(case: Case) -> Drawn:
    """Draw the arrays and the cotangent of a case, and compute their truth.

    It is the same for every target and in every memory layout.
    """
    return _drawn(case.contiguous)


@functools.lru_cache(maxsize=512)
def _drawn(case: Case) -> Drawn:
    arrays = case.arrays()
    dy = case.cotangent(derive(case.layer, case.shapes, case.configuration).value_shape)
    return Drawn(arrays, dy, truth_of(case, arrays, dy))


def truth_of(case: Case, arrays: Arrays, dy: np.ndarray) -> Truth:
    """Compute the truth of a case for given arrays, with the bounds of the case's dtype."""
    derivation = derive(case.layer, case.shapes, case.configuration)
    numbers = Bounded(Precision.of(numpy_dtype(case.dtype)), integers_exact=not derivation.divides)
    given = [numbers.exactly(x) for x in (*arrays, dy) if x is not None]
    results = evaluate(derivation.jaxpr, given, numbers)
    names = (*derivation.outputs, *("d" + name for name in derivation.gradients))
    # The truth is rounded too: to float64, or to extended precision if the target computes in float64.
    own = float(np.finfo(numbers.values.dtype).eps) / numbers.precision.unit_roundoff
    pairs = {name: Pair(x.value, x.error * (1 + own)) for name, x in zip(names, results, strict=True)}
    return Truth(pairs, derivation.outputs, names[len(derivation.outputs) :], numbers.undecided, numbers.may_overflow)
