"""The checks of one case, each a small object, in the order in which a person would make them.

A check compares what a target answered with the truth, and yields a result for each comparison: ``Held``, or the
``Finding`` that says what is wrong. An answer that cannot be compared at all raises ``MalformedError``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from oracle.cases import Values, numpy_dtype
from oracle.judge.element import Elements, error_over_bound
from oracle.judge.finding import Finding, Held
from oracle.judge.subgradient import is_subgradient
from oracle.layers import LAYERS
from oracle.results import json_number
from oracle.targets.answer import Answered, NotAnArray, Part, Parts
from oracle.targets.question import Question
from oracle.truth import Precision, Truth

Named = dict[str, np.ndarray]
Results = Iterator[Finding | Held]


class Check(Protocol):
    """A check. ``needs_right_numbers``: it is made only if nothing was found before."""

    name: str
    needs_right_numbers: bool

    def run(self, question: Question, answer: Answered, truth: Truth) -> Results:
        """Compare, and yield a result for each comparison."""


class MalformedError(Exception):
    """An answer that cannot be compared, and what is wrong with it."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message)
        self.finding = finding


# -- what was answered, under the names of the outputs and gradients ---------------------------------------------------


def outputs_of(value: Parts, question: Question, truth: Truth) -> Named:
    """Name the parts of a value. Raises MalformedError for a wrong number of arrays, a wrong shape or dtype."""
    parts = [y for y in value if y is not None] if len(value) > 1 else list(value)
    if len(parts) != len(truth.outputs):
        message = f"the value holds {len(parts)} arrays; expected {len(truth.outputs)}: {', '.join(truth.outputs)}"
        raise MalformedError(Finding("wrong", "arity", "y", message))
    return {name: _well_formed(name, y, question, truth) for name, y in zip(truth.outputs, parts, strict=True)}


def cotangents_of(cotangents: Parts, question: Question, truth: Truth) -> Named:
    """Name the cotangents of the arrays that take a gradient. Raises MalformedError like ``outputs_of``."""
    arrays = LAYERS[question.case.layer].arrays
    if len(cotangents) > len(arrays):
        message = f"the pullback returned {len(cotangents)} cotangents; expected one for each of {len(arrays)} arrays"
        raise MalformedError(Finding("wrong", "arity", "d" + arrays[-1], message))
    named = {}
    for i, name in enumerate(arrays):
        if "d" + name in truth.gradients:
            part = cotangents[i] if i < len(cotangents) else None
            if part is None:
                message = f"the pullback returned no cotangent for {name}; expected one for each array, in order"
                raise MalformedError(Finding("wrong", "arity", "d" + name, message))
            named["d" + name] = _well_formed("d" + name, part, question, truth)
    return named


def _well_formed(name: str, got: Part, question: Question, truth: Truth) -> np.ndarray:
    shape, dtype = truth.pairs[name].value.shape, numpy_dtype(question.case.dtype)
    if got is None or isinstance(got, NotAnArray):
        what = "None" if got is None else f"of type {got.what}"
        message = f"{name} is {what}; expected an array of shape {shape}"
        raise MalformedError(Finding("wrong", "type", name, message, list(shape), what))
    if got.shape != shape:
        message = f"{name} has shape {got.shape}; expected {shape}"
        raise MalformedError(Finding("wrong", "shape", name, message, list(shape), list(got.shape)))
    if got.dtype != dtype:
        message = f"{name} has dtype {got.dtype}; expected {dtype}, the dtype of the inputs"
        raise MalformedError(Finding("wrong", "dtype", name, message, str(dtype), str(got.dtype)))
    return got


# -- the first answer --------------------------------------------------------------------------------------------------


class InputsUnchanged:
    """The arrays and dy are after the calls what they were before."""

    name = "mutation"
    needs_right_numbers = False

    def run(self, question: Question, answer: Answered, truth: Truth) -> Results:
        """Compare every array bit by bit."""
        names = (*LAYERS[question.case.layer].arrays, "dy")
        for name, before, after in zip(names, (*question.arrays, question.dy), answer.inputs or (), strict=False):
            if before is None:
                continue
            if isinstance(after, np.ndarray) and _same_bits(before, after):
                yield Held(name)
            else:
                yield Finding("wrong", self.name, name, f"{name} was changed by the call", before, after)


