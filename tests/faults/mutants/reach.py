"""Find out which layers execute which lines of impl, so that a mutant is tried in these layers only."""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import prod
from types import FrameType
from typing import Any

import numpy as np

from impl import functional
from oracle.cases import Arrays, Case, edge_cases
from oracle.cases.case import refused_call
from oracle.layers import LAYERS
from oracle.run.run import Options
from tests.faults.mutants.load import imported_anew
from tests.faults.mutants.mutator import FILES, ROOT, Mutant, mutants

MOST_LAYERS = 3
COMPOSED = "impl.functional.block"
DTYPE = Options().dtypes[0]
Lines = set[tuple[str, int]]


@functools.cache
def applying() -> tuple[Mutant, ...]:
    """Return the mutants of what NumPy arrays come to, shuffled."""
    return tuple(mutant for mutant in mutants() if layers_of(mutant))


def layers_of(mutant: Mutant) -> list[str]:
    """Return up to three layers that execute what is changed: first the cheapest of each family, then the cheapest.

    Composed layers come last, and of the layers over 1, 2 and 3 axes those over 2 come first: one axis cannot be taken for
    another, three are dear. The last one is over 1 axis if there is one, because axes -1 and 3 may be the same.
    """
    reached = _known_to_execute(mutant)
    if not reached:
        return executing(mutant)
    families: set[str] = set()
    ranks: dict[str, tuple[bool, bool, tuple[bool, int]]] = {}
    for layer in sorted(reached, key=_cost):
        ranks[layer] = (_family(layer) == COMPOSED, _family(layer) in families, _cost(layer))
        families.add(_family(layer))
    ranked = sorted(reached, key=ranks.__getitem__)
    over_one = [layer for layer in ranked if layer.endswith("1d")][:1]
    return [layer for layer in ranked if layer not in over_one][: MOST_LAYERS - len(over_one)] + over_one


def executing(mutant: Mutant) -> list[str]:
    """Return all layers that execute what is changed, or of which nothing else is known.

    What is executed when impl is imported may change every layer of its file. Without any layer, only JAX arrays come to
    what is changed.
    """
    found = _known_to_execute(mutant)
    if not found and _within(mutant.file, mutant.around) & _at_import():
        return [layer for layer in LAYERS if _family(layer) == mutant.module]
    return found


def _known_to_execute(mutant: Mutant) -> list[str]:
    """Return the layers that execute what is changed.

    If none does, as it is with a check that no bad call comes to, the function counts, and of what is executed when impl is
    imported, the layers that mention it.
    """
    reached = _reached(mutant.file, mutant.lines) or _reached(mutant.file, mutant.around)
    if not reached and _within(mutant.file, mutant.around) & _at_import():
        return _mentioning(mutant.function)
    return reached


@functools.cache
def reach() -> dict[str, Lines]:
    """Return the lines of impl that each layer executes in its edges and in the calls that it must refuse."""
    return {layer: _executed(layer) for layer in LAYERS}


def _reached(file: str, lines: tuple[int, int]) -> list[str]:
    return [layer for layer, executed in reach().items() if executed & _within(file, lines)]


def _mentioning(name: str) -> list[str]:
    """Return the layers that execute a line with a name in it."""
    texts = {file: (ROOT / file).read_text(encoding="utf-8").splitlines() for file in FILES}
    return [layer for layer, lines in reach().items() if any(name in texts[file][line - 1] for file, line in lines)]


def _within(file: str, lines: tuple[int, int]) -> Lines:
    return {(file, line) for line in range(lines[0], lines[1] + 1)}


def _family(layer: str) -> str:
    return str(getattr(functional, layer).__module__)


@functools.cache
def _at_import() -> Lines:
    """Return the lines of functions and of constants that are executed when impl is imported."""
    executed: Lines = set()
    with imported_anew(), _traced(executed):
        importlib.import_module("impl.functional")
    return executed


@functools.cache
def _cost(layer: str) -> tuple[bool, int]:
    """Return whether a layer is over 1 or 3 axes only, and how many elements its edges have."""
    elements = sum(
        prod(shape) for case in edge_cases(LAYERS[layer], DTYPE) for shape in case.shapes if shape is not None
    )
    return layer.endswith(("1d", "3d")), elements


def _executed(layer: str) -> Lines:
    executed: Lines = set()
    with _traced(executed), np.errstate(all="ignore"):
        for case in edge_cases(LAYERS[layer], DTYPE):
            _call(layer, case, case.arrays())
        for refusal in LAYERS[layer].refusals:
            with suppress(ValueError, TypeError):
                _call(layer, *refused_call(LAYERS[layer], DTYPE, refusal))
    return executed


def _call(layer: str, case: Case, arrays: Arrays) -> None:
    value, pullback = getattr(functional, layer).vjp(*arrays, **case.configuration)
    first = value[0] if isinstance(value, tuple) else value
    pullback(np.ones(first.shape, first.dtype))


@contextmanager
def _traced(executed: Lines) -> Iterator[None]:
    """Add every line of impl that is executed, as file and number."""
    files = {str(ROOT / file): file for file in FILES}

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        file = files.get(frame.f_code.co_filename)
        if file is None:
            return None
        if event == "line":
            executed.add((file, frame.f_lineno))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)
