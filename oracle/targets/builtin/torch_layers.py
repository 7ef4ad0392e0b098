"""PyTorch's layers with PyTorch's autograd.

PyTorch refuses some configurations that the mathematics allows, for example one spatial element in instance_norm. These
are reported as not implemented.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import ml_dtypes
import numpy as np
import torch
import torch.nn.functional as F

from oracle.targets.builtin.differentiate import first_of, layer_of, without_gradient
from oracle.targets.builtin.residual import residual

DEVICE = torch.device("cpu")


def use_device(name: str | None) -> str:
    """Run all layers on a device from now on, by default on PyTorch's accelerator. Return the name of the device.

    The name is cpu, gpu, or PyTorch's own name. Raise LookupError if PyTorch has no such device.
    """
    global DEVICE
    wanted = ("cuda" if torch.cuda.is_available() else "cpu") if name is None else name.replace("gpu", "cuda")
    try:
        DEVICE = torch.empty(0, device=wanted).device
    except (RuntimeError, AssertionError):
        raise LookupError(f"PyTorch has no device {name!r} here") from None
    return f"{DEVICE} ({torch.cuda.get_device_name(DEVICE)})" if DEVICE.type == "cuda" else str(DEVICE)


def _tensor(x: np.ndarray) -> torch.Tensor:
    """Return a tensor that shares the memory of x if PyTorch can express its strides. On another device, return a copy."""
    if any(stride < 0 for stride in x.strides):
        x = x.copy()
    if x.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(x.view(np.int16)).view(torch.bfloat16).to(DEVICE)
    return torch.from_numpy(x).to(DEVICE)


def _array(x: torch.Tensor) -> np.ndarray:
    x = x.detach().cpu()
    return x.view(torch.int16).numpy().view(ml_dtypes.bfloat16) if x.dtype == torch.bfloat16 else x.numpy()


def differentiated(forward: Callable[..., Any], no_gradient: tuple[int, ...] = ()) -> Callable[..., Any]:
    """Return the layer of a forward function of tensors, with its pullback by PyTorch's autograd.

    Arrays that are not given, and those at the places ``no_gradient``, get no gradient.
    """

    def of_tensors(*arrays: Any, **configuration: Any) -> Any:
        tensors = [x if x is None or isinstance(x, torch.Tensor) else _tensor(x) for x in arrays]
        return forward(*tensors, **configuration)

    return layer_of(of_tensors, no_gradient, _vjp)


def _vjp(function: Callable[..., Any], *arrays: np.ndarray) -> tuple[Any, Callable[[np.ndarray], list[np.ndarray]]]:
    tensors = [_tensor(x).detach().requires_grad_(True) for x in arrays]
    value = function(*tensors)

    def pullback(dy: np.ndarray) -> list[np.ndarray]:
        found = torch.autograd.grad(first_of(value), tensors, _tensor(dy), retain_graph=True, allow_unused=True)
        return [_array(torch.zeros_like(t) if g is None else g) for t, g in zip(tensors, found, strict=True)]

    if isinstance(value, tuple):
        return tuple(None if y is None else _array(y) for y in value), pullback
    return _array(value), pullback


def _refused_by_torch(wrong: bool, why: str) -> None:
    if wrong:
        raise NotImplementedError(f"PyTorch refuses {why}")


affine = differentiated(lambda x, w, b=None: F.linear(x.flatten(1), w.T, b) if x.ndim > 1 else x[:, None] @ w + b)
linear = differentiated(F.linear)


# -- convolution and pooling ------------------------------------------------------------------------------------------


def _has_pairs(padding: Any) -> bool:
    return isinstance(padding, (tuple, list)) and any(isinstance(p, (tuple, list)) for p in padding)


def _padded(x: Any, padding: Any, fill: float) -> tuple[Any, Any]:
    """Return x and the padding that PyTorch's layer still has to add.

    PyTorch's layers pad both sides equally. If the sides differ, x is padded here, with PyTorch's own pad.
    """
    if not _has_pairs(padding):
        return x, padding
    if all(before == after for before, after in padding):
        return x, tuple(before for before, _ in padding)
    return F.pad(x, [n for pair in reversed(padding) for n in pair], value=fill), 0


def _refuse_words(padding: Any) -> None:
    if isinstance(padding, str):
        raise NotImplementedError(f"PyTorch's layer has no padding {padding!r}")


def _conv(function: Callable[..., Any]) -> Callable[..., Any]:
    def forward(x: Any, w: Any, b: Any = None, *, padding: Any = 0, **configuration: Any) -> Any:
        x, padding = _padded(x, padding, 0.0)
        return function(x, w, b, padding=padding, **configuration)

    return differentiated(forward)


def _conv_transpose(function: Callable[..., Any]) -> Callable[..., Any]:
    def forward(x: Any, w: Any, b: Any = None, *, padding: Any = 0, **configuration: Any) -> Any:
        _refuse_words(padding)
        if not _has_pairs(padding):
            return function(x, w, b, padding=padding, **configuration)
        y = function(x, w, b, padding=0, **configuration)
        return F.pad(y, [-n for pair in reversed(padding) for n in pair])

    return differentiated(forward)


def _max_pool(function: Callable[..., Any]) -> Callable[..., Any]:
    def forward(x: Any, *, kernel_size: Any, padding: Any = 0, **configuration: Any) -> Any:
        _refuse_words(padding)
        if _has_pairs(padding) and configuration.get("ceil_mode"):
            raise NotImplementedError("PyTorch has no pooling with unequal padding and ceil_mode")
        x, padding = _padded(x, padding, -np.inf)
        return function(x, kernel_size, padding=padding, **configuration)

    return differentiated(forward)


def _avg_pool(function: Callable[..., Any]) -> Callable[..., Any]:
    def forward(x: Any, *, kernel_size: Any, padding: Any = 0, **configuration: Any) -> Any:
        _refuse_words(padding)
        if _has_pairs(padding):
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


def _last(x: Any, normalized_ndim: int) -> Any:
    """Return the lengths of the last axes. PyTorch takes them in place of their number, so it is checked here."""
    if isinstance(normalized_ndim, bool) or not 1 <= normalized_ndim <= x.ndim:
        raise ValueError(f"normalized_ndim is {normalized_ndim}, but x has {x.ndim} axes")
    return x.shape[x.ndim - normalized_ndim :]


def _layer_norm(x: Any, gamma: Any = None, beta: Any = None, *, normalized_ndim: int = 1, eps: float = 1e-5) -> Any:
    return F.layer_norm(x, _last(x, normalized_ndim), gamma, beta, eps)


def _group_norm(x: Any, gamma: Any = None, beta: Any = None, *, groups: int, eps: float = 1e-5) -> Any:
    _refused_by_torch(prod(x.shape) == groups, "group_norm over one value")
    return F.group_norm(x, groups, gamma, beta, eps)


def _instance_norm(x: Any, gamma: Any = None, beta: Any = None, *, eps: float = 1e-5) -> Any:
    _refused_by_torch(prod(x.shape[2:]) == 1, "instance_norm over one spatial element")
    return F.instance_norm(x, None, None, gamma, beta, eps=eps)


def _rms_norm(x: Any, gamma: Any = None, *, normalized_ndim: int = 1, eps: float = 1e-5) -> Any:
    return F.rms_norm(x, _last(x, normalized_ndim), gamma, eps)


batch_norm = differentiated(_batch_norm, without_gradient("batch_norm"))
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

cross_entropy = differentiated(F.cross_entropy, without_gradient("cross_entropy"))
binary_cross_entropy = differentiated(F.binary_cross_entropy, without_gradient("binary_cross_entropy"))


def _mse_loss(prediction: Any, target: Any, *, reduction: str = "mean") -> Any:
    if prediction.shape != target.shape:
        raise ValueError("prediction and target differ in shape, and PyTorch would broadcast")
    return F.mse_loss(prediction, target, reduction=reduction)


mse_loss = differentiated(_mse_loss)
l2_penalty = differentiated(lambda w, *, weight=1.0: 0.5 * weight * (w * w).sum())


def _dropout(x: Any, mask: Any, *, p: float = 0.5) -> Any:
    if x.shape != mask.shape or mask.is_complex():
        raise ValueError("x and mask differ in shape, or mask is complex")
    if not 0 <= p <= 1:
        raise ValueError("dropout probability has to be between 0 and 1")  # as F.dropout does
    return x * mask / (1 - p)


dropout = differentiated(_dropout, without_gradient("dropout"))


def _pad(x: Any, *, padding: Any, mode: str = "constant") -> Any:
    rank = x.ndim - 2
    edges = padding if isinstance(padding, tuple) else (padding,) * rank
    if len(edges) != rank:
        raise ValueError(f"padding has {len(edges)} entries, but x has {rank} spatial axes")
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
conv_bn_relu = differentiated(_conv_bn_relu, without_gradient("conv_bn_relu"))
residual_block = differentiated(
    residual("residual_block", "1", F.conv2d, _batch_norm, F.relu), without_gradient("residual_block")
)
bottleneck_block = differentiated(
    residual("bottleneck_block", "2", F.conv2d, _batch_norm, F.relu), without_gradient("bottleneck_block")
)
