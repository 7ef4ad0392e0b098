"""How one element of an answer is compared with the truth: a table of classes, the first that fits decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from oracle.truth import Pair, Precision


@dataclass(frozen=True)
class Elements:
    """The elements of one output or gradient: what the target gave, and the truth with its bound."""

    got: np.ndarray
    truth: Pair
    precision: Precision
    gradient: bool = False
    finite_input: bool = True
    only_infinities: bool = False  # the input holds infinities and no NaN
    nan_may_spread: bool = False  # the layer's padding or groups may multiply zeros with NaN or infinity

    @cached_property
    def miss(self) -> np.ndarray:
        """|got - truth|."""
        with np.errstate(invalid="ignore"):  # infinity less infinity
            return np.asarray(np.abs(self.wide - self.truth.value), np.float64)

    @cached_property
    def wide(self) -> np.ndarray:
        """What the target gave, in the precision of the truth."""
        return np.asarray(self.got).astype(self.truth.value.dtype)

    @cached_property
    def defined(self) -> np.ndarray:
        """Whether the truth is a finite number."""
        return np.isfinite(self.truth.value)


Mask = np.ndarray | np.bool_ | bool


class ElementClass(NamedTuple):
    """A kind of element: why it is compared as it is, which elements belong to it, and their error over bound."""

    name: str
    reason: str
    belongs: Callable[[Elements], Mask]
    excess: Callable[[Elements], Any]


def _over(miss: np.ndarray, bound: Any) -> np.ndarray:
    """Divide, so that no error is 0 and NaN is infinitely far away."""
    ratio = np.where(miss == 0, 0.0, miss / bound)
    return np.where(np.isnan(ratio), np.inf, ratio)


def _right_or_infinite(right: np.ndarray) -> np.ndarray:
    return np.where(right, 0.0, np.inf)


CLASSES = (
    ElementClass(
        "bound infinite",
        "the target's dtype may overflow on the way, so every answer is allowed",
        lambda e: np.isinf(e.truth.error),
        lambda e: 0.0,
    ),
    ElementClass(
        "padded zero times infinity",
        "an algorithm that pads or groups with zeros multiplies them with NaN (XLA's grouped convolution does)",
        lambda e: e.nan_may_spread and not e.finite_input and e.defined & ~np.isfinite(e.wide),
        lambda e: 0.0,
    ),
    ElementClass(
        "below the smallest normal",
        "a subnormal result may be flushed to 0, so the bound grows by the smallest normal number",
        lambda e: (np.abs(e.truth.value) < e.precision.smallest_normal) & (e.truth.value != 0),
        lambda e: _over(e.miss, e.truth.error + e.precision.smallest_normal),
    ),
    ElementClass(
        "finite and bounded",
        "the error may be as large as the bound",
        lambda e: e.defined,
        lambda e: _over(e.miss, e.truth.error),
    ),
    ElementClass(
        "gradient of what is not finite",
        "a gradient is judged only where the mathematics gives a finite one",
        lambda e: e.gradient,
        lambda e: 0.0,
    ),
    ElementClass(
        "truth NaN",
        "NaN must come out as NaN; a NaN made only of infinities (inf - inf) is indeterminate, so a limit is as good",
        lambda e: np.isnan(e.truth.value),
        lambda e: _right_or_infinite(np.isnan(e.wide) | e.only_infinities),
    ),
    ElementClass(
        "truth infinite",
        "an infinity must come out with its sign",
        lambda e: True,
        lambda e: _right_or_infinite(e.wide == e.truth.value),
    ),
)


def error_over_bound(elements: Elements) -> np.ndarray:
    """Return the error over the bound of each element. More than 1 is wrong; 0 also stands for what is not judged."""
    ratio = np.zeros(elements.truth.value.shape)
    open_ = np.ones(ratio.shape, bool)
    with np.errstate(all="ignore"):
        for kind in CLASSES:
            mine = open_ & kind.belongs(elements)
            if mine.any():
                ratio = np.where(mine, kind.excess(elements), ratio)
                open_ &= ~mine
            if not open_.any():
                break
    return ratio
