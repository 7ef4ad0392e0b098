"""Slips of the cross entropy: the targets, what the mean divides by, and the gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from oracle.cases import numpy_dtype
from oracle.slips.slip import NOTHING, Answers, Circumstances, slip
from oracle.slips.softmax import online_total


@dataclass(frozen=True)
class Entropy:
    """The parts of the cross entropy. An array per label has an axis of length 1 in the place of the classes."""

    logits: np.ndarray
    labels: np.ndarray
    weight: np.ndarray  # one per class
    counted: np.ndarray  # whether a label is not ignored
    smoothing: float
    reduction: str
    dy: np.ndarray
    dtype: np.dtype

    @property
    def classes(self) -> int:
        """The number of classes."""
        return int(self.logits.shape[1])

    @cached_property
    def weights(self) -> np.ndarray:
        """The weights of the classes, in the shape of the logits."""
        return np.broadcast_to(self.weight.reshape(1, -1, *[1] * (self.logits.ndim - 2)), self.logits.shape)

    @cached_property
    def chosen(self) -> np.ndarray:
        """One for the class of a label that counts, else 0."""
        return self.one_hot(self.labels) * self.counted

    def one_hot(self, labels: np.ndarray) -> np.ndarray:
        """Return 1 for the class of each label, else 0."""
        places = np.arange(self.classes).reshape(1, -1, *[1] * (self.logits.ndim - 2))
        return (labels == places).astype(np.float64)

    @cached_property
    def target(self) -> np.ndarray:
        """What the negative logarithms of the probabilities are multiplied by."""
        return self.mixed(self.chosen * self.weights, self.counted * self.weights / self.classes)

    def mixed(self, hard: np.ndarray, soft: np.ndarray) -> np.ndarray:
        """Mix the target of the label and the one that is spread over the classes."""
        return (1 - self.smoothing) * hard + self.smoothing * soft

    @cached_property
    def divisor(self) -> float:
        """What the mean divides by; 1 without a mean."""
        return float((self.chosen * self.weights).sum()) if self.reduction == "mean" else 1.0

    @cached_property
    def log_p(self) -> np.ndarray:
        """The logarithms of the probabilities."""
        shifted = self.logits - self.logits.max(1, keepdims=True)
        return np.asarray(shifted - np.log(np.exp(shifted).sum(1, keepdims=True)))

    @cached_property
    def p(self) -> np.ndarray:
        """The probabilities."""
        return np.exp(self.log_p)

    @cached_property
    def cotangent(self) -> np.ndarray:
        """The cotangent of each label's loss, before the mean."""
        dy = self.dy.astype(np.float64)
        return np.expand_dims(dy, 1) if self.reduction == "none" else dy

    def value(
        self, *, target: np.ndarray | None = None, divisor: float | None = None, log_p: np.ndarray | None = None
    ) -> np.ndarray:
        """Return the loss for another target, another divisor or other logarithms."""
        target = self.target if target is None else target
        log_p = self.log_p if log_p is None else log_p
        losses = -np.where(target == 0, 0.0, target * log_p).sum(1)
        divisor = self.divisor if divisor is None else divisor
        return np.asarray(losses if self.reduction == "none" else losses.sum() / np.float64(divisor))

    def gradient(
        self, *, target: np.ndarray | None = None, divisor: float | None = None, p: np.ndarray | None = None
    ) -> np.ndarray:
        """Return the gradient for another target, another divisor or other probabilities."""
        target = self.target if target is None else target
        p = self.p if p is None else p
        return self.scaled(p * target.sum(1, keepdims=True) - target, divisor)

    def scaled(self, inner: np.ndarray, divisor: float | None = None) -> np.ndarray:
        """Multiply by the cotangent, and divide by what the mean divides by."""
        divisor = self.divisor if divisor is None else divisor
        return np.asarray(inner * self.cotangent / np.float64(divisor))


