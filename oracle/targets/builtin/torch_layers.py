"""PyTorch's layers with PyTorch's autograd.

Where PyTorch refuses by its own rules what the mathematics allows (one spatial element in instance_norm, say), the
configuration is reported as not implemented.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import ml_dtypes
import numpy as np
import torch
import torch.nn.functional as F

from oracle.targets.builtin.residual import residual

DEVICE = torch.device("cpu")


def use_device(name: str | None) -> str:
    """Run on a device (cpu, gpu, or PyTorch's own name) from here on, by default on its accelerator; gives its name.

    Raises LookupError where PyTorch has no such device.
    """
    global DEVICE
    wanted = ("cuda" if torch.cuda.is_available() else "cpu") if name is None else name.replace("gpu", "cuda")
    try:
        DEVICE = torch.empty(0, device=wanted).device
    except (RuntimeError, AssertionError):
        raise LookupError(f"PyTorch has no device {name!r} here") from None
    return f"{DEVICE} ({torch.cuda.get_device_name(DEVICE)})" if DEVICE.type == "cuda" else str(DEVICE)


def _tensor(x: np.ndarray) -> torch.Tensor:
    """A tensor over x's own memory and strides, where PyTorch can express them; on another device, a copy."""
    if any(stride < 0 for stride in x.strides):
        x = x.copy()
    if x.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(x.view(np.int16)).view(torch.bfloat16).to(DEVICE)
    return torch.from_numpy(x).to(DEVICE)


def _array(x: torch.Tensor) -> np.ndarray:
    x = x.detach().cpu()
    return x.view(torch.int16).numpy().view(ml_dtypes.bfloat16) if x.dtype == torch.bfloat16 else x.numpy()


def differentiated(forward: Callable[..., Any], no_gradient: tuple[int, ...] = ()) -> Callable[..., Any]:
    """The layer as value and pullback by autograd, in the arrays that are given and take a gradient."""

    def layer(*arrays: np.ndarray | None, **configuration: Any) -> tuple[Any, Callable[[Any], Any]]:
        tensors = [None if x is None else _tensor(x) for x in arrays]
        wanted = [i for i, t in enumerate(tensors) if t is not None and i not in no_gradient]
        for i in wanted:
            tensors[i] = tensors[i].detach().requires_grad_(True)  # type: ignore[union-attr]
        value = forward(*tensors, **configuration)
        first = value[0] if isinstance(value, tuple) else value

        def pullback(dy: np.ndarray) -> tuple[Any, ...]:
            inputs = [t for i in wanted if (t := tensors[i]) is not None]
            gradients = torch.autograd.grad(first, inputs, _tensor(dy), retain_graph=True, allow_unused=True)
            cotangents: list[Any] = [None] * len(arrays)
            for i, t, g in zip(wanted, inputs, gradients, strict=True):
                cotangents[i] = _array(torch.zeros_like(t) if g is None else g)
            return tuple(cotangents)

        if isinstance(value, tuple):
            return tuple(None if y is None else _array(y) for y in value), pullback
        return _array(value), pullback

    return layer


def _refused_by_torch(wrong: bool, why: str) -> None:
    if wrong:
        raise NotImplementedError(f"PyTorch refuses {why}")


affine = differentiated(lambda x, w, b=None: F.linear(x.flatten(1), w.T, b) if x.ndim > 1 else x[:, None] @ w + b)
linear = differentiated(F.linear)


# -- convolution and pooling ------------------------------------------------------------------------------------------


def _padded(x: Any, padding: Any, fill: float) -> tuple[Any, Any]:
    """PyTorch's layers pad alike on both sides; unequal pairs are padded beforehand, with its own pad."""
    if not isinstance(padding, (tuple, list)) or not any(isinstance(p, (tuple, list)) for p in padding):
        return x, padding
    if all(before == after for before, after in padding):
        return x, tuple(before for before, _ in padding)
    return F.pad(x, [n for pair in reversed(padding) for n in pair], value=fill), 0


def _conv(function: Callable[..., Any]) -> Callable[..., Any]:
    def forward(x: Any, w: Any, b: Any = None, *, padding: Any = 0, **configuration: Any) -> Any:
        x, padding = _padded(x, padding, 0.0)
        return function(x, w, b, padding=padding, **configuration)

    return differentiated(forward)


def _conv_transpose(function: Callable[..., Any]) -> Callable[..., Any]:
    def forward(x: Any, w: Any, b: Any = None, *, padding: Any = 0, **configuration: Any) -> Any:
        if not isinstance(padding, (tuple, list)) or not any(isinstance(p, (tuple, list)) for p in padding):
            return function(x, w, b, padding=padding, **configuration)
        y = function(x, w, b, padding=0, **configuration)
        return F.pad(y, [-n for pair in reversed(padding) for n in pair])

    return differentiated(forward)


def _max_pool(function: Callable[..., Any]) -> Callable[..., Any]:
    def forward(x: Any, *, kernel_size: Any, padding: Any = 0, **configuration: Any) -> Any:
        if isinstance(padding, tuple) and any(isinstance(p, tuple) for p in padding) and configuration.get("ceil_mode"):
            raise NotImplementedError("PyTorch has no pooling with unequal padding and ceil_mode")
        x, padding = _padded(x, padding, -np.inf)
        return function(x, kernel_size, padding=padding, **configuration)

    return differentiated(forward)


def _avg_pool(function: Callable[..., Any]) -> Callable[..., Any]:
    def forward(x: Any, *, kernel_size: Any, padding: Any = 0, **configuration: Any) -> Any:
        if isinstance(padding, tuple) and any(isinstance(p, tuple) for p in padding):
            raise NotImplementedError("PyTorch has no average pooling with unequal padding")
        return function(x, kernel_size, padding=padding, **configuration)

    return differentiated(forward)


def _adaptive_avg_pool(x: Any, *, output_size: Any) -> Any:
    return (F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d)[x.ndim - 3](x, output_size)


conv1d, conv2d, conv3d = _conv(F.conv1d), _conv(F.conv2d), _conv(F.conv3d)
conv_transpose1d = _conv_transpose(F.conv_transpose1d)
conv_transpose2d = _conv_transpose(F.conv_transpose2d)
conv_transpose3d = _conv_transpose(F.conv_transpose3d)
max_pool1d, max_pool2d, max_pool3d = _max_pool(F.max_pool1d), _max_pool(F.max_pool2d), _max_pool(F.max_pool3d)
avg_pool1d, avg_pool2d, avg_pool3d = _avg_pool(F.avg_pool1d), _avg_pool(F.avg_pool2d), _avg_pool(F.avg_pool3d)
global_avg_pool = differentiated(lambda x: x.mean(dim=tuple(range(2, x.ndim))))
global_max_pool = differentiated(lambda x: x.amax(dim=tuple(range(2, x.ndim))))
adaptive_avg_pool = differentiated(_adaptive_avg_pool)


# -- normalisation ----------------------------------------------------------------------------------------------------


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
    mean, var = (None if r is None else r.clone() for r in (running_mean, running_var))
    return F.batch_norm(x, mean, var, gamma, beta, training, momentum, eps), mean, var


def _layer_norm(x: Any, gamma: Any = None, beta: Any = None, *, normalized_ndim: int = 1, eps: float = 1e-5) -> Any:
    return F.layer_norm(x, x.shape[x.ndim - normalized_ndim :], gamma, beta, eps)


def _group_norm(x: Any, gamma: Any = None, beta: Any = None, *, groups: int, eps: float = 1e-5) -> Any:
    _refused_by_torch(prod(x.shape) == groups, "group_norm over one value")
    return F.group_norm(x, groups, gamma, beta, eps)


def _instance_norm(x: Any, gamma: Any = None, beta: Any = None, *, eps: float = 1e-5) -> Any:
    _refused_by_torch(prod(x.shape[2:]) == 1, "instance_norm over one spatial element")
    return F.instance_norm(x, None, None, gamma, beta, eps=eps)


def _rms_norm(x: Any, gamma: Any = None, *, normalized_ndim: int = 1, eps: float = 1e-5) -> Any:
    return F.rms_norm(x, x.shape[x.ndim - normalized_ndim :], gamma, eps)


batch_norm = differentiated(_batch_norm, no_gradient=(3, 4))
layer_norm, group_norm = differentiated(_layer_norm), differentiated(_group_norm)
instance_norm, rms_norm = differentiated(_instance_norm), differentiated(_rms_norm)

# -- activations, losses, shape ---------------------------------------------------------------------------------------

relu = differentiated(F.relu)
leaky_relu = differentiated(F.leaky_relu)
elu = differentiated(F.elu)
gelu = differentiated(F.gelu)
silu = differentiated(F.silu)
sigmoid = differentiated(torch.sigmoid)
tanh = differentiated(torch.tanh)
softplus = differentiated(F.softplus)
identity = differentiated(lambda x: x.clone())
softmax = differentiated(lambda x, *, axis=-1: F.softmax(x, axis))
log_softmax = differentiated(lambda x, *, axis=-1: F.log_softmax(x, axis))

cross_entropy = differentiated(F.cross_entropy, no_gradient=(1, 2))
binary_cross_entropy = differentiated(F.binary_cross_entropy, no_gradient=(1,))


def _mse_loss(prediction: Any, target: Any, *, reduction: str = "mean") -> Any:
    if prediction.shape != target.shape:
        raise ValueError("PyTorch broadcasts here, with a warning")
    return F.mse_loss(prediction, target, reduction=reduction)


mse_loss = differentiated(_mse_loss)
l2_penalty = differentiated(lambda w, *, weight=1.0: 0.5 * weight * (w * w).sum())


def _dropout(x: Any, mask: Any, *, p: float = 0.5) -> Any:
    if x.shape != mask.shape:
        raise ValueError("x and mask differ in shape")
    return x * mask / (1 - p)


dropout = differentiated(_dropout, no_gradient=(1,))


def _pad(x: Any, *, padding: Any, mode: str = "constant") -> Any:
    rank = x.ndim - 2
    edges = padding if isinstance(padding, tuple) else (padding,) * rank
    pairs = [p if isinstance(p, tuple) else (p, p) for p in edges]
    return F.pad(x, [n for pair in reversed(pairs) for n in pair], mode=mode)


add = differentiated(torch.add)
flatten = differentiated(lambda x: x.flatten(1) if x.ndim > 1 else x[:, None])
pad = differentiated(_pad)


# -- composed layers --------------------------------------------------------------------------------------------------


def _conv_relu_pool(
    x: Any, w: Any, b: Any = None, *, kernel_size: Any = 2, pool_stride: Any = None, **convolution: Any
) -> Any:
    return F.max_pool2d(F.relu(F.conv2d(x, w, b, **convolution)), kernel_size, pool_stride)


def _conv_bn_relu(x: Any, w: Any, b: Any = None, *norm: Any, **configuration: Any) -> Any:
    options = {name: configuration.pop(name) for name in ("training", "momentum", "eps") if name in configuration}
    h, *running = _batch_norm(F.conv2d(x, w, b, **configuration), *norm, **options)
    return (F.relu(h), *running)


affine_relu = differentiated(lambda x, w, b=None: F.relu(F.linear(x.flatten(1), w.T, b)))
conv_relu_pool = differentiated(_conv_relu_pool)
conv_bn_relu = differentiated(_conv_bn_relu, no_gradient=(5, 6))
residual_block = differentiated(*residual(2, 0, F.conv2d, _batch_norm, F.relu))
bottleneck_block = differentiated(*residual(3, 1, F.conv2d, _batch_norm, F.relu))
