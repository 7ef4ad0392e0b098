"""Normalisation layers: one derivation, four choices of the axes that the statistics are taken over."""

from __future__ import annotations

from math import prod
from typing import Any

from impl.array import Array, namespace
from impl.functional.checks import flag, integer, number, shaped, spatial
from impl.rule import refuse, rule


def _mean(x: Array, axes: tuple[int, ...]) -> Array:
    """The mean over some axes, which are kept; 0 over none at all (an empty batch)."""
    return x.sum(axis=axes, keepdims=True) / max(1, prod(x.shape[a] for a in axes))


def standardise(x: Array, axes: tuple[int, ...], eps: float) -> tuple[Array, Array, Array, Array]:
    """x_hat = (x - mean) / sqrt(var + eps) over some axes; also 1 / sqrt(var + eps), mean and (biased) var.

    What rounding leaves of the mean, which matters where it is large beside the spread, is measured together with the
    variance and taken off: with c = x - mean, var = mean(c c) - mean(c)^2 and x_hat = (c - mean(c)) / sqrt(var + eps).
    """
    xp = namespace(x)
    mean = _mean(x, axes)
    centred = x - mean
    rest = _mean(centred, axes)
    var = xp.maximum(_mean(centred * centred, axes) - rest * rest, 0)
    inv_std = 1 / xp.sqrt(var + eps)
    return (centred - rest) * inv_std, inv_std, mean, var


def standardise_dx(x_hat: Array, inv_std: Array, dx_hat: Array, axes: tuple[int, ...]) -> Array:
    """The derivative of ``standardise`` in its short form.

    With M the number of elements that share a mean, mean and variance depend on every one of them, and
    dx = inv_std * (dx_hat - (1/M) sum dx_hat - x_hat * (1/M) sum (dx_hat * x_hat)).
    """
    own = _mean(dx_hat, axes)
    along = _mean(dx_hat * x_hat, axes)
    return inv_std * (dx_hat - own - x_hat * along)


def _scaled(y: Array, gamma: Array | None, beta: Array | None, shape: tuple[int, ...]) -> Array:
    y = y if gamma is None else y * gamma.reshape(shape)
    return y if beta is None else y + beta.reshape(shape)


def _channel_shape(x: Array) -> tuple[int, ...]:
    return (1, x.shape[1], *[1] * (x.ndim - 2))


def _all_but_channel(x: Array) -> tuple[int, ...]:
    return (0, *range(2, x.ndim))


@rule(no_gradient=("running_mean", "running_var"))
def batch_norm(
    x: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    running_mean: Array | None = None,
    running_var: Array | None = None,
    *,
    training=True,
    momentum=0.1,
    eps=1e-5,
) -> Any:
    """Batch normalisation: every channel is standardised over the batch and its spatial places.

    y = gamma * x_hat + beta,  x_hat = (x - mean) / sqrt(var + eps), var the biased variance of the M = N * prod(S)
    values of the channel. Outside training, mean and var are the running ones and constants.

    Training: dx = gamma / sqrt(var + eps) * (dy - mean(dy) - x_hat * mean(dy * x_hat)); evaluation: the first term alone.
    dgamma = sum of dy * x_hat,  dbeta = sum of dy, over all but the channel.

    Shapes: x (N, C, *S) or (N, C); gamma, beta, running_mean, running_var (C), each optional. The value is
    (y, new_running_mean, new_running_var): (1 - momentum) * old + momentum * new, the new variance the unbiased one
    (M - 1 in the divisor). They are None where no running statistics were given; an empty batch leaves them as they are.
    Raises ValueError for shapes that do not fit, for training with one value a channel (its variance does not exist,
    as in PyTorch), and for evaluation without running statistics.
    Source: document 000, sections 2.7 and 4.9; document 004, section 6; Ioffe and Szegedy, arXiv:1502.03167.
    """
    if x.ndim < 2:
        refuse(f"x must have shape (N, C) or (N, C, *S), got shape {tuple(x.shape)}")
    if x.ndim > 2:
        spatial(x, None)
    channels = x.shape[1]
    for name, array in (("gamma", gamma), ("beta", beta), ("running_mean", running_mean), ("running_var", running_var)):
        shaped(name, array, (channels,), f"x with {channels} channels")
    if (running_mean is None) != (running_var is None):
        refuse("running_mean and running_var must be given together")
    training, momentum, eps = flag("training", training), number("momentum", momentum, 0), number("eps", eps, 0)
    if momentum > 1:
        refuse(f"momentum must lie in [0, 1], got {momentum}")
    count = prod(x.shape) // channels if channels else 0
    axes, shape = _all_but_channel(x), _channel_shape(x)
    if training and count == 1:
        refuse(f"training needs more than one value a channel, got x of shape {tuple(x.shape)}")
    if not training:
        if running_mean is None:
            refuse("evaluation (training=False) needs running_mean and running_var")
        inv_std = (1 / namespace(x).sqrt(running_var + eps)).reshape(shape)
        x_hat = (x - running_mean.reshape(shape)) * inv_std
        return (_scaled(x_hat, gamma, beta, shape), running_mean, running_var), (x_hat, inv_std, gamma)
    x_hat, inv_std, mean, var = standardise(x, axes, eps)
    new_mean, new_var = running_mean, running_var
    if running_mean is not None and count:
        new_mean = (1 - momentum) * running_mean + momentum * mean.reshape(channels)
        new_var = (1 - momentum) * running_var + momentum * (var.reshape(channels) * (count / (count - 1)))
    return (_scaled(x_hat, gamma, beta, shape), new_mean, new_var), (x_hat, inv_std, gamma)