def entropy(at: Circumstances) -> Entropy | None:
    """Return the parts, or None if the batch is empty."""
    logits, labels, weight = at.array("logits"), at.array("labels"), at.array("weight")
    if logits is None or labels is None or not logits.size:
        return None
    weight = np.ones(logits.shape[1]) if weight is None else weight
    per_label = np.expand_dims(labels, 1)
    counted = (per_label != at.option("ignore_index")).astype(np.float64)
    smoothing, reduction = float(at.option("label_smoothing")), at.option("reduction")
    dtype = numpy_dtype(at.case.dtype)
    return Entropy(logits, per_label, weight, counted, smoothing, reduction, at.dy, dtype)


def _slip(sentence: str, f: Callable[[Entropy], Answers], resembles: str = "") -> None:
    @slip(sentence, "cross_entropy", resembles=resembles)
    def _one(at: Circumstances) -> Answers:
        e = entropy(at)
        return NOTHING if e is None else f(e)


def _target(sentence: str, f: Callable[[Entropy], np.ndarray], resembles: str = "") -> None:
    """Take another target; the gradient is right for it."""

    def answers(e: Entropy) -> Answers:
        target = f(e)
        return {"y": e.value(target=target), "dlogits": e.gradient(target=target)}

    _slip(sentence, answers, resembles)


def _divisor(sentence: str, f: Callable[[Entropy], float], resembles: str = "") -> None:
    """Divide by something else in the mean; the gradient is right for it."""

    def answers(e: Entropy) -> Answers:
        if e.reduction != "mean":
            return NOTHING
        return {"y": e.value(divisor=f(e)), "dlogits": e.gradient(divisor=f(e))}

    _slip(sentence, answers, resembles)


def _log_p(sentence: str, f: Callable[[Entropy], np.ndarray], resembles: str = "") -> None:
    """Take other logarithms of the probabilities in the value."""
    _slip(sentence, lambda e: {"y": e.value(log_p=np.asarray(f(e), np.float64))}, resembles)


def _gradient(sentence: str, f: Callable[[Entropy], np.ndarray], resembles: str = "") -> None:
    _slip(sentence, lambda e: {"dlogits": f(e)}, resembles)


# -- the target -------------------------------------------------------------------------------------------------------


def _of_label(e: Entropy) -> np.ndarray:
    """Return the weight of each label's class, 0 for an ignored label."""
    return np.asarray((e.chosen * e.weights).sum(1, keepdims=True))


def _spread_over_others(e: Entropy) -> np.ndarray:
    return e.mixed(e.chosen, e.counted * (1 - e.chosen) / np.float64(e.classes - 1)) * e.weights


_target("the smoothing is spread over the other classes only", _spread_over_others)
_target(
    "the smoothing is divided by the number of classes less one",
    lambda e: e.mixed(e.chosen, e.counted / np.float64(e.classes - 1)) * e.weights,
)
_target("the smoothing is not divided by the number of classes", lambda e: e.mixed(e.chosen, e.counted) * e.weights)
_target(
    "the label keeps its whole share: it is not multiplied by 1 - label_smoothing",
    lambda e: (e.chosen + e.smoothing * e.counted / e.classes) * e.weights,
)
_target(
    "label_smoothing is the share of the label, not that of the other classes",
    lambda e: (
        (e.smoothing * e.chosen + (1 - e.smoothing) * e.counted / e.classes) * e.weights if e.smoothing else e.target
    ),
)
_target(
    "the smoothing counts at ignored labels too",
    lambda e: e.mixed(e.chosen, np.ones(e.logits.shape) / e.classes) * e.weights,
    resembles="pytorch/pytorch #73205",
)
_target(
    "the smoothing is not weighted",
    lambda e: e.mixed(e.chosen * e.weights, e.counted / e.classes * np.ones(e.logits.shape)),
)
_target(
    "the smoothing has the weight of the label's class, not that of each class",
    lambda e: e.mixed(e.chosen * e.weights, _of_label(e) / e.classes * np.ones(e.logits.shape)),
)
_target("the weight is applied twice", lambda e: e.target * e.weights)
_target("the loss is divided by the weight; it must be multiplied", lambda e: e.target / e.weights**2)
_target(
    "an ignored label is taken for class 0", lambda e: e.target + (1 - e.counted) * e.one_hot(np.zeros(1)) * e.weights
)
_target(
    "an ignored label is taken for the last class",
    lambda e: e.target + (1 - e.counted) * e.one_hot(np.array(e.classes - 1)) * e.weights,
)
_target("the classes are counted from 1", lambda e: np.roll(e.target, -1, 1))
_target("the labels of the batch are taken in reverse", lambda e: e.target[::-1])
_target("the first label is used for the whole batch", lambda e: np.broadcast_to(e.target[:1], e.logits.shape))


