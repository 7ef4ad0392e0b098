"""What a target offers, learnt from the cases that it refuses with NotImplementedError."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from oracle.cases import Case
from oracle.layers import LAYERS
from oracle.layers.fit import misfit
from oracle.truth import derive

PER_AXIS, AS_PAIRS = " per axis", " as pairs"
REFUSALS = 3


def features(case: Case) -> frozenset[str]:
    """Return what a case asks of a target beyond the layer's simplest call, in words."""
    layer, words = LAYERS[case.layer], set()
    for name, value in case.configuration.items():
        if value != layer.options.get(name):
            words.add(_option(name, value))
    for name, shape in zip(layer.arrays, case.shapes, strict=True):
        if name in layer.optional:
            words.add(f"{name} left out" if shape is None else name)
    given = [shape for shape in case.shapes if shape is not None]
    words.add(f"{layer.arrays[0]} with {len(given[0])} axes")
    if any(0 in shape for shape in given):
        words.add("empty arrays")
    return frozenset(words)


def _option(name: str, value: Any) -> str:
    if isinstance(value, (bool, str)):
        return f"{name}={value!r}"
    if not isinstance(value, tuple):
        return name
    return name + (AS_PAIRS if any(isinstance(part, tuple) for part in value) else PER_AXIS)


def _plain(word: str) -> str:
    """Return the word for the option with a plain number. A target that lacks this lacks the longer forms as well."""
    return word.removesuffix(AS_PAIRS).removesuffix(PER_AXIS)


def without(case: Case, lacking: Collection[str]) -> Case | None:
    """Return a case without the features that a target lacks; None if there is no such case, or if nothing changes.

    Options go back to their defaults, and optional arrays are left out.
    """
    layer = LAYERS[case.layer]
    lacked = {name for name, value in case.configuration.items() if _plain(_option(name, value)) in lacking}
    lacked |= {name for name, value in case.configuration.items() if _option(name, value) in lacking}
    shapes = tuple(
        None if name in layer.optional and name in lacking else shape
        for name, shape in zip(layer.arrays, case.shapes, strict=True)
    )
    configuration = {name: value for name, value in case.configuration.items() if name not in lacked}
    required = {name for name, default in layer.options.items() if default is ...}
    other = replace(case, shapes=shapes, configuration=configuration, odd_array=None)
    if other.key == case.key or required & lacked:
        return None
    if misfit(layer.signature.arrays, shapes, layer.options | configuration):
        return None
    try:
        derive(other.layer, other.shapes, other.configuration)
    except (ValueError, TypeError, ZeroDivisionError, IndexError):  # the mathematics does not take this call
        return None
    return other


class Offers:
    """Which features of its cases a target has taken, and which it lacks."""

    def __init__(self) -> None:
        self.taken: set[str] = set()
        self.refused: list[frozenset[str]] = []

    def add(self, case: Case, offered: bool) -> None:
        """Remember whether a case was offered."""
        if offered:
            self.taken |= features(case)
        else:
            self.refused.append(features(case))

    @property
    def lacks(self) -> list[str]:
        """The features that the target seems to lack: the only one of a refused case that it never took."""
        return self._lacking(1)

    def may_offer(self, case: Case) -> bool:
        """Whether nothing is known that speaks against a case.

        A single refusal may have another reason, such as the size of the arrays.
        """
        lacking = set(self._lacking(REFUSALS))
        return not any(word in lacking or _plain(word) in lacking for word in features(case))

    def _lacking(self, refusals: int) -> list[str]:
        if not self.taken:
            return []  # there is no feature that a refusal could be blamed on
        unknown = Counter(left for case in self.refused if len(left := case - self.taken) in (1, 2))
        # Two features that always come together, such as the two running statistics, need more than one refusal.
        blamed = [left for left, count in unknown.items() if count >= (refusals if len(left) == 1 else REFUSALS)]
        single = {word for left in blamed if len(left) == 1 for word in left}
        found = single | {word for left in blamed if not left & single for word in left}
        return sorted(word for word in found if _plain(word) == word or _plain(word) not in found)
