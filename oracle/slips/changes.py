"""The ways to get one step of the mathematics wrong: which other results it may have, and the sentence of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import Any

import numpy as np

from oracle.slips.program import NUMBERS, Program, Step
from oracle.truth import values
from oracle.truth.primitives import Kind

Change = Callable[..., Any]  # takes the result of the step and then its operands; returns another result
Changes = Iterator[tuple[str, Change]]


def changes_of(program: Program, step: Step) -> Changes:
    """Yield the changes that make sense for a step, each with a template of its sentence."""
    if step.real and not _is(program, step.result, 0) and not _zero_is_another_change(program, step):
        yield "{part} lacks the path through {it}", lambda y, *_: np.zeros_like(y)
    yield from _of_constants(program, step)
    if step.name in _OF_PROGRAM:
        yield from _OF_PROGRAM[step.name](program, step)
    if step.primitive.kind is Kind.FUNCTION or step.name in ("neg", "abs", "square", "not"):
        yield "in {part}, {it} is left out, and its argument is taken as it is", lambda y, x: x
    if step.name in _OF_STEP:
        yield from _OF_STEP[step.name](step)


def _zero_is_another_change(program: Program, step: Step) -> bool:
    """Decide if a zero here is a zero at the next step too, or the general slip of an output that is all zeros."""
    uses = program.uses[step.result]
    if len(uses) != 1:
        return False
    ((user, position),) = uses
    return user is None or _keeps_zero(program, user, position)


def _keeps_zero(program: Program, step: Step, position: int) -> bool:
    """Decide if the result of a step is zero if this operand is."""
    match step.name:
        case "mul" | "dot_general":
            return True
        case "neg" | "reduce_sum" | "square" | "div":
            return position == 0
        case "pad":
            return position == 0 and _is(program, step.operands[1], 0)
        case "scatter-add" | "scatter_add":
            return position == 2 and _is(program, step.operands[0], 0)
        case "concatenate":
            return False
    return step.primitive.kind is Kind.STRUCTURE and position == 0


def _is(program: Program, number: int, value: float) -> bool:
    """Decide if a value of a program is this constant whatever the arrays are."""
    constant = program.constants.get(number)
    return constant is not None and bool((constant == value).all())


def _with(step: Step, position: int, change: Callable[[Any], Any]) -> Change:
    """Compute the step with one operand changed."""

    def changed(_: Any, *operands: Any) -> Any:
        others = [change(x) if i == position else x for i, x in enumerate(operands)]
        return NUMBERS.apply(step.primitive, step.parameters, *others)

    return changed


def _of_constants(program: Program, step: Step) -> Changes:
    """Change a number that is written in the mathematics, such as eps or the fill of a padding."""
    for position, number in enumerate(step.operands):
        constant = program.constants.get(number)
        if constant is None or constant.dtype.kind != "f" or _is(program, number, 0):
            continue
        if step.name in ("add", "sub", "mul", "div"):
            yield "in {part}, the constant of {it} is doubled", _with(step, position, lambda x: 2 * x)
        elif step.name in ("pad", "max", "min"):
            yield "in {part}, {it} takes 0 for its constant", _with(step, position, np.zeros_like)


# -- operands left out ------------------------------------------------------------------------------------------------


def _is_left_out(program: Program, step: Step, position: int) -> bool:
    """Decide if it is a mutation of its own to leave a term out, and not a zero at the step that computes it."""
    number = step.operands[position]
    return number in program.constants or number in program.inputs or len(program.uses[number]) > 1


def _addition(program: Program, step: Step) -> Changes:
    for position, word in enumerate(("first", "second")):
        if _is_left_out(program, step, position) and not _is(program, step.operands[position], 0):
            yield f"in {{part}}, {{it}} lacks its {word} term", _with(step, position, np.zeros_like)


def _subtraction(program: Program, step: Step) -> Changes:
    yield from _addition(program, step)
    if not _is(program, step.operands[1], 0):
        yield "in {part}, {it} is a sum", lambda y, a, b: np.add(a, b)


def _multiplication(program: Program, step: Step) -> Changes:
    a, b = step.operands
    if not _is(program, a, 1):
        yield "in {part}, {it} lacks its first factor", lambda y, a, b: b
    if a != b and not _is(program, b, 1):
        yield "in {part}, {it} lacks its second factor", lambda y, a, b: a


def _division(program: Program, step: Step) -> Changes:
    if not _is(program, step.operands[1], 1):
        yield "in {part}, {it} lacks its divisor", lambda y, a, b: a


# -- elementwise ------------------------------------------------------------------------------------------------------


def _power(step: Step) -> Changes:
    for more, word in ((1, "larger"), (-1, "smaller")):
        parameters = step.parameters | {"y": step.parameters["y"] + more}
        yield f"in {{part}}, the exponent of {{it}} is {word} by 1", lambda y, x, p=parameters: values.integer_pow(p, x)


def _one_of_two(step: Step) -> Changes:
    yield "in {part}, {it} is always the first", lambda y, a, b: a
    yield "in {part}, {it} is always the second", lambda y, a, b: b


def _selection(step: Step) -> Changes:
    yield "in {part}, the branches of {it} are exchanged", lambda y, which, no, yes: np.where(which, no, yes)
    yield "in {part}, {it} always takes the branch for true", lambda y, which, no, yes: yes
    yield "in {part}, {it} always takes the branch for false", lambda y, which, no, yes: no


def _order(strict: bool, function: Callable[..., Any]) -> Callable[[Step], Changes]:
    def changes(step: Step) -> Changes:
        if step.types[0].dtype.kind in "iub":  # at equal real numbers the truth accepts both branches
            words = "is strict" if strict else "also holds for equal numbers"
            yield f"in {{part}}, {{it}} {words}", lambda y, a, b: function(a, b)

    return changes


def _negated(step: Step) -> Changes:
    yield "in {part}, {it} is reversed", lambda y, *_: ~y


# -- structure --------------------------------------------------------------------------------------------------------


def _longer(shape: tuple[int, ...]) -> list[int]:
    """Return the sizes other than 1."""
    return [n for n in shape if n != 1]


def _reshape(step: Step) -> Changes:
    shape = step.parameters["new_sizes"]
    if _longer(shape) != _longer(step.types[0].shape):
        yield "in {part}, {it} runs through the axes in the reverse order", lambda y, x: np.reshape(x, shape, order="F")


def _transposition(step: Step) -> Changes:
    yield "in {part}, {it} is left out, and the elements only get the new shape", lambda y, x: np.reshape(x, y.shape)


def _reversal(step: Step) -> Changes:
    yield "in {part}, {it} is left out", lambda y, x: x


def _padding(step: Step) -> Changes:
    config = []
    for low, high, inner in step.parameters["padding_config"]:  # a negative amount crops
        move = 1 if high > 0 or low < 0 else -1 if low > 0 or high < 0 else 0
        config.append((low + move, high - move, inner))
    yield (
        "in {part}, {it} is shifted by one place",
        lambda y, x, fill: values.pad({"padding_config": tuple(config)}, x, fill),
    )


def _slice(step: Step) -> Changes:
    starts, ends = np.array(step.parameters["start_indices"]), np.array(step.parameters["limit_indices"])
    move = np.where(ends < step.types[0].shape, 1, np.where(starts > 0, -1, 0))
    parameters = step.parameters | {"start_indices": starts + move, "limit_indices": ends + move}
    if move.any():
        yield "in {part}, {it} is shifted by one place", lambda y, x: values.slice_(parameters, x)


def _count(step: Step) -> Changes:
    yield "in {part}, {it} starts at 1", lambda y: y + 1


def _concatenation(step: Step) -> Changes:
    axis = step.parameters["dimension"]
    yield "in {part}, the order of {it} is reversed", lambda y, *xs: np.concatenate(xs[::-1], axis=axis)


def _next_place(indices: np.ndarray, size: int) -> np.ndarray:
    return np.minimum(indices + 1, max(0, size - 1))


def _gather(step: Step) -> Changes:
    def shifted(y: Any, x: np.ndarray, indices: np.ndarray) -> np.ndarray:
        return values.gather(step.parameters, x, _next_place(indices, x.shape[-1]))

    yield "in {part}, {it} is shifted by one place", shifted


def _scatter(program: Program, step: Step) -> Changes:
    def shifted(y: Any, x: np.ndarray, indices: np.ndarray, updates: np.ndarray) -> np.ndarray:
        return values.scatter_add(step.parameters, x, _next_place(indices, x.shape[-1]), updates)

    def assigned(y: Any, x: np.ndarray, indices: np.ndarray, updates: np.ndarray) -> np.ndarray:
        z = np.array(x)
        z[values.scatter_places(step.parameters, x, indices)] = updates
        return z

    yield "in {part}, {it} is shifted by one place", shifted
    places = program.constants.get(step.operands[1])
    if places is None or len(np.unique(places)) < places.size:
        yield "in {part}, {it} keeps only the last term at each place: it writes = for +=", assigned


# -- sums and selections over axes ------------------------------------------------------------------------------------


def _along(step: Step, axes: Sequence[int]) -> Iterator[tuple[str, int]]:
    """Yield the places of the summed axes with more than one term; one in the middle stands for all in the middle."""
    for i, axis in enumerate(axes):
        if step.types[0].shape[axis] > 1:
            word = "first" if i == 0 else "last" if i == len(axes) - 1 else "middle"
            yield f" along the {word} of its axes", i


def _last(x: np.ndarray, axis: int) -> np.ndarray:
    return x[(slice(None),) * axis + (slice(-1, None),)]


def _sum(step: Step) -> Changes:
    axes = tuple(step.parameters["axes"])
    count = prod(step.types[0].shape[a] for a in axes)
    if count > 1:
        yield "in {part}, {it} is divided by the number of its terms", lambda y, x: y / count
    for along, i in _along(step, axes):
        yield (
            f"in {{part}}, {{it}} has only its last term{along}",
            lambda y, x, a=axes[i]: np.sum(_last(x, a), axes),
        )


def _contraction(step: Step) -> Changes:
    (left, right), (batch, _) = step.parameters["dimension_numbers"]
    for along, i in _along(step, left):
        yield (
            f"in {{part}}, {{it}} has only its last term{along}",
            lambda y, x, w, a=left[i], b=right[i]: values.dot_general(step.parameters, _last(x, a), _last(w, b)),
        )
    second = step.types[1].shape
    if not batch and len(second) == 2 and second[0] == second[1] > 1:
        yield (
            "in {part}, {it} takes its second operand, which is square, transposed",
            lambda y, x, w: values.dot_general(step.parameters, x, w.T),
        )


def _maximum(step: Step) -> Changes:
    axes = tuple(step.parameters["axes"])
    yield "in {part}, {it} is the smallest element", lambda y, x: np.min(x, axes)
    yield "in {part}, {it} is the mean", lambda y, x: np.mean(x, axes)


_OF_STEP: dict[str, Callable[[Step], Changes]] = {
    "integer_pow": _power,
    "max": _one_of_two,
    "min": _one_of_two,
    "and": _one_of_two,
    "or": _one_of_two,
    "select_n": _selection,
    "le": _order(True, np.less),
    "ge": _order(True, np.greater),
    "lt": _order(False, np.less_equal),
    "gt": _order(False, np.greater_equal),
    "eq": _negated,
    "ne": _negated,
    "reshape": _reshape,
    "transpose": _transposition,
    "rev": _reversal,
    "pad": _padding,
    "slice": _slice,
    "concatenate": _concatenation,
    "gather": _gather,
    "iota": _count,
    "reduce_sum": _sum,
    "dot_general": _contraction,
    "reduce_max": _maximum,
}

_OF_PROGRAM: dict[str, Callable[[Program, Step], Changes]] = {
    "add": _addition,
    "add_any": _addition,
    "sub": _subtraction,
    "mul": _multiplication,
    "div": _division,
    "scatter-add": _scatter,
    "scatter_add": _scatter,
}
