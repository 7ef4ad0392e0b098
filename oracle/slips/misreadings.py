"""Misreadings: ways to compute the places of windows wrongly. Each is a slip of every convolution and every pooling.

A misreading is a function of the axes of the windows; it returns the index that an implementation with it would use.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from oracle.slips.windows import Axes, Axis, exchanged, index_at, index_of

Index = Callable[[Axes], np.ndarray]


@dataclass(frozen=True)
class Misreading:
    """A misreading: its sentence, in which {output} stands for y, dx or dw, and the index that it leads to.

    ``planes`` means that it needs a height and a width.
    """

    sentence: str
    index: Index
    options: tuple[str, ...]
    planes: bool
    resembles: str


MISREADINGS: list[Misreading] = []


def misread(sentence: str, *options: str, planes: bool = False, resembles: str = "") -> Callable[[Index], Index]:
    """Put a function from axes to an index into the list."""

    def put(index: Index) -> Index:
        cached = functools.lru_cache(maxsize=64)(index)  # one slip per output asks for the same index
        MISREADINGS.append(Misreading(sentence, cached, options, planes, resembles))
        return index

    return put


def put_misreadings(changed: Callable[..., Callable[[Any], Any]], layers: Sequence[str], planes: Sequence[str]) -> None:
    """Put every misreading into the catalogue, for the layers, or for those with a height and a width.

    ``changed`` is the decorator of a family, for changes of its form; the form has ``axes`` and ``index``.
    """
    for kind in MISREADINGS:
        decorate = changed(
            kind.sentence, *(planes if kind.planes else layers), options=kind.options, resembles=kind.resembles
        )
        decorate(functools.partial(_misread, kind))


def _misread(kind: Misreading, form: Any) -> Any:
    index = kind.index(form.axes)
    return None if np.array_equal(index, form.index) else replace(form, index=index)


def _with(axes: Axes, change: Callable[[Axis], dict[str, int]]) -> np.ndarray:
    return index_of(tuple(axis._replace(**change(axis)) for axis in axes))


def _exchanged(axes: Axes, *names: str) -> np.ndarray:
    """Exchange a property between the last two axes."""
    pairs = zip(axes, exchanged(axes), strict=True)
    return index_of(tuple(axis._replace(**{name: getattr(other, name) for name in names}) for axis, other in pairs))


def _first_for_all(axes: Axes, *names: str) -> np.ndarray:
    return _with(axes, lambda axis: {name: getattr(axes[0], name) for name in names})


# -- an option --------------------------------------------------------------------------------------------------------


@misread("{output} ignores the stride", "stride")
def _no_stride(axes: Axes) -> np.ndarray:
    return _with(axes, lambda axis: {"s": 1})


@misread("{output} ignores the dilation", "dilation", resembles="CanReader/FastNN #4")
def _no_dilation(axes: Axes) -> np.ndarray:
    return _with(axes, lambda axis: {"d": 1})


@misread("{output} ignores the padding before the first place", "padding")
def _no_padding(axes: Axes) -> np.ndarray:
    return _with(axes, lambda axis: {"before": 0})


@misread("{output} counts the padding before the first place twice", "padding")
def _double_padding(axes: Axes) -> np.ndarray:
    return _with(axes, lambda axis: {"before": 2 * axis.before})


@misread("{output} moves the windows by the padding in the wrong direction", "padding")
def _wrong_direction(axes: Axes) -> np.ndarray:
    return _with(axes, lambda axis: {"before": -axis.before})


@misread("{output} puts the padding of one side on the other", "padding", resembles="tensorflow/tensorflow #45999")
def _wrong_side(axes: Axes) -> np.ndarray:
    return _with(axes, lambda axis: {"before": axis.after})


@misread("{output} subtracts the padding before it multiplies by the stride", "padding", "stride")
def _padding_times_stride(axes: Axes) -> np.ndarray:
    return _with(axes, lambda axis: {"before": axis.before * axis.s})


@misread("{output} subtracts the padding before it multiplies by the dilation", "padding", "dilation")
def _padding_times_dilation(axes: Axes) -> np.ndarray:
    return _with(axes, lambda axis: {"before": axis.before * axis.d})


@misread("{output} exchanges stride and dilation", "stride", "dilation")
def _stride_for_dilation(axes: Axes) -> np.ndarray:
    return _with(axes, lambda axis: {"s": axis.d, "d": axis.s})


@misread("{output} puts one place too many between the taps of a dilated kernel", "dilation")
def _one_place_too_many(axes: Axes) -> np.ndarray:
    return _with(axes, lambda axis: {"d": axis.d + (axis.d > 1)})


@misread("{output} puts one place too many between the windows of a stride", "stride")
def _one_stride_too_many(axes: Axes) -> np.ndarray:
    return _with(axes, lambda axis: {"s": axis.s + (axis.s > 1)})


@misread("{output} multiplies the tap by the stride, too", "stride")
def _taps_times_stride(axes: Axes) -> np.ndarray:
    return index_at(axes, [(np.arange(a.m)[:, None] + np.arange(a.k) * a.d) * a.s - a.before for a in axes])


# -- height and width -------------------------------------------------------------------------------------------------


@misread("{output} exchanges the strides of height and width", "stride", planes=True)
def _strides_exchanged(axes: Axes) -> np.ndarray:
    return _exchanged(axes, "s")


@misread("{output} exchanges the dilations of height and width", "dilation", planes=True)
def _dilations_exchanged(axes: Axes) -> np.ndarray:
    return _exchanged(axes, "d")


@misread(
    "{output} exchanges the paddings of height and width",
    "padding",
    planes=True,
    resembles="autogluon/autogluon #438",
)
def _paddings_exchanged(axes: Axes) -> np.ndarray:
    return _exchanged(axes, "before")


@misread(
    "{output} uses the stride of the first axis for every axis", "stride", planes=True, resembles="apache/mxnet #4704"
)
def _first_stride(axes: Axes) -> np.ndarray:
    return _first_for_all(axes, "s")


@misread(
    "{output} uses the dilation of the first axis for every axis",
    "dilation",
    planes=True,
    resembles="tracel-ai/burn #4466",
)
def _first_dilation(axes: Axes) -> np.ndarray:
    return _first_for_all(axes, "d")


@misread("{output} uses the padding of the first axis for every axis", "padding", planes=True)
def _first_padding(axes: Axes) -> np.ndarray:
    return _first_for_all(axes, "before")


@misread("{output} runs on into the next row where a window reaches beyond its own", planes=True)
def _running_on(axes: Axes) -> np.ndarray:
    flat, count = np.zeros((1, 1), np.int64), prod(axis.n for axis in axes)
    for axis in axes:
        wide = flat[:, None, :, None] * axis.n + axis.places[None, :, None, :]
        flat = wide.reshape(len(flat) * axis.m, -1)
    return np.where((flat >= 0) & (flat < count), flat, count)


# -- the ends ---------------------------------------------------------------------------------------------------------


@misread("{output} starts every window one place late")
def _one_late(axes: Axes) -> np.ndarray:
    return _with(axes, lambda axis: {"before": axis.before - 1})


@misread("{output} starts every window one place early")
def _one_early(axes: Axes) -> np.ndarray:
    return _with(axes, lambda axis: {"before": axis.before + 1})


@misread("{output} leaves out the last tap of the window along each axis")
def _without_last_tap(axes: Axes) -> np.ndarray:
    return index_at(axes, [np.where(np.arange(a.k) < max(1, a.k - 1), a.places, -1) for a in axes])


@misread("{output} leaves out the first tap of the window along each axis")
def _without_first_tap(axes: Axes) -> np.ndarray:
    return index_at(axes, [np.where(np.arange(a.k) >= min(1, a.k - 1), a.places, -1) for a in axes])


@misread("{output} leaves out the last window along each axis")
def _without_last_window(axes: Axes) -> np.ndarray:
    return index_at(axes, [np.where(np.arange(a.m)[:, None] < max(1, a.m - 1), a.places, -1) for a in axes])


@misread("{output} leaves out the windows that reach into the padding", "padding")
def _without_padding(axes: Axes) -> np.ndarray:
    index, count = index_of(axes), prod(axis.n for axis in axes)
    return np.where((index == count).any(axis=1, keepdims=True), count, index)


@misread("{output} takes a negative place from the end of the axis", "padding")
def _from_the_end(axes: Axes) -> np.ndarray:
    return index_at(axes, [np.where(axis.places < 0, axis.places + axis.n, axis.places) for axis in axes])


@misread("{output} takes the nearest place inside where a window reaches outside", "padding")
def _nearest(axes: Axes) -> np.ndarray:
    return index_at(axes, [np.clip(axis.places, 0, axis.n - 1) for axis in axes])


@misread(
    "{output} starts a dilated window that starts in the padding at the first place",
    "padding",
    "dilation",
    resembles="microsoft/onnxruntime #29637",
)
def _from_the_first_place(axes: Axes) -> np.ndarray:
    places = [np.arange(a.k) * a.d + np.maximum(a.places[:, :1], 0) for a in axes]
    return index_at(axes, [np.where(p <= a.places[:, -1:], p, -1) for p, a in zip(places, axes, strict=True)])
