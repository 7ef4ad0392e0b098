"""Activations: a line for the function, a line for its derivative. At a kink it is the derivative on the left side."""

from __future__ import annotations

from math import pi, sqrt
from typing import Any, Literal

from impl.array import Array, erf, log1p, logistic, namespace
from impl.functional.checks import axis_of, choice, number
from impl.rule import rule


@rule
def identity(x: Array, /) -> tuple[Array, Any]:
    """Return x itself.

    y = x;  dx = dy.

    Shapes: x and y any, the same. Raises TypeError if x is not an array of floats.
    Source: document 002, III.2.

    >>> y, pullback = F.identity.vjp(np.array([-1.0, 2.0]))
    >>> y, pullback(np.array([10.0, 10.0]))
    (array([-1.,  2.]), (array([10., 10.]),))
    """
    return x, ()


@identity.pullback
def _(residuals: Any, dy: Array) -> tuple[Array]:
    return (dy,)


@rule
def relu(x: Array, /) -> tuple[Array, Any]:
    """Replace what is negative by 0.

    y = max(x, 0);  dx = dy if x > 0, else 0 (also 0 at the kink). NaN stays NaN.

    Shapes: x and y any, the same. Raises TypeError if x is not an array of floats.
    Source: document 000, 5.1; document 002, I.1.

    >>> y, pullback = F.relu.vjp(np.array([-1.0, 2.0]))
    >>> y, pullback(np.array([10.0, 10.0]))
    (array([0., 2.]), (array([ 0., 10.]),))
    """
    return namespace(x).where(x <= 0, 0, x), (x,)


@relu.pullback
def _(residuals: Any, dy: Array) -> tuple[Array]:
    (x,) = residuals
    return (namespace(x).where(x <= 0, 0, dy),)


@rule
def leaky_relu(x: Array, /, *, negative_slope: float = 0.01) -> tuple[Array, Any]:
    """Scale what is negative by a small slope.

    y = x if x > 0, else negative_slope * x;  dx = dy if x > 0, else negative_slope * dy.

    Shapes: x and y any, the same. Raises TypeError for a slope that is not a number.
    Source: Maas, Hannun and Ng, ICML 2013; the documents have the case negative_slope = 0.

    >>> y, pullback = F.leaky_relu.vjp(np.array([-1.0, 2.0]), negative_slope=0.5)
    >>> y, pullback(np.array([10.0, 10.0]))
    (array([-0.5,  2. ]), (array([ 5., 10.]),))
    """
    slope = number("negative_slope", negative_slope, -float("inf"))
    return namespace(x).where(x <= 0, slope * x, x), (x,)


@leaky_relu.pullback
def _(residuals: Any, dy: Array, *, negative_slope: float) -> tuple[Array]:
    (x,) = residuals
    return (namespace(x).where(x <= 0, negative_slope * dy, dy),)


