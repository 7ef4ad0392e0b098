"""Slips in the backward pass of the normalisations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from oracle.slips.norm import ALL, LAST_AXES, PER_CHANNEL, STANDARDISED, Norm, norm_slip
from oracle.slips.slip import NOTHING, Answers

# -- the gradients of gamma and beta ----------------------------------------------------------------------------------


def _dgamma(sentence: str, factor: Callable[[Norm], np.ndarray], *layers: str) -> None:
    """Sum dy times something else."""

    @norm_slip(sentence, *layers)
    def _one(n: Norm) -> Answers:
        return {"dgamma": n.summed(n.dy * factor(n).reshape(n.x.shape))} if "dgamma" in n.at.truth.pairs else NOTHING


_dgamma("dgamma sums dy * x; it must be dy * x_hat", lambda n: n.x, *ALL)
_dgamma("dgamma sums dy * y; it must be dy * x_hat", lambda n: n.at.true("y"), *ALL)
_dgamma("dgamma is not divided by the standard deviation", lambda n: n.wide - n.mean, *STANDARDISED)
_dgamma("dgamma uses x without its mean subtracted", lambda n: n.wide / np.sqrt(n.var + n.eps), *STANDARDISED)
_dgamma("dgamma is multiplied by gamma", lambda n: n.x_hat * n.gamma.reshape(n.split), *STANDARDISED)
_dgamma("dgamma is divided by the standard deviation twice", lambda n: n.x_hat / np.sqrt(n.var + n.eps), *ALL)


@norm_slip("dbeta is multiplied by gamma", *STANDARDISED)
def _dbeta_gamma(n: Norm) -> Answers:
    return {"dbeta": n.summed(n.dy * n.gamma)} if "dbeta" in n.at.truth.pairs else NOTHING


@norm_slip("dgamma and dbeta are exchanged", *STANDARDISED)
def _exchanged(n: Norm) -> Answers:
    given = n.at.truth.pairs
    if "dgamma" not in given or "dbeta" not in given:
        return NOTHING
    return {"dgamma": n.at.true("dbeta"), "dbeta": n.at.true("dgamma")}


def _parameter(name: str, layers: tuple[str, ...]) -> None:
    def products(n: Norm) -> np.ndarray:
        return n.dy * n.x_hat.reshape(n.x.shape) if name == "dgamma" else n.dy

    @norm_slip(f"{name} is a mean over all terms; it must be their sum", *layers)
    def _mean(n: Norm) -> Answers:
        if name not in n.at.truth.pairs:
            return NOTHING
        true = n.at.true(name)
        return {name: true * true.size / n.x.size}

    @norm_slip(f"{name} is overwritten by each sample; it must be added to", *layers)
    def _last_sample(n: Norm) -> Answers:
        if name not in n.at.truth.pairs or (len(n.axes) == n.x.ndim and n.at.case.layer in LAST_AXES):
            return NOTHING
        last = products(n)
        last[:-1] = 0
        return {name: n.summed(last)}

    @norm_slip(f"{name} is summed over the batch only, and the first place of each channel is kept", *PER_CHANNEL)
    def _first_place(n: Norm) -> Answers:
        if name not in n.at.truth.pairs:
            return NOTHING
        return {name: products(n).sum(0).reshape(n.x.shape[1], -1)[:, 0]}


_parameter("dgamma", ALL)
_parameter("dbeta", STANDARDISED)


# -- the gradient of x ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Terms:
    """What dx is made of: dx = (d - own - x_hat * along) / std."""

    n: Norm
    d: np.ndarray
    own: Any
    along: np.ndarray
    x_hat: np.ndarray


def _dx(sentence: str, inner: Callable[[Terms], np.ndarray], *layers: str, resembles: str = "") -> None:
    """Replace d - own - x_hat * along by something else."""

    @norm_slip(sentence, *layers, resembles=resembles)
    def _one(n: Norm) -> Answers:
        own = n.d.mean(n.axes, keepdims=True) if n.centred else 0.0
        t = Terms(n, n.d, own, (n.d * n.x_hat).mean(n.axes, keepdims=True), n.x_hat)
        return {"dx": (inner(t) / np.sqrt(n.var + n.eps)).reshape(n.x.shape)}


def _with(t: Terms, x_hat: np.ndarray) -> np.ndarray:
    """Return the terms with something else in the place of x_hat."""
    return np.asarray(t.d - t.own - x_hat * (t.d * x_hat).mean(t.n.axes, keepdims=True))


def _gamma_outside(t: Terms) -> np.ndarray:
    dy = t.n.dy.reshape(t.n.split)
    own = dy.mean(t.n.axes, keepdims=True) if t.n.centred else 0.0
    inner = dy - own - t.x_hat * (dy * t.x_hat).mean(t.n.axes, keepdims=True)
    return np.asarray(inner * t.n.gamma.reshape(t.n.split))


def _without_gamma(t: Terms) -> np.ndarray:
    gamma = t.n.gamma.reshape(t.n.split)
    return _gamma_outside(t) / gamma


def _means_over(t: Terms, axes: tuple[int, ...]) -> np.ndarray:
    own = t.d.mean(axes, keepdims=True) if t.n.centred else 0.0
    return np.asarray(t.d - own - t.x_hat * (t.d * t.x_hat).mean(axes, keepdims=True))


def _sums_of_first(t: Terms) -> np.ndarray:
    own = t.own.ravel()[0] if t.n.centred else 0.0
    return np.asarray(t.d - own - t.x_hat * t.along.ravel()[0])


_dx("dx forgets that mean and variance depend on x", lambda t: t.d, *STANDARDISED)
_dx("dx forgets that the mean depends on x", lambda t: t.d - t.x_hat * t.along, *STANDARDISED)
_dx("dx forgets that the variance depends on x", lambda t: t.d - t.own, *STANDARDISED)
_dx("dx forgets that the mean square depends on x", lambda t: t.d, "rms_norm")
_dx("dx subtracts the mean of dy, as if the mean of x had been subtracted", lambda t: _centred_dx(t), "rms_norm")
_dx(
    "dx uses the sum of dy in the place of the sum of dy * x_hat",
    lambda t: t.d - t.own - t.x_hat * t.own,
    *STANDARDISED,
)
_dx("dx is computed from dy, not from dy * gamma", _without_gamma, *ALL)
_dx(
    "dx multiplies by gamma after the means; they must be means of dy * gamma", _gamma_outside, *LAST_AXES, "group_norm"
)
_dx("dx uses y in the place of x_hat", lambda t: _with(t, t.n.at.true("y").reshape(t.n.split)), *ALL)
_dx("dx uses x in the place of x_hat", lambda t: _with(t, t.n.wide), *STANDARDISED)
_dx(
    "dx sums dy * (x - mean) in the place of dy * x_hat",
    lambda t: t.d - t.own - t.x_hat * t.along * np.sqrt(t.n.var + t.n.eps),
    *STANDARDISED,
)
_dx(
    "dx sums dy * x in the place of dy * x_hat",
    lambda t: t.d - t.own - t.x_hat * (t.d * t.n.wide).mean(t.n.axes, keepdims=True),
    *ALL,
)
_dx("dx takes its means over the whole of dy", lambda t: _means_over(t, tuple(range(t.d.ndim))), *ALL)
_dx("dx takes its means over the batch", lambda t: _means_over(t, (0,)), *ALL)
_dx("dx subtracts sums; it must subtract means", lambda t: t.d - t.n.size * (t.own + t.x_hat * t.along), *ALL)
_dx(
    "dx divides the sum of dy * x_hat by one less than the number of terms",
    lambda t: t.d - t.own - t.x_hat * t.along * (t.n.size / np.float64(t.n.size - 1)),
    *STANDARDISED,
)
_dx("dx lacks the factor 2 of the derivative of a square", lambda t: t.d - t.own - t.x_hat * t.along / 2, *ALL)
_dx("dx adds the part through the variance; it must subtract it", lambda t: t.d - t.own + t.x_hat * t.along, *ALL)
_dx("dx adds the part through the mean; it must subtract it", lambda t: t.d + t.own - t.x_hat * t.along, *STANDARDISED)
_dx(
    "dx subtracts the mean of dy * gamma twice",
    lambda t: t.d - 2 * t.own - t.x_hat * t.along,
    *STANDARDISED,
    resembles="tenstorrent/tt-metal #53204",
)
_dx(
    "dx has the power -1/2 of the variance; the derivative has -3/2",
    lambda t: t.d - t.own - t.x_hat * t.along * (t.n.var + t.n.eps),
    *ALL,
)
_dx("dx is not divided by the standard deviation", lambda t: _inner(t) * np.sqrt(t.n.var + t.n.eps), *ALL)
_dx("dx is divided by the variance, not by its square root", lambda t: _inner(t) / np.sqrt(t.n.var + t.n.eps), *ALL)
_dx("dx uses the sums of the first mean and variance for all", _sums_of_first, *ALL)


def _inner(t: Terms) -> np.ndarray:
    return np.asarray(t.d - t.own - t.x_hat * t.along)


def _centred_dx(t: Terms) -> np.ndarray:
    return np.asarray(_inner(t) - t.d.mean(t.n.axes, keepdims=True))