# -- what the mean divides by -----------------------------------------------------------------------------------------

_divisor(
    "the mean divides by the number of labels that count, not by the sum of their weights", lambda e: e.counted.sum()
)
_divisor(
    "the mean divides by the number of all labels, ignored ones too",
    lambda e: e.labels.size,
    "ROCm/TransformerEngine #336",
)
_divisor("the mean divides by the batch size: places are not counted", lambda e: e.logits.shape[0])
_divisor("the mean divides by the number of logits", lambda e: e.logits.size)
_divisor("the mean divides by the sum of the weights of all classes", lambda e: e.weight.sum())
_divisor("the mean divides by the sum of the target, smoothing and weights included", lambda e: e.target.sum())


# -- the logarithms of the probabilities ------------------------------------------------------------------------------


def _shifted(e: Entropy) -> np.ndarray:
    return (e.logits - e.logits.max(1, keepdims=True)).astype(e.dtype)


def _naive(e: Entropy) -> np.ndarray:
    own = e.logits.astype(e.dtype)
    return np.asarray(own - np.log(np.exp(own).sum(1, keepdims=True)))


def _underflowed(e: Entropy) -> np.ndarray:
    exponentials = np.exp(_shifted(e))
    return np.asarray(np.log(exponentials / exponentials.sum(1, keepdims=True)))


def _global_maximum(e: Entropy) -> np.ndarray:
    shifted = (e.logits - e.logits.max()).astype(e.dtype)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(1, keepdims=True)))


def _softmax_of_softmax(e: Entropy) -> np.ndarray:
    return np.asarray(e.p - np.log(np.exp(e.p).sum(1, keepdims=True)))


_log_p("no maximum is subtracted: the exponential of a large logit overflows", _naive)
_log_p("the loss is the logarithm of a softmax that may be 0: infinite", _underflowed)
_log_p("the maximum of the whole batch is subtracted, so all exponentials of a label may be 0", _global_maximum)
_log_p("the probability is at least 1e-7 in the logarithm", lambda e: np.log(np.maximum(e.p, 1e-7)))
_log_p("the probability is at least 1e-12 in the logarithm", lambda e: np.log(np.maximum(e.p, 1e-12)))
_log_p("1e-8 is added to the probability in the logarithm", lambda e: np.log(e.p + 1e-8))
_log_p(
    "the sum of exponentials is not corrected when a larger logit comes",
    lambda e: e.logits - e.logits.max(1, keepdims=True) - np.log(online_total(e.logits, 1)),
)
_log_p(
    "the maximum is subtracted in the sum and not from the logit of the label",
    lambda e: e.log_p + e.logits.max(1, keepdims=True),
)
_log_p("the logits are taken for logarithms of probabilities: there is no softmax", lambda e: e.logits)
_log_p("the softmax is taken twice", _softmax_of_softmax)
_log_p("the loss has the probability, not its logarithm", lambda e: e.p)
_log_p("the logarithm has the base 2", lambda e: e.log_p / np.log(2))
_log_p(
    "the sum of exponentials leaves out the label's own class",
    lambda e: e.logits - np.log((np.exp(e.logits) * (1 - e.chosen)).sum(1, keepdims=True)),
)


@slip("the logits are laid out as rows of classes without moving the class axis to the end", "cross_entropy")
def _class_axis(at: Circumstances) -> Answers:
    e = entropy(at)
    if e is None or e.logits.ndim == 2:
        return NOTHING
    rows = e.logits.reshape(e.logits.shape[0], *e.logits.shape[2:], e.classes)
    other = replace(e, logits=np.moveaxis(rows, -1, 1))
    back = np.moveaxis(other.gradient(), 1, -1).reshape(e.logits.shape)
    return {"y": other.value(), "dlogits": back}


