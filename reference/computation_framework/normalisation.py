"""Restate the claims of document 000 about batch normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from reference.claim import Claim, gradient, require, value

Array = Any


def rows_normalised(a: Array, gamma: Array, beta: Array, eps: float) -> tuple[Array, Array, Array]:
    """Compute y, m and std (which is a variance) of a matrix whose columns are neurons."""
    n = len(a)
    m = a.sum(0) / n
    std = ((a - m) ** 2).sum(0) / n
    return gamma * ((a - m) / np.sqrt(std + eps)) + beta, m, std


def by_std(a: Array, gamma: Array, dy: Array, eps: float) -> Array:
    """Compute dL/dstd_j = -gamma_j / 2 (std_j + eps)^(-3/2) sum over i of g_ij (a_ij - m_j)."""
    _, m, std = rows_normalised(a, gamma, 0.0, eps)
    return -gamma / 2 * (std + eps) ** -1.5 * (dy * (a - m)).sum(0)


def by_mean_first_line(a: Array, gamma: Array, dy: Array, eps: float) -> Array:
    """Compute dL/dm_j by the quotient rule; std_j depends on m_j."""
    n = len(a)
    _, m, std = rows_normalised(a, gamma, 0.0, eps)
    root = np.sqrt(std + eps)
    std_by_mean = -2 * (a - m).sum(0) / n
    return (dy * gamma * (-root - (a - m) * 0.5 / root * std_by_mean) / (std + eps)).sum(0)


def by_mean(a: Array, gamma: Array, dy: Array, eps: float) -> Array:
    """Compute dL/dm_j = -gamma_j / sqrt(std_j + eps) sum g_ij - dL/dstd_j (1/n) sum of 2 (a_ij - m_j)."""
    _, m, std = rows_normalised(a, gamma, 0.0, eps)
    return -gamma / np.sqrt(std + eps) * dy.sum(0) - by_std(a, gamma, dy, eps) / len(a) * (2 * (a - m)).sum(0)


def batch_norm_dx_first_line(x: Array, gamma: Array, beta: Array, dy: Array, eps: float = 1e-5) -> Array:
    """Compute dL/da_ij as a sum over i, in which every term uses the same i."""
    n = len(x)
    _, m, std = rows_normalised(x, gamma, beta, eps)
    root, c = np.sqrt(std + eps), x - m
    terms = dy * gamma * ((1 - 1 / n) * root - c * 0.5 / root * (2 / n) * c * (1 - 1 / n)) / (std + eps)
    return np.broadcast_to(terms.sum(0), x.shape)


def batch_norm_dx_first_line_corrected(x: Array, gamma: Array, beta: Array, dy: Array, eps: float = 1e-5) -> Array:
    """Sum g_kj gamma_j ((d_ik - 1/n) root - (a_kj - m)(1/2) root^-1 (2/n)(a_ij - m)) / root^2 over k."""
    n = len(x)
    _, m, std = rows_normalised(x, gamma, beta, eps)
    root, c = np.sqrt(std + eps), x - m
    dx = np.zeros_like(x)
    for i in range(n):
        for k in range(n):
            dx[i] += dy[k] * gamma * (((i == k) - 1 / n) * root - c[k] * 0.5 / root * (2 / n) * c[i]) / (std + eps)
    return dx


def batch_norm(
    x: Array,
    gamma: Array = None,
    beta: Array = None,
    running_mean: Array = None,
    running_var: Array = None,
    *,
    training: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> tuple[Array, Any]:
    """Normalise the samples of a feature (2.7) or the pixels of a channel (4.9). Gradients follow the last lines."""
    require(training and running_mean is None and running_var is None, "running statistics")
    channels = x.shape[1]
    if x.size <= channels and x.size:
        raise ValueError("there is only one value per channel")
    for name, p in (("gamma", gamma), ("beta", beta)):
        if p is not None and p.shape != (channels,):
            raise ValueError(f"{name} does not fit")

    def rows(v: Array) -> Array:
        return np.moveaxis(v, 1, -1).reshape(-1, channels)

    def images(v: Array) -> Array:
        return np.moveaxis(v.reshape(*np.moveaxis(x, 1, -1).shape), -1, 1)

    require(x.size > 0, "an empty batch")
    a, scale = rows(x), np.ones(channels, x.dtype) if gamma is None else gamma
    shift = np.zeros(channels, x.dtype) if beta is None else beta
    y, m, std = rows_normalised(a, scale, shift, eps)
    n = len(a)

    def pullback(dy: Array) -> tuple[Array, ...]:
        g = rows(dy)
        d_std, d_m = by_std(a, scale, g, eps), by_mean(a, scale, g, eps)
        da = d_m / n + 2 * (a - m) / n * d_std + g * scale / np.sqrt(std + eps)
        d_gamma = (g * (a - m) / np.sqrt(std + eps)).sum(0)
        return (
            images(da).astype(x.dtype),
            None if gamma is None else d_gamma.astype(x.dtype),
            None if beta is None else g.sum(0),
            None,
            None,
        )

    return images(y).astype(x.dtype), pullback


def normalised_moments(x: Array) -> Array:
    """Return the mean, variance and fourth moment of a standard normal distribution."""
    return np.array([0.0, 1.0, 3.0])


def moments_left(x: Array) -> Array:
    """Return mean 0, variance 1 and the fourth moment of the input, which normalisation does not change."""
    c = x - x.mean()
    return np.array([0.0, 1.0, (c**4).mean() / (c**2).mean() ** 2])


ROWS_AFFINE = (
    {"x": (2, 1), "gamma": (1,), "beta": (1,)},
    {"x": (3, 2), "gamma": (2,), "beta": (2,)},
    {"x": (4, 3), "gamma": (3,), "beta": (3,), "eps": 0.5},
)
PARTS = (
    {"a": (3, 2), "gamma": (2,), "dy": (3, 2), "eps": 1e-5},
    {"a": (4, 1), "gamma": (1,), "dy": (4, 1), "eps": 0.5},
)

CLAIMS: tuple[Claim, ...] = (
    Claim(
        "000/2.7-value",
        "2.7 batch normalisation",
        "The mean of each column is subtracted. The result is divided by the root of the mean squared "
        "deviation plus eps, multiplied by gamma, and beta is added.",
        layer="batch_norm",
        formula="m = (1/n) sum x_i, std = (1/n) sum (x_i - m)^2, y_i = gamma (x_i - m) / sqrt(std + eps) + beta",
        question="y of batch_norm",
        says=value(batch_norm),
        examples=ROWS_AFFINE,
    ),
    Claim(
        "000/2.7-std",
        "2.7 batch normalisation",
        "The quantity std is the root of the mean squared deviation, as the text says, and the values are"
        " divided by it.",
        formula="std = (1/n) sum (x_i - m)^2",
        question="the standard deviation of a column",
        says=lambda x: np.asarray(((x - x.mean()) ** 2).mean()),
        examples=({"x": np.array([0.0, 4.0])}, {"x": (3,)}),
        corrected=lambda x: np.sqrt(((x - x.mean()) ** 2).mean()),
        correction="It is the variance, and its root is the standard deviation. The formulas use it correctly, but "
        "under the wrong name.",
        consequence="A reader who takes std for a standard deviation divides by its root, and the variance of the "
        "result is not 1.",
        condition="the variance is 0 or 1",
        under=({"x": np.array([0.0, 2.0])}, {"x": np.array([3.0, 3.0])}),
    ),
    Claim(
        "000/2.7-normal",
        "2.7 batch normalisation",
        "Dividing by the deviation forces the values into a standard normal distribution.",
        question="mean, variance and fourth moment after normalisation",
        says=normalised_moments,
        examples=({"x": np.array([-1.0, 1.0])}, {"x": np.array([0.0, 0.0, 3.0])}),
        corrected=moments_left,
        correction="The values get mean 0 and variance 1. The shape of their distribution does not change.",
        consequence="Data with two values still has two values. Conclusions that need a normal distribution are wrong.",
    ),
    Claim(
        "000/2.7-bias",
        "2.7 batch normalisation",
        "The linear layer before a normalisation needs no bias, because the bias changes nothing.",
        layer="batch_norm",
        question="y of batch_norm",
        says=lambda x: value(batch_norm)(x=x + np.arange(1.0, 1 + x.shape[1])),
        examples=({"x": (2, 1)}, {"x": (3, 2)}),
    ),
    Claim(
        "000/2.7-eps",
        "2.7 batch normalisation",
        "eps = 1e-5 keeps the division finite if all values are equal.",
        layer="batch_norm",
        question="y of batch_norm",
        says=value(batch_norm),
        examples=({"x": np.full((3, 1), 2.0)},),
    ),
    Claim(
        "000/2.7-dstd",
        "2.7 batch normalisation",
        "The document gives the gradient with respect to std.",
        layer="batch_norm",
        formula="dL/dstd_j = -(gamma_j / 2) (std_j + eps)^(-3/2) sum_i g_ij (a_ij - m_j)",
        question="the gradient of batch normalisation with respect to its variance",
        says=by_std,
        examples=PARTS,
    ),
    Claim(
        "000/2.7-dm-1",
        "2.7 batch normalisation",
        "The first line gives the gradient with respect to the mean. It uses the quotient rule, and std depends on m.",
        layer="batch_norm",
        formula="dL/dm_j = sum_i g_ij gamma_j (-sqrt(std_j + eps) - (a_ij - m_j)(1/2)(std_j + eps)^(-1/2) dstd_j/dm_j) / (std_j + eps)",
        question="the gradient of batch normalisation with respect to its mean",
        says=by_mean_first_line,
        examples=PARTS,
    ),
    Claim(
        "000/2.7-dm-2",
        "2.7 batch normalisation",
        "The second line gives the same gradient in another form.",
        layer="batch_norm",
        formula="dL/dm_j = -gamma_j / sqrt(std_j + eps) sum_i g_ij - dL/dstd_j (1/n) sum_i 2 (a_ij - m_j)",
        question="the gradient of batch normalisation with respect to its mean",
        says=by_mean,
        examples=PARTS,
    ),
    Claim(
        "000/2.7-da-1",
        "2.7 batch normalisation",
        "The first line gives the gradient with respect to a_ij as a sum over i. In every term, a_ij is "
        "the variable of the derivative.",
        layer="batch_norm",
        formula="dL/da_ij = sum_i g_ij gamma_j ((1 - 1/n) sqrt(std_j + eps) - (a_ij - m_j)(1/2)(std_j + eps)^(-1/2) (2/n)(a_ij - m_j)(1 - 1/n)) / (std_j + eps)",
        question="dx of batch_norm",
        says=batch_norm_dx_first_line,
        examples=ROWS_AFFINE,
        corrected=batch_norm_dx_first_line_corrected,
        correction="The sum must run over another index k. (d_ik - 1/n) replaces (1 - 1/n), (a_kj - m_j) replaces "
        "the first difference, and dstd_j/da_ij = (2/n)(a_ij - m_j) has no factor (1 - 1/n).",
        consequence="All entries of a column get the same gradient. The second line is right, but it does not follow "
        "from the first.",
    ),
    Claim(
        "000/2.7-da-2",
        "2.7 batch normalisation",
        "The second line gives the gradient with respect to a_ij.",
        layer="batch_norm",
        formula="dL/da_ij = (1/n) dL/dm_j + (2 (a_ij - m_j) / n) dL/dstd_j + g_ij gamma_j / sqrt(std_j + eps)",
        question="dx of batch_norm",
        says=gradient(batch_norm),
        examples=ROWS_AFFINE,
    ),
    Claim(
        "000/2.7-dgamma",
        "2.7 batch normalisation",
        "The document gives the gradient with respect to gamma.",
        layer="batch_norm",
        formula="dL/dgamma_j = sum_i g_ij a'_ij",
        question="dgamma of batch_norm",
        says=gradient(batch_norm, 1),
        examples=ROWS_AFFINE,
    ),
    Claim(
        "000/2.7-dbeta",
        "2.7 batch normalisation",
        "The document gives the gradient with respect to beta.",
        layer="batch_norm",
        formula="dL/dbeta_j = sum_i g_ij",
        question="dbeta of batch_norm",
        says=gradient(batch_norm, 2),
        examples=ROWS_AFFINE,
    ),
)
