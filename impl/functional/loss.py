"""Losses and the weight penalty."""

from __future__ import annotations

from math import prod
from typing import Any, Literal, get_args

from impl.array import Array, can_read_values, log1p, namespace
from impl.functional.checks import choice, integer, number, shaped
from impl.rule import refuse, refuse_type, rule

Reduction = Literal["mean", "sum", "none"]
REDUCTIONS: tuple[str, ...] = get_args(Reduction)


def _reduced(losses: Array, reduction: str) -> Any:
    """Return the mean or the sum of all losses, or the losses."""
    if reduction == "none":
        return losses
    return losses.sum() if reduction == "sum" else losses.sum() / prod(losses.shape)


def _unreduced(dy: Array, reduction: str, shape: tuple[int, ...]) -> Any:
    """Turn dy of the reduced loss into the cotangent of each element's loss."""
    count = prod(shape)
    return dy / count if reduction == "mean" and count else dy


@rule(no_gradient=("labels", "weight"))
def cross_entropy(
    logits: Array,
    labels: Array,
    weight: Array | None = None,
    /,
    *,
    reduction: Reduction = "mean",
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> tuple[Array, Any]:
    """Apply softmax and cross-entropy in one step.

    loss = - sum over k of q[k] * log_softmax(logits)[k], with
    q = (1 - label_smoothing) * weight[label] on the label, plus label_smoothing / K * weight[k] on every class.
    "mean" divides by the sum of the labels' weights; a label equal to ignore_index counts as nothing.
    dlogits = softmax(logits) * sum(q) - q, times dy and divided by the same number.

    Shapes: logits (N, K, *S); labels (N, *S), integers in [0, K) or ignore_index; weight (K), optional;
    the value is a single number, or (N, *S) with reduction "none".
    Raises ValueError for shapes that do not fit and, for NumPy arrays, for a label out of range (the numbers of a JAX
    array may not be known yet); TypeError for labels that are not integers.
    Source: document 000, section 3.3; document 004, section 5.3; the options are PyTorch's.

    >>> logits = np.array([[0.0, 0.0, np.log(2)]])
    >>> loss, pullback = F.cross_entropy.vjp(logits, np.array([2]))
    >>> round(float(loss), 3), pullback(4.0)[0].round(3)
    (0.693, array([[ 1.,  1., -2.]]))
    """
    if logits.ndim < 2:
        refuse(f"logits must have shape (N, K, *S), got shape {tuple(logits.shape)}")
    classes = logits.shape[1]
    if labels.dtype.kind not in "iu":
        refuse_type(f"labels must be integers, got {labels.dtype}")
    shaped("labels", labels, (logits.shape[0], *logits.shape[2:]), f"logits of shape {tuple(logits.shape)}")
    shaped("weight", weight, (classes,), f"logits with {classes} classes")
    choice("reduction", reduction, REDUCTIONS)
    ignored = labels == integer("ignore_index", ignore_index, -(2**63))
    smoothing = number("label_smoothing", label_smoothing, 0)
    if smoothing > 1:
        refuse(f"label_smoothing must lie in [0, 1], got {smoothing}")
    if can_read_values(labels):
        outside = ~ignored & ((labels < 0) | (labels >= classes))
        if outside.any():
            refuse(f"labels must lie in [0, {classes}) or be ignore_index, got {labels[outside][0]}")
    xp = namespace(logits)

    shape = (1, classes, *[1] * (logits.ndim - 2))
    weights = xp.ones(shape, logits.dtype) if weight is None else weight.reshape(shape)
    chosen = (labels[:, None] == xp.arange(classes).reshape(shape)) & ~ignored[:, None]
    q = xp.where(chosen, weights * (1 - smoothing), 0) + xp.where(ignored[:, None], 0, weights * (smoothing / classes))
    shifted = logits - logits.max(axis=1, keepdims=True) if classes else logits
    e = xp.exp(shifted)
    total = e.sum(axis=1, keepdims=True)
    log_p = shifted - xp.log(total)
    losses = -xp.where(q == 0, 0, q * log_p).sum(axis=1)
    divisor = xp.where(chosen, weights, 0).sum() if reduction == "mean" else xp.ones((), logits.dtype)
    y = losses if reduction == "none" else losses.sum() / divisor
    return y, (e / total, q, divisor)


@cross_entropy.pullback
def _(residuals: Any, dy: Array, *, reduction: str) -> tuple[Any, ...]:
    p, q, divisor = residuals
    share = dy[:, None] if reduction == "none" else dy / divisor
    total = q.sum(axis=1, keepdims=True)
    return namespace(p).where(total == 0, 0, (p * total - q) * share), None, None  # 0 where a label is ignored


@rule(no_gradient=("targets",))
def binary_cross_entropy(p: Array, targets: Array, /, *, reduction: Reduction = "mean") -> tuple[Array, Any]:
    """Apply cross-entropy to each element, over every class.

    loss = -(t * log p + (1 - t) * log(1 - p)), t being the target.
    dp = dy * ((1 - t) / (1 - p) - t / p), divided by the number of elements for "mean". A term whose factor (t or 1 - t)
    is 0 counts as 0, also at p = 0 and p = 1.

    Shapes: p, targets any, the same; the value a single number ("mean": over all elements), or their shape with "none".
    p holds probabilities; outside [0, 1] the logarithm is NaN.
    Raises ValueError if the shapes differ or for another reduction.
    Source: document 000, section 3.2.

    >>> loss, pullback = F.binary_cross_entropy.vjp(np.array([0.5, 0.75]), np.array([1.0, 0.0]), reduction="none")
    >>> np.exp(-loss).round(3), pullback(np.ones(2))
    (array([0.5 , 0.25]), (array([-2.,  4.]), None))
    """
    shaped("targets", targets, p.shape, f"p of shape {tuple(p.shape)}")
    choice("reduction", reduction, REDUCTIONS)
    xp = namespace(p)
    yes = xp.where(targets == 0, 0, targets * xp.log(p))
    no = xp.where(targets == 1, 0, (1 - targets) * log1p(-p))
    return _reduced(-(yes + no), reduction), (p, targets)


@binary_cross_entropy.pullback
def _(residuals: Any, dy: Array, *, reduction: str) -> tuple[Any, ...]:
    p, targets = residuals
    xp = namespace(p)
    slope = xp.where(targets == 1, 0, (1 - targets) / (1 - p)) - xp.where(targets == 0, 0, targets / p)
    return _unreduced(dy, reduction, p.shape) * slope, None


@rule
def mse_loss(prediction: Array, target: Array, /, *, reduction: Reduction = "mean") -> tuple[Array, Any]:
    """Return the squared error.

    loss = (prediction - target)^2, for "mean" averaged over all elements.
    dprediction = 2 * (prediction - target) * dy (divided by the number of elements for "mean");  dtarget = -dprediction.

    Shapes: prediction, target any, the same; the value a single number, or their shape with "none".
    Raises ValueError if the shapes differ or for another reduction.
    Source: document 003, the MSE node (which divides its gradient by the rows, not by the elements).

    >>> loss, pullback = F.mse_loss.vjp(np.array([1.0, 4.0]), np.array([0.0, 1.0]))
    >>> loss, pullback(1.0)
    (array(5.), (array([1., 3.]), array([-1., -3.])))
    """
    shaped("target", target, prediction.shape, f"prediction of shape {tuple(prediction.shape)}")
    choice("reduction", reduction, REDUCTIONS)
    difference = prediction - target
    return _reduced(difference * difference, reduction), (difference,)


@mse_loss.pullback
def _(residuals: Any, dy: Array, *, reduction: str) -> tuple[Array, ...]:
    (difference,) = residuals
    d = 2 * difference * _unreduced(dy, reduction, difference.shape)
    return d, -d


@rule
def l2_penalty(w: Array, /, *, weight: float = 1.0) -> tuple[Array, Any]:
    """Penalise large weights.

    y = weight / 2 * sum of w * w;  dw = dy * weight * w.

    Shapes: w any; y a single number. Raises TypeError for a weight that is not a number.
    Source: document 004, section 5.3.2.

    >>> y, pullback = F.l2_penalty.vjp(np.array([1.0, 2.0]), weight=0.5)
    >>> y, pullback(10.0)
    (array(1.25), (array([ 5., 10.]),))
    """
    scale = number("weight", weight, -float("inf"))
    return 0.5 * scale * (w * w).sum(), (w,)


@l2_penalty.pullback
def _(residuals: Any, dy: Array, *, weight: float) -> tuple[Array]:
    (w,) = residuals
    return (dy * weight * w,)
