"""Calls of a layer, described by shapes and a configuration: those that are tried in every run, and those to be refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

from oracle.layers.contents import Content, wrong_contents
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
    """A call that every implementation must refuse. ``key`` names it within its layer, and ``why`` says what is wrong.

    ``content`` is what an array holds if its shape is right, and what it holds is wrong.
    """

    key: str
    shapes: Shapes
    configuration: Configuration
    why: str
    content: Content | None = None


def refusals_from_shapes(signature: Signature, edges: Sequence[Edge], options: dict[str, Any]) -> list[Refusal]:
    """Make calls whose shapes do not fit the signature: take calls that fit, and change one shape at a time.

    Each length that must agree with another one becomes 1 and grows by 1, and each array whose number of axes is
    settled gets another axis. NumPy broadcasts most of these shapes, so the layer's own check decides whether
    such a call is refused. In a last change, all axes that are counted together (as the two of ``*S:2``) become one more
    or one fewer in all arrays, because code that is written for any number of them serves such a call.
    """
    found: dict[str, Refusal] = {}
    for call in sorted(_calls(signature, edges, options), key=_Call.doubt):
        for key, shapes in _changes(signature, call):
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


def refusals_from_contents(signature: Signature, edges: Sequence[Edge], options: dict[str, Any]) -> list[Refusal]:
    """Make calls with one array that holds what it must not: take a call that fits, and change what the array holds."""
    found = []
    for i, array in enumerate(signature.arrays):
        calls = [call for call in _calls(signature, edges, options) if call.shapes[i] is not None]
        call = min(calls, key=_Call.doubt)
        for content, why in wrong_contents(array, options | call.configuration | call.fit.sizes):
            found.append(Refusal(content.key, call.shapes, call.configuration, why, content))
    return found


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

        No array is empty, a single number or left out, no length is 1, few options are set, and the lengths that must
        agree differ from all others.
        """
        given = [shape for shape in self.shapes if shape is not None]
        lengths = [self.shape(place.array)[place.axis] for place in self.fit.compared]
        sizes = [n for size in self.fit.sizes.values() for n in (size if isinstance(size, tuple) else (size,))]
        return (
            any(0 in shape or not shape for shape in given),
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


def _changes(signature: Signature, call: _Call) -> Iterator[tuple[str, Shapes]]:
    """Yield each change as its key and the shapes after it."""
    for i, given in enumerate(call.shapes):
        if given is not None:
            for key, changed in (*_lengths(signature, call, i), *_another_axis(signature, call, i)):
                yield f"{signature.arrays[i].name}: {key}", (*call.shapes[:i], changed, *call.shapes[i + 1 :])
    yield from _counts(signature, call)


def _lengths(signature: Signature, call: _Call, i: int) -> Iterator[tuple[str, Shape]]:
    """Change each length of an array that was compared; of axes that were compared together, the first and the last."""
    shape, seen = call.shape(i), set()
    for place in (place for place in call.fit.compared if place.array == i):
        run = call.fit.sizes[place.what[1:]] if place.what.startswith("*") else 1
        last = place.axis + len(run) - 1 if isinstance(run, tuple) else place.axis
        for axis in sorted({place.axis, last}):
            again = ", the last" if axis != place.axis else f", axis {axis}" if place.what in seen else ""
            key = f"{place.what}{again}"
            seen.add(place.what)
            for length, what in ((shape[axis] + 1, key), (1, f"{key} of length 1")):
                yield what, (*shape[:axis], length, *shape[axis + 1 :])


def _another_axis(signature: Signature, call: _Call, i: int) -> Iterator[tuple[str, Shape]]:
    """Give an array another axis if its number of axes is settled.

    A vector becomes a row per sample, which is broadcast over the samples. Another array gets an axis of length 1
    after and before its own. A matrix keeps its axes, because with another one it is a stack of matrices, and so does the
    only array of a layer.
    """
    shape, axes = call.shape(i), signature.arrays[i].axes
    runs = [axis for axis in axes if isinstance(axis, Run)]
    known = {axis.name for array in signature.arrays[:i] for axis in array.axes if isinstance(axis, Run)}
    free = any(axis.count is None and axis.name not in known for axis in runs)
    matrix = len(axes) == 2 and not runs
    if free or matrix or len(signature.arrays) == 1:
        return
    if len(axes) == 1 and not runs:
        samples = (call.shapes[0] or (0,))[0]
        yield "a row per sample", (max(2, samples), *shape)
        return
    yield "another axis at the end", (*shape, 1)
    yield "another axis in front", (1, *shape)


def _counts(signature: Signature, call: _Call) -> Iterator[tuple[str, Shapes]]:
    """Give all axes that are counted by a number one more, or one fewer, in all arrays: a layer for images gets volumes.

    Optional arrays without such axes are left out, so that they cannot be what does not fit.
    """
    counted = [
        (i, sum(1 for axis in array.axes[:place] if isinstance(axis, Size)), run.count)
        for i, array in enumerate(signature.arrays)
        for place, run in enumerate(array.axes)
        if isinstance(run, Run) and isinstance(run.count, int)
    ]
    if not counted or any(call.shapes[i] is None for i, _, _ in counted):
        return
    for more in (1, -1):
        places = {i for i, _, _ in counted}
        shapes = [
            None if array.optional and i not in places else shape
            for i, (array, shape) in enumerate(zip(signature.arrays, call.shapes, strict=True))
        ]
        for i, start, count in counted:
            shape = call.shape(i)
            shapes[i] = (*shape[:start], *(shape[start : start + 1] * (count + more)), *shape[start + count :])
        count = counted[0][2] + more
        if count and (more > 0 or len(counted) > 1):  # a single array with one axis fewer may be one sample
            yield f"{count} {'axis' if count == 1 else 'axes'} for {counted[0][2]}", tuple(shapes)
