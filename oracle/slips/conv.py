"""Slips of convolution and its transpose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from oracle.layers.places import per_axis
from oracle.slips.slip import Circumstances, Slip
from oracle.truth import derive


def kernel_slips(at: Circumstances) -> Iterator[Slip]:
    """The kernel is flipped where it must not be, or the other way round."""
    x, w, *rest = at.arrays
    assert x is not None and w is not None
    axes = tuple(range(2, w.ndim))
    turned = np.ascontiguousarray(np.flip(w, axes))
    if at.output == "y":
        sentence = "the kernel is flipped: a convolution in the mathematical sense, not a cross-correlation"
        yield Slip(sentence, at.true_value(at.case, [x, turned, *rest], at.dy))
    if at.output == "dx":
        sentence = "the kernel is not flipped where dx correlates dy with it"
        yield Slip(sentence, at.true_value(at.case, [x, turned, *rest], at.dy))
    if at.output == "dw":
        yield Slip("dw is rotated by 180 degrees", np.flip(at.truth, axes))
    if at.output == "dx" and not at.case.layer.startswith("conv_transpose"):
        yield Slip("dx is written with = where windows overlap and must be added", _overwritten(at))


def _overwritten(at: Circumstances) -> np.ndarray:
    """Compute dx in a loop over the outputs that assigns each window instead of adding to it."""
    x, w, *_ = at.arrays
    assert x is not None and w is not None
    wrong = np.zeros(x.shape)
    if at.case.configuration.get("groups", 1) != 1:
        return np.full(x.shape, np.nan)
    place: Any
    for place in np.ndindex(at.dy.shape[2:]):
        only = np.zeros(at.dy.shape, at.dy.dtype)
        only[(..., *place)] = at.dy[(..., *place)]
        part = at.true_value(at.case, at.arrays, only)
        one = np.zeros(at.dy.shape, at.dy.dtype)
        one[(..., *place)] = 1
        touched = at.true_value(at.case, [x, np.ones_like(w), *at.arrays[2:]], one)[:1, :1] != 0
        wrong = np.where(touched, part, wrong)
    return wrong


def option_slips(at: Circumstances) -> Iterator[Slip]:
    """An option is ignored."""
    w = at.arrays[1]
    assert w is not None
    for name in ("dilation", "stride"):
        value = at.case.configuration.get(name)
        if value is None or set(per_axis(value, w.ndim - 2)) == {1}:
            continue
        other = replace(at.case, configuration={**at.case.configuration, name: 1})
        if derive(other.layer, other.shapes, other.configuration).value_shape == at.dy.shape:
            yield Slip(f"{name} is ignored", at.true_value(other, at.arrays, at.dy))