@rule
def elu(x: Array, /, *, alpha: float = 1.0) -> tuple[Array, Any]:
    """Bend what is negative towards -alpha by an exponential.

    y = x if x > 0, else alpha * (exp(x) - 1);  dx = dy if x > 0, else dy * alpha * exp(x).

    Shapes: x and y any, the same. Raises TypeError for an alpha that is not a number.
    Source: Clevert, Unterthiner and Hochreiter, arXiv:1511.07289.

    >>> y, pullback = F.elu.vjp(np.array([-np.log(2), 2.0]))
    >>> y, pullback(np.array([10.0, 10.0]))
    (array([-0.5,  2. ]), (array([ 5., 10.]),))
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
def gelu(x: Array, /, *, approximate: Literal["none", "tanh"] = "none") -> tuple[Array, Any]:
    """Weight x by the probability that a normal variable is smaller.

    y = x * P(x). P is the normal distribution function (1 + erf(x / sqrt 2)) / 2, or its approximation by tanh.
    dx = dy * (P(x) + x * exp(-x * x / 2) / sqrt(2 pi)). With approximate="tanh", P(x) = (1 + tanh(u)) / 2 with
    u = sqrt(2 / pi) * (x + 0.044715 x^3), and P' = (1 - tanh(u)^2) / 2 * u'.

    Shapes: x and y any, the same. Raises ValueError for another approximation.
    Source: Hendrycks and Gimpel, arXiv:1606.08415.

    >>> y, pullback = F.gelu.vjp(np.array([0.0, 1.0]))
    >>> y.round(3), pullback(np.array([10.0, 10.0]))[0].round(3)
    (array([0.   , 0.841]), array([ 5.   , 10.833]))
    """
    xp = namespace(x)
    if choice("approximate", approximate, ("none", "tanh")) == "none":
        p = 0.5 * (1 + erf(x * sqrt(0.5)))
        slope = xp.exp(-0.5 * x * x) * (1 / sqrt(2 * pi))
    else:
        z = xp.clip(x, -30, 30)  # tanh(u) is 1 long before, and x^3 may overflow
        t = xp.tanh(sqrt(2 / pi) * (z + 0.044715 * z * z * z))
        p = 0.5 * (1 + t)
        slope = 0.5 * (1 - t * t) * (sqrt(2 / pi) * (1 + 3 * 0.044715 * z * z))
    return x * p, (x, p, slope)


@gelu.pullback
def _(residuals: Any, dy: Array) -> tuple[Array]:
    x, p, slope = residuals
    return (dy * (p + x * slope),)


@rule
def sigmoid(x: Array, /) -> tuple[Array, Any]:
    """Map x to (0, 1) by the logistic function.

    y = 1 / (1 + exp(-x)), written so that exp never overflows;  dx = dy * y * (1 - y).

    Shapes: x and y any, the same. Raises TypeError if x is not an array of floats.
    Source: document 000, 1.1; document 003, the Sigmoid node and Torch's updateGradInput.

    >>> y, pullback = F.sigmoid.vjp(np.array([0.0, np.log(4)]))
    >>> y, pullback(np.array([1.0, 100.0]))
    (array([0.5, 0.8]), (array([ 0.25, 16.  ]),))
    """
    return logistic(x)


@sigmoid.pullback
def _(slope: Array, dy: Array) -> tuple[Array]:
    return (dy * slope,)


@rule
def silu(x: Array, /) -> tuple[Array, Any]:
    """Weight x by its sigmoid.

    y = x * s with s = sigmoid(x);  dx = dy * (s + x * s * (1 - s)).

    Shapes: x and y any, the same. Raises TypeError if x is not an array of floats.
    Source: Elfwing et al., arXiv:1702.03118.

    >>> y, pullback = F.silu.vjp(np.array([0.0, 1.0]))
    >>> y.round(3), pullback(np.array([10.0, 10.0]))[0].round(3)
    (array([0.   , 0.731]), array([5.   , 9.277]))
    """
    s, slope = logistic(x)
    return x * s, s + x * slope


@silu.pullback
def _(slope: Array, dy: Array) -> tuple[Array]:
    return (dy * slope,)


@rule
def tanh(x: Array, /) -> tuple[Array, Any]:
    """Map x to (-1, 1) by the hyperbolic tangent.

    y = tanh(x);  dx = dy * (1 - y) * (1 + y).

    Shapes: x and y any, the same. Raises TypeError if x is not an array of floats.
    Source: document 003, the Tanh node.

    >>> y, pullback = F.tanh.vjp(np.array([0.0, 1.0]))
    >>> y.round(3), pullback(np.array([10.0, 10.0]))[0].round(3)
    (array([0.   , 0.762]), array([10. ,  4.2]))
    """
    y = namespace(x).tanh(x)
    return y, (y,)


@tanh.pullback
def _(residuals: Any, dy: Array) -> tuple[Array]:
    (y,) = residuals
    return (dy * ((1 - y) * (1 + y)),)


@rule
def softplus(x: Array, /) -> tuple[Array, Any]:
    """Round off the kink of max(x, 0).

    y = log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|));  dx = dy * sigmoid(x).

    Shapes: x and y any, the same. Raises TypeError if x is not an array of floats.
    Source: Dugas et al., NIPS 2000.

    >>> y, pullback = F.softplus.vjp(np.array([0.0, np.log(4)]))
    >>> y.round(3), pullback(np.array([10.0, 10.0]))[0].round(3)
    (array([0.693, 1.609]), array([5., 8.]))
    """
    xp = namespace(x)
    return xp.maximum(x, 0) + log1p(xp.exp(-xp.abs(x))), (x,)


@softplus.pullback
def _(residuals: Any, dy: Array) -> tuple[Array]:
    (x,) = residuals
    return (dy * logistic(x)[0],)


@rule
def softmax(x: Array, /, *, axis: int = -1) -> tuple[Array, Any]:
    """Turn x into probabilities along an axis.

    y = exp(x) / (sum of exp(x) along the axis), with the largest x subtracted first;  dx = y * (dy - sum of dy * y).

    Shapes: x and y of at least one axis, the same. Raises ValueError for an axis that x does not have.
    Source: document 000, section 3.1.

    >>> y, pullback = F.softmax.vjp(np.array([0.0, 0.0, np.log(2)]))
    >>> y, pullback(np.array([0.0, 0.0, 16.0]))
    (array([0.25, 0.25, 0.5 ]), (array([-2., -2.,  4.]),))
    """
    _, e, total, axis = _shifted_exp(x, axis)
    y = e / total
    return y, (y,)


@softmax.pullback
def _(residuals: Any, dy: Array, *, axis: int) -> tuple[Array]:
    (y,) = residuals
    return (y * (dy - (dy * y).sum(axis=axis, keepdims=True)),)


@rule
def log_softmax(x: Array, /, *, axis: int = -1) -> tuple[Array, Any]:
    """Return the logarithm of softmax, which does not overflow.

    y = x - log of the sum of exp(x) along an axis, with the largest x subtracted first;  dx = dy - softmax(x) * sum of dy.

    Shapes: x and y of at least one axis, the same. Raises ValueError for an axis that x does not have.
    Source: document 000, section 3.3, before the mean over the batch.

    >>> y, pullback = F.log_softmax.vjp(np.array([0.0, 0.0, np.log(2)]))
    >>> np.exp(y).round(3), pullback(np.array([0.0, 0.0, 8.0]))[0].round(3)
    (array([0.25, 0.25, 0.5 ]), array([-2., -2.,  4.]))
    """
    shifted, e, total, axis = _shifted_exp(x, axis)
    return shifted - namespace(x).log(total), (e / total,)


@log_softmax.pullback
def _(residuals: Any, dy: Array, *, axis: int) -> tuple[Array]:
    (p,) = residuals
    return (dy - p * dy.sum(axis=axis, keepdims=True),)


def _shifted_exp(x: Array, axis: int) -> tuple[Any, Any, Any, int]:
    """Return x minus its largest along the axis, the exponential of that, the sum of those, and the axis from the front."""
    axis = axis_of("axis", axis, x.ndim)
    xp = namespace(x)
    shifted = x - x.max(axis=axis, keepdims=True) if x.shape[axis] else x
    e = xp.exp(shifted)
    return shifted, e, e.sum(axis=axis, keepdims=True), axis
