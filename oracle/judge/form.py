"""The form of an answer: which arrays it holds under which names, and what is wrong with their number, type, shape, dtype.

What is wrong with the form of one array does not hide another one, and numbers that can be compared are compared whatever
they came in.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from oracle.cases import numpy_dtype
from oracle.judge.finding import Finding, Held
from oracle.layers import LAYERS
from oracle.targets.answer import Answered, NotAnArray, Part, Parts, Wrapped, numbers_of
from oracle.targets.question import Question
from oracle.truth import Truth

Named = dict[str, np.ndarray]
Placed = dict[str, Part]

FORM = ("arity", "type", "dtype")
"""The checks that find something wrong with the form only: the numbers may be right."""


def outputs_of(value: Parts, truth: Truth) -> Named:
    """Return the outputs that can be compared with the truth, under their names."""
    return _comparable(_placed_outputs(value, truth), truth)


def gradients_of(cotangents: Parts | None, question: Question, truth: Truth) -> Named:
    """Return the gradients that can be compared with the truth, under their names: none if no cotangents came."""
    return {} if cotangents is None else _comparable(_placed_gradients(cotangents, question, truth), truth)


def what_is_malformed(question: Question, answer: Answered, truth: Truth) -> Iterator[Finding | Held]:
    """Yield everything that is wrong with the form of an answer, and what is right."""
    yield from _outputs_in_number(answer.value, truth)
    placed = _placed_outputs(answer.value, truth)
    if answer.cotangents is not None:
        yield from _cotangents_in_place(answer.cotangents, question, truth)
        placed |= _placed_gradients(answer.cotangents, question, truth)
    yield from _types(placed)
    wanted = numpy_dtype(question.case.dtype)
    dtypes = {}
    for name, part in placed.items():
        got, shape = numbers_of(part), truth.pairs[name].value.shape
        if got is None:
            continue
        if got.shape != shape:
            message = f"{name} has shape {got.shape}; expected {shape}"
            yield Finding("wrong", "shape", name, message, list(shape), list(got.shape))
        else:
            yield Held(name)
        if got.dtype != wanted and isinstance(part, np.ndarray):  # what is wrapped has no dtype that it ought to have
            dtypes[name] = str(got.dtype)
    if dtypes:
        message = f"{_listed(dtypes, 'has dtype', 'have dtype')}; expected {wanted}, the dtype of the inputs"
        yield Finding("wrong", "dtype", next(iter(dtypes)), message, str(wanted), next(iter(dtypes.values())))


def _outputs_in_number(value: Parts, truth: Truth) -> Iterator[Finding | Held]:
    parts, names = _parts_of(value), truth.outputs
    if len(parts) != len(names):
        message = f"the value holds {len(parts)} arrays; expected {len(names)}: {', '.join(names)}"
        yield Finding("wrong", "arity", "y", message)


def _cotangents_in_place(cotangents: Parts, question: Question, truth: Truth) -> Iterator[Finding | Held]:
    """Compare the places of the cotangents with those of the arrays: one for each, and None where none is due."""
    arrays = LAYERS[question.case.layer].arrays
    if len(cotangents) != len(arrays):
        message = (
            f"the pullback returned {len(cotangents)} cotangents; expected {len(arrays)}, one for each array: "
            f"{', '.join(arrays)}; None for an array that is not given or takes no gradient"
        )
        missing = arrays[min(len(cotangents), len(arrays) - 1)]
        yield Finding("wrong", "arity", "d" + missing, message, len(arrays), len(cotangents))
        return
    for name, given, part in zip(arrays, question.arrays, cotangents, strict=True):
        due = "d" + name in truth.gradients
        if due and part is None:
            message = f"the pullback returned no cotangent for {name}; expected one for each array, in order"
            yield Finding("wrong", "arity", "d" + name, message)
        elif not due and part is not None:
            why = "is not given" if given is None else "takes no gradient"
            message = f"the pullback returned a cotangent for {name}, which {why}; expected None"
            yield Finding("wrong", "arity", "d" + name, message, "None")


def _types(placed: Placed) -> Iterator[Finding | Held]:
    """Name what is not a NumPy array in one finding."""
    types = {name: part.what for name, part in placed.items() if isinstance(part, (Wrapped, NotAnArray))}
    types |= {name: "None" for name, part in placed.items() if part is None}
    if types:
        message = f"{_listed(types, 'is of type', 'are of type')}; expected a NumPy array, as the inputs are"
        yield Finding("wrong", "type", next(iter(types)), message, "ndarray", next(iter(types.values())))


def _listed(found: dict[str, str], one: str, several: str) -> str:
    """Write who has what: ``y has dtype float64``, ``y, dx have dtype float64``."""
    groups: dict[str, list[str]] = {}
    for name, what in found.items():
        groups.setdefault(what, []).append(name)
    return " and ".join(f"{', '.join(names)} {several if names[1:] else one} {what}" for what, names in groups.items())


def _parts_of(value: Parts) -> list[Part]:
    """Return the outputs in order; an output that is not computed is None among several."""
    return [y for y in value if y is not None] if len(value) > 1 else list(value)


def _placed_outputs(value: Parts, truth: Truth) -> Placed:
    """Name the outputs. If their number is wrong, only the first is certain."""
    parts = _parts_of(value)
    names = truth.outputs if len(parts) == len(truth.outputs) else truth.outputs[:1]
    return dict(zip(names, parts, strict=False))


def _placed_gradients(cotangents: Parts, question: Question, truth: Truth) -> Placed:
    """Name the cotangents of the arrays that take a gradient.

    If their number is wrong, but there are as many arrays as gradients, those are meant. Otherwise it is not known which is
    which.
    """
    arrays = LAYERS[question.case.layer].arrays
    if len(cotangents) == len(arrays):
        placed = {"d" + name: part for name, part in zip(arrays, cotangents, strict=True)}
        return {name: part for name, part in placed.items() if name in truth.gradients and part is not None}
    given = [part for part in cotangents if part is not None]
    return dict(zip(truth.gradients, given, strict=True)) if len(given) == len(truth.gradients) else {}


def _comparable(placed: Placed, truth: Truth) -> Named:
    numbers = {name: numbers_of(part) for name, part in placed.items()}
    return {name: x for name, x in numbers.items() if x is not None and x.shape == truth.pairs[name].value.shape}
