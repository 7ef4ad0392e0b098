"""The fused layers and the residual blocks in NumPy, from steps that a slip can replace.

A fused layer is a branch of steps and an end. The end adds the shortcut, if there is one, and takes the maximum with 0.
A step returns its value and its pullback.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from oracle.layers.places import per_axis
from oracle.slips import windows
from oracle.slips.convolution import sum_over
from oracle.slips.pooling import Pooling
from oracle.slips.slip import Circumstances
from oracle.slips.windows import Axes

Array = np.ndarray
Pullback = Callable[[Array], tuple[Array, ...]]
Step = Callable[[Array], tuple[Array, Pullback]]
End = Callable[[Array, Array], tuple[Array, Pullback]]

BLOCKS = ("residual_block", "bottleneck_block")


# -- the steps --------------------------------------------------------------------------------------------------------


def relu(x: Array) -> tuple[Array, Pullback]:
    """Compute max(x, 0)."""
    return np.maximum(x, 0), lambda dy: (dy * (x > 0),)


def unchanged(x: Array) -> tuple[Array, Pullback]:
    """Leave out a step."""
    return x, lambda dy: (dy,)


def end(h: Array, by: Array) -> tuple[Array, Pullback]:
    """Compute max(h + by, 0)."""
    y, back = relu(h + by)
    return y, lambda dy: (*back(dy), *back(dy))


def affine(x: Array, w: Array, b: Array | None) -> tuple[Array, Pullback]:
    """Compute x w + b."""
    flat = x.reshape(len(x), -1)
    y = flat @ w if b is None else flat @ w + b
    return y, lambda dy: ((dy @ w.T).reshape(x.shape), flat.T @ dy, dy.sum(0))


def convolved(
    x: Array, w: Array, b: Array | None, saved: Array, *, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups=1
) -> tuple[Array, Pullback]:
    """Convolve x with w; the pullback computes dw from what was saved of x."""
    axes = windows.axes_of(x.shape[2:], w.shape[2:], None, stride, padding, dilation)
    sum_ = sum_over(x, w, b, np.zeros((len(x), len(w), *(axis.m for axis in axes))), axes, groups)

    def back(dy: Array) -> tuple[Array, ...]:
        pulled = replace(sum_, dy=dy)
        return pulled.answer("dx"), replace(pulled, x=saved).answer("dw"), dy.sum((0, 2, 3))

    return sum_.answer("y"), back


@dataclass(frozen=True)
class Norm:
    """A batch normalisation with its parameters."""

    gamma: Array | None
    beta: Array | None
    running: tuple[Array | None, Array | None]
    training: bool
    momentum: float
    eps: float

    def __call__(self, x: Array) -> tuple[Array, Pullback]:
        """Normalise x."""
        return self.by(x, *(self.of_batch(x) if self.training else self.given()))

    def of_batch(self, x: Array) -> tuple[Array, Array]:
        """Return mean and variance of the batch."""
        return x.mean((0, 2, 3)), x.var((0, 2, 3))

    def given(self) -> tuple[Array, Array]:
        """Return the running statistics."""
        mean, var = self.running
        assert mean is not None and var is not None
        return mean, var

    def by(self, x: Array, mean: Array, var: Array, *, constant: bool = False) -> tuple[Array, Pullback]:
        """Normalise x by a mean and a variance, which are constants in evaluation."""
        inv_std = _wide(1 / np.sqrt(var + self.eps))
        x_hat = (x - _wide(mean)) * inv_std
        gamma = np.ones(x.shape[1]) if self.gamma is None else self.gamma
        beta = np.zeros(x.shape[1]) if self.beta is None else self.beta

        def back(dy: Array) -> tuple[Array, ...]:
            d = dy * _wide(gamma)
            if self.training and not constant:
                d = d - _wide(d.mean((0, 2, 3))) - x_hat * _wide((d * x_hat).mean((0, 2, 3)))
            return d * inv_std, (dy * x_hat).sum((0, 2, 3)), dy.sum((0, 2, 3))

        return x_hat * _wide(gamma) + _wide(beta), back


def _wide(v: Array) -> Array:
    return v.reshape(-1, 1, 1)


def pooled(x: Array, axes: Axes, pullback: Callable[[Pooling], Array | None]) -> tuple[Array, Pullback]:
    """Take the maximum over windows; the pullback is that of a pooling."""
    pooling = Pooling(x, np.zeros((*x.shape[:2], *(axis.m for axis in axes))), axes, windows.index_of(axes), None)

    def back(dy: Array) -> tuple[Array, ...]:
        dx = pullback(replace(pooling, dy=dy))
        assert dx is not None
        return (dx,)

    return pooling.answer("y"), back


# -- the layers -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Parts:
    """The steps of a fused layer, and the way through them. A slip replaces one of them."""

    relu: Step = relu
    end: End = end
    norm: Callable[[Norm, Array], tuple[Array, Pullback]] = lambda norm, x: norm(x)
    unpool: Callable[[Pooling], Array | None] = lambda pooling: pooling.answer("dx")
    shortcut: Step = unchanged  # before the projection
    projected: bool = True
    normalised_shortcut: bool = True
    strided: str = ""  # the suffix of the part that takes the stride, if it is another
    saved: Callable[[Array, Array], Array] = lambda before, after: after  # of a part's input, before and after the ReLU
    chained: bool = True  # each part reads the one before; otherwise all read x


class Tape:
    """The steps of a branch, with the names of the gradients of their parameters."""

    def __init__(self) -> None:
        self.steps: list[tuple[tuple[str, ...], Pullback]] = []

    def record(self, step: tuple[Array, Pullback], *names: str) -> Array:
        """Keep the pullback of a step and return its value."""
        value, back = step
        self.steps.append((names, back))
        return value

    def back(self, dy: Array, found: dict[str, Array]) -> Array:
        """Pull dy back through the branch and note the gradients of its parameters."""
        for names, pullback in reversed(self.steps):
            dy, *gradients = pullback(dy)
            found.update(zip(names, gradients, strict=False))
        return dy


def suffixes(at: Circumstances) -> list[str]:
    """Return the suffixes of the parts of a block."""
    return ["1", "2"] if at.case.layer == "residual_block" else ["1", "2", "3"]


def _norm(at: Circumstances, suffix: str) -> Norm:
    gamma, beta, mean, var = (at.array(name + suffix) for name in ("gamma", "beta", "running_mean", "running_var"))
    return Norm(gamma, beta, (mean, var), at.option("training"), at.option("momentum"), at.option("eps"))


def computed(at: Circumstances, parts: Parts, *, gradients: bool = True) -> dict[str, Array]:
    """Compute y of a fused layer, and every gradient, from its parts."""
    x, main, by = at.array("x"), Tape(), Tape()
    assert x is not None
    found: dict[str, Array] = {}
    if at.case.layer in BLOCKS:
        h = _block(at, parts, x, main)
        around = _around(at, parts, x, by)
    else:
        h, around = _branch(at, parts, x, main), np.zeros(())
    dy = at.dy.astype(np.float64)
    if at.case.layer == "conv_relu_pool":
        y, ended = unchanged(h)
    else:
        y, ended = parts.end(h, around)
    if not gradients or y.shape != dy.shape:
        return {"y": y}
    d, *rest = ended(dy)
    dx = main.back(d, found)
    if at.case.layer in BLOCKS:
        dx = dx + by.back(rest[0], found)
    return {"y": y, "dx": dx} | {name: value for name, value in found.items() if name in at.truth.pairs}


def _branch(at: Circumstances, parts: Parts, x: Array, tape: Tape) -> Array:
    w, b = at.array("w"), at.array("b")
    assert w is not None
    if at.case.layer == "affine_relu":
        return tape.record(affine(x, w, b), "dw", "db")
    options = {name: at.option(name) for name in ("stride", "padding", "dilation", "groups")}
    h = tape.record(convolved(x, w, b, parts.saved(x, x), **options), "dw", "db")
    if at.case.layer == "conv_relu_pool":
        h = tape.record(parts.relu(h))
        kernel = per_axis(at.option("kernel_size"), 2)
        axes = windows.axes_of(h.shape[2:], kernel, None, at.option("pool_stride"), 0, 1)
        return tape.record(pooled(h, axes, parts.unpool))
    return tape.record(parts.norm(_norm(at, ""), h), "dgamma", "dbeta")


def _block(at: Circumstances, parts: Parts, x: Array, tape: Tape) -> Array:
    h = x
    strided = parts.strided or ("1" if at.case.layer == "residual_block" else "2")
    for suffix in suffixes(at):
        before = h
        if suffix != "1":
            h = tape.record(parts.relu(h if parts.chained else x))
        w = at.array("w" + suffix)
        assert w is not None
        stride, padding = at.option("stride") if suffix == strided else 1, tuple(k // 2 for k in w.shape[2:])
        step = convolved(h, w, None, parts.saved(before, h), stride=stride, padding=padding)
        h = tape.record(step, "dw" + suffix)
        h = tape.record(parts.norm(_norm(at, suffix), h), "dgamma" + suffix, "dbeta" + suffix)
    return h


def _around(at: Circumstances, parts: Parts, x: Array, tape: Tape) -> Array:
    w, by = at.array("w_shortcut"), tape.record(parts.shortcut(x))
    if w is None or not parts.projected:
        return by
    by = tape.record(convolved(by, w, None, parts.saved(by, by), stride=at.option("stride")), "dw_shortcut")
    if not parts.normalised_shortcut:
        return by
    return tape.record(parts.norm(_norm(at, "_shortcut"), by), "dgamma_shortcut", "dbeta_shortcut")
