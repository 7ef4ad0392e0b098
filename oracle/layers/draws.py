"""Draw what the domains of several layers need. Simple values come first, because Hypothesis shrinks towards them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from oracle.layers.spec import Configuration, Draw

BATCH = st.sampled_from([1, 2, 3, 0])


def size(low: int, high: int) -> st.SearchStrategy[int]:
    """Return a strategy for a size between two bounds."""
    return st.integers(low, high)


def shape(draw: Draw, low: int, high: int, largest: int = 4) -> tuple[int, ...]:
    """Draw a shape of ``low`` to ``high`` axes; the first axis may be empty."""
    rank = draw(st.integers(low, high))
    return tuple(draw(BATCH) if axis == 0 else draw(size(1, largest)) for axis in range(rank))


def maybe(draw: Draw, given: tuple[int, ...]) -> tuple[int, ...] | None:
    """Draw whether an optional array is given; return its shape, or None if it is left out."""
    return given if draw(st.sampled_from([True, True, False])) else None


def option(draw: Draw, configuration: Configuration, name: str, others: list[Any]) -> None:
    """Leave an option at its default, or set it."""
    choice = draw(st.sampled_from([None, *others]))
    if choice is not None:
        configuration[name] = choice


def short(draw: Draw, values: list[int]) -> int | tuple[int, ...]:
    """Return one int if all axes agree (mostly), else one int per axis."""
    if len(set(values)) == 1 and draw(st.sampled_from([True, True, False])):
        return values[0]
    return tuple(values)
