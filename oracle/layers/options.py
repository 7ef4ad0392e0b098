"""The values that the options of a layer may take, and the calls with a value that must be refused.

>>> print(Range(1, whole=True, axes="S"))
a whole number of at least 1 (or one per axis of *S)
>>> print(Range(0, below=1))
a number from 0 to below 1
>>> print(Range())
a number
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from oracle.layers.fit import Sizes

Choices = Mapping[str, tuple[Any, ...]]
"""All values of each option that takes words or truth values."""


@dataclass(frozen=True)
class Range:
    """The numbers that an option may take.

    They go from ``least`` to ``most``, or to ``below``, which is not one of them. With ``whole`` they are whole numbers.
    ``axes`` names a run of axes of the signature: the option may also have one entry for each of these axes, and with
    ``pairs`` an entry may be a pair, one number for either end of the axis.
    ``refused`` are the numbers that every implementation must refuse; by default there is one beyond each end.
    """

    least: float | None = None
    most: float | None = None
    below: float | None = None
    whole: bool = False
    axes: str = ""
    pairs: bool = False
    refused: tuple[float, ...] | None = None

    def __str__(self) -> str:
        text = "a whole number" if self.whole else "a number"
        if self.most is not None or self.below is not None:
            text += f" from {self.least} to {self.most if self.below is None else f'below {self.below}'}"
        elif self.least is not None:
            text += f" of at least {self.least}"
        each = "one, or a pair," if self.pairs else "one"
        return text + f" (or {each} per axis of *{self.axes})" * bool(self.axes)

    def holds(self, value: Any, sizes: Sizes) -> bool:
        """Tell whether an option may be this."""
        if not isinstance(value, (tuple, list)):
            return self._number(value)
        axes = sizes.get(self.axes)
        return isinstance(axes, tuple) and len(value) == len(axes) and all(map(self._entry, value))

    def _entry(self, value: Any) -> bool:
        if self.pairs and isinstance(value, (tuple, list)):
            return len(value) == 2 and all(map(self._number, value))
        return self._number(value)

    def _number(self, value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, Integral if self.whole else Real):
            return False
        number = float(value)
        return (
            (self.least is None or self.least <= number)
            and (self.most is None or number <= self.most)
            and (self.below is None or number < self.below)
        )

    def outside(self) -> Iterator[float]:
        """Yield the numbers to be refused."""
        if self.refused is not None:
            yield from self.refused
            return
        distance = 1 if self.whole else 0.5
        if self.least is not None:
            yield self.least - distance
        end = self.most if self.below is None else self.below
        if end is not None:
            yield end + distance


Ranges = Mapping[str, Range]
"""The numbers that each option that takes numbers may be."""

_WRONG_WORDS = {"padding": "full", "reduction": "avg", "mode": "edgee", "approximate": "fast"}
"""Words that other libraries use for the same thing, or that are easily written by mistake."""


def values_of(name: str, choices: Choices, ranges: Ranges) -> str:
    """Say in words what an option may be; the empty string if nothing is known about it."""
    values = [repr(value) for value in choices.get(name, ())]
    if name in ranges:
        values.append(str(ranges[name]))
    return " or ".join([", ".join(values[:-1]), values[-1]] if len(values) > 1 else values)


def objection(name: str, value: Any, choices: Choices, ranges: Ranges, sizes: Sizes) -> str:
    """Say in one line why an option must not have a value; the empty string if it may, or if nothing is known about it."""
    chosen = any(type(value) is type(word) and value == word for word in choices.get(name, ()))
    unknown = name not in choices and name not in ranges
    if chosen or unknown or (name in ranges and ranges[name].holds(value, sizes)):
        return ""
    return f"{name} is {value!r}, but must be {values_of(name, choices, ranges)}"


def wrong_values(choices: Choices, ranges: Ranges, sizes: Sizes) -> Iterator[tuple[str, Any, str]]:
    """Yield the name of an option, a value that it must not take, and why.

    There is one unknown word per option that takes words, and there are the refused numbers of each range: if one entry
    per axis may be given, for all axes and for the last axis only. Such an option also gets a fraction and one entry too
    many. An option that may be any whole number gets a truth value, which Python takes for 1, and one that takes any
    number gets a number that is written as text.
    """
    for name, value in [*_wrong_words(choices), *_wrong_numbers(ranges, sizes)]:
        yield name, value, objection(name, value, choices, ranges, sizes)


def _wrong_words(choices: Choices) -> Iterator[tuple[str, str]]:
    for name, values in choices.items():
        words = [value for value in values if isinstance(value, str)]
        if words:
            wrong = _WRONG_WORDS.get(name, "")
            yield name, wrong if wrong and wrong not in words else max(words, key=len) + words[0][-1]


def _wrong_numbers(ranges: Ranges, sizes: Sizes) -> Iterator[tuple[str, Any]]:
    for name, allowed in ranges.items():
        yield from ((name, number) for number in allowed.outside())
        if not allowed.whole:
            yield name, "0.5"
        elif allowed.least is None and not allowed.axes:
            yield name, True  # elsewhere plain code takes True for 1 and is right
        if not allowed.axes:
            continue
        axes = sizes[allowed.axes]
        assert isinstance(axes, tuple)
        right = 1 if allowed.least is None else allowed.least
        yield from ((name, (*[right] * (len(axes) - 1), number)) for number in allowed.outside() if len(axes) > 1)
        yield name, right + 0.5
        yield name, (right,) * (len(axes) + 1)
