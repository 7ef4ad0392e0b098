"""Right variants of the normalisation layers: the statistics in several ways, and the gradient in several forms.

Every layer is brought to rows (R, M) that share their statistics; gamma and beta are repeated to that shape.
"""

from __future__ import annotations

from functools import partial
from math import prod

import numpy as np

from tests.oracle.variants.sums import SUMS
from tests.oracle.variants.variant import put

# -- mean and variance of rows -----------------------------------------------------------------------------------------


def two_passes(add, x):
    """Compute the mean, and then the mean of the squared distances."""
    mean = add(x) / x.dtype.type(x.shape[1])
    centred = x - mean[:, None]
    return mean, add(centred * centred) / x.dtype.type(x.shape[1])


def corrected(x):
    """Compute two passes, and subtract what the rounding of the mean has left."""
    m = x.dtype.type(x.shape[1])
    mean = x.sum(axis=1) / m
    centred = x - mean[:, None]
    rest = centred.sum(axis=1)
    return mean, ((centred * centred).sum(axis=1) - rest * rest / m) / m


def welford(x):
    """Update mean and sum of squares with one element at a time."""
    mean, squares = np.zeros(len(x), x.dtype), np.zeros(len(x), x.dtype)
    for i in range(x.shape[1]):
        delta = x[:, i] - mean
        mean = mean + delta / x.dtype.type(i + 1)
        squares = squares + delta * (x[:, i] - mean)
    return mean, squares / x.dtype.type(max(1, x.shape[1]))


def merged(x):
    """Merge the statistics of the halves (Chan, Golub and LeVeque)."""

    def of(part):
        n = part.shape[1]
        if n <= 2:
            mean = part.sum(axis=1) / part.dtype.type(max(1, n))
            return mean, ((part - mean[:, None]) ** 2).sum(axis=1)
        left, right = n // 2, n - n // 2
        (mean_a, squares_a), (mean_b, squares_b) = of(part[:, :left]), of(part[:, left:])
        delta = mean_b - mean_a
        mean = mean_a + delta * part.dtype.type(right / n)
        return mean, squares_a + squares_b + delta * delta * part.dtype.type(left * right / n)

    mean, squares = of(x)
    return mean, squares / x.dtype.type(x.shape[1])


def shifted(x):
    """Subtract the first element, and add up the rest and its squares in one pass."""
    first = x[:, :1]
    rest, m = x - first, x.dtype.type(x.shape[1])
    mean = rest.sum(axis=1) / m
    return first[:, 0] + mean, np.maximum((rest * rest).sum(axis=1) / m - mean * mean, 0)


def doubled(x):
    """Compute in twice the precision and round at the end."""
    wide = x.astype(np.float64 if x.dtype == np.float32 else np.longdouble)
    return wide.mean(axis=1).astype(x.dtype), wide.var(axis=1).astype(x.dtype)


# -- the gradient of (x - mean) / sqrt(var + eps), M terms in a row ------------------------------------------------------


def short_form(x_hat, inv_std, d):
    """Subtract the mean of d and its part along x_hat."""
    m = d.dtype.type(d.shape[1])
    return inv_std * (d - d.sum(axis=1, keepdims=True) / m - x_hat * ((d * x_hat).sum(axis=1, keepdims=True) / m))


def over_m(x_hat, inv_std, d):
    """Divide by M at the end."""
    m = d.dtype.type(d.shape[1])
    total = np.einsum("rm->r", d)[:, None]
    along = np.einsum("rm,rm->r", d, x_hat)[:, None]
    return (inv_std / m) * (m * d - total - x_hat * along)


def by_the_chain(x_hat, inv_std, d):
    """Go through the variance and the mean, as the chain rule has it."""
    m = d.dtype.type(d.shape[1])
    centred = x_hat / inv_std
    dvar = (d * centred).sum(axis=1, keepdims=True) * (-0.5 * inv_std**3)
    dmean = -(d * inv_std).sum(axis=1, keepdims=True)
    return d * inv_std + dvar * (2 / m) * centred + dmean / m


def two_projections(x_hat, inv_std, d):
    """Subtract the mean first, and then what is left along x_hat."""
    m = d.dtype.type(d.shape[1])
    d = d - d.sum(axis=1, keepdims=True) / m
    return inv_std * (d - x_hat * ((d * x_hat).sum(axis=1, keepdims=True) / m))


# -- rows of each layer --------------------------------------------------------------------------------------------------


