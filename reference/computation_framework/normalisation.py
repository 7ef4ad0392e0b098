"""Document 000, batch normalisation: what it claims."""

from __future__ import annotations

from typing import Any

import numpy as np

from reference.claim import Claim, gradient, offered, value

Array = Any


def rows_normalised(a: Array, gamma: Array, beta: Array, eps: float) -> tuple[Array, Array, Array]:
    """y, m and std (a variance) of a matrix whose columns are neurons."""
    n = len(a)
    m = a.sum(0) / n
    std = ((a - m) ** 2).sum(0) / n
    return gamma * ((a - m) / np.sqrt(std + eps)) + beta, m, std


def by_std(a: Array, gamma: Array, dy: Array, eps: float) -> Array:
    """dL/dstd_j = -gamma_j / 2 (std_j + eps)^(-3/2) sum over i of g_ij (a_ij - m_j)."""
    _, m, std = rows_normalised(a, gamma, 0.0, eps)
    return -gamma / 2 * (std + eps) ** -1.5 * (dy * (a - m)).sum(0)


def by_mean_first_line(a: Array, gamma: Array, dy: Array, eps: float) -> Array:
    """dL/dm_j by the quotient rule, std_j depending on m_j."""
    n = len(a)
    _, m, std = rows_normalised(a, gamma, 0.0, eps)
    root = np.sqrt(std + eps)
    std_by_mean = -2 * (a - m).sum(0) / n
    return (dy * gamma * (-root - (a - m) * 0.5 / root * std_by_mean) / (std + eps)).sum(0)


def by_mean(a: Array, gamma: Array, dy: Array, eps: float) -> Array:
    """dL/dm_j = -gamma_j / sqrt(std_j + eps) sum g_ij - dL/dstd_j (1/n) sum of 2 (a_ij - m_j)."""
    _, m, std = rows_normalised(a, gamma, 0.0, eps)
    return -gamma / np.sqrt(std + eps) * dy.sum(0) - by_std(a, gamma, dy, eps) / len(a) * (2 * (a - m)).sum(0)


def batch_norm_dx_first_line(x: Array, gamma: Array, beta: Array, dy: Array, eps: float = 1e-5) -> Array:
    """dL/da_ij as a sum over i of terms that all stand at the same i."""
    n = len(x)
    _, m, std = rows_normalised(x, gamma, beta, eps)
    root, c = np.sqrt(std + eps), x - m
    terms = dy * gamma * ((1 - 1 / n) * root - c * 0.5 / root * (2 / n) * c * (1 - 1 / n)) / (std + eps)
    return np.broadcast_to(terms.sum(0), x.shape)


def batch_norm_dx_first_line_corrected(x: Array, gamma: Array, beta: Array, dy: Array, eps: float = 1e-5) -> Array:
    """The sum over k of g_kj gamma_j ((d_ik - 1/n) root - (a_kj - m)(1/2) root^-1 (2/n)(a_ij - m)) / root^2."""
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
    """Over the samples of a feature (2.7) or over all pixels of a channel (4.9); the final lines of the gradients."""
    offered(training and running_mean is None and running_var is None, "running statistics")
    channels = x.shape[1]
    if x.size <= channels and x.size:
        raise ValueError("one value a channel")
    for name, p in (("gamma", gamma), ("beta", beta)):
        if p is not None and p.shape != (channels,):
            raise ValueError(f"{name} does not fit")

    def rows(v: Array) -> Array:
        return np.moveaxis(v, 1, -1).reshape(-1, channels)

    def images(v: Array) -> Array:
        return np.moveaxis(v.reshape(*np.moveaxis(x, 1, -1).shape), -1, 1)

    offered(x.size > 0, "empty batch")
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
    """Mean, variance and fourth moment of what normalisation leaves, as of a standard normal distribution."""
    return np.array([0.0, 1.0, 3.0])


