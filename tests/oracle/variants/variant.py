"""A variant: a right layer, written in plain NumPy in another way than ``impl``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

OUT_OF_RANGE = ("extreme", "nan", "infinite", "minus_infinite")

Layer = Callable[..., tuple[Any, Callable[[np.ndarray], Any]]]


@dataclass(frozen=True)
class Variant:
    """A right layer and how it is written.

    ``inexact`` says why it may lie outside the rounding bound, if it may. ``beyond`` says why it may be called wrong for
    values that are not finite or are near the end of the range, if it may; for no other values it may.
    """

    layer: str
    name: str
    function: Layer
    inexact: str = ""
    beyond: str = ""

    def may_be(self, verdict: str, values: str) -> bool:
        """Whether a verdict on values of a kind is explained."""
        return bool(verdict == "inexact" and self.inexact) or bool(self.beyond and values in OUT_OF_RANGE)


VARIANTS: list[Variant] = []


def put(layer: str, name: str, function: Layer, inexact: str = "", beyond: str = "") -> None:
    """Put a variant of a layer into the list."""

    def quiet(*arrays: Any, **options: Any) -> Any:
        with np.errstate(all="ignore"):
            y, pullback = function(*arrays, **options)

        def quiet_pullback(dy: np.ndarray) -> Any:
            with np.errstate(all="ignore"):
                return pullback(dy)

        return y, quiet_pullback

    VARIANTS.append(Variant(layer, name, quiet, inexact, beyond))


def variant(layer: str, name: str, inexact: str = "") -> Callable[[Layer], Layer]:
    """Put the decorated function into the list, as a variant of a layer."""

    def decorate(function: Layer) -> Layer:
        put(layer, name, function, inexact)
        return function

    return decorate
