"""Optimisers, learning-rate schedules and gradient clipping, on trees of NumPy or JAX arrays.

>>> parameters = {"w": np.array([1.0, 2.0])}
>>> optimiser = SGD(rate=0.1)
>>> slots = optimiser.init(parameters)
>>> parameters, slots = optimiser.update({"w": np.array([10.0, 0.0])}, slots, parameters)
>>> parameters
{'w': array([0., 2.])}

An optimiser keeps no arrays itself. What it remembers from step to step, its *slots*, is a tree that goes in and comes
out, so that a step is a pure function and can be jitted. Each step is the same as PyTorch's. In the formulas, w is a
parameter, g its gradient (plus ``weight_decay * w``, except in AdamW), and t the number of the step, from 1.
Learning rates are in units of the parameter per unit of the step's direction; the other options are plain numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi
from typing import Any

import numpy as np

from impl.array import Array, namespace
from impl.tree import Tree, leaves, squared_norm, tree_map, zeros

# A learning rate for one step; None means the optimiser's own.
Rate = float | Array | None


def _least(name: str, value: float, least: float, below: float = float("inf")) -> None:
    """Raise ValueError unless least <= value < below."""
    if not least <= value < below:
        raise ValueError(f"{name} must lie in [{least:g}, {below:g}), got {value}")


@dataclass(frozen=True)
class Optimiser:
    """What all optimisers have: a learning rate. A schedule passes another rate to each call of ``update``.

    Raises ValueError if an option is outside of its interval.
    """

    rate: float = 1e-3

    def __post_init__(self) -> None:
        _least("rate", self.rate, 0)

    def init(self, parameters: Tree) -> Tree:
        """Make the slots for the first step."""
        return {}

    def update(self, gradients: Tree, slots: Tree, parameters: Tree, rate: Rate = None) -> tuple[Tree, Tree]:
        """Take one step, and return the new parameters and the new slots. The trees that go in are not changed.

        ``gradients`` has the structure of ``parameters``; ``rate`` replaces the optimiser's own rate.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class SGD(Optimiser):
    """Stochastic gradient descent, with momentum if asked for.

    v = momentum * v + (1 - dampening) * g,  w = w - rate * v; with ``nesterov``, w = w - rate * (g + momentum * v).
    The first step sets v = g, as in PyTorch. Source: Sutskever et al., 2013.

    >>> SGD(rate=0.5).update({"w": np.array([2.0])}, {}, {"w": np.array([3.0])})
    ({'w': array([2.])}, {})
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
        """Make the velocity v and the number of steps, both zero."""
        return {"velocity": zeros(parameters), "step": np.zeros((), np.int32)} if self.momentum else {}

    def update(self, gradients: Tree, slots: Tree, parameters: Tree, rate: Rate = None) -> tuple[Tree, Tree]:
        """Take one step as ``Optimiser.update`` says."""
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
    """Adam: steps of about the size of the rate, from running means of the gradient and of its square.

    m = b1 * m + (1 - b1) * g,  v = b2 * v + (1 - b2) * g^2,
    w = w - rate * (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps), with (b1, b2) = ``betas``.
    Source: Kingma and Ba, arXiv:1412.6980.

    >>> adam, parameters = Adam(rate=0.1), {"w": np.array([1.0])}
    >>> parameters, slots = adam.update({"w": np.array([50.0])}, adam.init(parameters), parameters)
    >>> parameters["w"].round(6)
    array([0.9])
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
        """Make both running means and the number of steps, all zero."""
        return {"first": zeros(parameters), "second": zeros(parameters), "step": np.zeros((), np.int32)}

    def update(self, gradients: Tree, slots: Tree, parameters: Tree, rate: Rate = None) -> tuple[Tree, Tree]:
        """Take one step as ``Optimiser.update`` says."""
        return self._step(_decayed(gradients, parameters, self.weight_decay), slots, parameters, rate)

    def _step(self, g: Tree, slots: Tree, parameters: Tree, rate: Rate) -> tuple[Tree, Tree]:
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
    """Adam that decays the weights themselves, and not by way of the gradient: first w = w - rate * weight_decay * w.

    Source: Loshchilov and Hutter, arXiv:1711.05101.
    """

    weight_decay: float = 1e-2

    def update(self, gradients: Tree, slots: Tree, parameters: Tree, rate: Rate = None) -> tuple[Tree, Tree]:
        """Take one step as ``Optimiser.update`` says."""
        used = self.rate if rate is None else rate
        shrunk = tree_map(lambda w: w * (1 - _as(used, w) * self.weight_decay), parameters)
        return self._step(gradients, slots, shrunk, rate)


