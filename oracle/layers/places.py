"""Compute which places of x each window sees, as an index that is written out from the definition.

An index holds, for each output place and each tap of the kernel, the flat spatial place of x, or the number of places
of x if the tap falls outside. Convolution, its transpose, each pooling and each padding mode differ in their index and in
what they do with the gathered values; the gather and its derivative are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
from jax import lax


def per_axis(value: Any, rank: int) -> tuple[int, ...]:
    """Return one int per axis, from an int or a sequence."""
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * rank


def at_least_one(m: int) -> int:
    """Return the length of an axis of the output. Raise ValueError if no window fits into the padded input."""
    if m < 1:
        raise ValueError(f"the kernel is larger than the padded input: the output would have the length {m}")
    return m


def edges(padding: Any, kernel: Sequence[int], dilation: Sequence[int]) -> list[tuple[int, int]]:
    """Return the (before, after) padding of each axis."""
    if padding == "valid":
        return [(0, 0) for _ in kernel]
    if padding == "same":
        lacking = [(k - 1) * d for k, d in zip(kernel, dilation, strict=True)]
        return [(n // 2, (n + 1) // 2) for n in lacking]
    if isinstance(padding, int):
        return [(padding, padding) for _ in kernel]
    return [(p, p) if isinstance(p, int) else (p[0], p[1]) for p in padding]


Source = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def combine(axes: Sequence[tuple[np.ndarray, np.ndarray]], size: Sequence[int]) -> np.ndarray:
    """Combine the places of each axis (O, K), and whether they lie inside, to the index (prod O, prod K) over all axes."""
    flat = np.zeros((1, 1), np.int64)
    inside = np.ones((1, 1), bool)
    for (places, within), n in zip(axes, size, strict=True):
        flat = (flat[:, None, :, None] * n + places[None, :, None, :]).reshape(len(flat) * len(places), -1)
        inside = (inside[:, None, :, None] & within[None, :, None, :]).reshape(flat.shape)
    return np.where(inside, flat, prod(size))


def window_axis(n: int, k: int, s: int, d: int, before: int, m: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the places of one axis of a window: output o sees x at o s + j d - before."""
    places = np.arange(m)[:, None] * s + np.arange(k) * d - before
    return places, (places >= 0) & (places < n)


def transposed_axis(n: int, k: int, s: int, d: int, before: int, m: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the places of one axis of a transposed window: output o receives x at i if i s + j d - before = o."""
    reached = np.arange(m)[:, None] + before - np.arange(k) * d
    places = reached // s
    return places, (reached % s == 0) & (places >= 0) & (places < n)


def gather(x: Any, index: np.ndarray, fill: float) -> Any:
    """Take x (N, C, *S) at the places of an index, with ``fill`` outside; the result is (N, C, *index.shape)."""
    n, c, *size = x.shape
    flat = lax.reshape(x, (n, c, prod(size)))
    flat = lax.pad(flat, np.asarray(fill, x.dtype), ((0, 0, 0), (0, 0, 0), (0, 1, 0)))
    numbers = lax.GatherDimensionNumbers(offset_dims=(0, 1), collapsed_slice_dims=(2,), start_index_map=(2,))
    mode = lax.GatherScatterMode.PROMISE_IN_BOUNDS
    return lax.gather(flat, index[..., None], numbers, (n, c, 1), mode=mode)
