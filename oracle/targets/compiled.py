"""A layer over JAX arrays as a layer over NumPy arrays, value and pullback compiled together."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

LayerFunction = Callable[..., tuple[Any, Callable[[Any], Any]]]


def compiled(function: LayerFunction) -> LayerFunction:
    """Jit ``(arrays, dy) -> (value, cotangents)`` once a configuration; products at full precision on accelerators."""

    @functools.wraps(function)
    def layer(*arrays: np.ndarray | None, **configuration: Any) -> tuple[Any, Callable[[Any], Any]]:
        present = [None if x is None else jnp.asarray(np.ascontiguousarray(x).reshape(x.shape)) for x in arrays]

        def whole(present: Any, dy: Any) -> Any:
            value, pullback = function(*present, **configuration)
            return value, pullback(dy)

        def first(value: Any) -> Any:
            return value[0] if isinstance(value, tuple) else value

        with jax.default_matmul_precision("highest"):
            shape = jax.eval_shape(lambda present: first(function(*present, **configuration)[0]), present)
            program = jax.jit(whole)
            value, _ = program(present, jnp.zeros(shape.shape, shape.dtype))

        def pullback(dy: np.ndarray) -> Any:
            with jax.default_matmul_precision("highest"):
                _, cotangents = program(present, jnp.asarray(dy))
            return tuple(None if x is None else np.asarray(x) for x in cotangents)

        return jax.tree.map(np.asarray, value), pullback

    return layer
