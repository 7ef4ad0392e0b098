"""Adapters: code of any shape as a target's layer, ``layer(*arrays, **configuration) -> (value, pullback)``.

Put the results under the layers' names into a module or a mapping, and that is a target:

    # target.py
    from oracle.adapters import autograd_torch
    import torch.nn.functional as F

    gelu = autograd_torch(F.gelu)

    backproof run --target target.py
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Layer = Callable[..., tuple[Any, Callable[[Any], Any]]]


def autograd_torch(function: Callable[..., Any]) -> Layer:
    """A function of PyTorch tensors, differentiated by PyTorch. Arrays of integers take no gradient.

    Example:

        import torch

        silu = autograd_torch(lambda x: x * torch.sigmoid(x))
        y, pullback = silu(np.zeros(1, np.float32))
        (dx,) = pullback(np.ones(1, np.float32))
        assert dx == np.float32(0.5)
    """
    from oracle.targets.builtin.torch_layers import differentiated

    def layer(*arrays: Any, **configuration: Any) -> Any:
        return differentiated(function, _whole_numbers(arrays))(*arrays, **configuration)

    return layer


def autograd_jax(function: Callable[..., Any]) -> Layer:
    """A function of JAX arrays, differentiated by ``jax.vjp``. Arrays of integers take no gradient.

    >>> import jax
    >>> silu = autograd_jax(lambda x: x * jax.nn.sigmoid(x))
    >>> y, pullback = silu(np.zeros(1, np.float32))
    >>> pullback(np.ones(1, np.float32))
    (array([0.5], dtype=float32),)
    """

    import jax
    import jax.numpy as jnp

    from oracle.targets.builtin.jax_layers import differentiated

    def layer(*arrays: Any, **configuration: Any) -> Any:
        given = [None if x is None else jnp.asarray(x) for x in arrays]
        value, back = differentiated(function, _whole_numbers(arrays))(*given, **configuration)
        return jax.tree.map(np.array, value), lambda dy: tuple(jax.tree.map(np.array, back(jnp.asarray(dy))))

    return layer


def _whole_numbers(arrays: tuple[Any, ...]) -> tuple[int, ...]:
    """The places of the arrays that take no gradient."""
    return tuple(i for i, x in enumerate(arrays) if x is not None and x.dtype.kind in "iub")


def forward_backward(forward: Callable[..., Any], backward: Callable[[Any, Any], Any]) -> Layer:
    """A pair with a cache in between: ``forward(...) -> (value, cache)`` and ``backward(dy, cache) -> cotangents``.

    >>> relu = forward_backward(lambda x: (np.maximum(x, 0), x), lambda dy, x: dy * (x > 0))
    >>> y, pullback = relu(np.array([-1.0, 2.0]))
    >>> pullback(np.array([5.0, 5.0]))
    (array([0., 5.]),)
    """

    def layer(*arrays: Any, **configuration: Any) -> Any:
        value, cache = forward(*arrays, **configuration)

        def pullback(dy: Any) -> tuple[Any, ...]:
            found = backward(dy, cache)
            return tuple(found) if isinstance(found, (tuple, list)) else (found,)

        return value, pullback

    return layer


def stateful(
    layer_object: Any,
    *,
    parameters: Mapping[str, str] | None = None,
    gradients: Mapping[str, str] | None = None,
    forward: str = "forward",
    backward: str = "backward",
) -> Layer:
    """Objects whose forward keeps what backward reads, parameters and their gradients in attributes.

    ``layer_object`` is a class or function that makes one from a configuration, ``layer_object(**configuration)``, or one
    object, copied for each call: then an option is put into its attribute of the same name, and one that it lacks is not
    offered.
    ``parameters`` names the attributes that the arrays after x are put into, in order (``{"w": "weight", "b": "bias"}``;
    an array that is not given is put as None); ``gradients`` those that hold their gradients after backward, which itself
    returns dx.

    >>> class Scale:
    ...     def forward(self, x):
    ...         self.x = x
    ...         return self.factor * x
    ...     def backward(self, dy):
    ...         self.dfactor = (dy * self.x).sum()
    ...         return dy * self.factor
    >>> layer = stateful(Scale(), parameters={"w": "factor"}, gradients={"w": "dfactor"})
    >>> y, pullback = layer(np.array([1.0, 2.0]), np.array(3.0))
    >>> y, pullback(np.array([1.0, 1.0]))
    (array([3., 6.]), (array([3., 3.]), np.float64(3.0)))
    """
    names, where = dict(parameters or {}), dict(gradients or {})
    is_one = hasattr(layer_object, forward) and not isinstance(layer_object, type)

    def made(configuration: dict[str, Any]) -> Any:
        if not is_one:
            return layer_object(**configuration)
        thing = copy.copy(layer_object)  # so that the next call finds its options as they were
        for option, value in configuration.items():
            if not hasattr(thing, option):
                raise NotImplementedError(f"the object has no {option}")
            setattr(thing, option, value)
        return thing

    def layer(x: Any, *arrays: Any, **configuration: Any) -> Any:
        if len(arrays) > len(names):
            raise ValueError(
                f"the layer has {len(arrays)} arrays after x; parameters names {', '.join(names) or 'none'}"
            )
        thing = made(configuration)
        for attribute, array in zip(names.values(), arrays, strict=False):
            setattr(thing, attribute, array)
        value = getattr(thing, forward)(x)

        def pullback(dy: Any) -> tuple[Any, ...]:
            dx = getattr(thing, backward)(dy)
            rest = zip(names, arrays, strict=False)
            return (dx, *(None if a is None or n not in where else getattr(thing, where[n]) for n, a in rest))

        return value, pullback

    return layer


def transposed(layer: Layer, *axes: tuple[int, ...] | None, value: tuple[int, ...] | None = None) -> Layer:
    """A layer of another layout: ``axes`` say, for each array, which of our axes its axes are; ``value`` for its value.

    An array of another number of axes than its permutation is passed as it is.

    >>> def per_channel(x):  # channels last
    ...     return x * np.arange(x.shape[-1]), lambda dy: (dy * np.arange(x.shape[-1]),)
    >>> layer = transposed(per_channel, (0, 2, 1), value=(0, 2, 1))
    >>> layer(np.ones((1, 2, 3)))[0]
    array([[[0., 0., 0.],
            [1., 1., 1.]]])
    """

    def there(x: Any, order: tuple[int, ...] | None) -> Any:
        return np.transpose(x, order) if x is not None and order is not None and np.ndim(x) == len(order) else x

    def back(x: Any, order: tuple[int, ...] | None) -> Any:
        return there(x, None if order is None else tuple(np.argsort(order).tolist()))

    def wrapped(*arrays: Any, **configuration: Any) -> Any:
        orders = (*axes, *[None] * (len(arrays) - len(axes)))
        y, pullback = layer(*map(there, arrays, orders), **configuration)

        def returned(dy: Any) -> tuple[Any, ...]:
            return tuple(map(back, pullback(there(dy, value)), orders))

        first = y[0] if isinstance(y, tuple) else y
        first = back(first, value)
        return (first, *y[1:]) if isinstance(y, tuple) else first, returned

    return wrapped


def channels_last(layer: Layer) -> Layer:
    """A 2-D layer over (N, H, W, C), whose kernels, where it has any, are (KH, KW, C, F)."""
    return transposed(layer, (0, 2, 3, 1), (2, 3, 1, 0), value=(0, 2, 3, 1))


def renamed(layer: Layer, **names: str) -> Layer:
    """A layer whose options have other names: ``renamed(pool, kernel_size="size", stride="step")``.

    >>> def pool(x, size):
    ...     return x[:size], None
    >>> renamed(pool, kernel_size="size")(np.arange(4), kernel_size=2)[0]
    array([0, 1])
    """
    return lambda *arrays, **configuration: layer(*arrays, **{names.get(k, k): v for k, v in configuration.items()})


# -- the assignments of CS231n ----------------------------------------------------------------------------------------


def cs231n(module: Any) -> dict[str, Layer]:
    """The layers of a solution to the assignments of CS231n (``layers.py``), those that it has.

    affine, relu, conv (naive), max_pool (naive), batchnorm and spatial_batchnorm, layernorm, spatial_groupnorm and
    softmax_loss, with their own conventions: conv_param and pool_param of one stride and padding; bn_param with
    ``mode``, the momentum that keeps (1 - ours) and running statistics that it changes in place, the variance biased
    (it is converted); gamma and beta of the group normalisation (1, C, 1, 1). What the assignment does not have (groups,
    dilation, unequal padding ...) counts as not offered.

    >>> from types import SimpleNamespace
    >>> solution = SimpleNamespace(
    ...     relu_forward=lambda x: (np.maximum(0, x), x), relu_backward=lambda dout, cache: dout * (cache > 0)
    ... )
    >>> sorted(cs231n(solution))
    ['relu']
    """

    def has(*names: str) -> bool:
        return all(callable(getattr(module, name, None)) for name in names)

    found: dict[str, Layer] = {}
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
