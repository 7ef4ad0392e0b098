"""Dropout with the mask given: which units are kept is the caller's to draw."""

from __future__ import annotations

from typing import Any

from impl.array import Array
from impl.functional.checks import number, shaped
from impl.rule import refuse_type, rule


@rule(no_gradient=("mask",))
def dropout(x: Array, mask: Array, *, p=0.5) -> Any:
    """Inverted dropout: y = x * mask / (1 - p), mask 1 where a unit is kept and 0 where it is dropped.

    dx = dy * mask / (1 - p).

    Shapes: x, mask (floating, integer or bool) and y any, the same.
    Raises ValueError where the shapes differ or p is not in [0, 1).
    Source: Srivastava et al., JMLR 15 (2014); the documents do not have it.
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
