"""Solutions to the assignments of CS231n as a target."""

from __future__ import annotations

from typing import Any

import numpy as np

from oracle.targets.adapters.stateful import forward_backward
from oracle.targets.ask import LayerFunction


def cs231n(module: Any) -> dict[str, LayerFunction]:
    """Make a target of a solution to the assignments of CS231n (``layers.py``), with the layers that it has.

    These are affine, relu, conv (naive), max_pool (naive), batchnorm and spatial_batchnorm, layernorm, spatial_groupnorm
    and softmax_loss. The assignment has its own conventions: conv_param and pool_param hold one stride and one padding;
    bn_param holds ``mode``, a momentum that keeps (1 - ours), and running statistics that are changed in place, with a
    biased variance (it is converted); gamma and beta of the group normalisation are (1, C, 1, 1). What the assignment
    does not have (groups, dilation, unequal padding ...) counts as not offered.

    >>> from types import SimpleNamespace
    >>> solution = SimpleNamespace(
    ...     relu_forward=lambda x: (np.maximum(0, x), x), relu_backward=lambda dout, cache: dout * (cache > 0)
    ... )
    >>> sorted(cs231n(solution))
    ['relu']
    """

    def has(*names: str) -> bool:
        return all(callable(getattr(module, name, None)) for name in names)

    found: dict[str, LayerFunction] = {}
    if has("affine_forward", "affine_backward"):
        found["affine"] = lambda x, w, b=None: _with_bias(
            module.affine_forward, module.affine_backward, x, w, b, w.shape[1]
        )
    if has("relu_forward", "relu_backward"):
        found["relu"] = forward_backward(module.relu_forward, module.relu_backward)
    if has("conv_forward_naive", "conv_backward_naive"):
        found["conv2d"] = lambda x, w, b=None, **options: _conv(module, x, w, b, **options)
    if has("max_pool_forward_naive", "max_pool_backward_naive"):
        found["max_pool2d"] = lambda x, **options: _max_pool(module, x, **options)
    if has("batchnorm_forward", "batchnorm_backward") or has("spatial_batchnorm_forward", "spatial_batchnorm_backward"):
        found["batch_norm"] = lambda *arrays, **options: _batch_norm(module, *arrays, **options)
    if has("layernorm_forward", "layernorm_backward"):
        found["layer_norm"] = lambda *arrays, **options: _layer_norm(module, *arrays, **options)
    if has("spatial_groupnorm_forward", "spatial_groupnorm_backward"):
        found["group_norm"] = lambda *arrays, **options: _group_norm(module, *arrays, **options)
    if has("softmax_loss"):
        found["cross_entropy"] = lambda *arrays, **options: _softmax_loss(module, *arrays, **options)
    if not found:
        raise ValueError("the module has none of the assignment's functions (affine_forward and affine_backward, ...)")
    return found


def _offered(condition: bool, what: str) -> None:
    if not condition:
        raise NotImplementedError(f"the assignment has no {what}")


def _one(option: Any, what: str) -> int:
    """An option given by axis as the one number it has to be."""
    flat = np.unique(np.asarray(option)) if not isinstance(option, str) else np.zeros(2)
    _offered(len(flat) == 1, what)
    return int(flat[0])


def _with_bias(forward: Any, backward: Any, x: Any, w: Any, b: Any, outputs: int, *options: Any) -> Any:
    given = np.zeros(outputs, x.dtype) if b is None else b
    value, cache = forward(x, w, given, *options)

    def pullback(dy: Any) -> tuple[Any, ...]:
        dx, dw, db = backward(dy, cache)
        return dx, dw, None if b is None else db

    return value, pullback


def _conv(
    module: Any, x: Any, w: Any, b: Any, *, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    _offered(_one(dilation, "dilation") == 1 and groups == 1, "dilation or groups")
    param = {"stride": _one(stride, "stride by axis"), "pad": _one(padding, "padding by side")}
    return _with_bias(module.conv_forward_naive, module.conv_backward_naive, x, w, b, len(w), param)


def _max_pool(
    module: Any,
    x: Any,
    *,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> Any:
    _offered(_one(padding, "padding") == 0 and _one(dilation, "dilation") == 1 and not ceil_mode, "padding or dilation")
    height, width = kernel_size if isinstance(kernel_size, (tuple, list)) else (kernel_size, kernel_size)
    step = _one((height, width) if stride is None else stride, "stride by axis")
    param = {"pool_height": height, "pool_width": width, "stride": step}
    return forward_backward(module.max_pool_forward_naive, module.max_pool_backward_naive)(x, param)


def _batch_norm(
    module: Any,
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
    _offered(x.ndim in (2, 4), "such rank")
    _offered(gamma is not None and beta is not None, "normalisation without gamma and beta")
    name = "spatial_batchnorm" if x.ndim == 4 else "batchnorm"
    forward, backward = getattr(module, f"{name}_forward", None), getattr(module, f"{name}_backward", None)
    _offered(callable(forward) and callable(backward), name)
    param: dict[str, Any] = {"mode": "train" if training else "test", "eps": eps, "momentum": 1 - momentum}
    if running_mean is not None:
        param |= {"running_mean": running_mean.copy(), "running_var": running_var.copy()}
    value, cache = forward(x, gamma, beta, param)  # type: ignore[misc]

    def pullback(dy: Any) -> tuple[Any, ...]:
        _offered(training, "backward of the evaluation mode")
        dx, dgamma, dbeta = backward(dy, cache)  # type: ignore[misc]
        return dx, dgamma, dbeta, None, None

    if running_mean is None:
        return value, pullback
    new_mean, new_var = param["running_mean"], param["running_var"]
    count = x.size // x.shape[1]
    if training and count > 1:  # theirs takes the biased variance, ours the unbiased one
        kept = (1 - momentum) * running_var
        new_var = ((new_var - kept) * (count / (count - 1)) + kept).astype(x.dtype)
    return (value, new_mean, new_var), pullback


def _layer_norm(
    module: Any, x: Any, gamma: Any = None, beta: Any = None, *, normalized_ndim: int = 1, eps: float = 1e-5
) -> Any:
    _offered(x.ndim == 2 and normalized_ndim == 1, "normalisation of other than the features of rows")
    _offered(gamma is not None and beta is not None, "normalisation without gamma and beta")
    return forward_backward(module.layernorm_forward, module.layernorm_backward)(x, gamma, beta, {"eps": eps})


def _group_norm(module: Any, x: Any, gamma: Any = None, beta: Any = None, *, groups: int, eps: float = 1e-5) -> Any:
    _offered(x.ndim == 4 and gamma is not None and beta is not None, "such call")
    wide = (1, -1, 1, 1)
    value, cache = module.spatial_groupnorm_forward(x, gamma.reshape(wide), beta.reshape(wide), groups, {"eps": eps})

    def pullback(dy: Any) -> tuple[Any, ...]:
        dx, dgamma, dbeta = module.spatial_groupnorm_backward(dy, cache)
        return dx, np.reshape(dgamma, gamma.shape), np.reshape(dbeta, beta.shape)

    return value, pullback


def _softmax_loss(
    module: Any,
    logits: Any,
    labels: Any,
    weight: Any = None,
    *,
    reduction: str = "mean",
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> Any:
    _offered(logits.ndim == 2 and weight is None and reduction == "mean" and not label_smoothing, "such option")
    _offered(not (labels == ignore_index).any() and len(labels) > 0, "ignored label or empty batch")
    loss, dx = module.softmax_loss(logits, labels)
    return np.asarray(loss, logits.dtype), lambda dy: ((dy * dx).astype(logits.dtype), None, None)
