"""Layers that move elements without computing: add, flatten, pad."""

from __future__ import annotations

from math import prod
from typing import Any, Literal, get_args

import numpy as np

from impl.array import Array, add_at, namespace, spread
from impl.functional.checks import Pairs, choice, spatial
from impl.functional.window import pairs
from impl.rule import refuse, rule

Mode = Literal["constant", "reflect", "replicate", "circular"]
PAD_MODES: tuple[str, ...] = get_args(Mode)


@rule
def add(x: Array, y: Array, /) -> tuple[Array, Any]:
    """Add two arrays, broadcast as NumPy does: a residual connection.

    z = x + y.
    dx = dz summed over the axes along which x was broadcast;  dy = dz summed over those of y.

    Shapes: x, y any that broadcast together. Raises ValueError if they do not.
    Source: document 000, section 5.1.

    >>> y, pullback = F.add.vjp(np.array([[1.0, 2.0]]), np.array([10.0]))
    >>> y, pullback(np.array([[3.0, 4.0]]))
    (array([[11., 12.]]), (array([[3., 4.]]), array([7.])))
    """
    try:
        np.broadcast_shapes(x.shape, y.shape)
    except ValueError:
        refuse(f"x of shape {tuple(x.shape)} and y of shape {tuple(y.shape)} do not broadcast together")
    return x + y, (x, y)


@add.pullback
def _(residuals: Any, dy: Array) -> tuple[Array, ...]:
    return tuple(_summed_to(dy, x.shape) for x in residuals)


def _summed_to(dy: Array, shape: tuple[int, ...]) -> Any:
    """Undo a broadcast: sum over the axes that it made or stretched."""
    dy = dy.sum(axis=tuple(range(dy.ndim - len(shape))))
    stretched = tuple(i for i, n in enumerate(shape) if n == 1 and dy.shape[i] != 1)
    return dy.sum(axis=stretched, keepdims=True) if stretched else dy


@rule
def flatten(x: Array, /) -> tuple[Array, Any]:
    """Return each sample as one vector.

    y = x in the shape (N, everything else);  dx = dy in the shape of x.

    Shapes: x (N, ...); y (N, D). Raises ValueError if x has no batch axis. Source: document 004, section 5.1.

    >>> y, pullback = F.flatten.vjp(np.array([[[1.0], [2.0]]]))
    >>> y, pullback(np.array([[10.0, 20.0]]))
    (array([[1., 2.]]), (array([[[10.],
            [20.]]]),))
    """
    if x.ndim < 1:
        refuse("x must have a batch axis, got a single number")
    return x.reshape(x.shape[0], prod(x.shape[1:])), (x,)


@flatten.pullback
def _(residuals: Any, dy: Array) -> tuple[Array]:
    (x,) = residuals
    return (dy.reshape(x.shape),)


@rule
def pad(x: Array, /, *, padding: Pairs, mode: Mode = "constant") -> tuple[Array, Any]:
    """Pad the spatial axes: with zeros, or with x reflected, replicated or continued periodically.

    y[o] = x[place(o)], or 0 if o lies in padded zeros.
    dx[i] = sum of dy[o] over the o with place(o) = i; what lies over padded zeros is dropped.

    Shapes: x (N, C, *S) with 1 to 3 spatial axes; y (N, C, *(S + before + after)).
    Raises ValueError for another mode, a negative padding, or one that reaches past x ("reflect": before - 1 < S - 1).
    Source: document 000, section 4.3; document 004, section 2.1; the modes are PyTorch's.

    >>> y, pullback = F.pad.vjp(np.array([[[1.0, 2.0]]]), padding=[(0, 2)], mode="circular")
    >>> y, pullback(np.array([[[1.0, 10.0, 100.0, 1000.0]]]))
    (array([[[1., 2., 1., 2.]]]), (array([[[ 101., 1010.]]]),))
    """
    return _padded(x, _edges(x, padding), choice("mode", mode, PAD_MODES)), (x,)


def _edges(x: Array, padding: Pairs) -> list[tuple[int, int]]:
    """Return the padding before and after each spatial axis of x."""
    return pairs(padding, spatial(x, None))


def _padded(x: Array, edges: list[tuple[int, int]], mode: str) -> Any:
    """Return a padded copy of x."""
    if mode == "constant":
        y = spread(x, (1,) * len(edges), edges)
        return y.copy() if y is x else y
    for axis, (before, after) in enumerate(edges, start=2):
        x = namespace(x).take(x, _source(x.shape[axis], before, after, mode), axis=axis)
    return x


@pad.pullback
def _(residuals: Any, dy: Array, *, padding: Pairs, mode: str) -> tuple[Array]:
    (x,) = residuals
    edges = _edges(x, padding)
    if mode == "constant":
        return (spread(dy, (1,) * len(edges), [(-before, -after) for before, after in edges]),)
    for axis, (before, after) in enumerate(edges, start=2):
        shape = [*dy.shape[:axis], x.shape[axis], *dy.shape[axis + 1 :]]
        zeros = namespace(x).zeros(shape, dy.dtype)
        dy = add_at(zeros, axis, _source(x.shape[axis], before, after, mode), dy)
    return (dy,)


def _source(n: int, before: int, after: int, mode: str) -> np.ndarray:
    """Return, for each place of the padded axis, the place of x (which has n) that it copies."""
    limit = {"reflect": n - 1, "replicate": None if n else -1, "circular": n}[mode]
    if limit is not None and max(before, after) > limit:
        refuse(f"padding {(before, after)} with mode {mode!r} reaches past x, which has {n} places")
    places = np.arange(-before, n + after)
    if mode == "circular":
        return places % n
    if mode == "replicate":
        return np.clip(places, 0, n - 1)
    return np.where(places < 0, -places, np.where(places >= n, 2 * (n - 1) - places, places))
