"""How cases are chosen: the edges that are part of every run, a pool to choose more from, and a Hypothesis strategy."""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from oracle.cases.case import Case
from oracle.cases.memory import Memory
from oracle.cases.tiles import tile_cases
from oracle.cases.values import Values
from oracle.layers import Layer

ODD_LAYOUTS = tuple(memory for memory in Memory if memory is not Memory.CONTIGUOUS)
# Of an array that is not the first. With an infinite gamma, two right orders of the same products give infinity and NaN.
ODD_VALUES = (Values.LARGE, Values.TINY, Values.ZEROS, Values.NEGATIVE, Values.EXTREME, Values.NAN)
IN_LAYOUTS = (Values.SHIFTED, Values.MINUS_INFINITE)  # kernels of their own, for some layouts, go wrong at these
AGAIN = 8  # beyond the seeds that are drawn
MOST_ARRAYS = 4  # of the arrays that take every kind of odd values; a block has twenty arrays


def edge_cases(layer: Layer, dtype: str) -> list[Case]:
    """Return the cases of every run: the layer's own edges, and again with mixed layouts and with each kind of values.

    The layouts differ from array to array, that of dy too. Each array except the first takes a kind of odd values once.
    Some native code goes wrong only if x is in channels-last memory and another array is not contiguous, or if dy is in
    channels-last memory and the batch, of one, was folded away.
    """
    edges = _edges(layer, dtype)
    ordinary = _ordinary(edges)
    largest = max(ordinary, key=lambda case: case.elements)
    of_one = [case for case in ordinary if (case.shapes[0] or ())[:1] == (1,)]
    rounds = max(len(ordinary), len(ODD_LAYOUTS))
    cases = edges + [_laid_out(ordinary[i % len(ordinary)], i) for i in range(rounds)]
    cases += [replace(largest, values=values) for values in Values]
    cases += [replace(largest, values=values, memory=(Memory.CHANNELS_LAST,)) for values in IN_LAYOUTS]
    cases.append(_in_memory(largest, x=Memory.CHANNELS_LAST, others=Memory.STRIDED, dy=Memory.CHANNELS_LAST))
    for case in sorted(of_one, key=lambda case: case.elements)[-1:]:
        cases.append(_in_memory(case, dy=Memory.CHANNELS_LAST))
    cases += [
        replace(largest, values=ODD_VALUES[i % len(ODD_VALUES)], odd_array=name)
        for i, name in enumerate(_other_arrays(layer, largest))
    ]
    return _distinct(cases)


def pool(layer: Layer, dtype: str, sizes: str = "tiles") -> list[Case]:
    """Return the cases that a trial may choose from, the cheapest first.

    They are those of every run, each ordinary edge with more layouts, each kind of values on a second edge and in each
    array, and the cases with long axes.
    """
    ordinary = _ordinary(_edges(layer, dtype))
    largest = max(ordinary, key=lambda case: case.elements)
    cases = edge_cases(layer, dtype)
    cases += [_laid_out(case, i + 3) for i, case in enumerate(ordinary)]
    cases += [replace(ordinary[len(ordinary) // 2], values=values) for values in Values]
    for name in _other_arrays(layer, largest)[:MOST_ARRAYS]:
        cases += [replace(largest, values=values, odd_array=name) for values in ODD_VALUES]
    tiles = tile_cases(layer, dtype, sizes)
    cases += tiles + [_laid_out(case, i) for i, case in enumerate(tiles[:3])]
    return sorted(_distinct(cases), key=lambda case: case.elements)


def cases(layer: Layer, dtype: str) -> st.SearchStrategy[Case]:
    """Return a Hypothesis strategy for the cases of a layer. Ordinary values and layouts come more often than others."""
    layouts = st.sampled_from((Memory.CONTIGUOUS, Memory.CONTIGUOUS, *Memory))

    @st.composite
    def draw_case(draw: Any) -> Case:
        shapes, configuration = layer.domain(draw)
        values = draw(st.sampled_from((Values.NORMAL, Values.NORMAL, *Values)))
        memory: tuple[Memory, ...] = (Memory.CONTIGUOUS,)
        if draw(st.booleans()):
            memory = (*(Memory.CONTIGUOUS if s is None else draw(layouts) for s in shapes), draw(layouts))
        case = Case(layer.name, dtype, shapes, configuration, values, memory, draw(st.integers(0, 7)))
        others = _other_arrays(layer, case) if values in ODD_VALUES else []
        return replace(case, odd_array=draw(st.sampled_from([None, None, *others]))) if others else case

    return draw_case()


def again(case: Case) -> list[Case]:
    """Return the same shapes and configuration with other kinds of values and other layouts.

    To differentiate a new configuration takes longer than to judge it, so a trial makes more of each that it has drawn.
    """
    which = zlib.crc32(case.key.encode())
    others = [Values.NORMAL, *ODD_VALUES, Values.INFINITE, Values.INTEGERS, Values.TIES, Values.SHIFTED, Values.WIDE]
    plain = replace(case, odd_array=None, seed=case.seed + AGAIN)
    return [
        replace(_laid_out(plain, which % 97), values=others[which % len(others)]),
        replace(plain, memory=(Memory.CONTIGUOUS,), values=others[(which + 5) % len(others)]),
    ]


def _edges(layer: Layer, dtype: str) -> list[Case]:
    return [Case(layer.name, dtype, e.shapes, e.configuration, Values(e.values)) for e in layer.edges]


def _ordinary(edges: list[Case]) -> list[Case]:
    """Return the edges with ordinary values and more than one element; all edges if there is none."""
    return [case for case in edges if case.values is Values.NORMAL and case.elements > len(case.shapes)] or edges


def _laid_out(case: Case, i: int) -> Case:
    """Return the case with layouts that differ from array to array. Over several i, each array gets each layout."""
    count = len(ODD_LAYOUTS)
    layouts = [ODD_LAYOUTS[(i + 3 * place) % count] for place in range(len(case.shapes))]
    return replace(case, memory=(*layouts, ODD_LAYOUTS[(i + 2) % count]))


def _in_memory(
    case: Case,
    x: Memory = Memory.CONTIGUOUS,
    others: Memory = Memory.CONTIGUOUS,
    dy: Memory = Memory.CONTIGUOUS,
) -> Case:
    """Return the case with these layouts of its first array, of its other arrays and of dy."""
    return replace(case, memory=(x, *[others] * (len(case.shapes) - 1), dy))


def _other_arrays(layer: Layer, case: Case) -> list[str]:
    """Return the names of the arrays of real numbers that are given, without the first."""
    named = list(zip(layer.arrays, case.shapes, strict=True))[1:]
    return [name for name, shape in named if shape is not None and layer.kinds.get(name, "real") == "real"]


def _distinct(cases: list[Case]) -> list[Case]:
    return list({case.key: case for case in cases}.values())
