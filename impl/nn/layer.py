"""Layers: modules made of one rule, and what it needs of parameters, state and randomness."""

from __future__ import annotations

from math import sqrt
from typing import Any, ClassVar

import numpy as np

from impl import functional as F  # noqa: N812
from impl.array import Array
from impl.nn.initialise import fan_in_out, initial
from impl.nn.module import Module, Pullback, Seed
from impl.rule import Rule
from impl.tree import Tree

# A size along the two spatial axes: one number for both, or one number per axis.
Size = int | tuple[int, int] | list[int]

# -- layers without parameters ----------------------------------------------------------------------------------------


class Layer(Module):
    """Any rule of a single array: ``Layer(F.max_pool2d, kernel_size=2)``.

    >>> Layer(F.leaky_relu, negative_slope=0.5)({}, {}, np.array([-1.0, 2.0]))
    array([-0.5,  2. ])
    """

    def __init__(self, rule: Rule, **configuration: Any) -> None:
        self.rule, self.configuration = rule, configuration

    def vjp(
        self, parameters: Tree, state: Tree, x: Array, *, training: bool = False, seed: Seed = None
    ) -> tuple[Array, Tree, Pullback]:
        """Compute as ``Module.vjp`` says."""
        y, back = self.rule.vjp(x, **self.configuration)
        return y, {}, lambda dy, wants_dx=True: (back(dy)[0] if wants_dx else None, {})

    def _facts(self) -> dict[str, object]:
        return ({"rule": self.rule.name} if type(self) is Layer else {}) | self.configuration


class ReLU(Layer):
    """y = max(x, 0), of any shape."""

    def __init__(self) -> None:
        super().__init__(F.relu)


class Sigmoid(Layer):
    """y = 1 / (1 + exp(-x)), of any shape."""

    def __init__(self) -> None:
        super().__init__(F.sigmoid)


class Tanh(Layer):
    """y = tanh(x), of any shape."""

    def __init__(self) -> None:
        super().__init__(F.tanh)


class GlobalAvgPool(Layer):
    """The mean over all pixels: (N, C, *S) becomes (N, C)."""

    def __init__(self) -> None:
        super().__init__(F.global_avg_pool)


class Flatten(Layer):
    """One row per sample: (N, *S) becomes (N, D)."""

    def __init__(self) -> None:
        super().__init__(F.flatten)


class _Pool2d(Layer):
    """Pooling over windows of pixels: (N, C, H, W) becomes (N, C, OH, OW)."""

    pooling: ClassVar[Rule]

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Any = 0) -> None:
        super().__init__(self.pooling, kernel_size=kernel_size, stride=stride, padding=padding)


class MaxPool2d(_Pool2d):
    """The largest element of each window; sizes are in pixels, and the stride is the kernel's size unless given."""

    pooling = F.max_pool2d


class AvgPool2d(_Pool2d):
    """The mean of each window; sizes are in pixels, and the stride is the kernel's size unless given."""

    pooling = F.avg_pool2d


class Dropout(Module):
    """Sets elements to 0 with probability p and divides the others by 1 - p, in training; in evaluation, y = x.

    Raises ValueError unless 0 <= p < 1, and in training without a seed.
    """

    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p < 1:
            raise ValueError(f"Dropout: p must lie in [0, 1), got {p}")
        self.p = p

    def vjp(
        self, parameters: Tree, state: Tree, x: Array, *, training: bool = False, seed: Seed = None
    ) -> tuple[Array, Tree, Pullback]:
        """Compute as ``Module.vjp`` says. Training needs a seed."""
        if not training:
            return x, {}, lambda dy, wants_dx=True: (dy if wants_dx else None, {})
        if seed is None:
            raise ValueError("Dropout: training needs a seed (a NumPy generator or a JAX key)")
        if isinstance(seed, np.random.Generator):
            mask: Array = (seed.random(x.shape) >= self.p).astype(x.dtype)
        else:
            import jax

            mask = jax.random.bernoulli(seed, 1 - self.p, x.shape).astype(x.dtype)
        y, back = F.dropout.vjp(x, mask, p=self.p)
        return y, {}, lambda dy, wants_dx=True: (back(dy)[0] if wants_dx else None, {})

    def _facts(self) -> dict[str, object]:
        return {"p": self.p}


# -- layers with parameters -------------------------------------------------------------------------------------------


