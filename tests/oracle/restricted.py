"""Targets that offer only a part of a layer, as the code of a student or a kernel does: a filter before any layer.

A restriction looks at one call, in which arrays and options stand under their names, and says whether it is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from oracle.layers import LAYERS
from oracle.targets.ask import LayerFunction

Call = Mapping[str, Any]
Refuses = Callable[[Call], bool]


@dataclass(frozen=True)
class Restricted:
    """What a target of one layer refuses, in whole or only in its pullback, and what a trial should say about it."""

    layer: str
    refuses: tuple[Refuses, ...]
    lacks: tuple[str, ...]
    pullback_refuses: tuple[Refuses, ...] = field(default=())

    def filter(self, function: LayerFunction) -> LayerFunction:
        """Put the filter before a function of the whole layer."""
        layer = LAYERS[self.layer]

        def filtered(*arrays: np.ndarray | None, **configuration: Any) -> tuple[Any, Callable[[Any], Any]]:
            given = dict(zip(layer.arrays, arrays, strict=False))
            call = dict.fromkeys(layer.arrays) | given | layer.options | configuration
            if any(refuses(call) for refuses in self.refuses):
                raise NotImplementedError
            value, pullback = function(*arrays, **configuration)
            return value, _not_offered if any(refuses(call) for refuses in self.pullback_refuses) else pullback

        return filtered


def _not_offered(dy: np.ndarray) -> Any:
    raise NotImplementedError


def no(*names: str) -> Refuses:
    """Refuse options that are not at their default, and arrays that are given."""

    def refuses(call: Call) -> bool:
        return any(_array(call[name]) or call[name] not in _DEFAULTS[name] for name in names)

    return refuses


def needs(*names: str) -> Refuses:
    """Refuse calls without one of these arrays."""
    return lambda call: any(call[name] is None for name in names)


def only(name: str, *values: Any) -> Refuses:
    """Refuse every other value of an option."""
    return lambda call: call[name] not in values


def only_ints(*names: str) -> Refuses:
    """Refuse tuples and words as the values of options."""
    return lambda call: any(not isinstance(call[name], int | None) for name in names)


def axes(count: int) -> Refuses:
    """Refuse a first array with another number of axes."""
    return lambda call: _first(call).ndim != count


def lengths(takes: Callable[[int], bool]) -> Refuses:
    """Refuse a first array with other lengths."""
    return lambda call: not all(map(takes, _first(call).shape))


def last_length(takes: Callable[[int], bool]) -> Refuses:
    """Refuse a first array with another last axis."""
    return lambda call: not all(map(takes, _first(call).shape[-1:]))


def only_dtype(name: str) -> Refuses:
    """Refuse a first array of another dtype."""
    return lambda call: _first(call).dtype.name != name


def multiple_of(divisor: int) -> Callable[[int], bool]:
    """Accept a length that is a multiple, and not 0."""
    return lambda n: n > 0 and n % divisor == 0


def power_of_two(n: int) -> bool:
    """Accept 1, 2, 4, 8 and so on."""
    return n > 0 and n & (n - 1) == 0


def _first(call: Call) -> np.ndarray:
    x = next(iter(call.values()))
    assert isinstance(x, np.ndarray)
    return x


def _array(x: Any) -> bool:
    return isinstance(x, np.ndarray)


_DEFAULTS = {
    name: [None, *(layer.options[name] for layer in LAYERS.values() if name in layer.options)]
    for name in {name for layer in LAYERS.values() for name in (*layer.arrays, *layer.options)}
}
