"""Fully connected layers."""

from __future__ import annotations

from math import prod
from typing import Any

from impl.array import Array
from impl.functional.checks import shaped
from impl.rule import refuse, rule


@rule
def affine(x: Array, w: Array, b: Array | None = None, /) -> tuple[Array, Any]:
    """Apply a fully connected layer to flattened samples.

    y = x @ w + b.
    dx = dy @ w.T,  dw = x.T @ dy,  db = the sum of dy over the batch.

    Shapes: x (N, ...) flattened to (N, D); w (D, M); b (M), optional; y (N, M).
    Raises ValueError if x, w and b do not fit.
    Source: document 000, sections 2.1 and 2.3; document 004, section 1.3.

    >>> x, w, b = np.array([[1.0, 2.0]]), np.array([[1.0, 0.0], [0.0, 3.0]]), np.array([10.0, 20.0])
    >>> y, pullback = F.affine.vjp(x, w, b)
    >>> y, pullback(np.array([[1.0, 10.0]]))
    (array([[11., 26.]]), (array([[ 1., 30.]]), array([[ 1., 10.],
           [ 2., 20.]]), array([ 1., 10.])))
    """
    if x.ndim < 1:
        refuse("x must have a batch axis, got a single number")
    if w.ndim != 2:
        refuse(f"w must have shape (D, M), got shape {tuple(w.shape)}")
    features = prod(x.shape[1:])
    if w.shape[0] != features:
        refuse(f"x has {features} features per sample but w has {w.shape[0]} rows")
    shaped("b", b, w.shape[1:], f"w of shape {tuple(w.shape)}")
    y = x.reshape(x.shape[0], features) @ w
    return (y if b is None else y + b), (x, w)


@affine.pullback
def _(residuals: Any, dy: Array) -> Any:
    x, w = residuals
    return (
        lambda: (dy @ w.T).reshape(x.shape),
        lambda: x.reshape(x.shape[0], w.shape[0]).T @ dy,
        lambda: dy.sum(axis=0),
    )


@rule
def linear(x: Array, w: Array, b: Array | None = None, /) -> tuple[Array, Any]:
    """Apply a fully connected layer to the last axis.

    y = x @ w.T + b.
    dx = dy @ w,  dw = dy.T @ x,  db = the sum of dy over all axes but the last.

    Shapes: x (..., D); w (M, D), one row per output; b (M), optional; y (..., M).
    Raises ValueError if x, w and b do not fit.
    Source: document 000, section 2.6.

    >>> y, pullback = F.linear.vjp(np.array([1.0, 2.0]), np.array([[3.0, 4.0]]), np.array([5.0]))
    >>> y, pullback(np.array([10.0]))
    (array([16.]), (array([30., 40.]), array([[10., 20.]]), array([10.])))
    """
    if x.ndim < 1:
        refuse("x must have a feature axis, got a single number")
    if w.ndim != 2:
        refuse(f"w must have shape (M, D), got shape {tuple(w.shape)}")
    if x.shape[-1] != w.shape[1]:
        refuse(f"x has {x.shape[-1]} features but w has {w.shape[1]} columns")
    shaped("b", b, w.shape[:1], f"w of shape {tuple(w.shape)}")
    y = x @ w.T
    return (y if b is None else y + b), (x, w)


@linear.pullback
def _(residuals: Any, dy: Array) -> Any:
    x, w = residuals
    rows = prod(x.shape[:-1])
    flat_dy, flat_x = dy.reshape(rows, w.shape[0]), x.reshape(rows, w.shape[1])
    return lambda: dy @ w, lambda: flat_dy.T @ flat_x, lambda: flat_dy.sum(axis=0)
