"""Optimisers, learning-rate schedules and gradient clipping, on trees of NumPy or JAX arrays.

    optimiser = Adam(rate=1e-3)
    slots = optimiser.init(parameters)
    parameters, slots = optimiser.update(gradients, slots, parameters)

An optimiser is a description; what it remembers (its slots) is a tree, so that a step is a pure function and can be jitted.
The formulas are PyTorch's, step by step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi
from typing import Any

import numpy as np

from impl.array import Array, namespace
from impl.tree import Tree, leaves, squared_norm, tree_map, zeros


def _least(name: str, value: float, least: float, below: float = float("inf")) -> None:
    if not least <= value < below:
        raise ValueError(f"{name} must lie in [{least:g}, {below:g}), got {value}")


@dataclass(frozen=True)
class Optimiser:
    """What all have: a learning rate, which ``update`` may be given anew at each step (a schedule)."""

    rate: float = 1e-3

    def __post_init__(self) -> None:
        _least("rate", self.rate, 0)

    def init(self, parameters: Tree) -> Tree:
        """The slots before the first step."""
        return {}

    def update(self, gradients: Tree, slots: Tree, parameters: Tree, rate: Any = None) -> tuple[Tree, Tree]:
        """The parameters and slots after a step."""
        raise NotImplementedError


@dataclass(frozen=True)
class SGD(Optimiser):
    """v = momentum v + (1 - dampening) g, w = w - rate v; with Nesterov, w = w - rate (g + momentum v).

    g is the gradient plus weight_decay w. The first step sets v = g, as in PyTorch.
    """

    rate: float = 1e-2
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    dampening: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _least("momentum", self.momentum, 0, 1)
        _least("weight_decay", self.weight_decay, 0)
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            raise ValueError("Nesterov's step needs a momentum above 0 and no dampening")

    def init(self, parameters: Tree) -> Tree:
        """The velocity, and the number of steps."""
        return {"velocity": zeros(parameters), "step": np.zeros((), np.int32)} if self.momentum else {}

    def update(self, gradients: Tree, slots: Tree, parameters: Tree, rate: Any = None) -> tuple[Tree, Tree]:
        """As ``Optimiser.update``."""
        rate = self.rate if rate is None else rate
        g = _decayed(gradients, parameters, self.weight_decay)
        if not self.momentum:
            return tree_map(lambda w, d: w - _as(rate, w) * d, parameters, g), slots
        damp = namespace(slots["step"]).where(slots["step"] == 0, 1.0, 1 - self.dampening)
        v = tree_map(lambda v, d: self.momentum * v + _as(damp, d) * d, slots["velocity"], g)
        move = tree_map(lambda d, v: d + self.momentum * v, g, v) if self.nesterov else v
        new = tree_map(lambda w, m: w - _as(rate, w) * m, parameters, move)
        return new, {"velocity": v, "step": slots["step"] + 1}


@dataclass(frozen=True)
class Adam(Optimiser):
    """m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2, w = w - rate (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps).

    weight_decay is added to the gradient. Kingma and Ba, arXiv:1412.6980.
    """

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for i, beta in enumerate(self.betas):
            _least(f"betas[{i}]", beta, 0, 1)
        _least("eps", self.eps, 0)
        _least("weight_decay", self.weight_decay, 0)

    def init(self, parameters: Tree) -> Tree:
        """Both moments, and the number of steps."""
        return {"first": zeros(parameters), "second": zeros(parameters), "step": np.zeros((), np.int32)}

    def update(self, gradients: Tree, slots: Tree, parameters: Tree, rate: Any = None) -> tuple[Tree, Tree]:
        """As ``Optimiser.update``."""
        return self._step(_decayed(gradients, parameters, self.weight_decay), slots, parameters, rate)

    def _step(self, g: Tree, slots: Tree, parameters: Tree, rate: Any) -> tuple[Tree, Tree]:
        rate = self.rate if rate is None else rate
        (b1, b2), t = self.betas, slots["step"] + 1
        m = tree_map(lambda m, d: b1 * m + (1 - b1) * d, slots["first"], g)
        v = tree_map(lambda v, d: b2 * v + (1 - b2) * d * d, slots["second"], g)

        def moved(w: Array, m: Array, v: Array) -> Array:
            xp = namespace(w)
            steps = _as(t, w)
            size = _as(rate, w) / (1 - b1**steps)
            return w - size * m / (xp.sqrt(v) / xp.sqrt(1 - b2**steps) + self.eps)

        return tree_map(moved, parameters, m, v), {"first": m, "second": v, "step": t}


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with the decay taken off the weights themselves: w = w - rate weight_decay w first. arXiv:1711.05101."""

    weight_decay: float = 1e-2

    def update(self, gradients: Tree, slots: Tree, parameters: Tree, rate: Any = None) -> tuple[Tree, Tree]:
        """As ``Optimiser.update``."""
        used = self.rate if rate is None else rate
        shrunk = tree_map(lambda w: w * (1 - _as(used, w) * self.weight_decay), parameters)
        return self._step(gradients, slots, shrunk, rate)


