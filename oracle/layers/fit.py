"""Check given shapes against a signature, and find the size that each symbol stands for.

>>> from oracle.layers.signature import parse
>>> conv = parse("x (N, C, *S:2); w (F, C/groups, *K:2); b? (F) -> (N, F, *O:2)")
>>> fit(conv.arrays, ((1, 4, 5, 6), (3, 2, 3, 3), None), {"groups": 2}).sizes
{'S': (5, 6), 'K': (3, 3), 'N': 1, 'C': 4, 'F': 3}
>>> misfit(conv.arrays, ((1, 4, 5, 6), (3, 2, 3, 3), (4,)), {"groups": 2})
'b (F) has shape (4,), but F is 3'
>>> misfit(conv.arrays, ((1, 4, 5, 6), (3, 3, 3, 3), None), {"groups": 2})
'w (F, C/groups, *K:2) has shape (3, 3, 3, 3), but C/groups is 2'
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import prod
from typing import Any, NamedTuple

from oracle.layers.signature import Array, Run, Size

Shape = tuple[int, ...]
Shapes = tuple[Shape | None, ...]
Sizes = dict[str, int | Shape]


class Misfit(ValueError):
    """Shapes that do not fit a signature; the message is one line that says what does not fit."""


class Symbol(NamedTuple):
    """A symbol of a signature that stands for one length, or one axis of a run of axes; ``place`` is its number."""

    name: str
    place: int | None = None

    def __str__(self) -> str:
        return self.name if self.place is None else f"axis {self.place + 1} of {self.name}"


def lengths_of(sizes: Mapping[str, int | Shape]) -> dict[Symbol, int]:
    """Return the length of each symbol.

    >>> {str(symbol): length for symbol, length in lengths_of({"N": 1, "S": (5, 6)}).items()}
    {'N': 1, 'axis 1 of S': 5, 'axis 2 of S': 6}
    """
    lengths: dict[Symbol, int] = {}
    for name, size in sizes.items():
        if isinstance(size, int):
            lengths[Symbol(name)] = size
        else:
            lengths |= {Symbol(name, i): length for i, length in enumerate(size)}
    return lengths


def resized(sizes: Sizes, symbol: Symbol, length: int) -> Sizes:
    """Return the sizes with another length of one symbol."""
    size, i = sizes[symbol.name], symbol.place
    changed = length if isinstance(size, int) or i is None else (*size[:i], length, *size[i + 1 :])
    return sizes | {symbol.name: changed}


@dataclass(frozen=True)
class Place:
    """An axis whose length follows from the others, as ``what`` says, and was compared with them."""

    array: int
    axis: int
    what: str


@dataclass
class Fit:
    """The size of each symbol, a shape for each run of axes, and the places at which two sizes were compared."""

    sizes: Sizes = field(default_factory=dict)
    compared: list[Place] = field(default_factory=list)


def misfit(arrays: Sequence[Array], shapes: Shapes, options: Mapping[str, Any], known: Sizes | None = None) -> str:
    """Say in one line what does not fit; the empty string if everything fits."""
    try:
        fit(arrays, shapes, options, known)
    except Misfit as found:
        return str(found)
    return ""


def fit(arrays: Sequence[Array], shapes: Shapes, options: Mapping[str, Any], known: Sizes | None = None) -> Fit:
    """Find the sizes of the symbols. Raise ``Misfit`` if two places disagree.

    ``options`` has the value of each option that a size may name, and ``known`` the symbols that are settled before.
    """
    if len(shapes) != len(arrays):
        raise Misfit(f"{len(shapes)} shapes were given for {len(arrays)} arrays")
    found = Fit(dict(known or {}))
    waiting: list[tuple[int, int, Size]] = []
    for i, (array, shape) in enumerate(zip(arrays, shapes, strict=True)):
        if shape is not None:
            waiting += _runs(found, i, array, shape, options)
        elif not array.optional:
            raise Misfit(f"{array.name} is left out, but it is not optional")
    settled = True
    while settled and waiting:
        later = [place for place in waiting if not _settle(found, arrays, shapes, options, *place)]
        settled, waiting = len(later) < len(waiting), later
    return found


def shapes_of(
    arrays: Sequence[Array], sizes: Mapping[str, int | Shape], options: Mapping[str, Any], given: Sequence[bool]
) -> Shapes | None:
    """Compute the shapes of the given arrays from the sizes of the symbols; None if a length is not a whole number.

    >>> from oracle.layers.signature import parse
    >>> conv = parse("x (N, C, *S:2); w (F, C/groups, *K:2); b? (F) -> (N, F, *O:2)")
    >>> sizes = {"N": 1, "C": 4, "S": (5, 6), "F": 3, "K": (3, 3)}
    >>> shapes_of(conv.arrays, sizes, {"groups": 2}, (True, True, False))
    ((1, 4, 5, 6), (3, 2, 3, 3), None)
    """
    names = dict(options) | dict(sizes)
    shapes: list[Shape | None] = []
    for array, there in zip(arrays, given, strict=True):
        if not there:
            shapes.append(None)
            continue
        lengths: list[int] = []
        for part in array.axes:
            if isinstance(part, Run):
                lengths += names[part.name]
                continue
            length = length_of(part, names)
            if length is None:
                return None
            lengths.append(length)
        shapes.append(tuple(lengths))
    return tuple(shapes)


def length_of(size: Size, names: Mapping[str, Any]) -> int | None:
    """Compute a length from the sizes of the symbols and the values of the options; None if it is not a whole number."""
    length = Fraction(1)
    for factor in size.factors:
        value = names.get(str(factor.value), factor.value)
        number = prod(value) if factor.total else value
        if factor.divides and not number:
            return None
        length = length / number if factor.divides else length * number
    return int(length) if length.denominator == 1 else None


def _runs(found: Fit, i: int, array: Array, shape: Shape, options: Mapping[str, Any]) -> list[tuple[int, int, Size]]:
    """Assign the axes of a shape to those of the signature: settle the runs, and return the places of the others."""
    counts = [_count(axis, found.sizes, options) for axis in array.axes]
    least = sum(count for count in counts if count is not None)
    at_least = None in counts
    if len(shape) < least or (len(shape) > least and not at_least):
        axes = f"{'at least ' * at_least}{least} {'axis' if least == 1 else 'axes'}"
        raise Misfit(f"{array.name} {array.shape} has shape {shape}, but must have {axes}")
    places, axis = [], 0
    for part, count in zip(array.axes, counts, strict=True):
        length = len(shape) - least if count is None else count
        if isinstance(part, Size):
            places.append((i, axis, part))
        elif part.name not in found.sizes:
            found.sizes[part.name] = shape[axis : axis + length]
        elif found.sizes[part.name] != shape[axis : axis + length]:
            raise Misfit(f"{array.name} {array.shape} has shape {shape}, but {part.name} is {found.sizes[part.name]}")
        elif length:
            found.compared.append(Place(i, axis, f"*{part.name}"))
        axis += length
    return places


def _count(axis: Size | Run, sizes: Sizes, options: Mapping[str, Any]) -> int | None:
    """Return the number of axes that a part of the signature stands for, or None if any number fits."""
    if isinstance(axis, Size):
        return 1
    known = sizes.get(axis.name)
    if isinstance(known, tuple):
        return len(known)
    return options[axis.count] if isinstance(axis.count, str) else axis.count


def _settle(
    found: Fit, arrays: Sequence[Array], shapes: Shapes, options: Mapping[str, Any], i: int, axis: int, size: Size
) -> bool:
    """Compare a length with what is known, or learn the one symbol that is not; return False if two are unknown."""
    shape, array = shapes[i], arrays[i]
    assert shape is not None
    product, unknown = Fraction(1), []
    for factor in size.factors:
        value: Any = factor.value if isinstance(factor.value, int) else options.get(factor.value)
        value = found.sizes.get(str(factor.value)) if value is None else value
        if value is None:
            unknown.append(factor)
            continue
        number = prod(value) if factor.total else value
        if factor.divides and number == 0:
            raise Misfit(f"{array.name}: {factor} is 0, and {size} divides by it")
        product = product / number if factor.divides else product * number
    if not unknown:
        if product != shape[axis]:
            raise Misfit(f"{array.name} {array.shape} has shape {shape}, but {size} is {product}")
        found.compared.append(Place(i, axis, str(size)))
        return True
    if len(unknown) > 1 or unknown[0].divides or product == 0:
        return False
    learnt = shape[axis] / product
    if learnt.denominator != 1:
        raise Misfit(f"{array.name} {array.shape} has shape {shape}, but {shape[axis]} is not a multiple of {product}")
    found.sizes[str(unknown[0])] = int(learnt)
    return True