@batch_norm.pullback
def _(residuals: Any, dy: Array, *, training: bool) -> tuple[Any, ...]:
    x_hat, inv_std, gamma = residuals
    axes, shape = _all_but_channel(dy), _channel_shape(dy)
    dgamma, dbeta = (dy * x_hat).sum(axis=axes), dy.sum(axis=axes)
    scale = inv_std if gamma is None else inv_std * gamma.reshape(shape)
    if not training:
        return dy * scale, dgamma, dbeta, None, None
    count = max(1, prod(dy.shape) // max(1, dy.shape[1]))
    dx = scale * (dy - dbeta.reshape(shape) / count - x_hat * (dgamma.reshape(shape) / count))
    return dx, dgamma, dbeta, None, None


@rule
def layer_norm(x: Array, gamma: Array | None = None, beta: Array | None = None, *, normalized_ndim=1, eps=1e-5) -> Any:
    """Layer normalisation: every sample is standardised over its last ``normalized_ndim`` axes.

    y = gamma * x_hat + beta,  x_hat = (x - mean) / sqrt(var + eps) over those axes.
    dx = (1 / sqrt(var + eps)) * (dx_hat - mean(dx_hat) - x_hat * mean(dx_hat * x_hat)), dx_hat = dy * gamma;
    dgamma = sum of dy * x_hat,  dbeta = sum of dy, over the other axes.

    Shapes: x of any rank; gamma, beta of the normalised shape, each optional; y as x.
    Raises ValueError where normalized_ndim is not between 1 and the rank of x, or shapes do not fit.
    Source: document 004, section 7.1; Ba, Kiros and Hinton, arXiv:1607.06450.
    """
    axes = _last_axes(x, normalized_ndim)
    shape = tuple(x.shape[axes[0] :])
    shaped("gamma", gamma, shape, f"normalized_ndim={normalized_ndim} over x of shape {tuple(x.shape)}")
    shaped("beta", beta, shape, f"normalized_ndim={normalized_ndim} over x of shape {tuple(x.shape)}")
    x_hat, inv_std, _, _ = standardise(x, axes, number("eps", eps, 0))
    return _scaled(x_hat, gamma, beta, shape), (x_hat, inv_std, gamma)


@layer_norm.pullback
def _(residuals: Any, dy: Array, *, normalized_ndim: int) -> tuple[Array, ...]:
    x_hat, inv_std, gamma = residuals
    others = tuple(range(dy.ndim - normalized_ndim))
    dx_hat = dy if gamma is None else dy * gamma
    dx = standardise_dx(x_hat, inv_std, dx_hat, tuple(range(dy.ndim - normalized_ndim, dy.ndim)))
    return dx, (dy * x_hat).sum(axis=others), dy.sum(axis=others)


def _last_axes(x: Array, normalized_ndim: Any) -> tuple[int, ...]:
    count = integer("normalized_ndim", normalized_ndim, 1)
    if count > x.ndim:
        refuse(f"normalized_ndim is {count} but x has only {x.ndim} axes")
    return tuple(range(x.ndim - count, x.ndim))


def _grouped(x: Array, groups: int) -> Array:
    """x (N, C, *S) as (N, groups, everything of the group)."""
    return x.reshape(x.shape[0], groups, prod(x.shape[1:]) // groups if groups else 0)


def _group_norm(x: Array, gamma: Array | None, beta: Array | None, groups: int, eps: Any) -> tuple[Array, Any]:
    shaped("gamma", gamma, (x.shape[1],), f"x with {x.shape[1]} channels")
    shaped("beta", beta, (x.shape[1],), f"x with {x.shape[1]} channels")
    x_hat, inv_std, _, _ = standardise(_grouped(x, groups), (2,), number("eps", eps, 0))
    x_hat = x_hat.reshape(x.shape)
    return _scaled(x_hat, gamma, beta, _channel_shape(x)), (x_hat, inv_std, gamma)


def _group_norm_back(residuals: Any, dy: Array) -> tuple[Array, ...]:
    x_hat, inv_std, gamma = residuals
    groups, axes = inv_std.shape[1], _all_but_channel(dy)
    dx_hat = dy if gamma is None else dy * gamma.reshape(_channel_shape(dy))
    dx = standardise_dx(_grouped(x_hat, groups), inv_std, _grouped(dx_hat, groups), (2,)).reshape(dy.shape)
    return dx, (dy * x_hat).sum(axis=axes), dy.sum(axis=axes)


@rule
def group_norm(x: Array, gamma: Array | None = None, beta: Array | None = None, *, groups: int, eps=1e-5) -> Any:
    """Group normalisation: the channels of a sample in ``groups`` groups, each standardised over channels and places.

    y = gamma * x_hat + beta, gamma and beta a channel; the derivative is that of layer_norm with M = C/groups * prod(S).

    Shapes: x (N, C, *S) or (N, C); gamma, beta (C), each optional; y as x.
    Raises ValueError where groups does not divide C or shapes do not fit.
    Source: document 004, section 7; Wu and He, arXiv:1803.08494.
    """
    if x.ndim < 2:
        refuse(f"x must have shape (N, C, *S), got shape {tuple(x.shape)}")
    groups = integer("groups", groups, 1)
    if x.shape[1] % groups:
        refuse(f"x has {x.shape[1]} channels, which groups = {groups} does not divide")
    return _group_norm(x, gamma, beta, groups, eps)


@group_norm.pullback
def _(residuals: Any, dy: Array) -> tuple[Array, ...]:
    return _group_norm_back(residuals, dy)


@rule
def instance_norm(x: Array, gamma: Array | None = None, beta: Array | None = None, *, eps=1e-5) -> Any:
    """Instance normalisation: every channel of every sample is standardised over its spatial places.

    y = gamma * x_hat + beta: it is group_norm with one channel a group, and so is its derivative,
    dx = (1 / sqrt(var + eps)) * (dx_hat - mean(dx_hat) - x_hat * mean(dx_hat * x_hat)), dx_hat = dy * gamma.

    Shapes: x (N, C, *S) with 1 to 3 spatial axes; gamma, beta (C), each optional; y as x.
    Raises ValueError where shapes do not fit.
    Source: document 004, section 7.1; Ulyanov, Vedaldi and Lempitsky, arXiv:1607.08022.
    """
    spatial(x, None)
    return _group_norm(x, gamma, beta, x.shape[1], eps)


@instance_norm.pullback
def _(residuals: Any, dy: Array) -> tuple[Array, ...]:
    return _group_norm_back(residuals, dy)


@rule
def rms_norm(x: Array, gamma: Array | None = None, *, normalized_ndim=1, eps=1e-5) -> Any:
    """Root-mean-square normalisation: y = gamma * x_hat,  x_hat = x / sqrt(mean(x * x) + eps), over the last axes.

    dx = (1 / sqrt(mean(x * x) + eps)) * (dx_hat - x_hat * mean(dx_hat * x_hat)), dx_hat = dy * gamma;
    dgamma = sum of dy * x_hat over the other axes.

    Shapes: x of any rank; gamma of the normalised shape, optional; y as x.
    Raises ValueError where normalized_ndim is not between 1 and the rank of x, or shapes do not fit.
    Source: Zhang and Sennrich, arXiv:1910.07467; the documents do not have it.
    """
    axes = _last_axes(x, normalized_ndim)
    shape = tuple(x.shape[axes[0] :])
    shaped("gamma", gamma, shape, f"normalized_ndim={normalized_ndim} over x of shape {tuple(x.shape)}")
    mean_square = _mean(x * x, axes)
    inv_rms = 1 / namespace(x).sqrt(mean_square + number("eps", eps, 0))
    x_hat = x * inv_rms
    return _scaled(x_hat, gamma, None, shape), (x_hat, inv_rms, gamma)


@rms_norm.pullback
def _(residuals: Any, dy: Array, *, normalized_ndim: int) -> tuple[Array, ...]:
    x_hat, inv_rms, gamma = residuals
    axes = tuple(range(dy.ndim - normalized_ndim, dy.ndim))
    others = tuple(range(dy.ndim - normalized_ndim))
    dx_hat = dy if gamma is None else dy * gamma
    along = _mean(dx_hat * x_hat, axes)
    return inv_rms * (dx_hat - x_hat * along), (dy * x_hat).sum(axis=others)
