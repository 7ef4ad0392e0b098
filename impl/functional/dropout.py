"""Dropout with a given mask: the caller draws which units are kept."""

from __future__ import annotations

from typing import Any

from impl.array import Array
from impl.functional.checks import number, shaped
from impl.rule import refuse_type, rule


@rule(no_gradient=("mask",))
def dropout(x: Array, mask: Array, /, *, p: float = 0.5) -> tuple[Array, Any]:
    """Drop units by a given mask, and scale up the others so that the expected sum stays the same.

    y = x * mask / (1 - p); mask is 1 if a unit is kept and 0 if it is dropped.
    dx = dy * mask / (1 - p).

    Shapes: x, mask (floating, integer or bool) and y any, the same.
    Raises ValueError if the shapes differ or p is not in [0, 1).
    Source: Srivastava et al., JMLR 15 (2014); the documents do not have it.

    >>> y, pullback = F.dropout.vjp(np.array([1.0, 2.0]), np.array([True, False]), p=0.5)
    >>> y, pullback(np.array([10.0, 10.0]))
    (array([2., 0.]), (array([20.,  0.]), None))
    """
    if mask.dtype.kind not in "biuf" and mask.dtype != x.dtype:
        refuse_type(f"mask must hold numbers or bools, got {mask.dtype}")
    shaped("mask", mask, x.shape, f"x of shape {tuple(x.shape)}")
    scale = 1 / (1 - number("p", p, 0, 1))
    kept = mask.astype(x.dtype)
    return x * kept * scale, (kept,)


@dropout.pullback
def _(residuals: Any, dy: Array, *, p: float) -> tuple[Any, ...]:
    (kept,) = residuals
    return dy * kept * (1 / (1 - p)), None
