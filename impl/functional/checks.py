"""The types of the options, and the checks that refuse a wrong one with a message."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, Literal

from impl.array import Array
from impl.rule import refuse, refuse_type

PerAxis = int | Sequence[int]
"""One int for all spatial axes, or one int per axis."""

Pairs = PerAxis | Sequence[tuple[int, int]]
"""Padding as one int, one int per axis, or one (before, after) pair per axis."""

PaddingOption = Pairs | Literal["same", "valid"]
"""Padding as ints, pairs, or a word."""


def several(value: object) -> bool:
    """Tell whether value is a sequence of entries, as opposed to one entry; text is one entry."""
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def integer(name: str, value: Any, least: int) -> int:
    """Return value as an int; refuse what is not an int of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        refuse_type(f"{name} must be an int, got {value!r}")
    if value < least:
        refuse(f"{name} must be at least {least}, got {value}")
    return int(value)


def number(name: str, value: Any, least: float, below: float = float("inf")) -> float:
    """Return value as a float; refuse what is not a real number in [least, below)."""
    if isinstance(value, bool) or not isinstance(value, Real):
        refuse_type(f"{name} must be a number, got {value!r}")
    if not least <= float(value) < below:
        refuse(f"{name} must lie in [{least}, {below}), got {value}")
    return float(value)


def flag(name: str, value: Any) -> bool:
    """Return value; refuse what is not True or False."""
    if not isinstance(value, bool):
        refuse_type(f"{name} must be True or False, got {value!r}")
    return value


def choice(name: str, value: Any, allowed: Sequence[str]) -> str:
    """Return value; refuse what is not one of the allowed words."""
    if value not in allowed:
        refuse(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")
    return str(value)


def per_axis(name: str, value: Any, rank: int, least: int) -> tuple[int, ...]:
    """Return one int per axis, from one int or from as many ints as there are axes."""
    if several(value):
        if len(value) != rank:
            refuse(f"{name} has {len(value)} entries but there are {rank} spatial axes: {value!r}")
        return tuple(integer(name, v, least) for v in value)
    return (integer(name, value, least),) * rank


def axis_of(name: str, value: Any, ndim: int) -> int:
    """Return an axis counted from the front; a negative one is counted from the end."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        refuse_type(f"{name} must be an int, got {value!r}")
    if not -ndim <= int(value) < ndim:
        refuse(f"{name} is {value} but x has {ndim} axes")
    return int(value) % ndim


def spatial(x: Array, rank: int | None) -> int:
    """Return the number of spatial axes of x (N, C, *S); refuse another than ``rank``, or than 1 to 3 if it is None."""
    given = x.ndim - 2
    if rank is None and not 1 <= given <= 3:
        refuse(f"x must have shape (N, C, *S) with 1 to 3 spatial axes, got shape {tuple(x.shape)}")
    if rank is not None and given != rank:
        refuse(f"x must have {rank + 2} axes (N, C and {rank} spatial), got shape {tuple(x.shape)}")
    return given


def shaped(name: str, x: Array | None, shape: Sequence[int], why: str) -> None:
    """Refuse x if it is given and does not have this shape."""
    if x is not None and tuple(x.shape) != tuple(shape):
        refuse(f"{name} has shape {tuple(x.shape)} but {why} needs {tuple(shape)}")
