"""Slips in the forward pass of the normalisations: the statistics, eps, gamma and beta."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from oracle.cases import numpy_dtype
from oracle.slips.slip import NOTHING, Answers, Circumstances, slip

STANDARDISED = ("batch_norm", "layer_norm", "group_norm", "instance_norm")
ALL = (*STANDARDISED, "rms_norm")
PER_CHANNEL = ("batch_norm", "group_norm", "instance_norm")
LAST_AXES = ("layer_norm", "rms_norm")
Axes = tuple[int, ...]


@dataclass(frozen=True)
class Norm:
    """The parts of a normalisation. ``split`` is the shape in which the axes of the statistics stand apart."""

    at: Circumstances
    x: np.ndarray
    split: tuple[int, ...]
    axes: Axes

    @property
    def centred(self) -> bool:
        """Whether the mean is subtracted."""
        return self.at.case.layer != "rms_norm"

    @property
    def eps(self) -> float:
        """The eps of the case."""
        return float(self.at.option("eps"))

    @cached_property
    def size(self) -> int:
        """The number of elements that share a mean and a variance."""
        return int(np.prod([self.split[axis] for axis in self.axes]))

    @cached_property
    def gamma(self) -> np.ndarray:
        """Gamma, in x's own shape."""
        return self._aligned("gamma", 1.0)

    @cached_property
    def beta(self) -> np.ndarray:
        """Beta, in x's own shape."""
        return self._aligned("beta", 0.0) if self.centred else np.zeros(self.x.shape)

    def _aligned(self, name: str, default: float) -> np.ndarray:
        parameter = self.at.array(name)
        if parameter is None:
            return np.full(self.x.shape, default)
        along = parameter if self.at.case.layer in LAST_AXES else self.channels(parameter)
        return np.broadcast_to(along, self.x.shape)

    def channels(self, v: np.ndarray) -> np.ndarray:
        """Return an array per channel in a shape that broadcasts with x."""
        return v.reshape(-1, *[1] * (self.x.ndim - 2))

    @cached_property
    def wide(self) -> np.ndarray:
        """The input x in the shape ``split``."""
        return self.x.reshape(self.split)

    @cached_property
    def mean(self) -> Any:
        """The mean, or 0 if the layer does not subtract it."""
        return self.wide.mean(self.axes, keepdims=True) if self.centred else 0.0

    @cached_property
    def var(self) -> np.ndarray:
        """The biased variance, or the mean square if the mean is not subtracted."""
        return np.asarray(((self.wide - self.mean) ** 2).mean(self.axes, keepdims=True))

    @cached_property
    def x_hat(self) -> np.ndarray:
        """The input x after its normalisation, before gamma and beta."""
        return np.asarray((self.wide - self.mean) / np.sqrt(self.var + self.eps))

    @cached_property
    def dy(self) -> np.ndarray:
        """The cotangent in float64."""
        return self.at.dy.astype(np.float64)

    @cached_property
    def d(self) -> np.ndarray:
        """The cotangent of x_hat."""
        return np.asarray(self.dy * self.gamma).reshape(self.split)

    def summed(self, v: np.ndarray) -> np.ndarray:
        """Sum an array of x's shape to the shape of gamma."""
        if self.at.case.layer in LAST_AXES:
            return np.asarray(v.sum(tuple(range(self.x.ndim - len(self.axes)))))
        return np.asarray(v.sum((0, *range(2, self.x.ndim))))

    def value(self, x_hat: np.ndarray) -> Answers:
        """Return y and dgamma for another x_hat."""
        x_hat = x_hat.reshape(self.x.shape)
        answers = {"y": x_hat * self.gamma + self.beta}
        return answers | {"dgamma": self.summed(self.dy * x_hat)} if "dgamma" in self.at.truth.pairs else answers

    def scaled(self, inv_std: np.ndarray) -> Answers:
        """Return y and dgamma for another factor in place of 1 / sqrt(var + eps)."""
        return self.value((self.wide - self.mean) * inv_std)

    def again(self, split: tuple[int, ...], axes: Axes, *, divisor: float = 0, eps: float | None = None) -> Answers:
        """Return what the layer answers with other statistics, and with the backward pass that is right for them."""
        x, d = self.x.reshape(split), self.d.reshape(split)
        divisor = divisor or int(np.prod([split[axis] for axis in axes]))
        centred = x - x.mean(axes, keepdims=True) if self.centred else x
        var = (centred**2).sum(axes, keepdims=True) / divisor
        inv_std = 1 / np.sqrt(var + (self.eps if eps is None else eps))
        x_hat = centred * inv_std
        own = d.mean(axes, keepdims=True) if self.centred else 0.0
        dx = inv_std * (d - own - x_hat * (d * x_hat).sum(axes, keepdims=True) / divisor)
        return {**self.value(x_hat), "dx": dx.reshape(self.x.shape)}


