"""Right variants of the losses."""

from __future__ import annotations

from functools import partial

import numpy as np

from tests.oracle.variants.activation import half_apart, in_blocks, online, two_passes
from tests.oracle.variants.sums import SUMS
from tests.oracle.variants.variant import put


def reduced(losses, reduction, add):
    """Return the loss and the factor that dy gets on its way to each element."""
    if reduction == "none":
        return losses, lambda dy: dy
    total = add(losses.reshape(-1))
    count = losses.dtype.type(losses.size) if reduction == "mean" else losses.dtype.type(1)
    return np.asarray(total / count), lambda dy: np.asarray(dy / count)


def pair_loss(loss, slopes, add, a, b, *, reduction="mean"):
    """Make a loss of two arrays of the loss of two numbers."""
    y, share = reduced(loss(a, b), reduction, add)

    def pullback(dy):
        d = share(dy)
        return tuple(None if s is None else np.asarray(d * s).astype(a.dtype) for s in slopes(a, b))

    return y, pullback


def _squares(a, b):
    return (a - b) * (a - b)


def _slopes_of_squares(a, b):
    return 2 * (a - b), 2 * (b - a)


for _name, _add in SUMS.items():
    put("mse_loss", _name, partial(pair_loss, _squares, _slopes_of_squares, _add))


def mse_by_einsum(a, b, *, reduction="mean"):
    """Multiply the difference with itself."""
    d = (a - b).reshape(-1)
    if reduction == "none":
        return pair_loss(lambda a, b: np.square(a - b), _slopes_of_squares, SUMS["pairwise"], a, b, reduction="none")
    count = d.size if reduction == "mean" else 1

    def pullback(dy):
        da = ((dy * 2 / a.dtype.type(count)) * d).reshape(a.shape)
        return da, -da

    return np.asarray(np.einsum("i,i->", d, d) / a.dtype.type(count)), pullback


put("mse_loss", "einsum", mse_by_einsum)

# -- binary cross entropy --------------------------------------------------------------------------------------------------


def _by_where(p, t):
    return -np.where(t == 0, 0, t * np.log(p)) - np.where(t == 1, 0, (1 - t) * np.log1p(-p))


def _by_cases(p, t):
    both = -(t * np.log(p) + (1 - t) * np.log1p(-p))
    return np.where(t == 1, -np.log(p), np.where(t == 0, -np.log1p(-p), both)).astype(p.dtype)


def _by_masks(p, t):
    losses = np.zeros(p.shape, p.dtype)
    np.subtract(losses, t * np.log(p), out=losses, where=t != 0)
    np.subtract(losses, (1 - t) * np.log1p(-p), out=losses, where=t != 1)
    return losses


def _slope_by_terms(p, t):
    return np.where(t == 1, 0, (1 - t) / (1 - p)) - np.where(t == 0, 0, t / p), None


def _slope_by_quotient(p, t):
    """Return (p - t) / (p (1 - p)), and one term only if the other is certain."""
    both = (p - t) / (p * (1 - p))
    return np.where(t == 1, -1 / p, np.where(t == 0, 1 / (1 - p), both)), None


for _name, _loss, _slopes, _add in (
    ("where", _by_where, _slope_by_terms, SUMS["compensated"]),
    ("cases", _by_cases, _slope_by_terms, SUMS["pairwise"]),
    ("masks", _by_masks, _slope_by_terms, SUMS["four accumulators"]),
    ("one quotient", _by_where, _slope_by_quotient, SUMS["blocks of 32"]),
):
    put("binary_cross_entropy", _name, partial(pair_loss, _loss, _slopes, _add))


# -- cross entropy: rows (R, K) ---------------------------------------------------------------------------------------------


def picked_log_softmax(rows, labels, largest, total):
    """Return log p of each label, picked from log_softmax."""
    log_p = (rows - largest[:, None]) - np.log(total)[:, None]
    return log_p[np.arange(len(rows)), labels]


def logsumexp_minus_picked(rows, labels, largest, total):
    """Return log p of each label: the logarithm of the sum, and the shifted logit picked before."""
    return -(np.log(total) - (rows[np.arange(len(rows)), labels] - largest))


