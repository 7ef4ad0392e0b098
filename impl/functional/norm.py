"""Normalisation layers: one derivation, and four choices of the axes that the statistics are taken over."""

from __future__ import annotations

from math import prod
from typing import Any

from impl.array import Array, namespace
from impl.functional.checks import flag, integer, number, shaped, spatial
from impl.rule import refuse, rule


def _mean(x: Array, axes: tuple[int, ...]) -> Any:
    """Return the mean over some axes, which are kept; it is 0 if there are no elements (an empty batch)."""
    return x.sum(axis=axes, keepdims=True) / max(1, prod(x.shape[a] for a in axes))


def standardise(x: Array, axes: tuple[int, ...], eps: float) -> tuple[Any, Any, Any, Any]:
    """Return x_hat = (x - mean) / sqrt(var + eps) over some axes, 1 / sqrt(var + eps), mean and (biased) var.

    The mean is rounded, and what rounding leaves of it matters if the mean is large compared with the spread. So it is
    measured together with the variance and subtracted: with c = x - mean, var = mean(c c) - mean(c)^2 and
    x_hat = (c - mean(c)) / sqrt(var + eps).
    """
    xp = namespace(x)
    mean = _mean(x, axes)
    centred = x - mean
    rest = _mean(centred, axes)
    var = xp.maximum(_mean(centred * centred, axes) - rest * rest, 0)
    inv_std = 1 / xp.sqrt(var + eps)
    return (centred - rest) * inv_std, inv_std, mean, var


def standardise_dx(x_hat: Array, inv_std: Array, dx_hat: Array, axes: tuple[int, ...]) -> Any:
    """Apply the derivative of ``standardise``, in its short form.

    Mean and variance depend on each of the M elements that share them, so
    dx = inv_std * (dx_hat - (1/M) sum dx_hat - x_hat * (1/M) sum (dx_hat * x_hat)).
    """
    own = _mean(dx_hat, axes)
    along = _mean(dx_hat * x_hat, axes)
    return inv_std * (dx_hat - own - x_hat * along)


def _scaled(y: Array, gamma: Array | None, beta: Array | None, shape: tuple[int, ...]) -> Any:
    """Return y * gamma + beta, each if it is given and in the given shape."""
    y = y if gamma is None else y * gamma.reshape(shape)
    return y if beta is None else y + beta.reshape(shape)


def _channel_shape(x: Array) -> tuple[int, ...]:
    """Return the shape in which one number per channel broadcasts against x."""
    return (1, x.shape[1], *[1] * (x.ndim - 2))


def _all_but_channel(x: Array) -> tuple[int, ...]:
    """Return the axes of x other than its channels."""
    return (0, *range(2, x.ndim))