class InsideInputs:
    """Nothing was written beside an array or dy, into the rest of the page that it lies on."""

    name = "bounds"
    needs_right_numbers = False

    def run(self, question: Question, answer: Answered, truth: Truth) -> Results:
        """Look at what stands around each guarded array."""
        names = (*LAYERS[question.case.layer].arrays, "dy")
        for name, memory, side in zip(names, question.case.memory, answer.written_beyond, strict=False):
            if side is not None:
                yield Finding("wrong", self.name, name, f"writes {side} of {name}")
            elif memory.guarded:
                yield Held(name)


class Form:
    """Value and cotangents are arrays of the right number, shape and dtype."""

    name = "form"
    needs_right_numbers = False

    def run(self, question: Question, answer: Answered, truth: Truth) -> Results:
        """Look at each array."""
        for name in outputs_of(answer.value, question, truth):
            yield Held(name)
        for name in cotangents_of(answer.cotangents, question, truth):
            yield Held(name)


class Value:
    """Each output lies within its bound."""

    name = "value"
    needs_right_numbers = False

    def run(self, question: Question, answer: Answered, truth: Truth) -> Results:
        """Compare each output."""
        for name, got in outputs_of(answer.value, question, truth).items():
            yield _compared(self.name, name, got, question, truth)


class Gradient:
    """Each gradient lies within its bound, or is another valid subgradient."""

    name = "gradient"
    needs_right_numbers = False

    def run(self, question: Question, answer: Answered, truth: Truth) -> Results:
        """Compare each gradient."""
        # A loss that is 0 / 0 (every label is ignored) has no gradient. One that NaN went into has, at other places.
        first = np.isnan(truth.pairs[truth.outputs[0]].value)
        if first.ndim == 0 and first and question.case.values is not Values.NAN:
            return
        for name, got in cotangents_of(answer.cotangents, question, truth).items():
            yield _compared(self.name, name, got, question, truth)


def _compared(check: str, name: str, got: np.ndarray, question: Question, truth: Truth) -> Finding | Held:
    case, layer, pair = question.case, LAYERS[question.case.layer], truth.pairs[name]
    precision = Precision.of(numpy_dtype(case.dtype))
    elements = Elements(
        got,
        pair,
        precision,
        gradient=check == "gradient",
        finite_input=case.values.finite,
        only_infinities=case.values.infinite,
        nan_may_spread=layer.nan_may_spread,
    )
    ratio = error_over_bound(elements)
    if not ratio.size or ratio.max() <= 1:
        return Held(name, float(ratio.max()) if ratio.size else 0.0)
    x = question.arrays[0]
    if name == "d" + layer.arrays[0] and layer.ties and x is not None and question.dy is not None:
        if is_subgradient(got, x, question.dy, layer.ties(case.configuration, case.shapes), precision):
            return Held(name)
        if case.values.may_tie:
            check = "subgradient"
    expected = np.asarray(pair.value, np.float64)
    place = tuple(int(i) for i in np.unravel_index(int(np.argmax(ratio)), ratio.shape))
    message = f"{name}{list(place)} is {_written(got[place])}; expected {_written(expected[place])}"
    verdict = "inexact" if _accurate(elements, ratio, expected) else "wrong"
    return Finding(verdict, check, name, message, expected, got, float(ratio.max()))  # type: ignore[arg-type]


def _written(x: np.floating) -> str:
    """Write a number in the digits of its own dtype, and NaN and infinity as everywhere in the results."""
    return str(x) if np.isfinite(x) else str(json_number(float(x)))


def _accurate(elements: Elements, ratio: np.ndarray, expected: np.ndarray) -> bool:
    """Whether every wrong element misses by no more than sqrt(unit roundoff) of the largest finite truth."""
    finite = np.abs(expected[np.isfinite(expected)])
    size = finite.max() if finite.size else 0.0
    miss = np.where(np.isfinite(elements.miss), elements.miss, np.inf)[ratio > 1]
    return bool(np.all(miss <= np.sqrt(elements.precision.unit_roundoff) * size))


