"""Functions of PyTorch and of JAX as layers, differentiated by their own framework."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from oracle.targets.ask import LayerFunction


def autograd_torch(function: Callable[..., Any]) -> LayerFunction:
    """Let PyTorch differentiate a function of its tensors. Arrays of integers take no gradient.

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


def autograd_jax(function: Callable[..., Any]) -> LayerFunction:
    """Let ``jax.vjp`` differentiate a function of JAX arrays. Arrays of integers take no gradient.

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
    """Return the places of the arrays that take no gradient."""
    return tuple(i for i, x in enumerate(arrays) if x is not None and x.dtype.kind in "iub")
