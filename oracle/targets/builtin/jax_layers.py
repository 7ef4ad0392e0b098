"""JAX's layers with JAX's own gradients. What ``jax.nn`` and ``jax.lax`` do not have is built from their parts."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.special import xlog1py, xlogy

from oracle.layers import LAYERS
from oracle.targets.builtin.checked import checked
from oracle.targets.builtin.differentiate import first_of, layer_of, without_gradient
from oracle.targets.builtin.residual import residual


def differentiated(forward: Callable[..., Any], no_gradient: tuple[int, ...] = ()) -> Callable[..., Any]:
    """Return the layer of a forward function, with its pullback by ``jax.vjp``.

    Arrays that are not given, and those at the places ``no_gradient``, get no gradient.
    """
    return layer_of(forward, no_gradient, _vjp)


def _vjp(function: Callable[..., Any], *arrays: Any) -> tuple[Any, Callable[[Any], Any]]:
    def with_value(*given: Any) -> tuple[Any, Any]:
        value = function(*given)
        return first_of(value), value

    _, pullback, value = jax.vjp(with_value, *arrays, has_aux=True)
    return value, pullback


def _refuse(wrong: bool, message: str) -> None:
    if wrong:
        raise ValueError(message)


# -- fully connected --------------------------------------------------------------------------------------------------


def _affine(x: Any, w: Any, b: Any = None) -> Any:
    y = x.reshape(x.shape[0], prod(x.shape[1:])) @ w
    _refuse(b is not None and b.shape != w.shape[1:], "b does not fit w")
    return y if b is None else y + b


def _linear(x: Any, w: Any, b: Any = None) -> Any:
    _refuse(b is not None and b.shape != w.shape[:1], "b does not fit w")
    y = x @ w.T
    return y if b is None else y + b


affine, linear = differentiated(_affine), differentiated(_linear)

# -- convolution ------------------------------------------------------------------------------------------------------


def _axes(value: Any, rank: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * rank


def _pairs(padding: Any, rank: int) -> Any:
    if isinstance(padding, str):
        return padding.upper()
    return [p if isinstance(p, (tuple, list)) else (p, p) for p in _axes(padding, rank)]


def _numbers(padding: Any, rank: int) -> Any:
    """Return the pairs of a padding that is not given by a word."""
    if isinstance(padding, str):
        raise NotImplementedError(f"this layer has no padding {padding!r} here")
    return _pairs(padding, rank)


def _biased(y: Any, b: Any) -> Any:
    _refuse(b is not None and b.shape != y.shape[1:2], "b does not fit w")
    return y if b is None else y + b.reshape(-1, *[1] * (y.ndim - 2))


def _conv(x: Any, w: Any, b: Any = None, *, stride=1, padding=0, dilation=1, groups=1) -> Any:
    rank = x.ndim - 2
    _refuse(padding == "same" and any(s != 1 for s in _axes(stride, rank)), "padding same needs stride 1")
    y = lax.conv_general_dilated(
        x,
        w,
        _axes(stride, rank),
        _pairs(padding, rank),
        rhs_dilation=_axes(dilation, rank),
        feature_group_count=groups,
    )
    _refuse(min(y.shape[2:]) < 1, "the kernel is larger than the padded input")
    return _biased(y, b)


def _conv_transpose(
    x: Any, w: Any, b: Any = None, *, stride=1, padding=0, output_padding=0, dilation=1, groups=1
) -> Any:
    rank = x.ndim - 2
    channels, filters, *kernel = w.shape
    _refuse(x.shape[1] != channels, "x and w differ in channels")
    strides, dilations, extra = _axes(stride, rank), _axes(dilation, rank), _axes(output_padding, rank)
    _refuse(
        any(e >= max(s, d) for e, s, d in zip(extra, strides, dilations, strict=True)), "output_padding is too large"
    )
    w = w.reshape(groups, channels // groups, filters, *kernel).swapaxes(1, 2)
    w = jnp.flip(w.reshape(groups * filters, channels // groups, *kernel), range(2, 2 + rank))
    reach = [(k - 1) * d for k, d in zip(kernel, dilations, strict=True)]
    edges = [(r - a, r - b + e) for r, (a, b), e in zip(reach, _numbers(padding, rank), extra, strict=True)]
    y = lax.conv_general_dilated(
        x, w, (1,) * rank, edges, lhs_dilation=strides, rhs_dilation=dilations, feature_group_count=groups
    )
    _refuse(min(y.shape[2:]) < 1, "the padding leaves no place of the output")
    return _biased(y, b)


conv1d = conv2d = conv3d = differentiated(_conv)
conv_transpose1d = conv_transpose2d = conv_transpose3d = differentiated(_conv_transpose)

# -- pooling ----------------------------------------------------------------------------------------------------------


def _pool_options(x: Any, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool) -> tuple[Any, Any, Any, Any]:
    """Return the window, stride and padding for lax.reduce_window, and the padding before ceil_mode adds to it."""
    rank = x.ndim - 2
    kernel = _axes(kernel_size, rank)
    strides = kernel if stride is None else _axes(stride, rank)
    edges = _numbers(padding, rank)
    _refuse(any(max(e) > k // 2 for e, k in zip(edges, kernel, strict=True)), "the padding is too large")
    covered = []
    for n, k, s, (before, after) in zip(x.shape[2:], kernel, strides, edges, strict=True):
        room = n + before + after - k
        _refuse(room < 0, "the kernel is larger than the padded input")
        count = -(-room // s) + 1 if ceil_mode else room // s + 1
        count -= ceil_mode and (count - 1) * s >= n + before
        covered.append((before, max(after, (count - 1) * s + k - n - before)))
    return (1, 1, *kernel), (1, 1, *strides), ((0, 0), (0, 0), *covered), edges


def _max_pool(x: Any, *, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False) -> Any:
    if any(d != 1 for d in _axes(dilation, x.ndim - 2)):
        raise NotImplementedError("JAX has no reverse derivative of a dilated max pooling")
    window, strides, edges, _ = _pool_options(x, kernel_size, stride, padding, ceil_mode)
    return lax.reduce_window(x, np.asarray(-np.inf, x.dtype), lax.max, window, strides, edges)


def _avg_pool(x: Any, *, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True) -> Any:
    window, strides, edges, padded = _pool_options(x, kernel_size, stride, padding, ceil_mode)
    total = lax.reduce_window(x, np.asarray(0, x.dtype), lax.add, window, strides, edges)
    ones = jnp.ones(x.shape[2:], x.dtype)
    rest = edges[2:]
    if count_include_pad:
        ones = jnp.pad(ones, padded, constant_values=1)
        rest = [(a - c, b - d) for (a, b), (c, d) in zip(edges[2:], padded, strict=True)]
    count = lax.reduce_window(ones, np.asarray(0, x.dtype), lax.add, window[2:], strides[2:], rest)
    return total / count


max_pool1d = max_pool2d = max_pool3d = differentiated(_max_pool)
avg_pool1d = avg_pool2d = avg_pool3d = differentiated(_avg_pool)
global_avg_pool = differentiated(lambda x: x.mean(axis=range(2, x.ndim)))
global_max_pool = differentiated(lambda x: x.max(axis=range(2, x.ndim)))


def _adaptive_avg_pool(x: Any, *, output_size: Any) -> Any:
    _refuse(x.ndim > 5, "x has more than 3 spatial axes")
    for axis, m in enumerate(_axes(output_size, x.ndim - 2), start=2):
        n = x.shape[axis]
        cells = [(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]
        x = jnp.concatenate([lax.slice_in_dim(x, a, b, axis=axis).mean(axis, keepdims=True) for a, b in cells], axis)
    return x


adaptive_avg_pool = differentiated(_adaptive_avg_pool)

# -- normalisation ----------------------------------------------------------------------------------------------------


def _scaled(x: Any, gamma: Any, beta: Any, shape: tuple[int, ...]) -> Any:
    for v in (gamma, beta):
        _refuse(v is not None and v.size != prod(shape), "gamma or beta does not fit x")
    x = x if gamma is None else x * gamma.reshape(shape)
    return x if beta is None else x + beta.reshape(shape)


def _channel(x: Any) -> tuple[int, ...]:
    return (1, x.shape[1], *[1] * (x.ndim - 2))


def _layer_norm(x: Any, gamma: Any = None, beta: Any = None, *, normalized_ndim=1, eps=1e-5) -> Any:
    axes = tuple(range(x.ndim - normalized_ndim, x.ndim))
    return _scaled(jax.nn.standardize(x, axes, epsilon=eps), gamma, beta, x.shape[x.ndim - normalized_ndim :])


def _group_norm(x: Any, gamma: Any = None, beta: Any = None, *, groups, eps=1e-5) -> Any:
    n, c, *sizes = x.shape
    split = x.reshape(n, groups, c // groups, *sizes)
    y = jax.nn.standardize(split, tuple(range(2, split.ndim)), epsilon=eps)
    return _scaled(y.reshape(x.shape), gamma, beta, _channel(x))


def _instance_norm(x: Any, gamma: Any = None, beta: Any = None, *, eps=1e-5) -> Any:
    return _scaled(jax.nn.standardize(x, tuple(range(2, x.ndim)), epsilon=eps), gamma, beta, _channel(x))


def _batch_norm(
    x: Any,
    gamma: Any = None,
    beta: Any = None,
    running_mean: Any = None,
    running_var: Any = None,
    *,
    training: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    axes = (0, *range(2, x.ndim))
    if not training:
        shape = _channel(x)
        x_hat = (x - running_mean.reshape(shape)) * lax.rsqrt(running_var.reshape(shape) + eps)
        return _scaled(x_hat, gamma, beta, shape), running_mean, running_var
    count = x.size // x.shape[1]
    _refuse(count == 1, "training needs more than one value per channel")
    y = _scaled(jax.nn.standardize(x, axes, epsilon=eps), gamma, beta, _channel(x))
    if running_mean is not None and count:
        running_mean = (1 - momentum) * running_mean + momentum * x.mean(axes)
        running_var = (1 - momentum) * running_var + momentum * x.var(axes, ddof=1)
    return y, running_mean, running_var


def _rms_norm(x: Any, gamma: Any = None, *, normalized_ndim=1, eps=1e-5) -> Any:
    axes = tuple(range(x.ndim - normalized_ndim, x.ndim))
    mean_square = jnp.mean(x * x, axes, keepdims=True)
    return _scaled(x * lax.rsqrt(mean_square + eps), gamma, None, x.shape[x.ndim - normalized_ndim :])


batch_norm, rms_norm = differentiated(_batch_norm, without_gradient("batch_norm")), differentiated(_rms_norm)
layer_norm, group_norm = differentiated(_layer_norm), differentiated(_group_norm)
instance_norm = differentiated(_instance_norm)

# -- activations ------------------------------------------------------------------------------------------------------

relu = differentiated(jax.nn.relu)
leaky_relu = differentiated(lambda x, *, negative_slope=0.01: jax.nn.leaky_relu(x, negative_slope))
elu = differentiated(lambda x, *, alpha=1.0: jax.nn.elu(x, alpha))
gelu = differentiated(lambda x, *, approximate="none": jax.nn.gelu(x, approximate == "tanh"))
silu = differentiated(jax.nn.silu)
sigmoid = differentiated(jax.nn.sigmoid)
tanh = differentiated(jnp.tanh)
softplus = differentiated(jax.nn.softplus)
identity = differentiated(jax.nn.identity)
softmax = differentiated(lambda x, *, axis=-1: jax.nn.softmax(x, axis))
log_softmax = differentiated(lambda x, *, axis=-1: jax.nn.log_softmax(x, axis))


# -- losses -----------------------------------------------------------------------------------------------------------


def _reduced(losses: Any, reduction: str) -> Any:
    return losses if reduction == "none" else losses.sum() if reduction == "sum" else losses.mean()


def _cross_entropy(
    logits: Any, labels: Any, weight: Any = None, *, reduction="mean", ignore_index=-100, label_smoothing=0.0
) -> Any:
    classes = logits.shape[1]
    _refuse(labels.shape != (logits.shape[0], *logits.shape[2:]), "labels do not fit logits")
    _refuse(weight is not None and weight.shape != (classes,), "weight does not fit logits")
    log_p = jnp.moveaxis(jax.nn.log_softmax(logits, 1), 1, -1)
    weights = jnp.ones(classes, logits.dtype) if weight is None else weight
    counted = labels != ignore_index
    safe = jnp.where(counted, labels, 0)
    mine = jnp.where(counted, weights[safe], 0)
    losses = -jnp.where(counted, jnp.take_along_axis(log_p, safe[..., None], -1)[..., 0] * weights[safe], 0)
    if label_smoothing:
        spread = -jnp.where(counted, (log_p * weights).sum(-1), 0)
        losses = (1 - label_smoothing) * losses + label_smoothing / classes * spread
    return losses.sum() / mine.sum() if reduction == "mean" else _reduced(losses, reduction)


def _binary_cross_entropy(p: Any, targets: Any, *, reduction="mean") -> Any:
    _refuse(p.shape != targets.shape, "p and targets differ in shape")
    return _reduced(-(xlogy(targets, p) + xlog1py(1 - targets, -p)), reduction)


def _mse_loss(prediction: Any, target: Any, *, reduction="mean") -> Any:
    _refuse(prediction.shape != target.shape, "prediction and target differ in shape")
    return _reduced((prediction - target) ** 2, reduction)


def _dropout(x: Any, mask: Any, *, p=0.5) -> Any:
    _refuse(x.shape != mask.shape, "x and mask differ in shape")
    return x * mask / (1 - p)


cross_entropy = differentiated(_cross_entropy, without_gradient("cross_entropy"))
binary_cross_entropy = differentiated(_binary_cross_entropy, without_gradient("binary_cross_entropy"))
mse_loss = differentiated(_mse_loss)
l2_penalty = differentiated(lambda w, *, weight=1.0: 0.5 * weight * (w * w).sum())
dropout = differentiated(_dropout, without_gradient("dropout"))

# -- shape ------------------------------------------------------------------------------------------------------------


def _pad(x: Any, *, padding, mode="constant") -> Any:
    edges = [(0, 0), (0, 0), *_pairs(padding, x.ndim - 2)]
    _refuse(mode in ("reflect", "replicate") and 0 in x.shape[2:], "an axis without places has nothing to copy")
    _refuse(mode != "constant" and x.ndim > 5, "x has more than 3 spatial axes")
    spare = {"reflect": 1, "circular": 0}
    reaching = [max(e) > n - spare.get(mode, 0) for e, n in zip(edges, x.shape, strict=True) if max(e)]
    _refuse(mode in spare and any(reaching), "the padding is too large")
    return jnp.pad(x, edges, mode={"replicate": "edge", "circular": "wrap"}.get(mode, mode))


add = differentiated(jnp.add)
flatten = differentiated(lambda x: x.reshape(x.shape[0], prod(x.shape[1:])))
pad = differentiated(_pad)

# -- composed layers --------------------------------------------------------------------------------------------------


def _conv_relu_pool(x: Any, w: Any, b: Any = None, *, kernel_size=2, pool_stride=None, **convolution: Any) -> Any:
    return _max_pool(jax.nn.relu(_conv(x, w, b, **convolution)), kernel_size=kernel_size, stride=pool_stride)


def _conv_bn_relu(x: Any, w: Any, b: Any = None, *norm: Any, **configuration: Any) -> Any:
    options = {name: configuration.pop(name) for name in ("training", "momentum", "eps") if name in configuration}
    h, *running = _batch_norm(_conv(x, w, b, **configuration), *norm, **options)
    return (jax.nn.relu(h), *running)


affine_relu = differentiated(lambda x, w, b=None: jax.nn.relu(_affine(x, w, b)))
conv_relu_pool = differentiated(_conv_relu_pool)
conv_bn_relu = differentiated(_conv_bn_relu, without_gradient("conv_bn_relu"))
residual_block = differentiated(
    residual("residual_block", "1", _conv, _batch_norm, jax.nn.relu), without_gradient("residual_block")
)
bottleneck_block = differentiated(
    residual("bottleneck_block", "2", _conv, _batch_norm, jax.nn.relu), without_gradient("bottleneck_block")
)

# JAX checks few arguments. It broadcasts, and ignores a word that it does not know, so all arguments are checked here.
for _name in LAYERS:
    globals()[_name] = checked(_name, globals()[_name])