def moments_left(x: Array) -> Array:
    """Mean 0 and variance 1; the fourth moment is the input's own."""
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
        "Each column less its mean, over the root of its mean squared deviation plus eps, times gamma, plus beta.",
        layer="batch_norm",
        formula="m = (1/n) sum x_i, std = (1/n) sum (x_i - m)^2, y_i = gamma (x_i - m) / sqrt(std + eps) + beta",
        question="y of batch_norm",
        says=value(batch_norm),
        examples=ROWS_AFFINE,
    ),
    Claim(
        "000/2.7-std",
        "2.7 batch normalisation",
        "The quantity std is the root of the mean squared deviation (the text's word), by which the values are divided.",
        formula="std = (1/n) sum (x_i - m)^2",
        question="the standard deviation of a column",
        says=lambda x: np.asarray(((x - x.mean()) ** 2).mean()),
        examples=({"x": np.array([0.0, 4.0])}, {"x": (3,)}),
        corrected=lambda x: np.sqrt(((x - x.mean()) ** 2).mean()),
        correction="It is the variance; its root is the standard deviation. The formulas use it rightly, under the wrong "
        "name.",
        consequence="Who reads std as a standard deviation divides by its root: the variance of the result is not 1.",
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
        correction="They get mean 0 and variance 1; the shape of their distribution stays what it was.",
        consequence="Two-valued data stays two-valued; nothing that needs normality may be concluded.",
    ),
    Claim(
        "000/2.7-bias",
        "2.7 batch normalisation",
        "The linear layer before needs no bias: it changes nothing.",
        layer="batch_norm",
        question="y of batch_norm",
        says=lambda x: value(batch_norm)(x=x + np.arange(1.0, 1 + x.shape[1])),
        examples=({"x": (2, 1)}, {"x": (3, 2)}),
    ),
    Claim(
        "000/2.7-eps",
        "2.7 batch normalisation",
        "eps = 1e-5 keeps the division finite where all values are equal.",
        layer="batch_norm",
        question="y of batch_norm",
        says=value(batch_norm),
        examples=({"x": np.full((3, 1), 2.0)},),
    ),
    Claim(
        "000/2.7-dstd",
        "2.7 batch normalisation",
        "The gradient by std.",
        layer="batch_norm",
        formula="dL/dstd_j = -(gamma_j / 2) (std_j + eps)^(-3/2) sum_i g_ij (a_ij - m_j)",
        question="the gradient of batch normalisation by its variance",
        says=by_std,
        examples=PARTS,
    ),
    Claim(
        "000/2.7-dm-1",
        "2.7 batch normalisation",
        "The gradient by the mean, by the quotient rule with std depending on m.",
        layer="batch_norm",
        formula="dL/dm_j = sum_i g_ij gamma_j (-sqrt(std_j + eps) - (a_ij - m_j)(1/2)(std_j + eps)^(-1/2) dstd_j/dm_j) / (std_j + eps)",
        question="the gradient of batch normalisation by its mean",
        says=by_mean_first_line,
        examples=PARTS,
    ),
    Claim(
        "000/2.7-dm-2",
        "2.7 batch normalisation",
        "The same in its second form.",
        layer="batch_norm",
        formula="dL/dm_j = -gamma_j / sqrt(std_j + eps) sum_i g_ij - dL/dstd_j (1/n) sum_i 2 (a_ij - m_j)",
        question="the gradient of batch normalisation by its mean",
        says=by_mean,
        examples=PARTS,
    ),
    Claim(
        "000/2.7-da-1",
        "2.7 batch normalisation",
        "The gradient by a_ij, first line: a sum over i of terms whose a_ij is the one that is differentiated by.",
        layer="batch_norm",
        formula="dL/da_ij = sum_i g_ij gamma_j ((1 - 1/n) sqrt(std_j + eps) - (a_ij - m_j)(1/2)(std_j + eps)^(-1/2) (2/n)(a_ij - m_j)(1 - 1/n)) / (std_j + eps)",
        question="dx of batch_norm",
        says=batch_norm_dx_first_line,
        examples=ROWS_AFFINE,
        corrected=batch_norm_dx_first_line_corrected,
        correction="The sum runs over another index k: (d_ik - 1/n) in place of (1 - 1/n), (a_kj - m_j) for the first "
        "difference, and dstd_j/da_ij = (2/n)(a_ij - m_j) without the factor (1 - 1/n).",
        consequence="All entries of a column get the same gradient. The second line, which does not follow from it, is "
        "right.",
    ),
    Claim(
        "000/2.7-da-2",
        "2.7 batch normalisation",
        "The gradient by a_ij, second line.",
        layer="batch_norm",
        formula="dL/da_ij = (1/n) dL/dm_j + (2 (a_ij - m_j) / n) dL/dstd_j + g_ij gamma_j / sqrt(std_j + eps)",
        question="dx of batch_norm",
        says=gradient(batch_norm),
        examples=ROWS_AFFINE,
    ),
    Claim(
        "000/2.7-dgamma",
        "2.7 batch normalisation",
        "The gradient by gamma.",
        layer="batch_norm",
        formula="dL/dgamma_j = sum_i g_ij a'_ij",
        question="dgamma of batch_norm",
        says=gradient(batch_norm, 1),
        examples=ROWS_AFFINE,
    ),
    Claim(
        "000/2.7-dbeta",
        "2.7 batch normalisation",
        "The gradient by beta.",
        layer="batch_norm",
        formula="dL/dbeta_j = sum_i g_ij",
        question="dbeta of batch_norm",
        says=gradient(batch_norm, 2),
        examples=ROWS_AFFINE,
    ),
)