@rule(no_gradient=("running_mean", "running_var"))
def batch_norm(
    x: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    running_mean: Array | None = None,
    running_var: Array | None = None,
    /,
    *,
    training: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> tuple[tuple[Array, Array | None, Array | None], Any]:
    """Standardise each channel over the batch and its spatial places.

    y = gamma * x_hat + beta,  x_hat = (x - mean) / sqrt(var + eps). In training, mean and (biased) var are those of the
    M = N * prod(S) values of the channel. In evaluation they are the running ones, which are constants.

    Training: dx = gamma / sqrt(var + eps) * (dy - mean(dy) - x_hat * mean(dy * x_hat)); evaluation: only the first term.
    dgamma = sum of dy * x_hat,  dbeta = sum of dy, over all axes but the channel.

    Shapes: x (N, C, *S) or (N, C); gamma, beta, running_mean, running_var (C), each optional. The value is
    (y, new_running_mean, new_running_var): (1 - momentum) * old + momentum * new, the new variance being the unbiased
    one (it divides by M - 1). The two are None if no running statistics were given; an empty batch leaves them as they are.
    Raises ValueError for shapes that do not fit, for training with one value per channel (its variance does not exist,
    as in PyTorch), and for evaluation without running statistics.
    Source: document 000, sections 2.7 and 4.9; document 004, section 6; Ioffe and Szegedy, arXiv:1502.03167.

    >>> x, gamma = np.array([[1.0], [3.0]]), np.array([10.0])
    >>> (y, mean, var), pullback = F.batch_norm.vjp(x, gamma, None, np.zeros(1), np.ones(1), eps=3.0)
    >>> y.ravel(), mean, var
    (array([-5.,  5.]), array([0.2]), array([1.1]))
    >>> dx, dgamma, _, _, _ = pullback(np.array([[1.0], [0.0]]))
    >>> dx.ravel(), dgamma
    (array([ 1.875, -1.875]), array([-0.5]))
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
        refuse(f"training needs more than one value per channel, got x of shape {tuple(x.shape)}")
    if not training:
        if running_mean is None or running_var is None:
            refuse("evaluation (training=False) needs running_mean and running_var")
        inv_std = (1 / namespace(x).sqrt(running_var + eps)).reshape(shape)
        x_hat = (x - running_mean.reshape(shape)) * inv_std
        return (_scaled(x_hat, gamma, beta, shape), running_mean, running_var), (x_hat, inv_std, gamma)
    x_hat, inv_std, mean, var = standardise(x, axes, eps)
    new_mean, new_var = running_mean, running_var
    if running_mean is not None and running_var is not None and count:
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
        return lambda: dy * scale, dgamma, dbeta, None, None
    count = max(1, prod(dy.shape) // max(1, dy.shape[1]))

    def dx() -> Array:
        return scale * (dy - dbeta.reshape(shape) / count - x_hat * (dgamma.reshape(shape) / count))

    return dx, dgamma, dbeta, None, None


@rule
def layer_norm(
    x: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    /,
    *,
    normalized_ndim: int = 1,
    eps: float = 1e-5,
) -> tuple[Array, Any]:
    """Standardise each sample over its last ``normalized_ndim`` axes.

    y = gamma * x_hat + beta,  x_hat = (x - mean) / sqrt(var + eps) over those axes.
    dx = (1 / sqrt(var + eps)) * (dx_hat - mean(dx_hat) - x_hat * mean(dx_hat * x_hat)) with dx_hat = dy * gamma;
    dgamma = sum of dy * x_hat,  dbeta = sum of dy, over the other axes.

    Shapes: x of any rank; gamma, beta of the normalised shape, each optional; y as x.
    Raises ValueError if normalized_ndim is not between 1 and the rank of x, or if shapes do not fit.
    Source: document 004, section 7.1; Ba, Kiros and Hinton, arXiv:1607.06450.

    >>> y, pullback = F.layer_norm.vjp(np.array([1.0, 3.0]), np.array([10.0, 10.0]), eps=3.0)
    >>> y, pullback(np.array([1.0, 0.0]))
    (array([-5.,  5.]), (array([ 1.875, -1.875]), array([-0.5,  0. ]), None))
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


def _last_axes(x: Array, normalized_ndim: int) -> tuple[int, ...]:
    """Return the last ``normalized_ndim`` axes of x."""
    count = integer("normalized_ndim", normalized_ndim, 1)
    if count > x.ndim:
        refuse(f"normalized_ndim is {count} but x has only {x.ndim} axes")
    return tuple(range(x.ndim - count, x.ndim))


def _grouped(x: Array, groups: int) -> Any:
    """Return x (N, C, *S) as (N, groups, everything in the group)."""
    return x.reshape(x.shape[0], groups, prod(x.shape[1:]) // groups if groups else 0)


def _group_norm(x: Array, gamma: Array | None, beta: Array | None, groups: int, eps: float) -> tuple[Array, Any]:
    """Standardise each group of channels; return the value and the residuals."""
    shaped("gamma", gamma, (x.shape[1],), f"x with {x.shape[1]} channels")
    shaped("beta", beta, (x.shape[1],), f"x with {x.shape[1]} channels")
    x_hat, inv_std, _, _ = standardise(_grouped(x, groups), (2,), number("eps", eps, 0))
    x_hat = x_hat.reshape(x.shape)
    return _scaled(x_hat, gamma, beta, _channel_shape(x)), (x_hat, inv_std, gamma)


def _group_norm_back(residuals: Any, dy: Array) -> tuple[Array, ...]:
    """Return dx, dgamma and dbeta."""
    x_hat, inv_std, gamma = residuals
    groups, axes = inv_std.shape[1], _all_but_channel(dy)
    dx_hat = dy if gamma is None else dy * gamma.reshape(_channel_shape(dy))
    dx = standardise_dx(_grouped(x_hat, groups), inv_std, _grouped(dx_hat, groups), (2,)).reshape(dy.shape)
    return dx, (dy * x_hat).sum(axis=axes), dy.sum(axis=axes)


@rule
def group_norm(
    x: Array, gamma: Array | None = None, beta: Array | None = None, /, *, groups: int, eps: float = 1e-5
) -> tuple[Array, Any]:
    """Standardise each of ``groups`` groups of a sample's channels, over its channels and places.

    y = gamma * x_hat + beta,  x_hat = (x - mean) / sqrt(var + eps) over a group; gamma and beta: one number per channel.
    dx = (1 / sqrt(var + eps)) * (dx_hat - mean(dx_hat) - x_hat * mean(dx_hat * x_hat)) with dx_hat = dy * gamma;
    dgamma = sum of dy * x_hat,  dbeta = sum of dy, over all axes but the channel.

    Shapes: x (N, C, *S) or (N, C); gamma, beta (C), each optional; y as x.
    Raises ValueError if groups does not divide C or if shapes do not fit.
    Source: document 004, section 7; Wu and He, arXiv:1803.08494.

    >>> y, pullback = F.group_norm.vjp(np.array([[1.0, 3.0, 5.0, 7.0]]), groups=2, eps=3.0)
    >>> y, pullback(np.array([[10.0, 0.0, 0.0, 0.0]]))[0]
    (array([[-0.5,  0.5, -0.5,  0.5]]), array([[ 1.875, -1.875,  0.   ,  0.   ]]))
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
def instance_norm(
    x: Array, gamma: Array | None = None, beta: Array | None = None, /, *, eps: float = 1e-5
) -> tuple[Array, Any]:
    """Standardise each channel of each sample over its spatial places.

    y = gamma * x_hat + beta: it is group_norm with one channel per group, and so is its derivative,
    dx = (1 / sqrt(var + eps)) * (dx_hat - mean(dx_hat) - x_hat * mean(dx_hat * x_hat)) with dx_hat = dy * gamma;
    dgamma = sum of dy * x_hat,  dbeta = sum of dy, over all axes but the channel.

    Shapes: x (N, C, *S) with 1 to 3 spatial axes; gamma, beta (C), each optional; y as x.
    Raises ValueError if shapes do not fit.
    Source: document 004, section 7.1; Ulyanov, Vedaldi and Lempitsky, arXiv:1607.08022.

    >>> y, pullback = F.instance_norm.vjp(np.array([[[1.0, 3.0]]]), np.array([10.0]), eps=3.0)
    >>> y, pullback(np.array([[[1.0, 0.0]]]))
    (array([[[-5.,  5.]]]), (array([[[ 1.875, -1.875]]]), array([-0.5]), None))
    """
    spatial(x, None)
    return _group_norm(x, gamma, beta, x.shape[1], eps)


@instance_norm.pullback
def _(residuals: Any, dy: Array) -> tuple[Array, ...]:
    return _group_norm_back(residuals, dy)


@rule
def rms_norm(
    x: Array, gamma: Array | None = None, /, *, normalized_ndim: int = 1, eps: float = 1e-5
) -> tuple[Array, Any]:
    """Divide each sample by its root mean square over the last ``normalized_ndim`` axes.

    y = gamma * x_hat,  x_hat = x / sqrt(mean(x * x) + eps), over those axes.
    dx = (1 / sqrt(mean(x * x) + eps)) * (dx_hat - x_hat * mean(dx_hat * x_hat)) with dx_hat = dy * gamma;
    dgamma = sum of dy * x_hat over the other axes.

    Shapes: x of any rank; gamma of the normalised shape, optional; y as x.
    Raises ValueError if normalized_ndim is not between 1 and the rank of x, or if shapes do not fit.
    Source: Zhang and Sennrich, arXiv:1910.07467; the documents do not have it.

    >>> y, pullback = F.rms_norm.vjp(np.array([1.0, 7.0]), np.array([10.0, 10.0]), eps=0.0)
    >>> y, pullback(np.array([1.0, 0.0]))
    (array([ 2., 14.]), (array([ 1.96, -0.28]), array([0.2, 0. ])))
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
