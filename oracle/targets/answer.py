"""What a target answers: one of six things."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class NotAnArray:
    """Something that came in the place of an array, named by its type."""

    what: str


Part = np.ndarray | NotAnArray | None
Parts = tuple[Part, ...]


@dataclass
class Answered:
    """Value and cotangents, as copies that no later call can change, and what the same calls gave when they were repeated.

    What is None was not asked, or the target raised before it was asked.
    """

    value: Parts
    cotangents: Parts
    inputs: Parts | None = None  # the arrays and dy, after the calls
    written_beyond: tuple[str | None, ...] = ()  # for each of them: "before the start" or "beyond the end", or None
    again: Parts | None = None  # pullback(dy), once more
    scaled: Parts | None = None  # pullback(-2 dy)
    value_again: Parts | None = None  # the value of a second call of the layer
    kept: tuple[Parts, Parts] | None = None  # value and cotangents of the first call, after all later calls


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
    """The target raised an error, perhaps after it had answered a part."""

    error: str
    before: Answered | None = None


@dataclass(frozen=True)
class Lost:
    """The target's process died, or it did not answer in time."""

    verdict: Literal["crashed", "timed_out"]
    message: str


Answer = Answered | Accepted | NotOffered | Malformed | Raised | Lost


def one_line(error: BaseException) -> str:
    """Write an exception as one line: its type, and the first line of its message."""
    try:
        text = (str(error).splitlines() or [""])[0]
    except Exception:  # an exception that cannot even be printed
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
