"""Slips of the normalisations."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from oracle.cases import Case
from oracle.slips.slip import Circumstances, Slip


def statistics_slips(at: Circumstances) -> Iterator[Slip]:
    """A dependence of the statistics is forgotten, or the value uses other statistics."""
    case, x, gamma = at.case, at.arrays[0], at.arrays[1]
    assert x is not None
    if case.configuration.get("training") is False:
        return
    split, axes = _statistics_axes(case, x)
    wide = x.astype(np.float64).reshape(split)
    eps = case.configuration.get("eps", 1e-5)
    count = int(np.prod([split[a] for a in axes]))
    g = np.ones(x.shape) if gamma is None else np.broadcast_to(_aligned(case, gamma, x), x.shape).astype(np.float64)
    mean, var = wide.mean(axes, keepdims=True), wide.var(axes, keepdims=True)
    x_hat, inv_std = (wide - mean) / np.sqrt(var + eps), 1 / np.sqrt(var + eps)
    if at.output == "dx":
        d = (at.dy.astype(np.float64) * g).reshape(split)
        own, along = d.mean(axes, keepdims=True), (d * x_hat).mean(axes, keepdims=True)
        for sentence, dx in (
            ("dx forgets that mean and variance depend on x", d),
            ("dx forgets that the mean depends on x", d - x_hat * along),
            ("dx forgets that the variance depends on x", d - own),
            ("dx uses the sum of dy where it needs the sum of dy * x_hat", d - own - x_hat * own),
        ):
            yield Slip(sentence, (inv_std * dx).reshape(x.shape))
    if at.output == "y" and count > 1:
        beta = at.arrays[2] if len(at.arrays) > 2 else None
        shift = 0.0 if beta is None else _aligned(case, beta, x).astype(np.float64)
        unbiased = (wide - mean) / np.sqrt(var * count / (count - 1) + eps)
        yield Slip(
            "y divides by the unbiased variance; it must be the biased one", unbiased.reshape(x.shape) * g + shift
        )
        outside = (wide - mean) / (np.sqrt(var) + eps)
        yield Slip("eps is added to the standard deviation, not to the variance", outside.reshape(x.shape) * g + shift)
        yield Slip("gamma and beta are not applied", x_hat.reshape(x.shape))


def _statistics_axes(case: Case, x: np.ndarray) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the shape that x is split into, and the axes of it that share mean and variance."""
    if case.layer == "batch_norm":
        return x.shape, (0, *range(2, x.ndim))
    if case.layer == "layer_norm":
        count = case.configuration.get("normalized_ndim", 1)
        return x.shape, tuple(range(x.ndim - count, x.ndim))
    groups = x.shape[1] if case.layer == "instance_norm" else case.configuration["groups"]
    split = (x.shape[0], groups, x.shape[1] // groups, *x.shape[2:])
    return split, tuple(range(2, len(split)))


def _aligned(case: Case, gamma: np.ndarray, x: np.ndarray) -> np.ndarray:
    return gamma if case.layer == "layer_norm" else gamma.reshape(-1, *[1] * (x.ndim - 2))
