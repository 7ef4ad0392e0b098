"""How one element of an answer is compared with the truth: a table of classes, the first that fits decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any, NamedTuple

import numpy as np

from oracle.cases import Arrays, Case, Values, numpy_dtype
from oracle.layers import LAYERS
from oracle.truth import Pair, Precision, Truth
from oracle.truth.rounding import BLOCK


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
    may_overflow: bool = True  # something on the way to these elements may leave the range of the dtype
    nan_input: np.ndarray | bool = False  # of a gradient: where its array holds NaN
    nan_kernel: bool = False  # NaN lies in another array than the first, and the layer may pad
    given: np.ndarray | None = None  # what went in: its size is the scale of an array that is 0 everywhere
    statistic: bool = False  # an output beside the first: a running mean or variance
    inputs: Sequence[np.ndarray | None] = ()  # what an algorithm may multiply with zeros: nothing for most layers
    within_range: bool = True  # no number is near the end of the range, or beyond it

    def block(self, place: slice) -> Elements:
        """Return some of the elements: a part of the first axis."""
        nan = self.nan_input
        truth = Pair(self.truth.value[place], self.truth.error[place])
        return replace(
            self, got=self.got[place], truth=truth, nan_input=nan[place] if isinstance(nan, np.ndarray) else nan
        )

    @cached_property
    def miss(self) -> np.ndarray:
        """|got - truth|."""
        with np.errstate(invalid="ignore", over="ignore"):  # infinity less infinity; more than float64 holds
            return np.asarray(np.abs(self.wide - self.truth.value), np.float64)

    @cached_property
    def wide(self) -> np.ndarray:
        """What the target gave, in the precision of the truth."""
        with np.errstate(all="ignore"):  # a wider dtype may overflow
            return np.asarray(self.got).astype(self.truth.value.dtype)

    @cached_property
    def defined(self) -> np.ndarray:
        """Whether the truth is a finite number."""
        return np.isfinite(self.truth.value)

    @cached_property
    def scale(self) -> np.ndarray:
        """How large the numbers are that each element is computed from; a cancellation leaves an element smaller than that.

        It is the magnitude of the terms, if the element is a sum. In general it follows from the bounds: they are in
        proportion to it, and the elements with the least bounds for their size have lost nothing by cancellation. These
        are the lower quarter, because a few elements may have a bound of another kind: one that is almost exact, say.
        An exact 0 has no scale of its own and gets the usual one of its array, or that of the input if all are 0.
        """
        bound = self.truth.error
        with np.errstate(all="ignore"):
            size = np.abs(np.asarray(self.truth.value, np.float64))
            relative = (bound / size)[(bound > 0) & np.isfinite(bound) & (size > 0) & np.isfinite(size)]
            usual = np.quantile(relative, 0.25, method="lower") if relative.size else np.inf
            usual = max(usual, self.precision.unit_roundoff)  # the least that one operation costs
            scale = np.fmax(size, np.where(np.isfinite(bound), bound / usual, 0.0))
        if self.truth.terms is not None:
            scale = np.fmax(scale, self.truth.terms.size)
        return np.where(scale == 0, _usual(size) or _usual(self.given), scale)

    @property
    def largest_product(self) -> float:
        """The largest product of numbers of two of the inputs; 0 if fewer than two hold numbers."""
        floats = [x for x in self.inputs if x is not None and x.dtype.kind not in "iub"]
        largest = sorted(float(np.max(np.abs(x), where=np.isfinite(x), initial=0)) for x in floats)
        return largest[-1] * largest[-2] if len(largest) > 1 else 0.0


Mask = np.ndarray | np.bool_ | bool


class ElementClass(NamedTuple):
    """A kind of element: why it is compared as it is, which elements belong to it, and their error over bound.

    Elements that are not ``judged`` may be anything that ``excess`` gives 0 for.
    """

    name: str
    reason: str
    belongs: Callable[[Elements], Mask]
    excess: Callable[[Elements], Any]
    judged: bool = True


def _over(miss: np.ndarray, bound: Any) -> np.ndarray:
    """Divide, so that no error is 0 and NaN is infinitely far away."""
    ratio = np.where(miss == 0, 0.0, miss / bound)
    return np.where(np.isnan(ratio), np.inf, ratio)


def _right_or_infinite(right: np.ndarray) -> np.ndarray:
    return np.where(right, 0.0, np.inf)


CLASSES = (
    ElementClass(
        "NaN out of numbers",
        "only an overflow makes NaN of finite numbers that have a finite result; a bound may be infinite for other reasons",
        lambda e: e.finite_input and not e.may_overflow and e.defined & np.isnan(e.wide),
        lambda e: np.inf,
    ),
    ElementClass(
        "bound infinite",
        "the target's dtype may overflow on the way, or a divisor may be 0, so every number is allowed",
        lambda e: np.isinf(e.truth.error),
        lambda e: 0.0,
        judged=False,
    ),
    ElementClass(
        "gradient at NaN",
        "a function has no slope at NaN: NaN is as good as the slope of the branch that the mathematics takes there",
        lambda e: e.gradient and e.nan_input & np.isnan(e.wide),
        lambda e: 0.0,
        judged=False,
    ),
    ElementClass(
        "padded zero times infinity",
        "an algorithm that pads or groups with zeros multiplies them with NaN (XLA's grouped convolution does)",
        lambda e: e.nan_may_spread and not e.finite_input and e.defined & ~np.isfinite(e.wide),
        lambda e: 0.0,
        judged=False,
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
        judged=False,
    ),
    ElementClass(
        "NaN times padded zero",
        "the truth multiplies padded zeros with NaN of the kernel; an algorithm that leaves them out gives a number",
        lambda e: e.nan_kernel and not e.gradient and np.isnan(e.truth.value) & np.isfinite(e.wide),
        lambda e: 0.0,
        judged=False,
    ),
    ElementClass(
        "truth NaN",
        "NaN must come out as NaN; a NaN made only of infinities (inf - inf) is indeterminate, so a limit is as good",
        lambda e: np.isnan(e.truth.value),
        lambda e: _right_or_infinite(np.isnan(e.wide) | e.only_infinities),
    ),
    ElementClass(
        "statistic of infinities",
        "a mean that is updated by differences, as Welford's and Chan's are, has infinity less infinity",
        lambda e: e.statistic and not e.finite_input and np.isnan(e.wide),
        lambda e: 0.0,
        judged=False,
    ),
    ElementClass(
        "truth infinite",
        "an infinity must come out with its sign",
        lambda e: True,
        lambda e: _right_or_infinite(e.wide == e.truth.value),
    ),
)


class Comparison(NamedTuple):
    """For each element: its error over the bound, and whether it had to lie within a bound. More than 1 is wrong."""

    ratio: np.ndarray
    judged: np.ndarray


def compare(elements: Elements) -> Comparison:
    """Compare each element in the way of its class; the error over bound of what is not judged is 0.

    Many elements are compared a block at a time, so that what is computed on the way stays small.
    """
    shape = elements.truth.value.shape
    if prod(shape) <= BLOCK or len(shape) < 2:
        return _compare(elements)
    compared = Comparison(np.empty(shape), np.empty(shape, bool))
    rows = max(1, BLOCK * shape[0] // prod(shape))
    for start in range(0, shape[0], rows):
        place = slice(start, start + rows)
        compared.ratio[place], compared.judged[place] = _compare(elements.block(place))
    return compared


def _compare(elements: Elements) -> Comparison:
    ratio = np.zeros(elements.truth.value.shape)
    judged, open_ = np.ones(ratio.shape, bool), np.ones(ratio.shape, bool)
    with np.errstate(all="ignore"):
        for kind in CLASSES:
            mine = open_ & kind.belongs(elements)
            if mine.any():
                ratio = np.where(mine, kind.excess(elements), ratio)
                judged = np.where(mine, kind.judged, judged)
                open_ &= ~mine
            if not open_.any():
                break
    return Comparison(ratio, judged)


def elements_of(
    name: str, got: np.ndarray, case: Case, arrays: Arrays, dy: np.ndarray | None, truth: Truth
) -> Elements:
    """Return the elements of an output or a gradient, with all that decides how they are compared."""
    layer, gradient = LAYERS[case.layer], name in truth.gradients
    array = arrays[layer.arrays.index(name[1:])] if gradient else None
    return Elements(
        got,
        truth.pairs[name],
        Precision.of(numpy_dtype(case.dtype)),
        gradient=gradient,
        finite_input=case.values.finite,
        only_infinities=case.values.infinite,
        nan_may_spread=layer.nan_may_spread,
        may_overflow=truth.may_overflow,
        nan_input=False if array is None or array.dtype.kind in "iub" else np.isnan(array),
        nan_kernel=_nan_in_a_padded_kernel(case),
        given=dy if gradient else arrays[0],
        statistic=name in truth.outputs[1:],
        inputs=() if not layer.nan_may_spread else (*arrays, dy) if gradient else arrays,
        within_range=case.values.finite and case.values is not Values.EXTREME,
    )


def _usual(x: np.ndarray | None) -> float:
    """Return the usual size of the finite numbers of an array that are not 0; 0 if there are none."""
    size = np.zeros(0) if x is None else np.abs(np.asarray(x, np.float64))
    numbers = size[(size > 0) & np.isfinite(size)]
    return float(np.median(numbers)) if numbers.size else 0.0


def _nan_in_a_padded_kernel(case: Case) -> bool:
    """Whether a case has NaN in another array than the first of a layer that may multiply zeros with it."""
    return case.values is Values.NAN and case.odd_array is not None and LAYERS[case.layer].nan_may_spread


def error_over_bound(elements: Elements) -> np.ndarray:
    """Return the error over the bound of each element. More than 1 is wrong; 0 also stands for what is not judged."""
    return compare(elements).ratio
