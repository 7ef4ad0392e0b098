"""A variant: a right layer, written in plain NumPy in another way than ``impl``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Layer = Callable[..., tuple[Any, Callable[[np.ndarray], Any]]]


@dataclass(frozen=True)
class Variant:
    """A right layer and how it is written.

    ``inexact`` says why it may lie outside the rounding bound, if it may. ``wrong_for`` has the kinds of values for which
    that costs nearly all digits, so that an element may be called wrong.
    """

    layer: str
    name: str
    function: Layer
    inexact: str = ""
    wrong_for: tuple[str, ...] = ()

    def may_be(self, verdict: str, values: str) -> bool:
        """Whether a verdict on values of a kind is explained."""
        return bool(self.inexact) and (verdict == "inexact" or (verdict == "wrong" and values in self.wrong_for))


VARIANTS: list[Variant] = []


def put(layer: str, name: str, function: Layer, inexact: str = "", wrong_for: tuple[str, ...] = ()) -> None:
    """Put a variant of a layer into the list."""

    def quiet(*arrays: Any, **options: Any) -> Any:
        with np.errstate(all="ignore"):
            y, pullback = function(*arrays, **options)

        def quiet_pullback(dy: np.ndarray) -> Any:
            with np.errstate(all="ignore"):
                return pullback(dy)

        return y, quiet_pullback

    VARIANTS.append(Variant(layer, name, quiet, inexact, wrong_for))


def variant(layer: str, name: str, inexact: str = "") -> Callable[[Layer], Layer]:
    """Put the decorated function into the list, as a variant of a layer."""

    def decorate(function: Layer) -> Layer:
        put(layer, name, function, inexact)
        return function

    return decorate
