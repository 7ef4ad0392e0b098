"""Activations: a line for the function, a line for its derivative. At a kink the derivative is that of the left side."""

from __future__ import annotations

from math import pi, sqrt
from typing import Any

from impl.array import Array, erf, log1p, logistic, namespace
from impl.functional.checks import axis_of, choice, number
from impl.rule import rule


@rule
def identity(x: Array) -> Any:
    """y = x;  dx = dy. Shapes: x and y any, the same. Raises TypeError where x is no array. Source: document 002, III.2."""
    return x, ()


@identity.pullback
def _(residuals: Any, dy: Array) -> tuple[Array]:
    return (dy,)


@rule
def relu(x: Array) -> Any:
    """y = max(x, 0);  dx = dy where x > 0, else 0 (0 at the kink). NaN stays NaN.

    Shapes: x and y any, the same. Raises TypeError where x is no array. Source: document 000, 5.1; document 002, I.1.
    """
    return namespace(x).where(x <= 0, 0, x), (x,)


@relu.pullback
def _(residuals: Any, dy: Array) -> tuple[Array]:
    (x,) = residuals
    return (namespace(x).where(x <= 0, 0, dy),)


@rule
def leaky_relu(x: Array, *, negative_slope=0.01) -> Any:
    """y = x where x > 0, else negative_slope * x;  dx = dy or negative_slope * dy, alike.

    Shapes: x and y any, the same. Raises TypeError for a slope that is no number.
    Source: Maas, Hannun and Ng, ICML 2013; the documents have the case negative_slope = 0.
    """
    slope = number("negative_slope", negative_slope, -float("inf"))
    return namespace(x).where(x <= 0, slope * x, x), (x,)


@leaky_relu.pullback
def _(residuals: Any, dy: Array, *, negative_slope: float) -> tuple[Array]:
    (x,) = residuals
    return (namespace(x).where(x <= 0, negative_slope * dy, dy),)


@rule
def elu(x: Array, *, alpha=1.0) -> Any:
    """y = x where x > 0, else alpha * (exp(x) - 1);  dx = dy where x > 0, else dy * alpha * exp(x).

    Shapes: x and y any, the same. Raises TypeError for an alpha that is no number.
    Source: Clevert, Unterthiner and Hochreiter, arXiv:1511.07289.
    """
    xp = namespace(x)
    scale = number("alpha", alpha, -float("inf"))
    below = xp.where(x <= 0, x, 0)
    return xp.where(x <= 0, scale * xp.expm1(below), x), (x, below)


@elu.pullback
def _(residuals: Any, dy: Array, *, alpha: float) -> tuple[Array]:
    x, below = residuals
    xp = namespace(x)
    return (xp.where(x <= 0, dy * (alpha * xp.exp(below)), dy),)


@rule
def gelu(x: Array, *, approximate="none") -> Any:
    """y = x * P(x),  P the normal distribution function (1 + erf(x / sqrt 2)) / 2, or its approximation by tanh.

    dx = dy * (P(x) + x * exp(-x * x / 2) / sqrt(2 pi)). With approximate="tanh", P(x) = (1 + tanh(u)) / 2 with
    u = sqrt(2 / pi) * (x + 0.044715 x^3), and P' = (1 - tanh(u)^2) / 2 * u'.

    Shapes: x and y any, the same. Raises ValueError for another approximation.
    Source: Hendrycks and Gimpel, arXiv:1606.08415.
    """
    xp = namespace(x)
    if choice("approximate", approximate, ("none", "tanh")) == "none":
        p = 0.5 * (1 + erf(x * sqrt(0.5)))
        slope = xp.exp(-0.5 * x * x) * (1 / sqrt(2 * pi))
    else:
        t = xp.tanh(sqrt(2 / pi) * (x + 0.044715 * x * x * x))
        p = 0.5 * (1 + t)
        slope = 0.5 * (1 - t * t) * (sqrt(2 / pi) * (1 + 3 * 0.044715 * x * x))
    return x * p, (x, p, slope)


