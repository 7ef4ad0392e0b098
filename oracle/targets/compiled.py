"""Turn a layer over JAX arrays into one over NumPy arrays, with value and pullback compiled together."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from oracle.targets.ask import LayerFunction
from oracle.targets.precision import precision_of

MOST_PROGRAMS = 200  # of each some 40 memory mappings are kept; XLA aborts the process at 65,530, Linux's limit
_programs: set[Any] = set()


def device_named(name: str | None) -> Any:
    """Return JAX's device of a name (cpu, gpu, tpu, gpu:1), or its default. Raises LookupError if there is none."""
    kind, _, number = (name or jax.default_backend()).partition(":")
    there = ", ".join(f"{d.platform}:{d.id}" for d in jax.devices())
    try:
        return jax.devices(kind)[int(number or 0)]
    except (RuntimeError, ValueError, IndexError):
        raise LookupError(f"there is no device {name!r}; JAX has {there}") from None


def described(device: Any) -> str:
    """Name a device of JAX as results show it: ``gpu:0 (NVIDIA H100)``."""
    return f"{device.platform}:{device.id} ({device.device_kind})"


def compiled(function: LayerFunction, device: Any = None) -> LayerFunction:
    """Compile ``(arrays, dy) -> (value, cotangents)`` once per configuration. Accelerators use full products."""

    @functools.lru_cache(maxsize=64)
    def program(items: tuple[tuple[str, Any], ...]) -> tuple[Any, Any]:
        def first(present: Any) -> Any:
            value, _ = function(*present, **dict(items))
            return value[0] if isinstance(value, tuple) else value

        def whole(present: Any, dy: Any) -> Any:
            value, pullback = function(*present, **dict(items))
            return value, pullback(dy)

        return first, jax.jit(whole)

    @functools.wraps(function)
    def layer(*arrays: np.ndarray | None, **configuration: Any) -> tuple[Any, Callable[[Any], Any]]:
        options = tuple(configuration.items())
        _make_room((function, options, tuple(None if x is None else (x.shape, x.dtype) for x in arrays)))
        first, whole = program(options)
        with precision_of(*arrays), jax.default_matmul_precision("highest"):
            present = [None if x is None else _put(x, device) for x in arrays]
            shape = jax.eval_shape(first, present)
            value, _ = whole(present, jnp.zeros(shape.shape, shape.dtype, device=device))

        def pullback(dy: np.ndarray) -> Any:
            with precision_of(*arrays), jax.default_matmul_precision("highest"):
                _, cotangents = whole(present, _put(dy, device))
            return tuple(None if x is None else np.asarray(x) for x in cotangents)

        return jax.tree.map(np.asarray, value), pullback

    return layer


def _make_room(program: Any) -> None:
    """Forget everything that is compiled before too many programs are kept."""
    if program not in _programs and len(_programs) >= MOST_PROGRAMS:
        jax.clear_caches()
        _programs.clear()
    _programs.add(program)


def _put(x: np.ndarray, device: Any) -> Any:
    return jax.device_put(np.ascontiguousarray(x).reshape(x.shape), device)
