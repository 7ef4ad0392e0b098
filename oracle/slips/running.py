"""Slips of batch normalisation that concern its running statistics and its evaluation mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from oracle.slips.slip import NOTHING, Answers, Circumstances, slip


class Batch(NamedTuple):
    """The mean and the unbiased variance of the batch, the running ones, and the number of elements per channel."""

    mean: np.ndarray
    var: np.ndarray
    old_mean: np.ndarray
    old_var: np.ndarray
    size: int


def _batch(at: Circumstances) -> Batch | None:
    """Return the statistics, or None if x is empty or no running ones are given."""
    x, old_mean, old_var = at.array("x"), at.array("running_mean"), at.array("running_var")
    if x is None or old_mean is None or old_var is None or not x.size:
        return None
    axes = (0, *range(2, x.ndim))
    size = x.size // x.shape[1]
    return Batch(x.mean(axes), x.var(axes) * size / np.float64(size - 1), old_mean, old_var, size)


# -- training: the new running statistics -----------------------------------------------------------------------------

Update = Callable[[Batch, float], np.ndarray]


def _running(sentence: str, *, mean: Update | None = None, var: Update | None = None, resembles: str = "") -> None:
    """Update the running statistics in another way."""

    @slip(sentence, "batch_norm", resembles=resembles)
    def _one(at: Circumstances) -> Answers:
        batch = _batch(at)
        if batch is None or not at.option("training"):
            return NOTHING
        updates = {"new_running_mean": mean, "new_running_var": var}
        momentum = float(at.option("momentum"))
        return {name: update(batch, momentum) for name, update in updates.items() if update is not None}


def _mixed(old: np.ndarray, new: np.ndarray, momentum: float) -> np.ndarray:
    return np.asarray((1 - momentum) * old + momentum * new)


_running(
    "momentum is the share of the old running statistics; it must be that of the new ones",
    mean=lambda b, m: _mixed(b.old_mean, b.mean, 1 - m),
    var=lambda b, m: _mixed(b.old_var, b.var, 1 - m),
    resembles="PaddlePaddle/Paddle #51120",
)
_running(
    "the new running variance is made from the biased variance; it must be the unbiased one",
    var=lambda b, m: _mixed(b.old_var, b.var * (b.size - 1) / b.size, m),
    resembles="ml-explore/mlx #3817",
)
_running(
    "the running statistics are returned as they came: training must update them",
    mean=lambda b, m: b.old_mean,
    var=lambda b, m: b.old_var,
    resembles="paiml/aprender #2166",
)
_running(
    "the new running statistics are those of the batch: the old ones are lost",
    mean=lambda b, m: b.mean,
    var=lambda b, m: b.var,
)
_running(
    "the old running statistics are not multiplied by 1 - momentum",
    mean=lambda b, m: b.old_mean + m * b.mean,
    var=lambda b, m: b.old_var + m * b.var,
)
_running(
    "the statistics of the batch are not multiplied by momentum",
    mean=lambda b, m: (1 - m) * b.old_mean + b.mean,
    var=lambda b, m: (1 - m) * b.old_var + b.var,
)
_running(
    "the new running mean is made from the sum over the batch", mean=lambda b, m: _mixed(b.old_mean, b.mean * b.size, m)
)
_running(
    "the new running variance is taken about the running mean, not about the mean of the batch",
    var=lambda b, m: _mixed(b.old_var, b.var + (b.mean - b.old_mean) ** 2 * b.size / np.float64(b.size - 1), m),
)
_running(
    "the new running variance is made from the standard deviation",
    var=lambda b, m: _mixed(b.old_var, np.sqrt(b.var), m),
)
_running(
    "the new running variance is made from the reciprocal of the standard deviation",
    var=lambda b, m: _mixed(b.old_var, 1 / np.sqrt(b.var), m),
    resembles="torch/nn #567",
)
_running(
    "the new running variance is made from the mean of x * x",
    var=lambda b, m: _mixed(b.old_var, (b.var * (b.size - 1) + b.mean**2 * b.size) / b.size, m),
)
_running(
    "the running mean and the running variance are exchanged",
    mean=lambda b, m: _mixed(b.old_var, b.var, m),
    var=lambda b, m: _mixed(b.old_mean, b.mean, m),
)


# -- training and evaluation exchanged --------------------------------------------------------------------------------


def _only(answers: Answers, *names: str) -> Answers:
    return {name: answers[name] for name in names if name in answers}


@slip("training normalises with the running statistics", "batch_norm")
def _training_as_evaluation(at: Circumstances) -> Answers:
    if _batch(at) is None or not at.option("training"):
        return NOTHING
    return _only(at.elsewhere(options={"training": False}), "y", "dx", "dgamma")


@slip("training normalises with the new running statistics", "batch_norm")
def _training_with_new(at: Circumstances) -> Answers:
    if _batch(at) is None or not at.option("training"):
        return NOTHING
    new = {name: at.true(f"new_{name}") for name in ("running_mean", "running_var")}
    return _only(at.elsewhere(given=new, options={"training": False}), "y", "dx", "dgamma")


@slip("evaluation normalises with the mean and the variance of the batch", "batch_norm")
def _evaluation_as_training(at: Circumstances) -> Answers:
    batch = _batch(at)
    if batch is None or batch.size < 2 or at.option("training"):
        return NOTHING
    return _only(at.elsewhere(options={"training": True}), "y", "dx", "dgamma")


@slip("evaluation updates the running statistics", "batch_norm")
def _evaluation_updates(at: Circumstances) -> Answers:
    batch = _batch(at)
    if batch is None or batch.size < 2 or at.option("training"):
        return NOTHING
    momentum = at.option("momentum")
    return {
        "new_running_mean": _mixed(batch.old_mean, batch.mean, momentum),
        "new_running_var": _mixed(batch.old_var, batch.var, momentum),
    }


# -- evaluation: what is done with the running statistics -------------------------------------------------------------


def _evaluated(sentence: str, change: Callable[[Batch, float], tuple[np.ndarray, np.ndarray]], *names: str) -> None:
    """Evaluate with another running mean and variance."""

    @slip(sentence, "batch_norm")
    def _one(at: Circumstances) -> Answers:
        batch = _batch(at)
        if batch is None or at.option("training"):
            return NOTHING
        mean, var = change(batch, float(at.option("eps")))
        return _only(at.elsewhere(given={"running_mean": mean, "running_var": var}), *names)


_evaluated(
    "evaluation divides by the running variance, not by its square root",
    lambda b, eps: (b.old_mean, (b.old_var + eps) ** 2 - eps),
    "y",
    "dx",
    "dgamma",
)
_evaluated(
    "evaluation adds no eps to the running variance", lambda b, eps: (b.old_mean, b.old_var - eps), "y", "dx", "dgamma"
)
_evaluated("evaluation does not subtract the running mean", lambda b, eps: (0 * b.old_mean, b.old_var), "y", "dgamma")
_evaluated(
    "evaluation makes the running variance unbiased once more",
    lambda b, eps: (b.old_mean, b.old_var * b.size / np.float64(b.size - 1)),
    "y",
    "dx",
    "dgamma",
)
_evaluated(
    "dgamma in evaluation is computed with the statistics of the batch", lambda b, eps: (b.mean, b.var), "dgamma"
)


@slip("dx in evaluation treats mean and variance as functions of x", "batch_norm", resembles="pytorch/xla #913")
def _evaluation_gradient(at: Circumstances) -> Answers:
    batch, x = _batch(at), at.array("x")
    if batch is None or x is None or at.option("training"):
        return NOTHING
    axes, along = (0, *range(2, x.ndim)), (1, -1, *[1] * (x.ndim - 2))
    inv_std = 1 / np.sqrt(batch.old_var.reshape(along) + at.option("eps"))
    x_hat = (x - batch.old_mean.reshape(along)) * inv_std
    gamma = at.array("gamma")
    d = at.dy.astype(np.float64) * (1.0 if gamma is None else gamma.reshape(along))
    inner = d - d.mean(axes, keepdims=True) - x_hat * (d * x_hat).mean(axes, keepdims=True)
    return {"dx": inv_std * inner}
