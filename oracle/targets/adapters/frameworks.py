"""Functions of PyTorch and of JAX as layers, differentiated by their own framework."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from oracle.targets.ask import LayerFunction


def autograd_torch(function: Callable[..., Any], no_gradient: tuple[int, ...] = ()) -> LayerFunction:
    """Let PyTorch differentiate a function of its tensors.

    Arrays of integers take no gradient, nor do those at the places ``no_gradient``: the mask of a dropout, for example.

    Example:

        import torch

        silu = autograd_torch(lambda x: x * torch.sigmoid(x))
        y, pullback = silu(np.zeros(1, np.float32))
        (dx,) = pullback(np.ones(1, np.float32))
        assert dx == np.float32(0.5)
    """
    from oracle.targets.builtin.torch_layers import differentiated

    def layer(*arrays: Any, **configuration: Any) -> Any:
        return differentiated(function, _without_gradient(arrays, no_gradient))(*arrays, **configuration)

    return layer


def autograd_jax(function: Callable[..., Any], no_gradient: tuple[int, ...] = ()) -> LayerFunction:
    """Let ``jax.vjp`` differentiate a function of JAX arrays, in float64 if the arrays are.

    Arrays of integers take no gradient, nor do those at the places ``no_gradient``: the mask of a dropout, for example.

    >>> import jax
    >>> silu = autograd_jax(lambda x: x * jax.nn.sigmoid(x))
    >>> y, pullback = silu(np.zeros(1, np.float32))
    >>> pullback(np.ones(1, np.float32))
    (array([0.5], dtype=float32),)
    """

    import jax
    import jax.numpy as jnp

    from oracle.targets.builtin.jax_layers import differentiated
    from oracle.targets.precision import precision_of

    def layer(*arrays: Any, **configuration: Any) -> Any:
        with precision_of(*arrays):
            given = [None if x is None else jnp.asarray(x) for x in arrays]
            value, back = differentiated(function, _without_gradient(arrays, no_gradient))(*given, **configuration)

        def pullback(dy: Any) -> tuple[Any, ...]:
            with precision_of(*arrays):
                return tuple(jax.tree.map(np.array, back(jnp.asarray(dy))))

        return jax.tree.map(np.array, value), pullback

    return layer


def _without_gradient(arrays: tuple[Any, ...], places: tuple[int, ...]) -> tuple[int, ...]:
    """Return the given places and those of the arrays of integers."""
    return (*places, *(i for i, x in enumerate(arrays) if x is not None and x.dtype.kind in "iub"))
