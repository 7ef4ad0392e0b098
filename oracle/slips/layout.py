"""Slips of code that takes addresses for granted: an array is read as if it lay in memory in another way."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np

from oracle.cases import Memory
from oracle.slips.slip import NOTHING, Answers, Circumstances, Slip


def layout_slips(at: Circumstances) -> Iterator[Slip]:
    """Yield a slip for each array that is not contiguous, and one if dy lies in memory in another way than x."""
    layouts, first = at.case.memory_by_name, at.layer.arrays[0]
    for name, memory in layouts.items():
        if memory is not Memory.CONTIGUOUS and not memory.guarded:
            yield Slip(f"{name} is read as if it were contiguous", functools.partial(_read_as, name, Memory.CONTIGUOUS))
    if layouts["dy"] is not layouts[first] and not layouts[first].guarded:
        sentence = f"dy is read as if it lay in memory in the same way as {first}"
        yield Slip(sentence, functools.partial(_dy_read_as, first))


def _dy_read_as(first: str, at: Circumstances) -> Answers:
    return _read_as("dy", at.case.memory_by_name[first], at)


def _read_as(name: str, memory: Memory, at: Circumstances) -> Answers:
    """Return the answers of code that reads an array as if it had another layout."""
    x = at.dy.astype(np.float64) if name == "dy" else at.array(name)
    if x is None or x.size < 2:
        return NOTHING
    stored, places = _buffer(x, at.case.memory_by_name[name]), _buffer(np.arange(x.size).reshape(x.shape), memory)
    if places.size != x.size:  # a layout with gaps
        return NOTHING
    read = np.empty_like(x)
    read.flat[places] = stored[: x.size]
    return at.elsewhere(dy=read) if name == "dy" else at.elsewhere(given={name: read})


def _buffer(x: np.ndarray, memory: Memory) -> np.ndarray:
    """Return what stands in memory, in the order of the addresses."""
    laid_out = memory.lay_out(x)
    while isinstance(laid_out.base, np.ndarray):
        laid_out = laid_out.base
    return laid_out.ravel(order="K")