@slip("the softmax is taken over the last axis, not over the classes", "cross_entropy")
def _softmax_axis(at: Circumstances) -> Answers:
    e = entropy(at)
    if e is None or e.logits.ndim == 2:
        return NOTHING
    shifted = e.logits - e.logits.max(-1, keepdims=True)
    return {"y": e.value(log_p=shifted - np.log(np.exp(shifted).sum(-1, keepdims=True)))}


# -- the gradient -----------------------------------------------------------------------------------------------------


def _naive_p(e: Entropy) -> np.ndarray:
    exponentials = np.exp(e.logits.astype(e.dtype))
    return np.asarray(exponentials / exponentials.sum(1, keepdims=True), np.float64)


def _without_smoothing(e: Entropy) -> np.ndarray:
    return e.chosen * e.weights


def _unweighted(e: Entropy) -> np.ndarray:
    return e.mixed(e.chosen, e.counted / e.classes * np.ones(e.logits.shape))


_slip("y has no smoothing, but dlogits has it", lambda e: {"y": e.value(target=_without_smoothing(e))})
_gradient("dlogits has no smoothing, but y has it", lambda e: e.gradient(target=_without_smoothing(e)))
_slip("y is not weighted, but dlogits is", lambda e: {"y": e.value(target=_unweighted(e))})
_gradient("dlogits is not weighted, but y is", lambda e: e.gradient(target=_unweighted(e)))
_gradient(
    "dlogits has the weight of each class, not that of the label's class",
    lambda e: e.scaled((e.p * _unweighted(e).sum(1, keepdims=True) - _unweighted(e)) * e.weights),
)
_gradient(
    "dlogits is not 0 at ignored labels: the probabilities are left there",
    lambda e: e.gradient() + e.scaled((1 - e.counted) * e.p),
    resembles="PaddlePaddle/Paddle #28622",
)
_gradient("dlogits is not divided by what the mean divides by", lambda e: e.gradient(divisor=1.0))
_gradient(
    "dlogits is divided by the number of labels, whatever their weights and the ignored ones",
    lambda e: e.gradient(divisor=e.labels.size) if e.reduction == "mean" else e.gradient(),
)
_gradient(
    "dlogits is divided by the batch size: places are not counted",
    lambda e: e.gradient(divisor=e.logits.shape[0]) if e.reduction == "mean" else e.gradient(),
)
_gradient(
    "dlogits is divided by the number of labels if the losses are summed",
    lambda e: e.gradient(divisor=e.labels.size) if e.reduction == "sum" else e.gradient(),
)
_gradient("dlogits is minus the target: the softmax is forgotten", lambda e: e.scaled(-e.target))
_gradient(
    "dlogits is the softmax: the target is not subtracted", lambda e: e.scaled(e.p * e.target.sum(1, keepdims=True))
)
_gradient("dlogits has the logits in the place of the probabilities", lambda e: e.gradient(p=e.logits))
_gradient("dlogits has the logarithms in the place of the probabilities", lambda e: e.gradient(p=e.log_p))
_gradient(
    "dlogits has softmax values that are infinity over infinity for large logits", lambda e: e.gradient(p=_naive_p(e))
)
_gradient(
    "dlogits is multiplied by y (1 - y) of the softmax once more",
    lambda e: e.gradient() * e.p * (1 - e.p),
)
_gradient(
    "dlogits is the gradient of the probabilities: -target / p",
    lambda e: e.scaled(-e.target / np.where(e.target == 0, 1.0, e.p)),
)
_gradient("dlogits subtracts 1 from every class of a label that counts", lambda e: e.scaled((e.p - 1) * _of_label(e)))


def _first_dy(e: Entropy) -> Answers:
    if e.reduction != "none":
        return NOTHING
    inner: Any = e.p * e.target.sum(1, keepdims=True) - e.target
    return {"dlogits": inner * e.dy.astype(np.float64).ravel()[0]}


_slip("dlogits multiplies every label by the first element of dy", _first_dy, "ROCm/TransformerEngine #336")
