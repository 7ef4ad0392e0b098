"""Faults of the losses."""

from math import prod

import numpy as np

from tests.faults.planted import fault


def mean_over(divisor, right, logits, labels, weight, **options):
    """Return the value and the pullback of a cross-entropy that divides the sum of its losses by ``divisor``."""
    total, pullback = right(logits, labels, weight, **(options | {"reduction": "sum"}))
    divisor = np.asarray(divisor, logits.dtype)
    return np.asarray(total / divisor), lambda dy: pullback(dy / divisor)


def weight_of_labels(labels, weight, ignore_index):
    """Return the sum of the weights of the labels that are not ignored."""
    counted = labels[labels != ignore_index]
    return len(counted) if weight is None else weight[counted].sum()


@fault("cross_entropy", "ignored labels are counted in the mean", "impl.functional.loss.cross_entropy.vjp")
def _(right, logits, labels, weight=None, *, reduction="mean", ignore_index=-100, **options):
    options["ignore_index"] = ignore_index
    answer = right(logits, labels, weight, reduction=reduction, **options)
    if reduction != "mean":
        return answer
    divisor = weight_of_labels(labels, weight, ignore_index) + (labels == ignore_index).sum()
    return mean_over(divisor, right, logits, labels, weight, **options)


@fault("cross_entropy", "the mean is over the batch only", "impl.functional.loss.cross_entropy.vjp")
def _(right, logits, labels, weight=None, *, reduction="mean", ignore_index=-100, **options):
    options["ignore_index"] = ignore_index
    answer = right(logits, labels, weight, reduction=reduction, **options)
    if reduction != "mean":
        return answer
    divisor = np.divide(weight_of_labels(labels, weight, ignore_index), prod(labels.shape[1:]))
    return mean_over(divisor, right, logits, labels, weight, **options)


@fault(
    "binary_cross_entropy", "the negative classes are forgotten", "impl.functional.loss.binary_cross_entropy.backward"
)
def _(right, kept, dy, wanted=None, *, reduction="mean"):
    (p, targets), _ = kept
    share = dy / max(1, p.size) if reduction == "mean" else dy
    return -share * np.where(targets == 0, 0, targets / p), None


@fault("mse_loss", "dtarget has the sign of dprediction", "impl.functional.loss.mse_loss.backward", diagnosis="sign")
def _(right, kept, dy, wanted=None, **options):
    dprediction, _ = right(kept, dy, wanted, **options)
    return dprediction, dprediction


@fault("mse_loss", "the factor 2 is forgotten", "impl.functional.loss.mse_loss.backward", diagnosis="half")
def _(right, kept, dy, wanted=None, **options):
    dprediction, dtarget = right(kept, dy, wanted, **options)
    return dprediction / 2, dtarget / 2


@fault("l2_penalty", "twice the gradient", "impl.functional.loss.l2_penalty.backward", diagnosis="twice")
def _(right, kept, dy, wanted=None, **options):
    (dw,) = right(kept, dy, wanted, **options)
    return (2 * dw,)
