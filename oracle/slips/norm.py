"""Slips of the normalisations."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from oracle.slips.slip import NOTHING, Answers, Circumstances, slip

STANDARDISED = ("batch_norm", "layer_norm", "group_norm", "instance_norm")


class Statistics(NamedTuple):
    """The parts of a standardisation, in a shape that keeps the axes of the statistics apart."""

    x: np.ndarray
    axes: tuple[int, ...]
    size: int
    mean: np.ndarray
    var: np.ndarray
    eps: float
    gamma: np.ndarray  # of x's own shape
    beta: np.ndarray


def _statistics(at: Circumstances) -> Statistics | None:
    """Return the parts of the standardisation, or None if the statistics are given (evaluation) or x is empty."""
    x = at.array("x")
    if x is None or not x.size or at.option("training") is False:
        return None
    split, axes = _split(at, x)
    wide = x.reshape(split)
    gamma, beta = (_aligned(at, name, default, x) for name, default in (("gamma", 1.0), ("beta", 0.0)))
    count = int(np.prod([split[axis] for axis in axes]))
    mean, var = wide.mean(axes, keepdims=True), wide.var(axes, keepdims=True)
    return Statistics(wide, axes, count, mean, var, at.option("eps"), gamma, beta)


def _split(at: Circumstances, x: np.ndarray) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the shape that x is split into, and the axes of it that share mean and variance."""
    if at.case.layer == "batch_norm":
        return x.shape, (0, *range(2, x.ndim))
    if at.case.layer == "layer_norm":
        return x.shape, tuple(range(x.ndim - at.option("normalized_ndim"), x.ndim))
    groups = x.shape[1] if at.case.layer == "instance_norm" else at.option("groups")
    split = (x.shape[0], groups, x.shape[1] // groups, *x.shape[2:])
    return split, tuple(range(2, len(split)))


def _aligned(at: Circumstances, name: str, default: float, x: np.ndarray) -> np.ndarray:
    """Return gamma or beta in x's own shape."""
    parameter = at.array(name)
    if parameter is None:
        return np.full(x.shape, default)
    along = parameter if at.case.layer == "layer_norm" else parameter.reshape(-1, *[1] * (x.ndim - 2))
    return np.broadcast_to(along, x.shape)


def _value(at: Circumstances, s: Statistics, x_hat: np.ndarray) -> Answers:
    return {"y": x_hat.reshape(at.true("y").shape) * s.gamma + s.beta}


@slip("y divides by the unbiased variance; it must be the biased one", *STANDARDISED)
def _unbiased_variance(at: Circumstances) -> Answers:
    s = _statistics(at)
    if s is None or s.size < 2:
        return NOTHING
    return _value(at, s, (s.x - s.mean) / np.sqrt(s.var * s.size / (s.size - 1) + s.eps))


@slip("eps is added to the standard deviation, not to the variance", *STANDARDISED)
def _eps_outside(at: Circumstances) -> Answers:
    s = _statistics(at)
    return NOTHING if s is None else _value(at, s, (s.x - s.mean) / (np.sqrt(s.var) + s.eps))


@slip("gamma and beta are not applied", *STANDARDISED)
def _without_parameters(at: Circumstances) -> Answers:
    s = _statistics(at)
    return NOTHING if s is None else {"y": ((s.x - s.mean) / np.sqrt(s.var + s.eps)).reshape(at.true("y").shape)}


def _gradient(sentence: str, part: str) -> None:
    @slip(sentence, *STANDARDISED)
    def gradient(at: Circumstances) -> Answers:
        s = _statistics(at)
        if s is None:
            return NOTHING
        inv_std = 1 / np.sqrt(s.var + s.eps)
        x_hat = (s.x - s.mean) * inv_std
        d = (at.dy.astype(np.float64) * s.gamma).reshape(s.x.shape)
        own, along = d.mean(s.axes, keepdims=True), (d * x_hat).mean(s.axes, keepdims=True)
        dx = {
            "both": d,
            "mean": d - x_hat * along,
            "variance": d - own,
            "sums": d - own - x_hat * own,
        }[part]
        return {"dx": (inv_std * dx).reshape(at.true("dx").shape)}


_gradient("dx forgets that mean and variance depend on x", "both")
_gradient("dx forgets that the mean depends on x", "mean")
_gradient("dx forgets that the variance depends on x", "variance")
_gradient("dx uses the sum of dy where it needs the sum of dy * x_hat", "sums")
