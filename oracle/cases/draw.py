"""How cases are chosen: the edges that are part of every run, and a Hypothesis strategy for the rest."""

from __future__ import annotations

from math import prod
from typing import Any

from hypothesis import strategies as st

from oracle.cases.case import Case
from oracle.cases.memory import Memory
from oracle.cases.values import Values
from oracle.layers import Edge, Layer


def edge_cases(layer: Layer, dtype: str) -> list[Case]:
    """Return the cases of every run: the layer's own edges, then each memory layout and each kind of values once."""
    cases = [Case(layer.name, dtype, e.shapes, e.configuration, Values(e.values)) for e in layer.edges]
    largest = max(layer.edges, key=_elements)
    layouts = [memory for memory in Memory if memory is not Memory.CONTIGUOUS]
    cases += [Case(layer.name, dtype, largest.shapes, largest.configuration, memory=memory) for memory in layouts]
    cases += [Case(layer.name, dtype, largest.shapes, largest.configuration, values) for values in Values]
    return list({case.key: case for case in cases}.values())


def _elements(edge: Edge) -> int:
    return sum(prod(s) for s in edge.shapes if s is not None)


def cases(layer: Layer, dtype: str) -> st.SearchStrategy[Case]:
    """Return a Hypothesis strategy for the cases of a layer. Ordinary values and layouts come more often than others."""

    @st.composite
    def draw_case(draw: Any) -> Case:
        shapes, configuration = layer.domain(draw)
        values = draw(st.sampled_from((Values.NORMAL, Values.NORMAL, *Values)))
        memory = draw(st.sampled_from((Memory.CONTIGUOUS, Memory.CONTIGUOUS, *Memory)))
        return Case(layer.name, dtype, shapes, configuration, values, memory, draw(st.integers(0, 7)))

    return draw_case()