def parts(at: Circumstances) -> Norm | None:
    """Return the parts of the normalisation, or None if the statistics are given (evaluation) or x is empty."""
    x = at.array("x")
    if x is None or not x.size or at.option("training") is False:
        return None
    if at.case.layer == "batch_norm":
        return Norm(at, x, x.shape, (0, *range(2, x.ndim)))
    if at.case.layer in LAST_AXES:
        return Norm(at, x, x.shape, tuple(range(x.ndim - at.option("normalized_ndim"), x.ndim)))
    groups = x.shape[1] if at.case.layer == "instance_norm" else at.option("groups")
    split = (x.shape[0], groups, x.shape[1] // groups, *x.shape[2:])
    return Norm(at, x, split, tuple(range(2, len(split))))


def norm_slip(sentence: str, *layers: str, resembles: str = "") -> Callable[[Callable[[Norm], Answers]], None]:
    """Put a function of the parts into the catalogue."""

    def put(function: Callable[[Norm], Answers]) -> None:
        @slip(sentence, *layers, resembles=resembles)
        def _one(at: Circumstances) -> Answers:
            n = parts(at)
            return NOTHING if n is None else function(n)

    return put


# -- the variance and eps ---------------------------------------------------------------------------------------------


@norm_slip("y divides by the unbiased variance; it must be the biased one", *STANDARDISED)
def _unbiased_variance(n: Norm) -> Answers:
    return n.scaled(1 / np.sqrt(n.var * n.size / np.float64(n.size - 1) + n.eps))


@norm_slip("the variance is the sum of squares: it was not divided by their number", *ALL)
def _sum_for_mean(n: Norm) -> Answers:
    return n.again(n.split, n.axes, divisor=1)


@norm_slip("eps is added to the standard deviation, not to the variance", *ALL, resembles="codertimo/BERT-pytorch #30")
def _eps_outside(n: Norm) -> Answers:
    return n.scaled(1 / (np.sqrt(n.var) + n.eps))


@norm_slip(
    "eps is a lower limit of the variance; it must be added to it",
    *ALL,
    resembles="vacancy/Synchronized-BatchNorm-PyTorch #43",
)
def _eps_limit(n: Norm) -> Answers:
    return n.scaled(1 / np.sqrt(np.maximum(n.var, n.eps)))


@norm_slip("eps is not added: a variance of 0 is divided by", *ALL, resembles="torchcvnn/torchcvnn #32")
def _without_eps(n: Norm) -> Answers:
    return n.again(n.split, n.axes, eps=0.0)


@norm_slip("eps is added twice", *ALL)
def _eps_twice(n: Norm) -> Answers:
    return n.again(n.split, n.axes, eps=2 * n.eps)


@norm_slip("the square of eps is added to the variance", *ALL)
def _eps_squared(n: Norm) -> Answers:
    return n.again(n.split, n.axes, eps=n.eps**2)


def _other_default(eps: float) -> None:
    @norm_slip(f"the default of eps is {eps:.0e}", *ALL)
    def _one(n: Norm) -> Answers:
        return NOTHING if "eps" in n.at.case.configuration else n.again(n.split, n.axes, eps=eps)


for _default in (1e-3, 1e-6, 1e-8, 1e-12):
    _other_default(_default)


@norm_slip("x is divided by the variance, not by its square root", *ALL)
def _without_root(n: Norm) -> Answers:
    return n.scaled(1 / (n.var + n.eps))


@norm_slip("x is multiplied by the standard deviation; it must be divided by it", *ALL)
def _multiplied(n: Norm) -> Answers:
    return n.scaled(np.sqrt(n.var + n.eps))


@norm_slip("the variance is the mean absolute deviation", *STANDARDISED)
def _absolute_deviation(n: Norm) -> Answers:
    return n.scaled(1 / np.sqrt(np.abs(n.wide - n.mean).mean(n.axes, keepdims=True) + n.eps))


@norm_slip(
    "the variance is computed in one pass, as the mean of x * x less mean * mean: it cancels if the mean is large",
    *STANDARDISED,
    resembles="tenstorrent/tt-metal #45968",
)
def _one_pass(n: Norm) -> Answers:
    x = n.wide.astype(numpy_dtype(n.at.case.dtype))
    mean = x.mean(n.axes, keepdims=True)
    var = (x * x).mean(n.axes, keepdims=True) - mean * mean
    return n.scaled(1 / np.sqrt(var.astype(np.float64) + n.eps))


@norm_slip("y is divided by the standard deviation, but the mean is not subtracted", *STANDARDISED)
def _not_centred(n: Norm) -> Answers:
    return n.value(n.wide / np.sqrt(n.var + n.eps))


@norm_slip("the mean is subtracted and the variance is taken, as in a layer normalisation", "rms_norm")
def _centred(n: Norm) -> Answers:
    centred = n.wide - n.wide.mean(n.axes, keepdims=True)
    return n.value(centred / np.sqrt((centred**2).mean(n.axes, keepdims=True) + n.eps))


@norm_slip("x is divided by its standard deviation, not by the root of its mean square", "rms_norm")
def _standard_deviation(n: Norm) -> Answers:
    return n.value(n.wide / np.sqrt(n.wide.var(n.axes, keepdims=True) + n.eps))


# -- the axes of the statistics ---------------------------------------------------------------------------------------


def _over(sentence: str, layers: tuple[str, ...], axes: Callable[[Norm], Axes], *, resembles: str = "") -> None:
    """Take the statistics over other axes of ``split``."""

    @norm_slip(sentence, *layers, resembles=resembles)
    def _one(n: Norm) -> Answers:
        other = axes(n)
        return n.again(n.split, other) if other and set(other) != set(n.axes) else NOTHING


def _every(n: Norm) -> Axes:
    return tuple(range(len(n.split)))


_over("mean and variance are taken per position, over the batch only", ("batch_norm",), lambda n: (0,))
_over("mean and variance are taken per sample and channel", ("batch_norm",), lambda n: _every(n)[2:])
_over("mean and variance are taken over the channels", ("batch_norm",), lambda n: (1,))
_over("mean and variance are taken over all channels together", ("batch_norm",), _every)
_over("the statistics are taken over the batch, not over the features", LAST_AXES, lambda n: (0,))
_over("the statistics are taken over the last axis only", ("instance_norm", *LAST_AXES), lambda n: _every(n)[-1:])
_over("the statistics are taken over everything in a sample", LAST_AXES, lambda n: _every(n)[1:])
_over("the statistics are taken over the whole of x", ("group_norm", "instance_norm", *LAST_AXES), _every)
_over("mean and variance are taken per position, over the channels only", ("group_norm",), lambda n: (2,))
_over("mean and variance are taken per channel, not per group", ("group_norm",), lambda n: _every(n)[3:])
_over("mean and variance are taken over all groups of a sample", ("group_norm",), lambda n: _every(n)[1:])
_over("mean and variance are taken over all channels of a sample", ("instance_norm",), lambda n: _every(n)[1:])
_over("mean and variance are taken over the batch too", ("group_norm", "instance_norm"), lambda n: (0, *_every(n)[2:]))


@norm_slip(
    "the channels of a group are taken in steps: channel c belongs to group c modulo the number of groups",
    "group_norm",
    resembles="tenstorrent/tt-metal #56202",
)
def _interleaved(n: Norm) -> Answers:
    samples, groups, per_group, *places = n.split
    split = (samples, per_group, groups, *places)
    return n.again(split, (1, *range(3, len(split))))


@norm_slip("mean and variance of the first sample are used for all", "layer_norm", "group_norm", "instance_norm")
def _first_sample(n: Norm) -> Answers:
    mean, var = n.mean[:1], n.var[:1]
    return n.value((n.wide - mean) / np.sqrt(var + n.eps)) if len(n.axes) < n.wide.ndim else NOTHING


# -- gamma and beta ---------------------------------------------------------------------------------------------------


@norm_slip("gamma and beta are not applied", *ALL)
def _without_parameters(n: Norm) -> Answers:
    return {"y": n.x_hat.reshape(n.x.shape)}


@norm_slip("y is multiplied by 1 + gamma", *ALL, resembles="Blaizzy/mlx-vlm #2111")
def _one_plus_gamma(n: Norm) -> Answers:
    return NOTHING if n.at.array("gamma") is None else {"y": n.x_hat.reshape(n.x.shape) * (1 + n.gamma) + n.beta}


@norm_slip("beta is added before gamma is multiplied", *STANDARDISED)
def _beta_first(n: Norm) -> Answers:
    return {"y": (n.x_hat.reshape(n.x.shape) + n.beta) * n.gamma}


@norm_slip("beta is subtracted", *STANDARDISED)
def _beta_subtracted(n: Norm) -> Answers:
    return {"y": n.at.true("y") - 2 * n.beta}


@norm_slip("beta is added twice", *STANDARDISED)
def _beta_twice(n: Norm) -> Answers:
    return {"y": n.at.true("y") + n.beta}


@norm_slip(
    "the entry of gamma is that of the group, not that of the channel", "group_norm", resembles="apache/mxnet #17139"
)
def _gamma_per_group(n: Norm) -> Answers:
    gamma = n.at.array("gamma")
    if gamma is None:
        return NOTHING
    per_channel = np.repeat(gamma[: n.split[1]], n.split[2])
    return {"y": n.x_hat.reshape(n.x.shape) * n.channels(per_channel) + n.beta}
