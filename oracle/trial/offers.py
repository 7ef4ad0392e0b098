"""What a target offers, learnt from the cases that it takes and from those that it refuses with NotImplementedError."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from oracle.cases import Case
from oracle.layers import LAYERS, Layer
from oracle.layers.fit import Misfit, Sizes, shapes_of
from oracle.layers.signature import Run
from oracle.trial.lengths import Lengths, sizes_of, valid

PER_AXIS, AS_PAIRS = " per axis", " as pairs"
LEFT_OUT = " left out"
REFUSALS = 3
FEW_ELEMENTS = 200  # in a larger case, longer sums would hide slips in their rounding


def features(case: Case) -> frozenset[str]:
    """Return what a case asks of a target, in words."""
    layer, words = LAYERS[case.layer], set()
    for name, default in layer.options.items():
        words.add(_option(name, case.configuration.get(name, default), default))
    for name, shape in zip(layer.arrays, case.shapes, strict=True):
        if name in layer.optional:
            words.add(f"{name}{LEFT_OUT}" if shape is None else name)
    given = [shape for shape in case.shapes if shape is not None]
    words.add(_axes(layer, len(given[0])))
    if any(0 in shape for shape in given):
        words.add("empty arrays")
    runs = {
        array.axes[0]: shape
        for array, shape in zip(layer.signature.arrays, case.shapes, strict=True)
        if len(array.axes) == 1 and isinstance(array.axes[0], Run)
    }
    if len(set(runs.values()) - {None}) > 1:
        words.add("arrays of different shapes")
    return frozenset(words)


def _option(name: str, value: Any, default: Any) -> str:
    if isinstance(value, (bool, str)) or value == default:
        return f"{name}={value!r}"
    if not isinstance(value, tuple):
        return name
    return name + (AS_PAIRS if any(isinstance(part, tuple) for part in value) else PER_AXIS)


def _axes(layer: Layer, count: int) -> str:
    return f"{layer.arrays[0]} with {count} {'axis' if count == 1 else 'axes'}"


def _plain(word: str) -> str:
    """Return the word for the option with a plain number. A target that lacks this lacks the longer forms as well."""
    return word.removesuffix(AS_PAIRS).removesuffix(PER_AXIS)


def _within(word: str, lacking: Collection[str]) -> bool:
    return word in lacking or _plain(word) in lacking


def without(case: Case, lacking: Collection[str], instead: Mapping[str, Any]) -> Case | None:
    """Return a case without some features: the case itself if it has none of them, None if there is no such case.

    Options go back to their defaults, or from a tuple to a number if they have no default. ``instead`` has other values for
    those whose default is lacking. Optional arrays are left out or added, and a run of any number of axes becomes longer or
    shorter.
    """
    lacked = {word for word in features(case) if _within(word, lacking)}
    if not lacked:
        return case
    layer = LAYERS[case.layer]
    given = [
        f"{name}{LEFT_OUT}" in lacked or (shape is not None and name not in lacked)
        for name, shape in zip(layer.arrays, case.shapes, strict=True)
    ]
    there = [name for name, is_given in zip(layer.arrays, given, strict=True) if is_given]
    odd = case.odd_array if case.odd_array in there else None
    for configuration in _configurations(case, lacked, instead):
        try:
            sizes_now = sizes_of(case, configuration)
        except Misfit:  # the first array has not the axes that this configuration needs
            continue
        for sizes in _other_axes(case, lacking, sizes_now):
            try:
                shapes = shapes_of(layer.signature.arrays, sizes, layer.options | configuration, given)
            except KeyError:  # a length that only an array names which is not given
                continue
            if shapes is not None:
                other = replace(case, shapes=shapes, configuration=configuration, odd_array=odd)
                if not any(_within(word, lacking) for word in features(other)) and valid(other):
                    return other
    return None


def _configurations(case: Case, lacked: Collection[str], instead: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the configuration without what is lacked. Of a required tuple, the largest number is taken, or the smallest."""
    options = LAYERS[case.layer].options
    lacking = {name for name, value in case.configuration.items() if _option(name, value, options[name]) in lacked}
    kept = {name: value for name, value in case.configuration.items() if name not in lacking}
    for name, default in options.items():
        if name in instead and _option(name, default, default) in lacked:
            kept[name] = instead[name]
    required = {name: _numbers(case.configuration[name]) for name in lacking if options[name] is ...}
    yield kept | {name: max(numbers) for name, numbers in required.items()}
    if required:
        yield kept | {name: min(numbers) for name, numbers in required.items()}


