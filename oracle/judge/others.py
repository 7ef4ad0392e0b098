"""Other arrays than those of a case, to call the layer with in between: what it remembers from another call then shows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from oracle.cases import Arrays, Case, Values
from oracle.cases.large import is_large
from oracle.layers import LAYERS
from oracle.layers.fit import Shapes, misfit
from oracle.layers.signature import Array, Run

ANOTHER_SEED = 2**16


def other_arrays(case: Case) -> Arrays | None:
    """Draw valid arrays of the same shapes, with values of the same kind; None if the case is large."""
    return None if is_large(case) else replace(case, seed=case.seed + ANOTHER_SEED).arrays()


def arrays_of_other_shapes(case: Case) -> Arrays | None:
    """Draw valid arrays of other shapes; None if the case is not an ordinary one, or its shapes have no simple neighbours.

    Only ordinary cases have them, because what compiles its code for each shape needs twice the time.
    """
    if is_large(case) or case.values is not Values.NORMAL or case.memory != case.contiguous.memory:
        return None
    layer = LAYERS[case.layer]
    shapes = _one_more(layer.signature.arrays, case.shapes)
    if shapes == case.shapes or misfit(layer.signature.arrays, shapes, layer.options | case.configuration):
        return None
    return replace(case, shapes=shapes).arrays()


def _one_more(arrays: tuple[Array, ...], shapes: Shapes) -> Shapes:
    """Let the first axis of the first array grow by 1, and the same axis of the others: a batch of one sample more."""
    name = _first_axis(arrays[0])
    return tuple(
        (shape[0] + 1, *shape[1:]) if shape and _first_axis(array) == name else shape
        for array, shape in zip(arrays, shapes, strict=True)
    )


def _first_axis(array: Array) -> Any:
    first = array.axes[0] if array.axes else None
    return first.name if isinstance(first, Run) else str(first)