class Rows:
    """How a layer's x becomes rows, and where gamma and beta belong."""

    def __init__(self, x, axes, parameter_axes):
        others = tuple(a for a in range(x.ndim) if a not in axes)
        self.order, self.shape = (*others, *axes), x.shape
        self.moved = tuple(x.shape[a] for a in self.order)
        self.rows = prod(x.shape[a] for a in others)
        self.parameter_axes = parameter_axes

    def of(self, v):
        """Return an array of x's shape as rows."""
        return v.transpose(self.order).reshape(self.rows, prod(self.shape) // self.rows if self.rows else 0)

    def back(self, rows):
        """Return rows in x's shape."""
        return np.ascontiguousarray(rows.reshape(self.moved).transpose(np.argsort(self.order)))

    def repeated(self, parameter):
        """Return a parameter in a shape that broadcasts against x."""
        return parameter.reshape([n if a in self.parameter_axes else 1 for a, n in enumerate(self.shape)])

    def added(self, v, like):
        """Add up what belongs to each parameter."""
        axes = tuple(a for a in range(len(self.shape)) if a not in self.parameter_axes)
        return v.sum(axis=axes).reshape(like.shape)


def normalised(statistics, gradient, frame, x, gamma, beta, eps):
    """Return y, the pullback, and the statistics."""
    rows = frame.of(x)
    mean, var = statistics(rows) if rows.size else (np.zeros(len(rows), x.dtype), np.zeros(len(rows), x.dtype))
    inv_std = (1 / np.sqrt(var + x.dtype.type(eps)))[:, None]
    x_hat = (rows - mean[:, None]) * inv_std
    whole = frame.back(x_hat)
    y = whole if gamma is None else whole * frame.repeated(gamma)
    y = y if beta is None else y + frame.repeated(beta)

    def pullback(dy):
        d = frame.of(dy if gamma is None else dy * frame.repeated(gamma))
        dx = frame.back(gradient(x_hat, inv_std, d)) if rows.size else np.zeros_like(x)
        dgamma = None if gamma is None else frame.added(dy * whole, gamma)
        return dx, dgamma, None if beta is None else frame.added(dy, beta)

    return y, pullback, mean, var


def fused(statistics, gradient, frame, x, gamma, beta, eps):
    """Return y = x scale + shift, with one scale and one shift per row and parameter."""
    y, pullback, mean, var = normalised(statistics, gradient, frame, x, gamma, beta, eps)
    if not y.size:
        return y, pullback, mean, var
    ones = np.ones((1, frame.of(x).shape[1]), x.dtype)
    scale = frame.back((1 / np.sqrt(var + x.dtype.type(eps)))[:, None] * ones)
    scale = scale if gamma is None else scale * frame.repeated(gamma)
    shift = -frame.back(mean[:, None] * ones) * scale
    shift = shift if beta is None else shift + frame.repeated(beta)
    return x * scale + shift, pullback, mean, var


def layer_norm(way, x, gamma=None, beta=None, *, normalized_ndim=1, eps=1e-5):
    """Normalise over the last axes."""
    last = tuple(range(x.ndim - normalized_ndim, x.ndim))
    return way(Rows(x, last, last), x, gamma, beta, eps)[:2]


def instance_norm(way, x, gamma=None, beta=None, *, eps=1e-5):
    """Normalise over all places, for each sample and channel."""
    return way(Rows(x, tuple(range(2, x.ndim)), (1,)), x, gamma, beta, eps)[:2]


def group_norm(way, x, gamma=None, beta=None, *, groups, eps=1e-5):
    """Normalise over the channels of a group and all places; the groups become an axis of their own."""
    apart = (len(x), groups, x.shape[1] // groups, *x.shape[2:])
    frame = Rows(x.reshape(apart), tuple(range(2, x.ndim + 1)), (1, 2))
    y, pullback, _, _ = way(frame, x.reshape(apart), gamma, beta, eps)

    def back(dy):
        dx, *others = pullback(dy.reshape(apart))
        return dx.reshape(x.shape), *others

    return y.reshape(x.shape), back


def batch_norm(
    way, x, gamma=None, beta=None, running_mean=None, running_var=None, *, training=True, momentum=0.1, eps=1e-5
):
    """Normalise over the batch and all places, for each channel; evaluation takes what was given."""
    axes, count = (0, *range(2, x.ndim)), prod(x.shape) // x.shape[1]
    frame = Rows(x, axes, (1,))
    if not training:
        y, pullback, _, _ = way(frame, x, gamma, beta, eps, (running_mean, running_var))
        return (y, running_mean.copy(), running_var.copy()), lambda dy: (*pullback(dy), None, None)
    y, pullback, mean, var = way(frame, x, gamma, beta, eps)
    new = (None, None)
    if running_mean is not None:
        keep, take = x.dtype.type(1 - momentum), x.dtype.type(momentum)
        unbiased = var * x.dtype.type(count / (count - 1)) if count else var
        new = (running_mean.copy(), running_var.copy())
        new = (keep * running_mean + take * mean, keep * running_var + take * unbiased) if count else new
    return (y, *new), lambda dy: (*pullback(dy), None, None)


def given(form, statistics, gradient, frame, x, gamma, beta, eps, running=None):
    """Take the statistics of x, or running ones, through which no gradient flows."""
    if running is None:
        return form(statistics, gradient, frame, x, gamma, beta, eps)
    return form(lambda rows: running, lambda x_hat, inv_std, d: inv_std * d, frame, x, gamma, beta, eps)


ROUNDS_A_MEAN = "a mean of small integers is rounded at each step, where the sum of the definition is exact"
FAR_FROM_THE_MEAN = (
    "the first element may lie far from the mean, so its distances overflow, or their mean square cancels with the "
    "squared mean"
)
CANCELS = (
    "x scale and the shift are both as large as mean / std if the mean is large, and they cancel; the definition "
    "subtracts the mean first"
)
OVERFLOWS = "M dy may overflow where the mean of dy does not"
WAYS = {
    "Welford": (normalised, welford, short_form, ROUNDS_A_MEAN),
    "pairwise sums": (normalised, partial(two_passes, SUMS["pairwise"]), over_m, "", OVERFLOWS),
    "compensated sums": (normalised, partial(two_passes, SUMS["compensated"]), by_the_chain),
    "one by one": (normalised, partial(two_passes, SUMS["one by one"]), two_projections),
    "corrected": (normalised, corrected, over_m, "", OVERFLOWS),
    "merged halves": (normalised, merged, by_the_chain, ROUNDS_A_MEAN),
    "one pass, shifted by the first": (normalised, shifted, short_form, FAR_FROM_THE_MEAN, FAR_FROM_THE_MEAN),
    "twice the precision": (normalised, doubled, two_projections),
    "fused scale and shift": (
        fused,
        partial(two_passes, SUMS["pairwise"]),
        short_form,
        CANCELS,
        "x scale overflows, or is infinity, where its sum with the shift would not be",
    ),
}
for _name, (_form, _statistics, _gradient, *_explained) in WAYS.items():
    for _function in (layer_norm, instance_norm, group_norm, batch_norm):
        _way = partial(given, _form, _statistics, _gradient)
        put(_function.__name__, _name, partial(_function, _way), *_explained)


# -- rms_norm ------------------------------------------------------------------------------------------------------------


def rms_norm(mean_square, inverse, x, gamma=None, *, normalized_ndim=1, eps=1e-5):
    """Divide by the root of the mean square over the last axes."""
    last = tuple(range(x.ndim - normalized_ndim, x.ndim))
    frame = Rows(x, last, last)
    rows = frame.of(x)
    m = x.dtype.type(max(1, rows.shape[1]))
    r = inverse(mean_square(rows, m), x.dtype.type(eps))[:, None]
    x_hat = rows * r
    whole = frame.back(x_hat)

    def pullback(dy):
        d = frame.of(dy if gamma is None else dy * frame.repeated(gamma))
        dx = r * d - x_hat * (r * (np.einsum("rm,rm->r", d, x_hat)[:, None] / m))
        return frame.back(dx), None if gamma is None else frame.added(dy * whole, gamma)

    return whole if gamma is None else whole * frame.repeated(gamma), pullback


def _dot(rows, m):
    return np.array([row @ row for row in rows], rows.dtype) / m


def _scaled(rows, m):
    largest = np.abs(rows).max(axis=1, initial=0, keepdims=True)
    largest = np.where((largest > 0) & np.isfinite(largest), largest, 1).astype(rows.dtype)
    return np.einsum("rm,rm->r", rows / largest, rows / largest) / m * (largest[:, 0] * largest[:, 0])


def _root(mean_square, eps):
    return 1 / np.sqrt(mean_square + eps)


def _power(mean_square, eps):
    return (mean_square + eps) ** mean_square.dtype.type(-0.5)


ROOT_MEAN_SQUARES = {
    "dot": (_dot, _root),
    "einsum": (lambda rows, m: np.einsum("rm,rm->r", rows, rows) / m, _root),
    "scaled by the largest": (_scaled, _root),
    "compensated sums": (lambda rows, m: SUMS["compensated"](rows * rows) / m, _root),
    "one by one, a power": (lambda rows, m: SUMS["one by one"](rows * rows / m), _power),
}
for _name, (_mean_square, _inverse) in ROOT_MEAN_SQUARES.items():
    put("rms_norm", _name, partial(rms_norm, _mean_square, _inverse))
