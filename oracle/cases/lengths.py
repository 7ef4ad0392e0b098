"""The lengths of the axes of a case, and the same case with another length."""

from __future__ import annotations

from dataclasses import replace

from oracle.cases.case import Case
from oracle.layers import LAYERS
from oracle.layers.fit import Sizes, Symbol, fit, lengths_of, resized, shapes_of


def lengths(case: Case) -> dict[Symbol, int]:
    """Return the length that each symbol of the signature stands for."""
    return lengths_of(_sizes(case))


def with_length(case: Case, symbol: Symbol, length: int) -> Case | None:
    """Return the case with another length of one symbol in every array that has it; None if the shapes do not exist."""
    given = [shape is not None for shape in case.shapes]
    sizes = resized(_sizes(case), symbol, length)
    shapes = shapes_of(LAYERS[case.layer].signature.arrays, sizes, _options(case), given)
    return None if shapes is None else replace(case, shapes=shapes)


def _sizes(case: Case) -> Sizes:
    return fit(LAYERS[case.layer].signature.arrays, case.shapes, _options(case)).sizes


def _options(case: Case) -> dict[str, object]:
    return LAYERS[case.layer].options | case.configuration
