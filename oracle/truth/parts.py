"""Compute the outputs and gradients of a case; a large case is computed in parts.

The mathematics makes many arrays of the size of a case on the way. Most layers treat each sample by itself. The truth of a
few samples at a time then needs little memory. What belongs to a sample is joined. What all samples contribute to, as
they do to the gradient by a kernel, is added up. Its terms are those of all parts, so the parts do not change its bound.
"""

from __future__ import annotations

import numpy as np

from oracle.cases import Arrays, Case
from oracle.cases.large import Cut, cut_of
from oracle.truth.autodiff import Derivation, derive
from oracle.truth.bounded import Bounded
from oracle.truth.interpreter import evaluate
from oracle.truth.rounding import Pair, Terms
from oracle.truth.values import Uninterpretable

PARTS = 32
FEWER = 8  # if the first array stays whole: it takes time in every part


def evaluated(case: Case, arrays: Arrays, dy: np.ndarray, numbers: Bounded) -> dict[str, Pair]:
    """Return the pair of every output and gradient, by name."""
    derivation = derive(case.layer, case.shapes, case.configuration)
    cut = cut_of(case)
    if cut is None or not all(np.isfinite(x).all() for x in (*arrays, dy) if x is not None):
        given = [numbers.exactly(x) for x in (*arrays, dy) if x is not None]
        results = evaluate(derivation.jaxpr, given, numbers)
    else:
        results = _in_parts(case, derivation, cut, (*arrays, dy), numbers)
    return dict(zip(derivation.names, results, strict=True))


def _in_parts(
    case: Case, derivation: Derivation, cut: Cut, given: tuple[np.ndarray | None, ...], numbers: Bounded
) -> list[Pair]:
    axes = (*cut.arrays, cut.outputs[0])
    wholes = {i: numbers.exactly(x) for i, x in enumerate(given) if x is not None and axes[i] is None}
    collected = [
        _Summed(name) if axis is None else _Joined(variable.aval.shape, axis)
        for name, axis, variable in zip(
            derivation.names, cut.results(case, derivation.gradients), derivation.jaxpr.jaxpr.outvars, strict=True
        )
    ]
    step = -(-cut.length // (FEWER if axes[0] is None else PARTS))
    for start in range(0, cut.length, step):
        place = slice(start, start + step)
        pieces = [
            x if x is None or axis is None else _part(x, axis, place) for x, axis in zip(given, axes, strict=True)
        ]
        shapes = tuple(None if x is None else x.shape for x in pieces[:-1])
        part = derive(case.layer, shapes, case.configuration)
        pairs = [wholes[i] if i in wholes else numbers.exactly(x) for i, x in enumerate(pieces) if x is not None]
        for into, result in zip(collected, evaluate(part.jaxpr, pairs, numbers), strict=True):
            into.add(result, place, numbers)
    return [into.pair(numbers) for into in collected]


def _part(x: np.ndarray, axis: int, place: slice) -> np.ndarray:
    return x[(slice(None),) * axis + (place,)]


class _Joined:
    """A result of which each part is computed by itself."""

    def __init__(self, shape: tuple[int, ...], axis: int) -> None:
        self.shape, self.axis = shape, axis
        self.value: np.ndarray | None = None
        self.error = np.empty(shape)

    def add(self, result: Pair, place: slice, numbers: Bounded) -> None:
        """Put a part in its place."""
        if self.value is None:
            self.value = np.empty(self.shape, result.value.dtype)
        _part(self.value, self.axis, place)[...] = result.value
        _part(self.error, self.axis, place)[...] = result.error

    def pair(self, numbers: Bounded) -> Pair:
        """Return the whole."""
        assert self.value is not None
        return Pair(self.value, self.error)


class _Summed:
    """A result that is a sum over all parts. Every rounding of the sums is in the terms, so the parts' errors are not."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.columns: list[np.ndarray] = []  # the value, the error, and those of the terms

    def add(self, result: Pair, place: slice, numbers: Bounded) -> None:
        """Add the value and the terms of a part."""
        if result.terms is None and result.value.any():
            raise Uninterpretable(f"{self.name} is not a sum over the samples, so it cannot be computed in parts")
        t = numbers.terms_of(result)
        columns = (result.value, result.error, t.count, t.size, t.carried, t.stored)
        if not self.columns:
            self.columns = [np.array(x) for x in columns]
            return
        *sums, stored = zip(self.columns, columns, strict=True)
        for total, x in sums:
            total += x
        np.maximum(*stored, out=stored[0])

    def pair(self, numbers: Bounded) -> Pair:
        """Return the sum with the error that a sum of all terms may have."""
        value, error, *columns = self.columns
        return Pair(value, numbers.sum_of(value, Terms(*columns), Pair(value, error)))  # exact if all parts are
