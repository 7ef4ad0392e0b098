"""Calls of a layer, described by shapes and a configuration: those that are tried in every run, and those to be refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

from oracle.layers.fit import Fit, Shape, Shapes, fit, misfit
from oracle.layers.options import Choices, Ranges, wrong_values
from oracle.layers.signature import Run, Signature, Size, names_in

Configuration = dict[str, Any]


@dataclass(frozen=True)
class Edge:
    """A call that is tried in every run."""

    shapes: Shapes
    configuration: Configuration = field(default_factory=dict)
    values: str = "normal"


@dataclass(frozen=True)
class Refusal:
    """A call that every implementation must refuse. ``key`` names it within its layer, and ``why`` says what is wrong."""

    key: str
    shapes: Shapes
    configuration: Configuration
    why: str


def refusals_from_shapes(signature: Signature, edges: Sequence[Edge], options: dict[str, Any]) -> list[Refusal]:
    """Make calls whose shapes do not fit the signature: take calls that fit, and change one shape at a time.

    Each length that must agree with another one grows by 1. Each array with a fixed number of axes gets another
    axis. An array never becomes smaller and never gets an axis of length 1: then it might be broadcast. Two arrays keep
    their number of axes, because more axes do not contradict anything: the only array of a layer, and a matrix, which
    with another axis is a stack of matrices.
    """
    found: dict[str, Refusal] = {}
    for call in sorted(_calls(signature, edges, options), key=_Call.doubt):
        for key, i, shape in _changes(signature, call):
            shapes = (*call.shapes[:i], shape, *call.shapes[i + 1 :])
            why = misfit(signature.arrays, shapes, options | call.configuration)
            if why and key not in found:
                found[key] = Refusal(key, shapes, call.configuration, why)
    return list(found.values())


def refusals_from_options(
    signature: Signature, edges: Sequence[Edge], options: dict[str, Any], choices: Choices, ranges: Ranges
) -> list[Refusal]:
    """Make calls with one option that has a value it must not take: take a call that fits, and set one option."""
    call = min(_calls(signature, edges, options), key=_Call.doubt)
    return [
        Refusal(f"{name}: {value!r}", call.shapes, call.configuration | {name: value}, why)
        for name, value, why in wrong_values(choices, ranges, call.fit.sizes)
    ]


@dataclass(frozen=True)
class _Call:
    """A call that fits the signature."""

    shapes: Shapes
    configuration: Configuration
    fit: Fit

    def shape(self, i: int) -> Shape:
        """Return the shape of an array that is given."""
        shape = self.shapes[i]
        assert shape is not None
        return shape

    def doubt(self) -> tuple[bool, int, int, int, int, int]:
        """Order the calls: the first ones show best which lengths must agree.

        No array is empty or left out, no length is 1, few options are set, and the lengths that must agree differ from
        all others.
        """
        given = [shape for shape in self.shapes if shape is not None]
        lengths = [self.shape(place.array)[place.axis] for place in self.fit.compared]
        sizes = [n for size in self.fit.sizes.values() for n in (size if isinstance(size, tuple) else (size,))]
        return (
            any(0 in shape for shape in given),
            len(self.shapes) - len(given),
            sizes.count(1),
            len(self.configuration),
            sum(sizes.count(length) for length in lengths),
            sum(prod(shape) for shape in given),
        )


def _calls(signature: Signature, edges: Sequence[Edge], options: dict[str, Any]) -> Iterator[_Call]:
    """Yield the calls of the edges, with only the options that every call needs or that the signature names."""
    needed = {name for name, default in options.items() if default is ...} | names_in(signature)
    for edge in edges:
        configuration = {name: value for name, value in edge.configuration.items() if name in needed}
        yield _Call(edge.shapes, configuration, fit(signature.arrays, edge.shapes, options | configuration))


def _changes(signature: Signature, call: _Call) -> Iterator[tuple[str, int, Shape]]:
    """Yield each change as its key, the place of the array and the array's new shape."""
    seen = set()
    for place in call.fit.compared:
        key = f"{signature.arrays[place.array].name}: {place.what}"
        if key in seen and place.what.startswith("*"):
            continue  # one axis of a run is enough
        shape = call.shape(place.array)
        longer = (*shape[: place.axis], shape[place.axis] + 1, *shape[place.axis + 1 :])
        yield key if key not in seen else f"{key}, axis {place.axis}", place.array, longer
        seen.add(key)
    for i, array in enumerate(signature.arrays):
        fixed = not any(isinstance(axis, Run) and axis.count is None for axis in array.axes)
        matrix = len(array.axes) == 2 and all(isinstance(axis, Size) for axis in array.axes)
        if fixed and not matrix and len(signature.arrays) > 1 and call.shapes[i] is not None:
            shape = call.shape(i)
            yield f"{array.name}: {len(shape) + 1} axes", i, (*shape, shape[-1] + 1 if shape else 2)
