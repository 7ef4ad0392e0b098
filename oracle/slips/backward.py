"""Slips of any backward pass: what it is given, and what was kept for it."""

from __future__ import annotations

import numpy as np

from oracle.slips.slip import NOTHING, Answers, Circumstances, slip

NORMS = ("batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm")
ACTIVATIONS = ("relu", "leaky_relu", "elu", "gelu", "silu", "sigmoid", "tanh", "softplus", "softmax", "log_softmax")
NOT_SHIFTED = tuple(name for name in ACTIVATIONS if name != "softmax")  # a dy that is constant gives softmax dx = 0
LOSSES = ("cross_entropy", "binary_cross_entropy", "mse_loss", "l2_penalty")
OTHERS = ("identity", "dropout", "affine", "linear")


def _gradients(at: Circumstances, answers: Answers) -> Answers:
    return {name: answers[name] for name in at.truth.gradients if name in answers}


@slip("dy is ignored: the gradients are those of a dy of ones", *NORMS, *NOT_SHIFTED, *LOSSES, *OTHERS)
def _ones(at: Circumstances) -> Answers:
    return _gradients(at, at.elsewhere(dy=np.ones(at.dy.shape)))


@slip("the first element of dy is used for all", *NORMS, *NOT_SHIFTED, *OTHERS)
def _first_element(at: Circumstances) -> Answers:
    if not at.dy.size:
        return NOTHING
    return _gradients(at, at.elsewhere(dy=np.full(at.dy.shape, at.dy.ravel()[0])))


@slip("dy is read in reverse", *NORMS, *ACTIVATIONS, *OTHERS)
def _reversed(at: Circumstances) -> Answers:
    return _gradients(at, at.elsewhere(dy=np.flip(at.dy)))


@slip(
    "the gradients are computed from y in the place of x: what was kept was overwritten",
    *NORMS,
    "elu",
    "gelu",
    "silu",
    "sigmoid",
    "tanh",
    "softplus",
    "softmax",
)
def _overwritten(at: Circumstances) -> Answers:
    return _gradients(at, at.elsewhere(given={"x": at.true("y")}))
