"""What a target offers, learnt from the cases that it refuses with NotImplementedError."""

from __future__ import annotations

from typing import Any

from oracle.cases import Case
from oracle.layers import LAYERS


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
    return f"{name} as pairs" if any(isinstance(part, tuple) for part in value) else f"{name} per axis"


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
        """The features that the target lacks: the only one of a refused case that it never took."""
        alone = {next(iter(left)) for case in self.refused if len(left := case - self.taken) == 1}
        return sorted(word for word in alone if word.split(" ")[0] == word or word.split(" ")[0] not in alone)

    def may_offer(self, case: Case) -> bool:
        """Whether nothing is known that speaks against a case."""
        lacking = set(self.lacks)
        return not any(word in lacking or word.split(" ")[0] in lacking for word in features(case))