def by_one_hot(rows, labels, largest, total):
    """Return log p of each label as a sum over a mask."""
    log_p = (rows - largest[:, None]) - np.log(total)[:, None]
    return np.where(labels[:, None] == np.arange(rows.shape[1]), log_p, 0).sum(axis=1)


def logarithm_of_softmax(rows, labels, largest, total):
    """Return the logarithm of the probability of each label."""
    return np.log((np.exp(rows - largest[:, None]) / total[:, None])[np.arange(len(rows)), labels])


def unshifted(rows, labels, largest, total):
    """Return the logit less logsumexp, to which the largest was added again."""
    return rows[np.arange(len(rows)), labels] - (largest + np.log(total))


def cross_entropy(
    sums, pick, add, logits, labels, weight=None, *, reduction="mean", ignore_index=-100, label_smoothing=0.0
):
    """Compute the loss row by row, with the sums, the logarithm of p and the order of adding given."""
    classes, dtype = logits.shape[1], logits.dtype
    rows = np.moveaxis(logits, 1, -1).reshape(labels.size, classes)
    flat = labels.reshape(-1)
    counted = flat != ignore_index
    safe = np.where(counted, flat, 0)
    w = np.ones(classes, dtype) if weight is None else weight
    largest, total = sums(rows) if rows.size else two_passes(rows)
    p = np.exp(rows - largest[:, None]) / total[:, None]
    smooth = dtype.type(label_smoothing)
    log_p = (rows - largest[:, None]) - np.log(total)[:, None]
    losses = -w[safe] * pick(rows, safe, largest, total) * (1 - smooth)
    if label_smoothing:
        losses = losses - add(w * log_p) * dtype.type(label_smoothing / classes)
    losses = np.where(counted, losses, 0).astype(dtype)
    weights = np.where(counted, w[safe], 0).astype(dtype)
    divisor = add(weights) if reduction == "mean" else dtype.type(1)
    y = losses.reshape(labels.shape) if reduction == "none" else np.asarray(add(losses) / divisor)

    def pullback(dy):
        each = np.broadcast_to((dy / divisor).reshape(-1), flat.shape)[:, None]
        hot = safe[:, None] == np.arange(classes)
        target = np.where(hot, w[safe][:, None] * (1 - smooth), 0).astype(dtype)
        if label_smoothing:
            target = target + w * dtype.type(label_smoothing / classes)
        d = np.where(counted[:, None], each * (p * target.sum(axis=1, keepdims=True) - target), 0).astype(dtype)
        dlogits = np.moveaxis(d.reshape(*labels.shape, classes), -1, 1)
        return np.ascontiguousarray(dlogits), None, None

    return y, pullback


for _name, _sums, _pick, _add, _inexact in (
    ("log_softmax picked", two_passes, picked_log_softmax, SUMS["pairwise"], ""),
    ("logsumexp minus picked", two_passes, logsumexp_minus_picked, SUMS["compensated"], ""),
    ("a mask", half_apart, by_one_hot, SUMS["one by one"], ""),
    ("online", online, picked_log_softmax, SUMS["blocks of 32"], ""),
    ("blocks merged", in_blocks, logsumexp_minus_picked, SUMS["in twice the precision"], ""),
    (
        "the largest added again",
        two_passes,
        unshifted,
        SUMS["pairwise"],
        "the logarithm is lost in the sum with a large maximum, which the definition subtracts first",
    ),
):
    put("cross_entropy", _name, partial(cross_entropy, _sums, _pick, _add), _inexact)


def l2_by(add, w, *, weight=1.0):
    """Add up the squares."""
    flat, factor = w.reshape(-1), w.dtype.type(weight)
    y = np.asarray(add(flat * flat) * (w.dtype.type(0.5) * factor))
    return y, lambda dy: ((dy * factor) * w,)


def l2_by_dot(w, *, weight=1.0):
    """Multiply w with itself."""
    flat, factor = w.reshape(-1), w.dtype.type(weight)
    return np.asarray(0.5 * factor * (flat @ flat)), lambda dy: (dy * factor * w,)


for _name, _add in SUMS.items():
    put("l2_penalty", _name, partial(l2_by, _add))
put("l2_penalty", "dot", l2_by_dot)
