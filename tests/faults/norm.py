"""Faults of the normalisations."""

from math import prod

import numpy as np

from tests.faults.planted import fault


def with_inv_std(standardised, inv_std):
    """Return what ``standardise`` returned, with another 1 / sqrt(var + eps)."""
    x_hat, before, mean, var = standardised
    return x_hat * (inv_std / before), inv_std, mean, var


def with_constant_statistics(right, kept, dy, **options):
    """Return dx of batch_norm for constant mean and variance: gamma / sqrt(var + eps) * dy."""
    return right(kept, dy, ["x"], **(options | {"training": False}))[0]


def mean_of_channels(dy):
    """Return the mean of each channel, in the shape of dy."""
    return np.broadcast_to(dy.mean(axis=(0, *range(2, dy.ndim)), keepdims=True), dy.shape)


BATCH_NORM_BACK = "impl.functional.norm.batch_norm.backward"


@fault("batch_norm", "dx forgets that the mean depends on x", BATCH_NORM_BACK, diagnosis="forgets that the mean")
def _(right, kept, dy, wanted=None, *, training=True, **options):
    dx, *others = right(kept, dy, wanted, training=training, **options)
    if training:
        dx = dx + with_constant_statistics(right, kept, mean_of_channels(dy), **options)
    return dx, *others


@fault(
    "batch_norm", "dx forgets that the variance depends on x", BATCH_NORM_BACK, diagnosis="forgets that the variance"
)
def _(right, kept, dy, wanted=None, *, training=True, **options):
    dx, *others = right(kept, dy, wanted, training=training, **options)
    if training:
        dx = with_constant_statistics(right, kept, dy - mean_of_channels(dy), **options)
    return dx, *others


@fault("batch_norm", "M - 1 in the derivative", BATCH_NORM_BACK)
def _(right, kept, dy, wanted=None, *, training=True, **options):
    dx, *others = right(kept, dy, wanted, training=training, **options)
    if training:
        first = with_constant_statistics(right, kept, dy - mean_of_channels(dy), **options)
        count = prod(dy.shape) // max(1, dy.shape[1])
        dx = first - (first - dx) * (count / max(1, count - 1))
    return dx, *others


@fault("batch_norm", "the unbiased variance in the value", "impl.functional.norm.standardise", diagnosis="unbiased")
def _(right, x, axes, eps):
    x_hat, inv_std, mean, var = right(x, axes, eps)
    count = prod(x.shape[axis] for axis in axes)
    unbiased = var * (count / max(1, count - 1))
    return with_inv_std((x_hat, inv_std, mean, unbiased), 1 / np.sqrt(unbiased + eps))


@fault("batch_norm", "the running variance takes the biased one", "impl.functional.norm.standardise")
def _(right, x, axes, eps):
    x_hat, inv_std, mean, var = right(x, axes, eps)
    count = prod(x.shape[axis] for axis in axes)
    return x_hat, inv_std, mean, var * ((count - 1) / max(1, count))


@fault("batch_norm", "momentum weighs the old mean", "impl.functional.norm.batch_norm.forward")
def _(right, *arrays, momentum=0.1, **options):
    (y, _, new_var), kept = right(*arrays, momentum=momentum, **options)
    (_, new_mean, _), _ = right(*arrays, momentum=1 - momentum, **options)
    return (y, new_mean, new_var), kept


@fault("batch_norm", "dx for the statistics of the batch in evaluation", BATCH_NORM_BACK)
def _(right, kept, dy, wanted=None, *, training=True, **options):
    return right(kept, dy, wanted, training=True, **options)


@fault("batch_norm", "one-pass variance", "impl.functional.norm.standardise")
def _(right, x, axes, eps):
    x_hat, inv_std, mean, _ = right(x, axes, eps)
    var = (x * x).mean(axis=axes, keepdims=True) - mean * mean
    return with_inv_std((x_hat, inv_std, mean, var), 1 / np.sqrt(var + eps))


@fault("layer_norm", "eps is added to the deviation", "impl.functional.norm.standardise", diagnosis="eps is added")
def _(right, x, axes, eps):
    x_hat, inv_std, mean, var = right(x, axes, eps)
    return with_inv_std((x_hat, inv_std, mean, var), 1 / (np.sqrt(var) + eps))


@fault(
    "layer_norm",
    "dgamma is summed over the wrong axes when two are normalised",
    "impl.functional.norm.layer_norm.backward",
)
def _(right, kept, dy, wanted=None, *, normalized_ndim=1, **options):
    dx, *others = right(kept, dy, wanted, normalized_ndim=normalized_ndim, **options)
    all_but_last = tuple(range(normalized_ndim - 1))
    return dx, *(d if d is None else d.sum(axis=all_but_last) for d in others)


@fault("layer_norm", "over one element: dgamma is dy", "impl.functional.norm.layer_norm.backward")
def _(right, kept, dy, wanted=None, *, normalized_ndim=1, **options):
    dx, dgamma, dbeta = right(kept, dy, wanted, normalized_ndim=normalized_ndim, **options)
    if dgamma is not None and dy.shape[-1] == 1:
        dgamma = dgamma + dy.sum(axis=tuple(range(dy.ndim - normalized_ndim)))
    return dx, dgamma, dbeta


@fault("group_norm", "right for 3-D input only", "impl.functional.norm.group_norm.backward")
def _(right, kept, dy, wanted=None, **options):
    dx, *others = right(kept, dy, wanted, **options)
    return dx / max(1, prod(dy.shape[2:-1])), *others


@fault("group_norm", "the sum of dy * x_hat is forgotten", "impl.functional.norm.standardise_dx", diagnosis="sum of dy")
def _(right, x_hat, inv_std, dx_hat, axes):
    own = dx_hat.mean(axis=axes, keepdims=True)
    return inv_std * (dx_hat - own - x_hat * own)


@fault("instance_norm", "gamma is left out of dx", "impl.functional.norm.instance_norm.vjp")
def _(right, x, gamma=None, beta=None, **options):
    value, pullback = right(x, gamma, beta, **options)
    _, without_gamma = right(x, **options)
    return value, lambda dy: (without_gamma(dy)[0], *pullback(dy)[1:])


@fault("rms_norm", "the mean is subtracted in dx", "impl.functional.norm.rms_norm.backward")
def _(right, kept, dy, wanted=None, *, normalized_ndim=1, eps=1e-5):
    (x, gamma), _ = kept
    dx, dgamma = right(kept, dy, wanted, normalized_ndim=normalized_ndim, eps=eps)
    axes = tuple(range(x.ndim - normalized_ndim, x.ndim))
    dx_hat = dy if gamma is None else dy * gamma
    rms = np.sqrt((x * x).mean(axis=axes, keepdims=True) + eps)
    return dx - dx_hat.mean(axis=axes, keepdims=True) / rms, dgamma
