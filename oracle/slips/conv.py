"""Slips of convolution and its transpose."""

from __future__ import annotations

import numpy as np

from oracle.layers.places import per_axis
from oracle.slips.slip import NOTHING, Answers, Circumstances, slip

CONVOLUTIONS = ("conv1d", "conv2d", "conv3d")
ALL = (*CONVOLUTIONS, "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")


def _turned(at: Circumstances) -> Answers:
    """Return the true answers for the kernel rotated by 180 degrees."""
    w = at.array("w")
    assert w is not None
    return at.elsewhere(given={"w": np.flip(w, tuple(range(2, w.ndim)))})


@slip("the kernel is flipped: a convolution in the mathematical sense, not a cross-correlation", *ALL)
def _flipped_kernel(at: Circumstances) -> Answers:
    return {"y": _turned(at)["y"]}


@slip("the kernel is not flipped where dx correlates dy with it", *ALL)
def _unflipped_gradient(at: Circumstances) -> Answers:
    return {"dx": _turned(at)["dx"]}


@slip("dw is rotated by 180 degrees", *ALL)
def _rotated_weight_gradient(at: Circumstances) -> Answers:
    dw = at.true("dw")
    return {"dw": np.flip(dw, tuple(range(2, dw.ndim)))}


@slip("dx is written with = where windows overlap and must be added", *CONVOLUTIONS)
def _overwritten_windows(at: Circumstances) -> Answers:
    """Compute dx in a loop over the outputs that assigns each window instead of adding to it."""
    x, w = at.array("x"), at.array("w")
    assert x is not None and w is not None
    if at.option("groups") != 1 or np.prod(at.dy.shape[2:]) > 64:
        return NOTHING
    wrong = np.zeros(x.shape)
    for place in np.ndindex(at.dy.shape[2:]):
        only = np.zeros(at.dy.shape, np.float64)
        only[(..., *place)] = at.dy[(..., *place)]
        one = np.zeros(at.dy.shape, np.float64)
        one[(..., *place)] = 1
        touched = at.elsewhere(dy=one, given={"w": np.ones_like(w)})["dx"][:1, :1] != 0
        wrong = np.where(touched, at.elsewhere(dy=only)["dx"], wrong)
    return {"dx": wrong}


def _ignored(name: str) -> None:
    @slip(f"{name} is ignored", *ALL, options=(name,))
    def _one(at: Circumstances) -> Answers:
        w = at.array("w")
        assert w is not None
        return NOTHING if set(per_axis(at.option(name), w.ndim - 2)) == {1} else at.elsewhere(options={name: 1})


for _name in ("dilation", "stride"):
    _ignored(_name)
