"""Write a derivation's jaxpr as a flat list of steps, each with its place in the source of the mathematics.

What no output and no gradient depends on is left out, so each step does something; and which steps depend on another one
is simple to find.
"""

from __future__ import annotations

import functools
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jax.extend.core import Literal

from oracle.slips.places import Frames, frames_in, frames_of, place
from oracle.truth import Derivation, Floating, Uninterpretable
from oracle.truth.interpreter import CALLS, body_of, called, primitive_of
from oracle.truth.primitives import Kind, Primitive

NUMBERS = Floating(np.float64)
WORDS = {
    "add": "sum",
    "add_any": "sum",
    "sub": "difference",
    "mul": "product",
    "div": "quotient",
    "neg": "negation",
    "abs": "absolute value",
    "integer_pow": "power",
    "max": "maximum of two",
    "min": "minimum of two",
    "reduce_sum": "sum over axes",
    "reduce_max": "maximum over axes",
    "reduce_min": "minimum over axes",
    "dot_general": "contraction",
    "select_n": "selection",
    "broadcast_in_dim": "broadcast",
    "transpose": "transposition",
    "concatenate": "concatenation",
    "pad": "padding",
    "rev": "reversal",
    "scatter_add": "scatter-add",
    "lt": "comparison",
    "le": "comparison",
    "gt": "comparison",
    "ge": "comparison",
    "eq": "equality",
    "ne": "inequality",
    "and": "conjunction",
    "or": "disjunction",
    "not": "logical negation",
    "iota": "count",
    "convert_element_type": "conversion",
}


@dataclass(frozen=True)
class Step:
    """An equation: its primitive, and the numbers of its operands and of its result in the list of all values.

    ``real`` tells if the result is a real number; ``types`` has the shape and the dtype of each operand. ``part`` is "the
    value" if an output depends on the result, else "the gradient". ``number`` counts the steps of the same part, word and
    place.
    """

    primitive: Primitive
    parameters: dict[str, Any]
    operands: tuple[int, ...]
    result: int
    real: bool
    types: tuple[Any, ...]
    frames: Frames
    part: str = ""
    place: str = ""
    number: int = 0

    @property
    def name(self) -> str:
        """The name of the primitive."""
        return self.primitive.name

    @property
    def word(self) -> str:
        """The word for what the step does."""
        return WORDS.get(self.name, self.name)

    def compute(self, values: Sequence[Any]) -> np.ndarray:
        """Return the result of the step, given the list of all values."""
        return np.asarray(NUMBERS.apply(self.primitive, self.parameters, *(values[i] for i in self.operands)))


@dataclass(frozen=True, eq=False)
class Program:
    """The steps of a derivation, in order.

    ``constants`` has the values that do not depend on the given arrays, by their numbers. ``inputs`` are the numbers of
    the given arrays and of dy. ``results`` are those of the outputs and gradients, by their names.
    """

    steps: tuple[Step, ...]
    constants: dict[int, np.ndarray]
    inputs: tuple[int, ...]
    results: dict[str, int]
    size: int

    def run(self, given: Sequence[np.ndarray]) -> list[Any]:
        """Return all values for given arrays."""
        values: list[Any] = [None] * self.size
        for i, x in (*self.constants.items(), *zip(self.inputs, given, strict=True)):
            values[i] = x
        with np.errstate(all="ignore"):
            for step in self.steps:
                values[step.result] = step.compute(values)
        return values

    def run_with(self, values: Sequence[Any], changed: int, result: np.ndarray) -> list[Any]:
        """Return all values if the result of one step is another one; only what depends on it is computed again."""
        values = list(values)
        values[self.steps[changed].result] = result
        with np.errstate(all="ignore"):
            for step in self._after(changed):
                values[step.result] = step.compute(values)
        return values

    def _after(self, changed: int) -> list[Step]:
        if changed not in self._dependent:
            reached, after = {self.steps[changed].result}, []
            for step in self.steps[changed + 1 :]:
                if not reached.isdisjoint(step.operands):
                    reached.add(step.result)
                    after.append(step)
            self._dependent[changed] = after
        return self._dependent[changed]

    @functools.cached_property
    def _dependent(self) -> dict[int, list[Step]]:
        return {}

    @functools.cached_property
    def uses(self) -> dict[int, list[tuple[Step | None, int]]]:
        """Where each value is used: by which step and as which of its operands; None stands for the caller."""
        uses: dict[int, list[tuple[Step | None, int]]] = defaultdict(list)
        for step in self.steps:
            for position, i in enumerate(step.operands):
                uses[i].append((step, position))
        for position, i in enumerate(self.results.values()):
            uses[i].append((None, position))
        return uses


