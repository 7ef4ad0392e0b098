"""What differs between NumPy and JAX, and nothing else.

Every rule is written once against the names that both namespaces share. The few operations that have no common
spelling (a convolution, a write into an array, the error function) stand here, side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from types import ModuleType
from typing import Any

import array_api_compat
import numpy as np

Array = Any
Padding = Sequence[tuple[int, int]]

# The columns that a NumPy convolution unfolds at a time: small enough to stay in a core's second-level cache.
UNFOLDED_BYTES = 1 << 20


def is_array(x: object) -> bool:
    """Whether x is a NumPy or a JAX array (a tracer inside ``jax.jit`` counts as one)."""
    return isinstance(x, np.ndarray) or array_api_compat.is_jax_array(x)


def is_jax(*arrays: Array) -> bool:
    """Whether one of the arrays is a JAX array."""
    return any(array_api_compat.is_jax_array(x) for x in arrays)


def namespace(*arrays: Array) -> ModuleType:
    """The array namespace of the arrays: ``jax.numpy`` if one of them is a JAX array, else NumPy."""
    if is_jax(*arrays):
        import jax.numpy as jnp

        return jnp
    return np


def erf(x: Array) -> Array:
    """The error function; NumPy has none, so SciPy's stands in."""
    if is_jax(x):
        from jax.scipy import special

        return special.erf(x)
    from scipy import special

    return special.erf(x)


def log1p(x: Array) -> Array:
    """log(1 + x). XLA's own is off by up to 80 ulp in float64 on the CPU; Kahan's form of it is not."""
    if is_jax(x):
        import jax.numpy as jnp

        u = 1 + x
        return jnp.where((u == 1) | jnp.isinf(u), x, jnp.log(u) * (x / jnp.where(u == 1, 1, u - 1)))
    return np.log1p(x)


def spread(x: Array, steps: Sequence[int], padding: Padding, fill: float = 0.0) -> Array:
    """Put ``step - 1`` fills between neighbours along each trailing axis, then pad; a negative padding crops.

    x has shape (..., *S); steps and padding hold one entry for each axis of S.
    """
    lead = x.ndim - len(steps)
    if is_jax(x):
        from jax import lax

        edges = [(0, 0, 0)] * lead + [(a, b, step - 1) for (a, b), step in zip(padding, steps, strict=True)]
        return lax.pad(x, np.asarray(fill, x.dtype), edges)
    if all(edge == (0, 0) for edge in padding) and all(step == 1 for step in steps):
        return x
    sizes = x.shape[lead:]
    between = [max(0, (size - 1) * step + 1) for size, step in zip(sizes, steps, strict=True)]
    shape = [size + a + b for size, (a, b) in zip(between, padding, strict=True)]
    y = np.full((*x.shape[:lead], *shape), fill, x.dtype)
    source, goal = [slice(None)] * lead, [slice(None)] * lead
    for size, step, (before, _), length in zip(sizes, steps, padding, shape, strict=True):
        first = max(0, -(before // step))  # the first element that a cropping padding leaves
        last = min(size, max(first, -((before - length) // step)))
        source.append(slice(first, last))
        goal.append(slice(before + first * step, before + last * step, step) if last > first else slice(0, 0))
    y[tuple(goal)] = x[tuple(source)]
    return y


def correlate(
    x: Array,
    w: Array,
    *,
    stride: Sequence[int],
    padding: Padding,
    dilation: Sequence[int],
    spacing: Sequence[int] | None = None,
    groups: int = 1,
) -> Array:
    """Cross-correlation of x (N, C, *S) with w (F, C/groups, *K), giving (N, F, *O).

    y[n, f, o] = sum over c, k of w[f, c, k] * x'[n, c, o * stride + k * dilation], where x' is x with
    ``spacing - 1`` zeros between neighbours, then padded.
    """
    spacing = (1,) * len(stride) if spacing is None else tuple(spacing)
    if is_jax(x, w):
        from jax import lax

        return lax.conv_general_dilated(
            x,
            w,
            window_strides=tuple(stride),
            padding=[tuple(edge) for edge in padding],
            lhs_dilation=spacing,
            rhs_dilation=tuple(dilation),
            feature_group_count=groups,
        )
    return _correlate_numpy(spread(x, spacing, padding), w, tuple(stride), tuple(dilation), groups)


def _correlate_numpy(
    x: np.ndarray, w: np.ndarray, stride: tuple[int, ...], dilation: tuple[int, ...], groups: int
) -> np.ndarray:
    """Unfold a few samples, or a few rows of one, at a time and multiply: the whole batch is never unfolded."""
    n, _, *size = x.shape
    filters, per_group, *kernel = w.shape
    rank, taps = len(size), per_group * prod(kernel)
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    x = x.reshape(n, groups, per_group, *size)
    windows = np.lib.stride_tricks.sliding_window_view(x, reach, tuple(range(3, 3 + rank)))
    steps: tuple[Any, ...] = (..., *(slice(None, None, step) for step in (*stride, *dilation)))
    windows = windows[steps]  # (N, G, C/G, *O, *K)
    output = windows.shape[3 : 3 + rank]
    order = (1, 2, *range(3 + rank, 3 + 2 * rank), 0, *range(3, 3 + rank))  # (G, C/G, *K, N, *O)
    w = w.reshape(groups, filters // groups, taps)
    y = np.empty((n, filters, *output), np.result_type(x, w))

    row = max(1, groups * taps * prod(output[1:]) * x.itemsize)  # the bytes of one row of one sample, unfolded
    rows = max(1, min(output[0], UNFOLDED_BYTES // row))
    samples = max(1, UNFOLDED_BYTES // (row * output[0]))
    for i in range(0, n, samples):
        for j in range(0, output[0], rows):
            block = windows[i : i + samples, :, :, j : j + rows]
            shape = (block.shape[0], block.shape[3], *output[1:])
            columns = block.transpose(order).reshape(groups, taps, prod(shape))
            product = np.matmul(w, columns).reshape(filters, *shape)
            y[i : i + samples, :, j : j + rows] = product.swapaxes(0, 1)
    return y


def add_at(x: Array, axis: int, index: np.ndarray, values: Array) -> Array:
    """x with values added at the given places along one axis; a place named twice receives both."""
    place = (slice(None),) * (axis % x.ndim) + (index,)
    if is_jax(x, values):
        return namespace(x, values).asarray(x).at[place].add(values)
    np.add.at(x, place, values)
    return x