# -- the later answers: a second call, another cotangent ---------------------------------------------------------------


class Repeatable:
    """A second call of the pullback returns the same cotangents."""

    name = "repeatability"
    needs_right_numbers = True

    def run(self, question: Question, answer: Answered, truth: Truth) -> Results:
        """Compare the cotangents of two calls."""
        if answer.again is not None:
            first = cotangents_of(answer.cotangents, question, truth)
            for name, got in cotangents_of(answer.again, question, truth).items():
                message = "a second call of the pullback returns another answer"
                yield _agreed(self.name, name, first[name], got, question, truth, message)


class Linear:
    """pullback(-2 dy) is -2 pullback(dy). The factor is exact, so only rounding may differ."""

    name = "linearity"
    needs_right_numbers = True

    def run(self, question: Question, answer: Answered, truth: Truth) -> Results:
        """Scale the cotangents back and compare."""
        if answer.scaled is not None:
            dtype = numpy_dtype(question.case.dtype)
            first = cotangents_of(answer.cotangents, question, truth)
            for name, got in cotangents_of(answer.scaled, question, truth).items():
                back = np.asarray(got * dtype.type(-0.5)).astype(dtype)
                message = "the pullback is not linear: pullback(-2 dy) is not -2 pullback(dy)"
                yield _agreed(self.name, name, first[name], back, question, truth, message)


class SameValue:
    """A second call of the layer returns the same value."""

    name = "repeatability"
    needs_right_numbers = True

    def run(self, question: Question, answer: Answered, truth: Truth) -> Results:
        """Compare the values of two calls."""
        if answer.value_again is not None:
            first = outputs_of(answer.value, question, truth)
            for name, got in outputs_of(answer.value_again, question, truth).items():
                message = "a second call of the layer returns another answer"
                yield _agreed(self.name, name, first[name], got, question, truth, message)


class Kept:
    """What was returned stays as it is: no later call writes into it."""

    name = "repeatability"
    needs_right_numbers = True

    def run(self, question: Question, answer: Answered, truth: Truth) -> Results:
        """Compare each returned array with its copy, bit by bit."""
        if answer.kept is None:
            return
        value, cotangents = answer.kept
        gradients = ("d" + name for name in LAYERS[question.case.layer].arrays)
        pairs = [
            *zip(truth.outputs, answer.value, value, strict=False),
            *zip(gradients, answer.cotangents, cotangents, strict=False),
        ]
        for name, before, after in pairs:
            if isinstance(before, np.ndarray) and isinstance(after, np.ndarray) and not _same_bits(before, after):
                message = f"{name} was changed by a later call, after it had been returned"
                yield Finding("wrong", self.name, name, message, before, after)
            else:
                yield Held(name)


def _agreed(
    check: str, name: str, first: np.ndarray, got: np.ndarray, question: Question, truth: Truth, message: str
) -> Finding | Held:
    """Compare two answers to one question: they may differ by as much as both may be off."""
    bound = truth.pairs[name].error
    with np.errstate(all="ignore"):
        miss = np.abs(first.astype(np.longdouble) - got.astype(np.longdouble))
        room = 2 * bound + 2 * Precision.of(numpy_dtype(question.case.dtype)).smallest_normal
        bad = np.isfinite(first) & ~np.isinf(bound) & ((miss > room) | ~np.isfinite(got))
    return Finding("wrong", check, name, message, first, got) if bad.any() else Held(name)


def _same_bits(before: np.ndarray, after: np.ndarray) -> bool:
    """Whether two arrays are equal to the last bit, NaN included."""
    return (
        before.shape == after.shape and np.ascontiguousarray(before).tobytes() == np.ascontiguousarray(after).tobytes()
    )


CHECKS: tuple[Check, ...] = (
    InputsUnchanged(),
    InsideInputs(),
    Form(),
    Value(),
    Gradient(),
    Repeatable(),
    Linear(),
    SameValue(),
    Kept(),
)
