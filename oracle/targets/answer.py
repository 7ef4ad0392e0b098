"""What a target answers: one of six things."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class NotAnArray:
    """Something that came in the place of an array, named by its type."""

    what: str


@dataclass(frozen=True)
class Wrapped:
    """Numbers that came as something else than a NumPy array, named by its type: a lazy proxy, a list, a float."""

    array: np.ndarray
    what: str


Part = np.ndarray | Wrapped | NotAnArray | None
Parts = tuple[Part, ...]


@dataclass
class Answered:
    """Value and cotangents, as copies that no later call can change, and what the other calls of the same question gave.

    What is None was not asked, or the target raised before it was asked. ``cotangents`` is None also if the pullback is
    not offered: then ``no_pullback`` is true, and everything is asked that needs no pullback.
    """

    value: Parts
    cotangents: Parts | None = None
    no_pullback: bool = False
    inputs: Parts | None = None  # the arrays and dy, after the calls
    written_beyond: tuple[str | None, ...] = ()  # for each of them: "before the start" or "beyond the end", or None
    second: tuple[Parts, Parts | None] | None = None  # value and cotangents of a second call, with no call in between
    again: Parts | None = None  # pullback(dy) of the first call, once more
    scaled: Parts | None = None  # pullback(-2 dy)
    kept: tuple[Parts, Parts | None] | None = None  # value and cotangents of the first call, after all later calls
    before: Parts | None = None  # the value for other arrays, from the call before the first one


@dataclass(frozen=True)
class Accepted:
    """The layer took the arrays without an error. Nothing else was asked."""


@dataclass(frozen=True)
class NotOffered:
    """The layer raised NotImplementedError: the target does not have this configuration."""


@dataclass(frozen=True)
class Malformed:
    """The layer did not return a value and a pullback."""

    message: str


@dataclass(frozen=True)
class Raised:
    """The target raised an error, perhaps after it had answered a part.

    ``error`` is one line, ``traceback`` the last lines of the traceback in the target's files.
    """

    error: str
    before: Answered | None = None
    traceback: str = ""


@dataclass(frozen=True)
class Lost:
    """The target's process died, or it did not answer in time."""

    verdict: Literal["crashed", "timed_out"]
    message: str


Answer = Answered | Accepted | NotOffered | Malformed | Raised | Lost


def numbers_of(part: Part) -> np.ndarray | None:
    """Return the numbers of a part whatever they came in, or None if there are none."""
    return part.array if isinstance(part, Wrapped) else part if isinstance(part, np.ndarray) else None


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays have the same dtype and shape, and are equal to the last bit, NaN included."""

    def read(x: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(x).reshape(-1).view(np.uint8)

    return a.dtype == b.dtype and a.shape == b.shape and bool(np.array_equal(read(a), read(b)))


def one_line(error: BaseException) -> str:
    """Write an exception as one line: its type, and the first line of its message."""
    try:
        text = (str(error).splitlines() or [""])[0]
    except Exception:  # an exception that cannot even be printed
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
