"""The checks of one case, each a small object, in the order in which a person would make them.

A check compares what a target answered with the truth, and yields a result for each comparison: ``Held``, or the
``Finding`` that says what is wrong. Arrays that cannot be compared with the truth are a matter of ``Form`` only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol

import ml_dtypes
import numpy as np

from oracle.cases import Values, numpy_dtype
from oracle.judge.element import Elements, compare, elements_of
from oracle.judge.finding import Finding, Held
from oracle.judge.form import Named, gradients_of, outputs_of, what_is_malformed
from oracle.judge.subgradient import is_another_subgradient
from oracle.layers import LAYERS
from oracle.results import json_number
from oracle.targets.answer import Answered, same_bits
from oracle.targets.question import Question
from oracle.truth import Precision, Truth

Results = Iterator[Finding | Held]


class Check(Protocol):
    """A check. ``needs_right_numbers``: it is made only if nothing was found before, except in the form."""

    name: str
    needs_right_numbers: bool

    def run(self, question: Question, answer: Answered, truth: Truth) -> Results:
        """Compare, and yield a result for each comparison."""


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
            if isinstance(after, np.ndarray) and same_bits(before, after):
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
    """Value and cotangents are NumPy arrays of the right number, shape and dtype, with None in its place."""

    name = "form"
    needs_right_numbers = False

    def run(self, question: Question, answer: Answered, truth: Truth) -> Results:
        """Look at each array."""
        yield from what_is_malformed(question, answer, truth)


class Value:
    """Each output lies within its bound."""

    name = "value"
    needs_right_numbers = False

    def run(self, question: Question, answer: Answered, truth: Truth) -> Results:
        """Compare each output."""
        second = {} if answer.second is None else outputs_of(answer.second[0], truth)
        before = {} if answer.before is None else outputs_of(answer.before, truth)
        for name, got in outputs_of(answer.value, truth).items():
            found = _compared(self.name, name, got, question, truth)
            if isinstance(found, Finding) and _remembered(got, before.get(name)):
                found = replace(
                    found, message=f"{found.message}; this is what it was for other arrays in the call before"
                )
            yield _or_disturbed(found, name, second, question, truth)


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
        second = {} if answer.second is None else gradients_of(answer.second[1], question, truth)
        for name, got in gradients_of(answer.cotangents, question, truth).items():
            yield _or_disturbed(_compared(self.name, name, got, question, truth), name, second, question, truth)


def _remembered(got: np.ndarray, before: np.ndarray | None) -> bool:
    """Whether an answer is the one to the call before, and has several finite numbers: NaN everywhere tells nothing."""
    return before is not None and same_bits(got, before) and np.unique(got[np.isfinite(got)]).size > 1


def _or_disturbed(found: Finding | Held, name: str, second: Named, question: Question, truth: Truth) -> Finding | Held:
    """Say so if numbers are wrong only because the layer was called with other arrays in between."""
    if isinstance(found, Held) or name not in second:
        return found
    if isinstance(_compared(found.check, name, second[name], question, truth), Finding):
        return found
    message = f"right in a call by itself, but not with a call with other arrays in between: {found.message}"
    return replace(found, verdict="wrong", check="repeatability", message=message)


def _compared(check: str, name: str, got: np.ndarray, question: Question, truth: Truth) -> Finding | Held:
    case, arrays, dy = question.case, question.arrays, question.dy
    elements = elements_of(name, got, case, arrays, dy, truth)
    ratio, judged = compare(elements)
    if not ratio.size or ratio.max() <= 1:
        return Held(name, float(ratio.max()) if ratio.size else 0.0, judged=not judged.size or bool(judged.any()))
    if is_another_subgradient(name, got, case, arrays, dy):
        return Held(name, judged=True)
    if name == "d" + LAYERS[case.layer].arrays[0] and LAYERS[case.layer].ties and case.values.may_tie:
        check = "subgradient"
    with np.errstate(over="ignore"):  # a wider truth may be too large for a float64
        expected = np.asarray(truth.pairs[name].value, np.float64)
    place = tuple(int(i) for i in np.unravel_index(int(np.argmax(ratio)), ratio.shape))
    message = f"{name}{list(place)} is {_written(got[place])}; expected {_written(expected[place])}"
    verdict = "inexact" if _accurate(elements, ratio) else "wrong"
    return Finding(verdict, check, name, message, expected, got, float(ratio.max()))  # type: ignore[arg-type]


def _written(x: np.floating) -> str:
    """Write a number in the digits of its own dtype, and NaN and infinity as everywhere in the results."""
    return str(x) if np.isfinite(x) else str(json_number(float(x)))


def _accurate(elements: Elements, ratio: np.ndarray) -> bool:
    """Whether every wrong element is right up to accuracy.

    It is if it misses by no more than sqrt(unit roundoff) of its own scale. The roundoff is that of the dtype of the answer
    if it is coarser than the dtype that was due. It also is if it misses by no more than rounding of the largest numbers
    explains: a Fourier transform of n numbers and a table of sums round all of them together, about log2(n) times, and
    leave each result with the error of the largest (Higham, Accuracy and Stability of Numerical Algorithms, section 24.1).
    That is at most sqrt(unit roundoff) of the largest result, except for results without a rounding of their own: all
    their products are with zeros of the padding. Beside numbers near the end of the range, such rounding would explain
    everything.
    """
    u = max(elements.precision.unit_roundoff, _roundoff(elements.got.dtype))
    near = elements.miss <= np.sqrt(u) * elements.scale
    if elements.within_range:
        error, rounding = elements.truth.error, u * elements.largest_product
        bound = max(rounding, error[np.isfinite(error)].max(initial=0.0))
        numbers = elements.miss.size + sum(x.size for x in elements.inputs if x is not None)
        depth, least = max(1.0, float(np.log2(numbers))), elements.precision.smallest_normal
        together = np.minimum(depth * bound, np.sqrt(u) * elements.scale.max()) + least
        near |= elements.miss <= np.where(error == 0, np.maximum(together, depth * rounding), together)
    return bool(np.all((near & np.isfinite(elements.miss))[ratio > 1]))


def _roundoff(dtype: np.dtype) -> float:
    """Return the unit roundoff of a dtype of floats; whole numbers are exact."""
    return 0.0 if dtype.kind in "iub" else float(ml_dtypes.finfo(dtype).eps) / 2


# -- the later answers: a second call, another cotangent ---------------------------------------------------------------


class Repeatable:
    """A second call of the pullback returns the same cotangents."""

    name = "repeatability"
    needs_right_numbers = True

    def run(self, question: Question, answer: Answered, truth: Truth) -> Results:
        """Compare the cotangents of two calls."""
        message = "a second call of the pullback returns another answer"
        first = gradients_of(answer.cotangents, question, truth)
        yield from _agreed(self.name, first, gradients_of(answer.again, question, truth), question, truth, message)


class Linear:
    """pullback(-2 dy) is -2 pullback(dy). The factor is exact, so only rounding may differ."""

    name = "linearity"
    needs_right_numbers = True

    def run(self, question: Question, answer: Answered, truth: Truth) -> Results:
        """Scale the cotangents back and compare."""
        message = "the pullback is not linear: pullback(-2 dy) is not -2 pullback(dy)"
        first, scaled = (gradients_of(x, question, truth) for x in (answer.cotangents, answer.scaled))
        with np.errstate(all="ignore"):
            back = {name: np.asarray(got.astype(np.longdouble) * -0.5) for name, got in scaled.items()}
        yield from _agreed(self.name, first, back, question, truth, message)


class SameAnswer:
    """A second call of the layer returns the same value, and its pullback the same cotangents."""

    name = "repeatability"
    needs_right_numbers = True

    def run(self, question: Question, answer: Answered, truth: Truth) -> Results:
        """Compare the values and cotangents of two calls."""
        if answer.second is None:
            return
        message = "a second call of the layer returns another answer"
        value, cotangents = answer.second
        first, got = outputs_of(answer.value, truth), outputs_of(value, truth)
        first |= gradients_of(answer.cotangents, question, truth)
        got |= gradients_of(cotangents, question, truth)
        yield from _agreed(self.name, first, got, question, truth, message)


class Kept:
    """What was returned stays as it is: no later call writes into it."""

    name = "repeatability"
    needs_right_numbers = True

    def run(self, question: Question, answer: Answered, truth: Truth) -> Results:
        """Compare each returned array with its copy, bit by bit."""
        if answer.kept is None:
            return
        value, cotangents = answer.kept
        first = outputs_of(answer.value, truth) | gradients_of(answer.cotangents, question, truth)
        later = outputs_of(value, truth) | gradients_of(cotangents, question, truth)
        for name, before in first.items():
            after = later.get(name)
            if after is not None and same_bits(before, after):
                yield Held(name)
            else:
                message = f"{name} was changed by a later call, after it had been returned"
                yield Finding("wrong", self.name, name, message, before, after)


def _agreed(check: str, first: Named, got: Named, question: Question, truth: Truth, message: str) -> Results:
    """Compare two answers to one question: they may differ by as much as both may be off."""
    precision = Precision.of(numpy_dtype(question.case.dtype))
    for name in (name for name in first if name in got):
        bound, a, b = truth.pairs[name].error, first[name], got[name]
        with np.errstate(all="ignore"):
            miss = np.abs(a.astype(np.longdouble) - b.astype(np.longdouble))
            room = 2 * bound + 2 * precision.smallest_normal
            bad = np.isfinite(a) & ~np.isinf(bound) & ((miss > room) | ~np.isfinite(b))
        yield Finding("wrong", check, name, message, a, b) if bad.any() else Held(name)


CHECKS: tuple[Check, ...] = (
    InputsUnchanged(),
    InsideInputs(),
    Form(),
    Value(),
    Gradient(),
    Repeatable(),
    Linear(),
    SameAnswer(),
    Kept(),
)
