"""Which lengths of the axes a target takes, found out by asking it: multiples of 4, say, or powers of two."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from oracle.cases import Case
from oracle.layers import LAYERS, Layer
from oracle.layers.fit import Sizes, Symbol, fit, lengths_of, misfit, resized, shapes_of
from oracle.layers.signature import Signature, names_in
from oracle.truth import derive, drawn

STEPS = (2, 4, 8, 16, 32, 64)
FOOTHOLDS = (1, 4, 16, 64)
MOST_ELEMENTS = 200_000  # of all arrays of a case


@dataclass(frozen=True)
class Rule:
    """The lengths that are taken: the multiples of a power of two, or only the powers of two from there on."""

    step: int
    powers: bool = False

    def up(self, n: int) -> int:
        """Return the next length that is taken. An axis without elements stays so."""
        n = -(-n // self.step) * self.step
        return 1 << (n - 1).bit_length() if self.powers and n else n

    def __str__(self) -> str:
        if not self.powers:
            return f"multiples of {self.step}"
        return "powers of two" + (f" from {self.step} on" if self.step > 1 else "")


class Lengths:
    """The rules that are known, by the place of the axes.

    A place is a symbol of the signature. In a run of axes it counts from the end, since the last axis is special in most
    kernels, however many there are. Without a number it stands for all axes of the run.
    """

    def __init__(self, layer: str) -> None:
        self.layer = LAYERS[layer]
        self.rules: dict[Symbol, Rule] = {}

    @property
    def lacks(self) -> list[str]:
        """The lengths that the target does not take, in words."""
        return [
            f"lengths of {_words(symbol)} other than {rule}" for symbol, rule in sorted(self.rules.items(), key=str)
        ]

    def fitted(self, case: Case) -> Case | None:
        """Return a case with the next lengths that the target takes, or None if there is no such case."""
        if not self.rules:
            return case
        sizes = sizes_of(case)
        new = {
            symbol: rule.up(length)
            for symbol, length in lengths_of(sizes).items()
            if (rule := self._rule(symbol, sizes)) is not None
        }
        return _changed(case, sizes, new)

    def _rule(self, symbol: Symbol, sizes: Sizes) -> Rule | None:
        own, run = self.rules.get(_from_the_end(symbol, sizes)), self.rules.get(Symbol(symbol.name))
        return own or run

    def learn(self, case: Case, takes: Callable[[Case], bool]) -> bool:
        """Find out whether a target refuses a case for its lengths, and if so, which lengths of which axes it takes.

        First all axes become powers of two. Once the target takes them, each axis in turn becomes odd again: an axis that
        stays odd is free. The others then become three times a power of two, to tell multiples from powers.
        """
        sizes = sizes_of(case)
        odd = {symbol: max(3, n | 1) for symbol, n in lengths_of(sizes).items() if _may_be_chosen(self.layer, symbol)}

        def taken(new: Mapping[Symbol, int]) -> bool:
            other = _changed(case, sizes, {**odd, **new})
            return other is not None and takes(other)

        if taken({}):
            return False
        for step in FOOTHOLDS:
            rule = Rule(step, powers=True)
            bound = {symbol: rule.up(n) for symbol, n in odd.items()}
            if taken(bound):
                break
        else:
            return False
        for symbol in odd:
            fewer = {other: n for other, n in bound.items() if other != symbol}
            if taken(fewer):
                bound = fewer
        steps = (step for step in STEPS if step <= max(bound.values()))
        multiple = next((step for step in steps if taken(dict.fromkeys(bound, 3 * step))), None)
        rule = rule if multiple is None else Rule(multiple)
        before = self.rules
        places = _places(bound, sizes)
        runs = {symbol.name for symbol in places if symbol.place is None}
        kept = {symbol: known for symbol, known in self.rules.items() if symbol.name not in runs}
        self.rules = kept | dict.fromkeys(places, rule)
        return self.rules != before


def _words(symbol: Symbol) -> str:
    if symbol.place is None:
        return symbol.name
    return f"the last axis of {symbol.name}" if symbol.place == -1 else f"axis {symbol.place} of {symbol.name}"


def sizes_of(case: Case, configuration: Mapping[str, Any] | None = None) -> Sizes:
    """Return the size of each symbol of the signature in a case, or with another configuration for the same first array."""
    layer = LAYERS[case.layer]
    arrays = layer.signature.arrays
    sizes = fit(arrays, case.shapes, layer.options | case.configuration).sizes
    if configuration is not None:  # an option may say how the axes of the first array are shared among the symbols
        sizes |= fit(arrays[:1], case.shapes[:1], {**layer.options, **configuration}).sizes
    return sizes


def _changed(case: Case, sizes: Sizes, lengths: Mapping[Symbol, int]) -> Case | None:
    """Return a case with other lengths; None if the mathematics does not take them, or if it becomes too large."""
    layer = LAYERS[case.layer]
    for symbol, length in lengths.items():
        sizes = resized(sizes, symbol, length)
    given = [shape is not None for shape in case.shapes]
    shapes = shapes_of(layer.signature.arrays, sizes, layer.options | case.configuration, given)
    if shapes is None or sum(prod(shape) for shape in shapes if shape is not None) > max(MOST_ELEMENTS, case.elements):
        return None
    other = case if shapes == case.shapes else replace(case, shapes=shapes)
    return other if valid(other) else None


def valid(case: Case) -> bool:
    """Whether a case is a valid call: for its signature, its layer, and its mathematics, also when that is computed."""
    layer = LAYERS[case.layer]
    options = layer.options | case.configuration
    if misfit(layer.signature.arrays, case.shapes, options):
        return False
    try:
        value = derive(case.layer, case.shapes, case.configuration).value_shape
        fits = layer.where(dict(zip(layer.arrays, case.shapes, strict=True)) | options | {"y": value})
        return fits and bool(drawn(case))
    except (ValueError, TypeError, ZeroDivisionError, IndexError):
        return False


def _may_be_chosen(layer: Layer, symbol: Symbol) -> bool:
    """Whether the first array or an output has the axis. The others are those of a kernel."""
    first, outputs = layer.signature.arrays[:1], layer.signature.outputs
    return symbol.name in names_in(Signature(first, outputs))


def _from_the_end(symbol: Symbol, sizes: Sizes) -> Symbol:
    size = sizes[symbol.name]
    return symbol if isinstance(size, int) or symbol.place is None else Symbol(symbol.name, symbol.place - len(size))


def _places(symbols: Iterable[Symbol], sizes: Sizes) -> set[Symbol]:
    """Return the places of the symbols. If a rule holds for all of several axes of a run, it holds for the run."""
    found = {_from_the_end(symbol, sizes) for symbol in symbols}
    for name, size in sizes.items():
        axes = {Symbol(name, -1 - i) for i in range(len(size))} if not isinstance(size, int) else set()
        if len(axes) > 1 and axes <= found:
            found = (found - axes) | {Symbol(name)}
    return found
