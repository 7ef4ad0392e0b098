"""The lengths of the axes of a case, by name, and the same case with another length."""

from __future__ import annotations

from dataclasses import replace

from oracle.cases.case import Case
from oracle.layers import LAYERS
from oracle.layers.fit import fit, shapes_of
from oracle.layers.signature import Run


def lengths(case: Case) -> dict[str, int]:
    """Return the length that each symbol of the signature stands for: ``N``, ``axis 1 of S``."""
    found: dict[str, int] = {}
    for name, size in _sizes(case).items():
        if isinstance(size, tuple):
            found |= {Run(name).axis(i): length for i, length in enumerate(size)}
        else:
            found[name] = size
    return found


def with_length(case: Case, axis: str, length: int) -> Case | None:
    """Return the case with another length of one axis in every array that has it; None if the shapes do not exist."""
    place, _, name = axis.removeprefix("axis ").rpartition(" of ")
    sizes = _sizes(case)
    size = sizes[name or axis]
    if isinstance(size, tuple):
        i = int(place) - 1
        size = (*size[:i], length, *size[i + 1 :])
    else:
        size = length
    layer = LAYERS[case.layer]
    given = [shape is not None for shape in case.shapes]
    shapes = shapes_of(layer.signature.arrays, sizes | {name or axis: size}, _options(case), given)
    return None if shapes is None else replace(case, shapes=shapes)


def _sizes(case: Case) -> dict[str, int | tuple[int, ...]]:
    return fit(LAYERS[case.layer].signature.arrays, case.shapes, _options(case)).sizes


def _options(case: Case) -> dict[str, object]:
    return LAYERS[case.layer].options | case.configuration