@dataclass(frozen=True)
class RMSProp(Optimiser):
    """RMSProp: the gradient is divided by the root of a running mean of its square.

    v = alpha * v + (1 - alpha) * g^2,  w = w - rate * q with q = g / (sqrt(v) + eps). With ``momentum``,
    b = momentum * b + q and w = w - rate * b. Source: Hinton, lecture 6e of "Neural Networks for Machine Learning", 2012.
    """

    rate: float = 1e-2
    alpha: float = 0.99
    eps: float = 1e-8
    momentum: float = 0.0
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _least("alpha", self.alpha, 0, 1)
        _least("eps", self.eps, 0)
        _least("momentum", self.momentum, 0, 1)
        _least("weight_decay", self.weight_decay, 0)

    def init(self, parameters: Tree) -> Tree:
        """Make the running mean v and, with momentum, b; both zero."""
        return {"square": zeros(parameters)} | ({"gathered": zeros(parameters)} if self.momentum else {})

    def update(self, gradients: Tree, slots: Tree, parameters: Tree, rate: Rate = None) -> tuple[Tree, Tree]:
        """Take one step as ``Optimiser.update`` says."""
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
    """AdaGrad: the gradient is divided by the root of the sum of all its squares so far.

    v = v + g^2,  w = w - rate * g / (sqrt(v) + eps). Source: Duchi, Hazan and Singer, 2011.
    """

    rate: float = 1e-2
    eps: float = 1e-10
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _least("eps", self.eps, 0)
        _least("weight_decay", self.weight_decay, 0)

    def init(self, parameters: Tree) -> Tree:
        """Make the sum of squares v, zero."""
        return {"sum": zeros(parameters)}

    def update(self, gradients: Tree, slots: Tree, parameters: Tree, rate: Rate = None) -> tuple[Tree, Tree]:
        """Take one step as ``Optimiser.update`` says."""
        rate = self.rate if rate is None else rate
        g = _decayed(gradients, parameters, self.weight_decay)
        total = tree_map(lambda v, d: v + d * d, slots["sum"], g)
        new = tree_map(lambda w, d, v: w - _as(rate, w) * d / (namespace(w).sqrt(v) + self.eps), parameters, g, total)
        return new, {"sum": total}


def _decayed(gradients: Tree, parameters: Tree, decay: float) -> Tree:
    """Add decay * w to the gradient of each parameter w."""
    return tree_map(lambda g, w: g + decay * w, gradients, parameters) if decay else gradients


def _as(value: Any, like: Array) -> Any:
    """Give a number the dtype of an array, so that float32 stays float32 if the number is a float64 or traced."""
    return namespace(like, value).asarray(value, dtype=like.dtype) if hasattr(value, "dtype") else value


# -- gradients and rates ----------------------------------------------------------------------------------------------


def clipped(gradients: Tree, limit: float) -> Tree:
    """Scale the gradients down if their common Euclidean norm |g| exceeds a limit: g * min(1, limit / (|g| + 1e-6)).

    The norm is taken over all numbers of all gradients together. Raises ValueError for a limit below 0.

    >>> clipped({"a": np.array([3.0]), "b": np.array([4.0])}, 0.5)["b"].round(3)
    array([0.4])
    """
    _least("limit", limit, 0)
    first = leaves(gradients)[0]
    xp = namespace(first)
    scale = xp.minimum(1.0, limit / (xp.sqrt(squared_norm(gradients)) + 1e-6))
    return tree_map(lambda g: g * _as(scale, g), gradients)


# The learning rate at each step; steps are counted from 0.
Schedule = Callable[[int], float]


def constant(rate: float) -> Schedule:
    """Keep the same rate."""
    return lambda step: rate


def stepped(rate: float, every: int, factor: float = 0.1) -> Schedule:
    """Multiply the rate by ``factor`` after every ``every`` steps. Raises ValueError for ``every`` below 1.

    >>> [stepped(1.0, every=10)(step) for step in (0, 9, 10)]
    [1.0, 1.0, 0.1]
    """
    _least("every", every, 1)
    return lambda step: rate * factor ** (step // every)


def cosine(rate: float, steps: int, warmup: int = 0, least: float = 0.0) -> Schedule:
    """Raise the rate linearly for ``warmup`` steps, then lower it along half a cosine to ``least`` at step ``steps``.

    Raises ValueError unless 0 <= warmup < steps. Source: Loshchilov and Hutter, arXiv:1608.03983.

    >>> [round(cosine(1.0, steps=10)(step), 3) for step in (0, 5, 10)]
    [1.0, 0.5, 0.0]
    """
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
    """Step against the gradient of the whole batch until no parameter moves by ``threshold`` or more.

    ``loss_and_gradients`` takes the parameters; ``step`` is the learning rate, and ``limit`` the largest number of
    steps. Returns the parameters and the number of steps taken. Raises ValueError for a step or threshold below 0 and
    for a limit below 1. Source: document 002, section III.6.

    >>> batch_gradient_descent(lambda p: (None, p), {"w": np.array([8.0])}, step=0.5, limit=100, threshold=1.0)
    ({'w': array([0.5])}, 4)
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
