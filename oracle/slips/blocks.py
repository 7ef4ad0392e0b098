"""Slips of code that works in blocks: the rest beyond the last whole block is left out, or only the first block is used.

They are made for each axis of a case that is longer than a block, from the signature, so they fit every layer.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from weakref import WeakKeyDictionary

import numpy as np

from oracle.layers.fit import Symbol
from oracle.layers.signature import Array, Run
from oracle.slips.slip import NOTHING, Answers, Circumstances, Slip

BLOCKS = (4, 8, 16, 32, 64, 128, 256, 1024)


def block_slips(at: Circumstances) -> Iterator[Slip]:
    """Yield a slip for each output, each axis that is longer than a block, and each size of a block."""
    for axis, length in _lengths(at).items():
        for block in (block for block in BLOCKS if block < length):
            for output in at.names:
                beyond = f"the first {block} along {axis}"
                yield Slip(f"{output} uses only {beyond}", functools.partial(_used, output, axis, block, False))
                written = functools.partial(_written, output, axis, block, False)
                yield Slip(f"{output} is zero beyond {beyond}, as if it were never written", written)
                if length % block:
                    beyond = f"the last whole block of {block} along {axis}"
                    used = functools.partial(_used, output, axis, block, True)
                    yield Slip(f"{output} leaves out what is beyond {beyond}", used)
                    written = functools.partial(_written, output, axis, block, True)
                    yield Slip(f"{output} is zero beyond {beyond}, as if it were never written", written)


def _end(at: Circumstances, axis: str, block: int, whole: bool) -> int | None:
    """Return where code stops along an axis: after the first block or after the last whole one. None: it does not stop.

    A slip that one case has shown is asked for its answers in other cases, in which the axis has another length.
    """
    length = _lengths(at).get(axis, 0)
    end = length - length % block if whole else block
    return end if block < length and end < length else None


def _used(output: str, axis: str, block: int, whole: bool, at: Circumstances) -> Answers:
    """Return an output of code that stops at a length along an axis."""
    end = _end(at, axis, block, whole)
    answers = NOTHING if end is None else _cut(at, axis, end)
    return {output: answers[output]} if output in answers else NOTHING


def _written(output: str, axis: str, block: int, whole: bool, at: Circumstances) -> Answers:
    """Return an output that is right up to a length along an axis, and zero beyond."""
    end = _end(at, axis, block, whole)
    if end is None or output not in at.truth.pairs:
        return NOTHING
    y = at.true(output)
    axes = axes_of(_signature_of(at, output), y.ndim)
    return {output: _kept(y, axes, axis, end)} if axis in axes else NOTHING


def axes_of(array: Array, ndim: int) -> list[str]:
    """Return a name for each axis of an array with that many axes: ``N``, ``C/groups``, ``axis 2 of S``."""
    single = sum(not isinstance(axis, Run) for axis in array.axes)
    runs = [axis for axis in array.axes if isinstance(axis, Run)]
    fixed = sum(axis.count for axis in runs if isinstance(axis.count, int))
    open_ = [axis for axis in runs if not isinstance(axis.count, int)]
    left = ndim - single - fixed
    names: list[str] = []
    for axis in array.axes:
        if not isinstance(axis, Run):
            names.append(str(axis))
            continue
        count = axis.count if isinstance(axis.count, int) else left if axis is open_[-1] else max(0, left - 1)
        left -= 0 if isinstance(axis.count, int) else count
        names += [str(Symbol(axis.name, i)) for i in range(count)]
    return names


def _named(at: Circumstances) -> dict[str, tuple[np.ndarray, list[str]]]:
    """Return each given array and dy with the names of its axes."""
    given = zip(at.layer.signature.arrays, at.arrays, strict=True)
    named = {array.name: (x, axes_of(array, x.ndim)) for array, x in given if x is not None}
    return named | {"dy": (at.dy, axes_of(at.layer.signature.outputs[0], at.dy.ndim))}


_LENGTHS: WeakKeyDictionary[Circumstances, dict[str, int]] = WeakKeyDictionary()
_CUTS: WeakKeyDictionary[Circumstances, dict[tuple[str, int], Answers]] = WeakKeyDictionary()


def _lengths(at: Circumstances) -> dict[str, int]:
    if at not in _LENGTHS:
        lengths: dict[str, int] = {}
        for x, axes in _named(at).values():
            for axis, length in zip(axes, x.shape, strict=True):
                lengths[axis] = max(length, lengths.get(axis, 0))
        _LENGTHS[at] = lengths
    return _LENGTHS[at]


def _cut(at: Circumstances, axis: str, length: int) -> Answers:
    """Return the answers of code that stops after so many steps along an axis: it reads and writes nothing beyond.

    They are computed once for all outputs.
    """
    known = _CUTS.setdefault(at, {})
    if (axis, length) not in known:
        cut = {name: _kept(x, axes, axis, length) for name, (x, axes) in _named(at).items()}
        dy = cut.pop("dy")
        found = dict(at.elsewhere(given=cut, dy=dy))
        for name, y in found.items():
            found[name] = _kept(y, axes_of(_signature_of(at, name), y.ndim), axis, length)
        known[axis, length] = found
    return known[axis, length]


def _signature_of(at: Circumstances, output: str) -> Array:
    """Return the entry of the signature for an output, or for the array of a gradient."""
    arrays = {array.name: array for array in (*at.layer.signature.outputs, *at.layer.signature.arrays)}
    return arrays[output if output in at.layer.outputs else output.removeprefix("d")]


def _kept(x: np.ndarray, axes: list[str], axis: str, length: int) -> np.ndarray:
    """Put zeros beyond a length along an axis, if the array has that axis."""
    for i in (i for i, name in enumerate(axes) if name == axis):
        x = x.copy()
        x[(slice(None),) * i + (slice(length, None),)] = 0
    return x