@dataclass(frozen=True)
class RMSProp(Optimiser):
    """v = a v + (1 - a) g^2, w = w - rate g / (sqrt(v) + eps); with momentum the quotient is gathered. Hinton, 2012."""

    rate: float = 1e-2
    alpha: float = 0.99
    eps: float = 1e-8
    momentum: float = 0.0
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _least("alpha", self.alpha, 0, 1)
        _least("momentum", self.momentum, 0, 1)

    def init(self, parameters: Tree) -> Tree:
        """The mean square, and the gathered steps."""
        return {"square": zeros(parameters)} | ({"gathered": zeros(parameters)} if self.momentum else {})

    def update(self, gradients: Tree, slots: Tree, parameters: Tree, rate: Any = None) -> tuple[Tree, Tree]:
        """As ``Optimiser.update``."""
        rate = self.rate if rate is None else rate
        g = _decayed(gradients, parameters, self.weight_decay)
        square = tree_map(lambda v, d: self.alpha * v + (1 - self.alpha) * d * d, slots["square"], g)
        move = tree_map(lambda d, v: d / (namespace(d).sqrt(v) + self.eps), g, square)
        new = {"square": square}
        if self.momentum:
            move = new["gathered"] = tree_map(lambda b, m: self.momentum * b + m, slots["gathered"], move)
        return tree_map(lambda w, m: w - _as(rate, w) * m, parameters, move), new


@dataclass(frozen=True)
class AdaGrad(Optimiser):
    """v = v + g^2, w = w - rate g / (sqrt(v) + eps). Duchi, Hazan and Singer, 2011."""

    rate: float = 1e-2
    eps: float = 1e-10
    weight_decay: float = 0.0

    def init(self, parameters: Tree) -> Tree:
        """The sum of squares."""
        return {"sum": zeros(parameters)}

    def update(self, gradients: Tree, slots: Tree, parameters: Tree, rate: Any = None) -> tuple[Tree, Tree]:
        """As ``Optimiser.update``."""
        rate = self.rate if rate is None else rate
        g = _decayed(gradients, parameters, self.weight_decay)
        total = tree_map(lambda v, d: v + d * d, slots["sum"], g)
        new = tree_map(lambda w, d, v: w - _as(rate, w) * d / (namespace(w).sqrt(v) + self.eps), parameters, g, total)
        return new, {"sum": total}


def _decayed(gradients: Tree, parameters: Tree, decay: float) -> Tree:
    return tree_map(lambda g, w: g + decay * w, gradients, parameters) if decay else gradients


def _as(value: Any, like: Array) -> Any:
    """A number in the dtype of an array, so that float32 stays float32 where the number is a float64 or traced."""
    return namespace(like, value).asarray(value, dtype=like.dtype) if hasattr(value, "dtype") else value


# -- gradients and rates ----------------------------------------------------------------------------------------------


def clipped(gradients: Tree, limit: float) -> Tree:
    """The gradients, scaled down where their common norm exceeds a limit: g min(1, limit / (|g| + 1e-6))."""
    _least("limit", limit, 0)
    first = leaves(gradients)[0]
    xp = namespace(first)
    scale = xp.minimum(1.0, limit / (xp.sqrt(squared_norm(gradients)) + 1e-6))
    return tree_map(lambda g: g * _as(scale, g), gradients)


Schedule = Callable[[int], float]


def constant(rate: float) -> Schedule:
    """Always the same rate."""
    return lambda step: rate


def stepped(rate: float, every: int, factor: float = 0.1) -> Schedule:
    """The rate times factor, again after every so many steps."""
    _least("every", every, 1)
    return lambda step: rate * factor ** (step // every)


def cosine(rate: float, steps: int, warmup: int = 0, least: float = 0.0) -> Schedule:
    """A straight line from 0 over the warm-up, then half a cosine down to least at the last step."""
    if not 0 <= warmup < steps:
        raise ValueError(f"warmup must lie in [0, steps = {steps}), got {warmup}")

    def at(step: int) -> float:
        if step < warmup:
            return rate * (step + 1) / warmup
        done = min(1.0, (step - warmup) / (steps - warmup))
        return least + (rate - least) * (1 + cos(pi * done)) / 2

    return at


def batch_gradient_descent(
    loss_and_gradients: Callable[[Tree], tuple[Any, Tree]],
    parameters: Tree,
    *,
    step: float,
    limit: int,
    threshold: float,
) -> tuple[Tree, int]:
    """Steps against the whole batch's gradient until no parameter moves by threshold or more, at most limit times.

    Gives the parameters and the number of steps taken. Raises ValueError for a step or threshold below 0 or a limit
    below 1. Source: document 002, section III.6.
    """
    _least("step", step, 0)
    _least("threshold", threshold, 0)
    _least("limit", limit, 1)
    for count in range(1, limit + 1):
        _, gradients = loss_and_gradients(parameters)
        parameters = tree_map(lambda w, g: w - step * g, parameters, gradients)
        if max(float(abs(step * g).max()) for g in leaves(gradients)) < threshold:
            return parameters, count
    return parameters, limit
