"""What the rules refuse, and the words they refuse it with."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

from impl.array import Array
from impl.rule import refuse, refuse_type


def integer(name: str, value: Any, least: int) -> int:
    """An int of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        refuse_type(f"{name} must be an int, got {value!r}")
    if value < least:
        refuse(f"{name} must be at least {least}, got {value}")
    return int(value)


def number(name: str, value: Any, least: float, below: float = float("inf")) -> float:
    """A real number in [least, below)."""
    if isinstance(value, bool) or not isinstance(value, Real):
        refuse_type(f"{name} must be a number, got {value!r}")
    if not least <= float(value) < below:
        refuse(f"{name} must lie in [{least}, {below}), got {value}")
    return float(value)


def flag(name: str, value: Any) -> bool:
    """A bool."""
    if not isinstance(value, bool):
        refuse_type(f"{name} must be True or False, got {value!r}")
    return value


def choice(name: str, value: Any, allowed: Sequence[str]) -> str:
    """One of a few words."""
    if value not in allowed:
        refuse(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")
    return str(value)


def per_axis(name: str, value: Any, rank: int, least: int) -> tuple[int, ...]:
    """An int for every axis, or one int an axis."""
    if isinstance(value, (tuple, list)):
        if len(value) != rank:
            refuse(f"{name} has {len(value)} entries but there are {rank} spatial axes: {value!r}")
        return tuple(integer(name, v, least) for v in value)
    return (integer(name, value, least),) * rank


def axis_of(name: str, value: Any, ndim: int) -> int:
    """An axis of an array, counted from the end where negative; gives it counted from the front."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        refuse_type(f"{name} must be an int, got {value!r}")
    if not -ndim <= int(value) < ndim:
        refuse(f"{name} is {value} but x has {ndim} axes")
    return int(value) % ndim


def spatial(x: Array, rank: int | None) -> int:
    """The number of spatial axes of x (N, C, *S): ``rank``, or where that is None 1 to 3."""
    given = x.ndim - 2
    if rank is None and not 1 <= given <= 3:
        refuse(f"x must have shape (N, C, *S) with 1 to 3 spatial axes, got shape {tuple(x.shape)}")
    if rank is not None and given != rank:
        refuse(f"x must have {rank + 2} axes (N, C and {rank} spatial), got shape {tuple(x.shape)}")
    return given


def shaped(name: str, x: Array | None, shape: Sequence[int], why: str) -> None:
    """x, where it is given, has this shape."""
    if x is not None and tuple(x.shape) != tuple(shape):
        refuse(f"{name} has shape {tuple(x.shape)} but {why} asks for {tuple(shape)}")