@functools.lru_cache(maxsize=64)
def program_of(derivation: Derivation) -> Program:
    """Return the program of a derivation; a cache answers repeated calls."""
    names = (*derivation.outputs, *("d" + name for name in derivation.gradients))
    flat = _Flat()
    closed = derivation.jaxpr
    inputs = tuple(flat.new() for _ in body_of(closed).invars)
    with np.errstate(all="ignore"):
        results = flat.append(closed, list(inputs), ())
    live = _needed(flat.steps, results)
    of_value = _needed(flat.steps, results[: len(derivation.outputs)])
    steps = [
        replace(s, part="the value" if s.result in of_value else "the gradient", place=place(s.frames))
        for s in flat.steps
        if s.result in live
    ]
    return Program(tuple(_numbered(steps)), flat.constants, inputs, dict(zip(names, results, strict=True)), flat.count)


class _Flat:
    """The steps of a jaxpr and of the jaxprs that it calls, while they are collected."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.constants: dict[int, np.ndarray] = {}
        self.count = 0

    def new(self) -> int:
        self.count += 1
        return self.count - 1

    def constant(self, value: Any) -> int:
        number = self.new()
        self.constants[number] = np.asarray(value)
        return number

    def append(self, closed: Any, arguments: list[int], outer: Frames) -> list[int]:
        """Append the steps of a jaxpr, and return the numbers of its results; ``outer`` are the frames of its call."""
        jaxpr = body_of(closed)
        numbers: dict[Any, int] = dict(zip(jaxpr.invars, arguments, strict=True))
        for variable, value in zip(jaxpr.constvars, getattr(closed, "consts", ()), strict=True):
            numbers[variable] = self.constant(NUMBERS.constant(np.asarray(value)))

        def read(atom: Any) -> int:
            if isinstance(atom, Literal):
                return self.constant(NUMBERS.constant(np.asarray(atom.val)))
            return numbers[atom]

        function = str(getattr(getattr(jaxpr, "debug_info", None), "func_name", "")).partition(" ")[0]
        for equation in jaxpr.eqns:
            operands = [read(atom) for atom in equation.invars]
            primitive = primitive_of(equation)
            frames = (*frames_in(equation, function), *outer) if outer else frames_of(equation)
            if primitive is not None:
                results = [self._step(primitive, equation, operands, frames)]
            elif equation.primitive.name in CALLS:
                results = self.append(called(equation), operands, frames)
            else:
                raise Uninterpretable(f"the interpreter has no primitive {equation.primitive.name!r}")
            numbers.update(zip(equation.outvars, results, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def _step(self, primitive: Primitive, equation: Any, operands: list[int], frames: Frames) -> int:
        number = self.new()
        if all(i in self.constants for i in operands):
            values = [self.constants[i] for i in operands]
            self.constants[number] = np.asarray(NUMBERS.apply(primitive, equation.params, *values))
            if primitive.kind in (Kind.STRUCTURE, Kind.CONVERSION):
                return number
        real = bool(np.issubdtype(equation.outvars[0].aval.dtype, np.floating))
        types = tuple(atom.aval for atom in equation.invars)
        self.steps.append(Step(primitive, equation.params, tuple(operands), number, real, types, frames))
        return number


def _needed(steps: Sequence[Step], results: Sequence[int]) -> set[int]:
    """Return the numbers that these results depend on."""
    needed = set(results)
    for step in reversed(steps):
        if step.result in needed:
            needed.update(step.operands)
    return needed


def _numbered(steps: Sequence[Step]) -> list[Step]:
    seen: Counter[tuple[str, str, str]] = Counter()
    numbered = []
    for step in steps:
        key = (step.part, step.word, step.place)
        numbered.append(replace(step, number=seen[key]))
        seen[key] += 1
    return numbered
