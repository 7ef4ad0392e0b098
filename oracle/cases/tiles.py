"""Shapes on both sides of the usual tile boundaries: code that works in blocks is judged beyond its first block.

The shapes follow from the signature. An edge says which length each symbol has. Some symbols become long, and the shapes of
all arrays follow again. So this works for any layer. Long axes share a shape as long as it stays cheap.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod
from typing import Any, NamedTuple

import jax
import numpy as np

from oracle.cases.blocked import BLOCKED
from oracle.cases.case import Case
from oracle.cases.large import LARGE
from oracle.layers import Edge, Layer
from oracle.layers.fit import Sizes, Symbol, fit, lengths_of, resized, shapes_of
from oracle.layers.signature import Array, Run

SIZES = ("small", "tiles", "large")
LENGTHS = (33, 65, 257, 17, 131, 1025, 31, 127, 15, 2049)  # the most telling first
KERNEL_LENGTHS = (7, 5)
MOST_CASES = 14
MOST_WORK = 120_000  # of one case, in elements that the forward pass computes
MOST_WORK_IN_ALL = 1_200_000
WORK_PER_EQUATION = 1000  # an equation takes as long to trace as this many elements to compute


def tile_cases(layer: Layer, dtype: str, sizes: str) -> list[Case]:
    """Return the cases with long axes: none for "small", and one of a real network more for "large".

    Convolutions have more, whose windows fill more than a block, and what may be broadcast is long as well.
    """
    if sizes not in SIZES:
        raise ValueError(f"sizes must be one of {', '.join(SIZES)}, got {sizes!r}")
    edges = [] if sizes == "small" else [*tile_edges(layer), *BLOCKED.get(layer.name, ())]
    if sizes == "large" and layer.name in LARGE:
        edges.append(LARGE[layer.name])
    return [Case(layer.name, dtype, edge.shapes, edge.configuration) for edge in edges]


@functools.lru_cache(maxsize=64)
def tile_edges(layer: Layer) -> tuple[Edge, ...]:
    """Pack long axes into few shapes, the most telling length of every axis first."""
    starts = _starts(layer)
    axes = [] if not starts else _axes(layer, starts[0])
    packed: list[_Shape] = []
    for axis, length in _wanted(axes):
        first = len(packed) % len(starts)
        fresh = [*starts[first:], *starts[:first]] if len(packed) < MOST_CASES and not axis.kernel else []
        for i, shape in enumerate([*packed, *fresh]):
            longer = shape.lengthened(axis, length)
            others = sum(other.work for other in packed if other is not shape)
            cheap = longer.work <= MOST_WORK and (axis.kernel or others + longer.work <= MOST_WORK_IN_ALL)
            # A kernel becomes long only in an array that has room for it.
            if cheap and shape.takes(axis, length) and not (axis.kernel and _cost(layer, longer) is None):
                packed[i:] = [longer, *packed[i + 1 :]]
                break
    return tuple(edge for shape in packed if (edge := _accepted(layer, shape)) is not None)


@dataclass(frozen=True)
class _Axis:
    """A length that can be chosen. ``growth``: 1 if the work is in proportion to it, 0 if the work stays the same."""

    symbols: tuple[Symbol, ...]
    growth: float = 1.0
    kernel: bool = False


@dataclass(frozen=True)
class _Shape:
    """An edge in which some axes have become long. ``sizes`` has the length of each symbol."""

    edge: Edge
    sizes: Sizes
    elements: float = 0.0
    equations: int = 0
    long: tuple[tuple[_Axis, int], ...] = ()

    @property
    def work(self) -> float:
        """What the case costs."""
        return self.elements + WORK_PER_EQUATION * self.equations

    def length(self, symbol: Symbol) -> int:
        """Return the length that a symbol stands for."""
        return lengths_of(self.sizes)[symbol]

    def takes(self, axis: _Axis, length: int) -> bool:
        """Whether the axis is not long yet, and no other axis has this length."""
        return all(axis is not other and length != taken for other, taken in self.long)

    def lengthened(self, axis: _Axis, length: int) -> _Shape:
        """Return the shape with one more long axis."""
        sizes = self.sizes
        for symbol in axis.symbols:
            sizes = resized(sizes, symbol, length)
        times = length / max(1, self.length(axis.symbols[0]))
        elements = self.elements * (1 + axis.growth * (times - 1))
        return _Shape(self.edge, sizes, elements, self.equations, (*self.long, (axis, length)))


def _starts(layer: Layer) -> list[_Shape]:
    """Return edges to start from: ordinary ones with all arrays, few lengths of 1, and axes for the same symbols."""
    found = []
    for edge in layer.edges:
        given = [shape for shape in edge.shapes if shape is not None]
        if edge.values == "normal" and not any(0 in shape for shape in given):
            shape = _Shape(edge, fit(layer.signature.arrays, edge.shapes, _options(layer, edge)).sizes)
            cost = _cost(layer, shape)
            if cost is not None:
                found.append(replace(shape, elements=cost.elements, equations=cost.equations))

    def doubt(start: _Shape) -> tuple[int, int]:
        lengths = [start.length(symbol) for symbol in _symbols(start)]
        empty = sum(size == () for size in start.sizes.values())
        return start.edge.shapes.count(None), lengths.count(1) + 2 * (len(lengths) < 2) + empty

    found.sort(key=lambda start: (doubt(start), len(_symbols(start)), len(start.edge.configuration)))
    alike = [s for s in found if doubt(s) == doubt(found[0]) and _symbols(s) == _symbols(found[0])][:4]
    # A target may offer few options, so every other shape starts from the edge with the fewest.
    return [start for other in alike[1:] for start in (alike[0], other)] or alike


def _symbols(shape: _Shape) -> list[Symbol]:
    return list(lengths_of(shape.sizes))


def _axes(layer: Layer, start: _Shape) -> list[_Axis]:
    """Return the axes whose lengths can be chosen. If the mathematics refuses one alone, another becomes long with it."""
    found: list[_Axis] = []
    symbols = _symbols(start)
    for symbol in symbols:
        if any(symbol in axis.symbols for axis in found):
            continue
        if _is_kernel(layer, symbol.name):
            found.append(_Axis((symbol,), kernel=True))
            continue
        alike = [
            other for other in symbols if other.name != symbol.name and start.length(other) == start.length(symbol)
        ]
        for together in ((symbol,), *((symbol, other) for other in alike)):
            cost = _cost(layer, start.lengthened(_Axis(together), 2 * start.length(symbol)))
            if cost is not None:
                found.append(_Axis(together, max(0.0, cost.elements / start.elements - 1)))
                break
    return found


def _wanted(axes: list[_Axis]) -> Iterator[tuple[_Axis, int]]:
    """Yield the long axes that some case should have. A kernel stays short."""
    for length in LENGTHS:
        yield from ((axis, length) for axis in axes if not axis.kernel)
    for length in KERNEL_LENGTHS:
        yield from ((axis, length) for axis in axes if axis.kernel)


def _is_kernel(layer: Layer, name: str) -> bool:
    """Whether these are axes that only one array has, not the first one, and no output: the places of a kernel."""

    def has(array: Array) -> bool:
        return any(isinstance(part, Run) and part.name == name for part in array.axes)

    first, *others = layer.signature.arrays
    return sum(map(has, others)) == 1 and not has(first) and not any(map(has, layer.signature.outputs))


def _accepted(layer: Layer, shape: _Shape) -> Edge | None:
    """Return the edge of a shape. An axis whose length the mathematics refuses gets a multiple of 2, 3 or what it was."""
    accepted = _Shape(shape.edge, fit(layer.signature.arrays, shape.edge.shapes, _options(layer, shape.edge)).sizes)
    for axis, length in shape.long if _cost(layer, shape) is None else ():
        for step in (1, 2, 3, max(1, accepted.length(axis.symbols[0]))):
            longer = accepted.lengthened(axis, -(-length // step) * step)
            if _cost(layer, longer) is not None:
                accepted = longer
                break
    if not accepted.long:
        accepted = shape
    return _edge(layer, accepted)


def _options(layer: Layer, edge: Edge) -> dict[str, Any]:
    return layer.options | edge.configuration


def _edge(layer: Layer, shape: _Shape) -> Edge | None:
    """Compute the shapes of the arrays from the sizes; None if a length would not be a whole number."""
    given = [before is not None for before in shape.edge.shapes]
    shapes = shapes_of(layer.signature.arrays, shape.sizes, _options(layer, shape.edge), given)
    return None if shapes is None else Edge(shapes, shape.edge.configuration)


class _Cost(NamedTuple):
    """How many equations the forward pass has, and how many elements they compute."""

    elements: int
    equations: int


def _cost(layer: Layer, shape: _Shape) -> _Cost | None:
    """Count what the mathematics computes; None if it refuses the shapes."""
    edge = _edge(layer, shape)
    if edge is None:
        return None
    arguments = [
        None if s is None else jax.ShapeDtypeStruct(s, np.int32 if layer.kinds.get(name) == "labels" else np.float32)
        for name, s in zip(layer.arrays, edge.shapes, strict=True)
    ]
    try:
        jaxpr = jax.make_jaxpr(lambda *arrays: layer.mathematics(*arrays, **edge.configuration))(*arguments).jaxpr
    except Exception:  # of whatever class the mathematics of a user raises
        return None
    elements = sum(prod(v.aval.shape) for v in jaxpr.invars)
    for equation in jaxpr.eqns:
        size = max((prod(v.aval.shape) for v in equation.outvars), default=0)
        if equation.primitive.name == "reshape" and size != prod(equation.invars[0].aval.shape):
            return None  # lax.reshape does not compare them while it is traced
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            size *= 1 + prod(equation.invars[0].aval.shape[axis] for axis in contracted) // 16
        elements += size
    return _Cost(elements, len(jaxpr.eqns))