@gelu.pullback
def _(residuals: Any, dy: Array) -> tuple[Array]:
    x, p, slope = residuals
    return (dy * (p + x * slope),)


@rule
def sigmoid(x: Array) -> Any:
    """y = 1 / (1 + exp(-x)), written so that exp never overflows;  dx = dy * y * (1 - y).

    Shapes: x and y any, the same. Raises TypeError where x is no array.
    Source: document 000, 1.1; document 003, the Sigmoid node and Torch's updateGradInput.
    """
    return logistic(x)


@sigmoid.pullback
def _(slope: Array, dy: Array) -> tuple[Array]:
    return (dy * slope,)


@rule
def silu(x: Array) -> Any:
    """y = x * s with s = sigmoid(x);  dx = dy * (s + x * s * (1 - s)).

    Shapes: x and y any, the same. Raises TypeError where x is no array. Source: Elfwing et al., arXiv:1702.03118.
    """
    s, slope = logistic(x)
    return x * s, s + x * slope


@silu.pullback
def _(slope: Array, dy: Array) -> tuple[Array]:
    return (dy * slope,)


@rule
def tanh(x: Array) -> Any:
    """y = tanh(x);  dx = dy * (1 - y) * (1 + y).

    Shapes: x and y any, the same. Raises TypeError where x is no array. Source: document 003, the Tanh node.
    """
    y = namespace(x).tanh(x)
    return y, (y,)


@tanh.pullback
def _(residuals: Any, dy: Array) -> tuple[Array]:
    (y,) = residuals
    return (dy * ((1 - y) * (1 + y)),)


@rule
def softplus(x: Array) -> Any:
    """y = log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|));  dx = dy * sigmoid(x).

    Shapes: x and y any, the same. Raises TypeError where x is no array. Source: Dugas et al., NIPS 2000.
    """
    xp = namespace(x)
    return xp.maximum(x, 0) + log1p(xp.exp(-xp.abs(x))), (x,)


@softplus.pullback
def _(residuals: Any, dy: Array) -> tuple[Array]:
    (x,) = residuals
    return (dy * logistic(x)[0],)


@rule
def softmax(x: Array, *, axis=-1) -> Any:
    """y = exp(x) / sum of exp(x) along an axis, with the largest x subtracted first;  dx = y * (dy - sum of dy * y).

    Shapes: x and y any of at least one axis, the same. Raises ValueError for an axis that x has not.
    Source: document 000, section 3.1.
    """
    _, e, total, axis = _shifted_exp(x, axis)
    y = e / total
    return y, (y,)


@softmax.pullback
def _(residuals: Any, dy: Array, *, axis: int) -> tuple[Array]:
    (y,) = residuals
    return (y * (dy - (dy * y).sum(axis=axis, keepdims=True)),)


@rule
def log_softmax(x: Array, *, axis=-1) -> Any:
    """y = x - log of the sum of exp(x) along an axis, with the largest x subtracted first;  dx = dy - softmax * sum of dy.

    Shapes: x and y any of at least one axis, the same. Raises ValueError for an axis that x has not.
    Source: document 000, section 3.3, before the mean over the batch.
    """
    shifted, e, total, axis = _shifted_exp(x, axis)
    return shifted - namespace(x).log(total), (e / total,)


@log_softmax.pullback
def _(residuals: Any, dy: Array, *, axis: int) -> tuple[Array]:
    (p,) = residuals
    return (dy - p * dy.sum(axis=axis, keepdims=True),)


def _shifted_exp(x: Array, axis: Any) -> tuple[Array, Array, Array, int]:
    """x less its largest along the axis, the exponential of that, and the exponentials' sum."""
    axis = axis_of("axis", axis, x.ndim)
    xp = namespace(x)
    shifted = x - x.max(axis=axis, keepdims=True) if x.shape[axis] else x
    e = xp.exp(shifted)
    return shifted, e, e.sum(axis=axis, keepdims=True), axis
