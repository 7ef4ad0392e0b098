"""Slips of the losses that compare two arrays element by element, and of the weight penalty."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from oracle.cases import numpy_dtype
from oracle.slips.slip import NOTHING, Answers, Circumstances, slip

PAIRS = ("binary_cross_entropy", "mse_loss")


class Two(NamedTuple):
    """The two arrays of a loss, dy, and the reduction."""

    at: Circumstances
    a: np.ndarray
    b: np.ndarray
    dy: np.ndarray
    reduction: str

    @property
    def divisor(self) -> float:
        """What the mean divides by; 1 without a mean."""
        return float(max(1, self.a.size)) if self.reduction == "mean" else 1.0

    def value(self, losses: np.ndarray, divisor: float | None = None) -> np.ndarray:
        """Reduce the losses."""
        divisor = self.divisor if divisor is None else divisor
        return np.asarray(losses if self.reduction == "none" else losses.sum() / divisor, np.float64)

    def gradient(self, slopes: np.ndarray, divisor: float | None = None) -> np.ndarray:
        """Return the gradient for the derivatives of the losses."""
        return np.asarray(slopes * self.dy / (self.divisor if divisor is None else divisor), np.float64)


def _two(at: Circumstances) -> Two:
    a, b = at.arrays[0], at.arrays[1]
    assert a is not None and b is not None
    return Two(at, a.astype(np.float64), b.astype(np.float64), at.dy.astype(np.float64), at.option("reduction"))


Part = Callable[[np.ndarray, np.ndarray], np.ndarray]


def _slip(sentence: str, layer: str, *, y: Part | None = None, resembles: str = "", **gradients: Part) -> None:
    """Put other losses and other derivatives into the catalogue."""

    @slip(sentence, layer, resembles=resembles)
    def _one(at: Circumstances) -> Answers:
        two = _two(at)
        answers = {name: two.gradient(slopes(two.a, two.b)) for name, slopes in gradients.items()}
        return answers if y is None else answers | {"y": two.value(y(two.a, two.b))}


def _own(sentence: str, layer: str, losses: Callable[[np.ndarray, np.ndarray, np.dtype], np.ndarray]) -> None:
    """Put losses into the catalogue that are computed in the dtype of the case."""

    @slip(sentence, layer)
    def _one(at: Circumstances) -> Answers:
        two, dtype = _two(at), numpy_dtype(at.case.dtype)
        return {"y": two.value(losses(two.a.astype(dtype), two.b.astype(dtype), dtype).astype(np.float64))}


# -- the mean ---------------------------------------------------------------------------------------------------------


@slip("the mean divides by the batch size only", *PAIRS)
def _batch_mean(at: Circumstances) -> Answers:
    two = _two(at)
    if two.reduction != "mean" or two.a.ndim < 2 or not two.a.size:
        return NOTHING
    factor = two.a.size / two.a.shape[0]
    return {name: at.true(name) * factor for name in at.names}


@slip("the mean divides by the length of the last axis only", *PAIRS)
def _last_axis_mean(at: Circumstances) -> Answers:
    two = _two(at)
    if two.reduction != "mean" or two.a.ndim < 2 or not two.a.size:
        return NOTHING
    factor = two.a.size / two.a.shape[-1]
    return {name: at.true(name) * factor for name in at.names}


@slip("the gradient is not divided by what the mean divides by, but y is", *PAIRS)
def _gradient_of_sum(at: Circumstances) -> Answers:
    return {name: at.true(name) * _two(at).divisor for name in at.names if name != "y"}


@slip("the gradient is divided by the number of elements, though the losses are not averaged", *PAIRS)
def _gradient_of_mean(at: Circumstances) -> Answers:
    two = _two(at)
    if two.reduction == "mean":
        return NOTHING
    return {name: at.true(name) / max(1, two.a.size) for name in at.names if name != "y"}


# -- binary cross entropy ---------------------------------------------------------------------------------------------

BCE = "binary_cross_entropy"


def _losses(p: np.ndarray, t: np.ndarray) -> np.ndarray:
    return np.asarray(-(t * np.log(p) + (1 - t) * np.log1p(-p)))


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-x)))


_slip("the part of 1 - targets is forgotten", BCE, y=lambda p, t: -t * np.log(p), dp=lambda p, t: -t / p)
_slip(
    "the part of the targets is forgotten",
    BCE,
    y=lambda p, t: -(1 - t) * np.log1p(-p),
    dp=lambda p, t: (1 - t) / (1 - p),
)
_slip(
    "dp is 0 if the target is 0: dp lacks the part of 1 - targets",
    BCE,
    dp=lambda p, t: -t / p,
    resembles="deeplearning4j/nd4j #1328",
)
_slip("dp lacks the part of the targets", BCE, dp=lambda p, t: (1 - t) / (1 - p))
_slip("dp has the sign of the part of 1 - targets reversed", BCE, dp=lambda p, t: -t / p - (1 - t) / (1 - p))
_slip("dp is p - targets, the gradient of a logit", BCE, dp=lambda p, t: p - t)
_slip("dp is (p - targets) / p: the factor 1 - p is forgotten", BCE, dp=lambda p, t: (p - t) / p)
_slip("dp is multiplied by p (1 - p); it must be divided by it", BCE, dp=lambda p, t: (p - t) * p * (1 - p))
_slip(
    "dp has the logarithms in the place of the reciprocals",
    BCE,
    dp=lambda p, t: -t * np.log(p) + (1 - t) * np.log1p(-p),
)
_slip(
    "p is taken for a logit: the sigmoid of it is used",
    BCE,
    y=lambda p, t: _losses(_sigmoid(p), t),
    dp=lambda p, t: _sigmoid(p) - t,
)
_slip(
    "targets are taken for labels: 1 from one half on, else 0",
    BCE,
    y=lambda p, t: _losses(p, np.round(t)),
    dp=lambda p, t: (p - np.round(t)) / (p * (1 - p)),
)
_slip("p and targets are exchanged", BCE, y=lambda p, t: _losses(t, p))
_slip("the logarithm has the base 2", BCE, y=lambda p, t: _losses(p, t) / np.log(2))
_slip("1 - targets is 1: both logarithms count fully", BCE, y=lambda p, t: -(t * np.log(p) + np.log1p(-p)))
_slip("the second logarithm is that of p", BCE, y=lambda p, t: -np.log(p))
_slip("the losses are squared differences", BCE, y=lambda p, t: (p - t) ** 2)


def _limited(p: np.ndarray, least: float) -> np.ndarray:
    return np.clip(p, least, 1 - least)


def _at_least(least: float) -> None:
    _slip(
        f"p is kept {least:.0e} away from 0 and 1",
        BCE,
        y=lambda p, t: _losses(_limited(p, least), t),
        dp=lambda p, t: (p - t) / (p * (1 - p)) * (_limited(p, least) == p),
    )


for _least in (1e-3, 1e-7, 1e-12):
    _at_least(_least)
_slip(
    "1e-7 is added to p and to 1 - p in the logarithms",
    BCE,
    y=lambda p, t: -(t * np.log(p + 1e-7) + (1 - t) * np.log(1 - p + 1e-7)),
    resembles="tensorflow/tensorflow #41595",
)
_slip("dp adds 1e-7 to its divisor", BCE, dp=lambda p, t: (p - t) / (p * (1 - p) + 1e-7))
_own(
    "1 - p is rounded before its logarithm, which loses a small p",
    BCE,
    lambda p, t, dtype: -(t * np.log(p) + (1 - t.astype(np.float64)) * np.log(dtype.type(1) - p)),
)


# -- squared differences ----------------------------------------------------------------------------------------------

MSE = "mse_loss"
_slip(
    "the loss is the absolute value of the difference",
    MSE,
    y=lambda a, b: np.abs(a - b),
    dprediction=lambda a, b: np.sign(a - b),
    dtarget=lambda a, b: -np.sign(a - b),
)
_slip("y has the differences themselves: they are not squared", MSE, y=lambda a, b: a - b)
_slip("the loss is the difference of the squares", MSE, y=lambda a, b: a * a - b * b)
_slip("prediction and target are added", MSE, y=lambda a, b: (a + b) ** 2)
_slip("dprediction is twice the prediction: the target is forgotten", MSE, dprediction=lambda a, b: 2 * a)
_slip("dtarget is minus twice the target: the prediction is forgotten", MSE, dtarget=lambda a, b: -2 * b)
_slip("dprediction is the square of the difference", MSE, dprediction=lambda a, b: (a - b) ** 2)
_slip("dprediction has the absolute value of the difference", MSE, dprediction=lambda a, b: 2 * np.abs(a - b))
_slip(
    "the difference is limited to 1, as in a Huber loss",
    MSE,
    y=lambda a, b: np.where(np.abs(a - b) < 1, (a - b) ** 2, 2 * np.abs(a - b) - 1),
    dprediction=lambda a, b: 2 * np.clip(a - b, -1, 1),
    dtarget=lambda a, b: -2 * np.clip(a - b, -1, 1),
)
_own(
    "the square of the difference is multiplied out, which cancels",
    MSE,
    lambda a, b, dtype: a * a - dtype.type(2) * a * b + b * b,
)


@slip("the loss is the root of the mean square", MSE)
def _root(at: Circumstances) -> Answers:
    return {"y": np.sqrt(at.true("y"))}


@slip("the mean of the differences is squared", MSE)
def _square_of_mean(at: Circumstances) -> Answers:
    two = _two(at)
    return (
        NOTHING
        if two.reduction == "none" or not two.a.size
        else {"y": np.asarray((two.a - two.b).sum() ** 2 / two.divisor**2)}
    )


# -- the weight penalty -----------------------------------------------------------------------------------------------


def _penalty(sentence: str, f: Callable[[np.ndarray, float, np.ndarray], Answers]) -> None:
    @slip(sentence, "l2_penalty")
    def _one(at: Circumstances) -> Answers:
        w = at.array("w")
        assert w is not None
        return {
            k: np.asarray(v, np.float64) for k, v in f(w, float(at.option("weight")), at.dy.astype(np.float64)).items()
        }


def _norm(w: np.ndarray) -> np.ndarray:
    return np.asarray(np.sqrt((w * w).sum()))


_penalty(
    "y has the norm of w, not its square", lambda w, c, dy: {"y": c / 2 * _norm(w), "dw": dy * c / 2 * w / _norm(w)}
)
_penalty(
    "y is the sum of absolute values", lambda w, c, dy: {"y": c / 2 * np.abs(w).sum(), "dw": dy * c / 2 * np.sign(w)}
)
_penalty(
    "y is the mean of w * w, not the sum",
    lambda w, c, dy: {"y": c / 2 * (w * w).sum() / max(1, w.size), "dw": dy * c * w / max(1, w.size)},
)
_penalty("y has the square of weight", lambda w, c, dy: {"y": c * c / 2 * (w * w).sum(), "dw": dy * c * c * w})
_penalty("y has the square of the sum of w", lambda w, c, dy: {"y": c / 2 * w.sum() ** 2})
_penalty("y does not square w", lambda w, c, dy: {"y": c / 2 * w.sum()})
_penalty("y lacks weight, but dw has it", lambda w, c, dy: {"y": (w * w).sum() / 2})
_penalty("dw lacks weight, but y has it", lambda w, c, dy: {"dw": dy * w})
_penalty("dw is the sign of w times weight", lambda w, c, dy: {"dw": dy * c * np.sign(w)})
_penalty("dw is weight everywhere: w is forgotten", lambda w, c, dy: {"dw": dy * c * np.ones(w.shape)})
_penalty("dw is the square of w", lambda w, c, dy: {"dw": dy * c * w * w})
_penalty("dw is divided by the number of elements", lambda w, c, dy: {"dw": dy * c * w / max(1, w.size)})
_penalty("dw is divided by the norm of w", lambda w, c, dy: {"dw": dy * c * w / _norm(w)})