class _Weighted(Module):
    """A rule of x, a weight w and, unless ``bias`` is false, a bias b."""

    weighing: ClassVar[Rule]
    transposed: ClassVar[bool] = False

    def __init__(self, shape: tuple[int, ...], bias: bool, init: str, scale: float, **options: Any) -> None:
        self.shape, self.bias, self.initialiser, self.scale, self.options = shape, bias, init, scale, options

    def init(self, seed: int | np.random.Generator = 0, dtype: Any = np.float32) -> tuple[Tree, Tree]:
        """Draw w by its initialiser. b is zero, or drawn from the same interval as w if w is ``uniform``."""
        rng = np.random.default_rng(seed)
        parameters: Tree = {"w": initial(self.initialiser, self.scale, self.shape, rng, dtype, self.transposed)}
        if self.bias:
            outputs = self.shape[1] if self.transposed else self.shape[0]
            fan_in, _ = fan_in_out(self.shape, self.transposed)
            limit = 1 / sqrt(fan_in) if self.initialiser == "uniform" else 0.0
            parameters["b"] = rng.uniform(-limit, limit, outputs).astype(dtype)
        return parameters, {}

    def vjp(
        self, parameters: Tree, state: Tree, x: Array, *, training: bool = False, seed: Seed = None
    ) -> tuple[Array, Tree, Pullback]:
        """Compute as ``Module.vjp`` says."""
        y, back = self.weighing.vjp(x, parameters["w"], parameters.get("b"), **self.options)

        def pullback(dy: Array, wants_dx: bool = True) -> tuple[Array | None, Tree]:
            dx, dw, db = back(dy, wanted=None if wants_dx else ("w", "b"))
            return dx, {"w": dw, "b": db} if self.bias else {"w": dw}

        return y, {}, pullback

    def _facts(self) -> dict[str, object]:
        return {"w": self.shape, "bias": self.bias} | self.options


class _Dense(_Weighted):
    """A matrix product."""

    def __init__(
        self, inputs: int, outputs: int, bias: bool = True, init: str = "kaiming", scale: float = 1e-2
    ) -> None:
        super().__init__((inputs, outputs) if self.transposed else (outputs, inputs), bias, init, scale)


class Linear(_Dense):
    """y = x w^T + b over the last axis: x (..., inputs), w (outputs, inputs), b (outputs), y (..., outputs).

    ``init`` names the initialiser of w (see ``impl.nn.initial``); ``scale`` is the deviation of ``gaussian``.

    >>> layer = Linear(3, 2, init="ones")
    >>> parameters, state = layer.init()
    >>> layer(parameters, state, np.array([[1, 2, 3]], np.float32))
    array([[6., 6.]], dtype=float32)
    """

    weighing = F.linear


class Affine(_Dense):
    """y = x w + b over flattened samples: x (N, *S) with S of ``inputs`` numbers, w (inputs, outputs), y (N, outputs).

    ``init`` names the initialiser of w (see ``impl.nn.initial``); ``scale`` is the deviation of ``gaussian``.
    """

    weighing = F.affine
    transposed = True


class Conv2d(_Weighted):
    """Convolution of images: x (N, channels, H, W), w (filters, channels, K, K), b (filters), y (N, filters, OH, OW).

    ``kernel_size`` K, ``stride`` and ``padding`` are in pixels. ``init`` names the initialiser of w (see
    ``impl.nn.initial``); ``scale`` is the deviation of ``gaussian``.
    """

    weighing = F.conv2d

    def __init__(
        self,
        channels: int,
        filters: int,
        kernel_size: int,
        stride: Size = 1,
        padding: Any = 0,
        bias: bool = True,
        init: str = "kaiming",
        scale: float = 1e-2,
    ) -> None:
        shape = (filters, channels, kernel_size, kernel_size)
        super().__init__(shape, bias, init, scale, stride=stride, padding=padding)


class BatchNorm(Module):
    """Batch normalisation of each channel: x and y (N, C) or (N, C, *S); the parameters gamma and beta are (C).

    The state holds the running mean and variance, each (C), which evaluation uses. A training step with batch
    statistics s moves them to (1 - momentum) * old + momentum * s. ``eps`` is added to the variance.
    """

    def __init__(self, channels: int, momentum: float = 0.1, eps: float = 1e-5) -> None:
        self.channels, self.momentum, self.eps = channels, momentum, eps

    def init(self, seed: int | np.random.Generator = 0, dtype: Any = np.float32) -> tuple[Tree, Tree]:
        """Set gamma and the running variance to 1, beta and the running mean to 0."""
        one, zero = np.ones(self.channels, dtype), np.zeros(self.channels, dtype)
        return {"gamma": one, "beta": zero}, {"mean": zero.copy(), "var": one.copy()}

    def vjp(
        self, parameters: Tree, state: Tree, x: Array, *, training: bool = False, seed: Seed = None
    ) -> tuple[Array, Tree, Pullback]:
        """Compute as ``Module.vjp`` says."""
        arrays = (x, parameters["gamma"], parameters["beta"], state["mean"], state["var"])
        (y, mean, var), back = F.batch_norm.vjp(*arrays, training=training, momentum=self.momentum, eps=self.eps)

        def pullback(dy: Array, wants_dx: bool = True) -> tuple[Array | None, Tree]:
            dx, dgamma, dbeta, *_ = back(dy, wanted=None if wants_dx else ("gamma", "beta"))
            return dx, {"gamma": dgamma, "beta": dbeta}

        return y, {"mean": mean, "var": var}, pullback

    def _facts(self) -> dict[str, object]:
        return {"channels": self.channels}
