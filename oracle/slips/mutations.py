"""Slips that no one has to think of: small changes of the computation that the truth itself is.

The jaxpr of a derivation computes the outputs and every gradient. A mutation changes the result of one of its steps: a
path is left out, a sum becomes a mean, a comparison becomes strict. What depends on that step is computed again. A
mutation is known by its sentence, which is the same for all shapes, so it can be told from the truth by one case if not
by another. It serves a user's own layer as well as those of the contract.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from oracle.slips.changes import Change, changes_of
from oracle.slips.program import NUMBERS, Program, program_of
from oracle.slips.slip import NOTHING, Answers, Circumstances, Slip
from oracle.truth import derive


@dataclass(frozen=True)
class Mutation:
    """Another result for one step of a program, which is known by its place among the steps."""

    step: int
    change: Change


def mutations_of(at: Circumstances) -> list[Slip]:
    """Return a slip for each mutation of the layer's mathematics in a case. Nothing is computed until it is asked."""
    program = program_of(derive(at.case.layer, at.case.shapes, at.case.configuration))
    return [Slip(sentence, functools.partial(_answers, sentence)) for sentence in _mutations(program)]


def _answers(sentence: str, at: Circumstances) -> Answers:
    """Return what an implementation with a mutation answers: those outputs and gradients that it changes."""
    program = program_of(derive(at.case.layer, at.case.shapes, at.case.configuration))
    mutation = _mutations(program).get(sentence)
    if mutation is None:  # the mathematics does something else in this case
        return NOTHING
    true = _values(_Given(program, (*at.arrays, at.dy)))
    step = program.steps[mutation.step]
    result = true[step.result]
    with np.errstate(all="ignore"):
        other = np.asarray(mutation.change(result, *(true[i] for i in step.operands)))
    other = np.broadcast_to(other, result.shape).astype(result.dtype, copy=False)
    if _same(other, result):
        return NOTHING
    mutated = program.run_with(true, mutation.step, other)
    return {name: mutated[i] for name, i in program.results.items() if not _same(mutated[i], true[i])}


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return a is b or bool(np.array_equal(a, b, equal_nan=a.dtype.kind == "f"))


@dataclass(frozen=True, eq=False)
class _Given:
    """A program with arrays, which are compared by their identity."""

    program: Program
    arrays: tuple[np.ndarray | None, ...]

    def __hash__(self) -> int:
        return hash((self.program, *map(id, self.arrays)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Given) or self.program is not other.program:
            return False
        return all(a is b for a, b in zip(self.arrays, other.arrays, strict=True))


@functools.lru_cache(maxsize=4)  # a diagnosis tries each slip on a few cases in turn
def _values(given: _Given) -> list[Any]:
    arrays = (x for x in given.arrays if x is not None)
    return given.program.run([x if x.dtype.kind in "iub" else NUMBERS.constant(x.astype(np.float64)) for x in arrays])


@functools.lru_cache(maxsize=64)
def _mutations(program: Program) -> dict[str, Mutation]:
    """Return the mutations of a program by their sentences."""
    found: dict[str, Mutation] = {}
    for i, step in enumerate(program.steps):
        it = f"the {_ordinal(step.number)}{step.word}" + (f" in {step.place}" if step.place else "")
        for template, change in changes_of(program, step):
            found[template.format(part=step.part, it=it)] = Mutation(i, change)
    return found


def _ordinal(n: int) -> str:
    """Count from "first", which is not said: in another case the step may be the only one of its kind."""
    words = ("", "second ", "third ", "fourth ", "fifth ", "sixth ", "seventh ", "eighth ", "ninth ", "tenth ")
    return words[n] if n < len(words) else f"{n + 1}th "