def _numbers(value: Any) -> list[Any]:
    return [number for part in value for number in _numbers(part)] if isinstance(value, tuple) else [value]


def _other_axes(case: Case, lacking: Collection[str], sizes: Sizes) -> Iterator[Sizes]:
    """Yield the sizes with a number of axes that is not lacking, the nearest number first. The longest axes are kept."""
    layer, shape = LAYERS[case.layer], case.shapes[0]
    assert shape is not None
    if _axes(layer, len(shape)) not in lacking:
        yield sizes
        return
    run = next((a.name for a in layer.signature.arrays[0].axes if isinstance(a, Run) and a.count is None), None)
    if run is None:
        return
    size = sizes[run]
    assert isinstance(size, tuple)
    others = len(shape) - len(size)
    counts = {len(edge.shapes[0] or ()) - others for edge in layer.edges}
    for count in sorted(counts, key=lambda count: (abs(count - len(size)), count)):
        if count >= 0 and _axes(layer, count + others) not in lacking:
            kept = sorted(sorted(range(len(size)), key=lambda i: -size[i])[:count])
            added = 1 if case.elements > FEW_ELEMENTS else 2
            yield sizes | {run: (added,) * (count - len(size)) + tuple(size[i] for i in kept)}


class Offers:
    """Which features and lengths of its cases a target has taken, and which it lacks."""

    def __init__(self, layer: str) -> None:
        self.taken: set[str] = set()
        self.values: dict[str, Any] = {}  # of options that are not at their default, from the last case that was taken
        self.refused: list[frozenset[str]] = []
        self.lengths = Lengths(layer)
        self.asked: set[str] = set()  # the features that the target was asked for one by one
        self.blamed: set[str] = set()  # those of them that it lacks

    def add(self, case: Case, offered: bool) -> None:
        """Remember whether a case was offered."""
        if offered:
            self.taken |= features(case)
            self.values |= case.configuration
        else:
            self.refused.append(features(case))

    @property
    def lacks(self) -> list[str]:
        """What the target lacks, in words."""
        return [*_short(self.blamed | self._seems_to_lack(1)), *self.lengths.lacks]

    @property
    def lacking(self) -> set[str]:
        """The features that speak against a case. A single refusal may have another reason, such as a combination."""
        return self.blamed | self._seems_to_lack(REFUSALS)

    def may_offer(self, case: Case) -> bool:
        """Whether nothing is known that speaks against a case."""
        lacking = self.lacking
        return not any(_within(word, lacking) for word in features(case))

    def adapted(self, case: Case) -> Case | None:
        """Return a case without what the target lacks: the case itself if it has nothing of that, None if there is none."""
        return self.without(case, self.lacking)

    def without(self, case: Case, lacking: Collection[str]) -> Case | None:
        """Return a case without some features, with lengths that the target takes."""
        other = without(case, lacking, self.values)
        return None if other is None else self.lengths.fitted(other)

    def blame(self, words: Collection[str], lacks: bool) -> None:
        """Remember that the target was asked for features, and whether it lacks them."""
        self.asked |= set(words)
        self.blamed |= set(words) if lacks else set()

    def _seems_to_lack(self, refusals: int) -> set[str]:
        """Return the features that were the only ones of a refused case that the target has never taken."""
        if not self.taken:
            return set()  # there is no feature that a refusal could be blamed on
        unknown = Counter(left for case in self.refused if len(left := case - self.taken) in (1, 2))
        # Two features that always come together, such as the two running statistics, need more than one refusal.
        blamed = [left for left, count in unknown.items() if count >= (refusals if len(left) == 1 else REFUSALS)]
        single = {word for left in blamed if len(left) == 1 for word in left}
        return (single | {word for left in blamed if not left & single for word in left}) - self.asked


def _short(words: set[str]) -> list[str]:
    """Return the words without those that follow from others."""
    return sorted(word for word in words if _plain(word) == word or _plain(word) not in words)
