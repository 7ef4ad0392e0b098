"""Modules: layers with parameters and state, composed into networks.

A module is a description; its arrays live outside of it, in nested dicts, so that one code runs eagerly on NumPy and, the
whole step jitted, on JAX:

    net = Sequential(conv=Conv2d(1, 8, 3, padding=1), relu=ReLU(), flatten=Flatten(), out=Linear(8 * 64, 10))
    parameters, state = net.init(seed)
    y, state, pullback = net.vjp(parameters, state, x, training=True)
    dx, gradients = pullback(dy)                 # gradients has the structure of parameters
    _, gradients = pullback(dy, False)           # without dx, for the first layer of all
    y = net(parameters, state, x)                # evaluation
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod, sqrt
from pathlib import Path
from typing import Any

import numpy as np

from impl import functional as F
from impl.array import Array
from impl.rule import Rule
from impl.tree import Tree, flat, like, size

Pullback = Callable[..., tuple[Array, Tree]]
Observer = Callable[[str, Array], None]

# -- initialisers -----------------------------------------------------------------------------------------------------


def _fans(shape: tuple[int, ...], transposed: bool) -> tuple[int, int]:
    """Inputs and outputs of one unit: w is (out, in, *kernel), or (in, out) where transposed."""
    out, inputs = (shape[1], shape[0]) if transposed else (shape[0], shape[1])
    return inputs * prod(shape[2:]), out * prod(shape[2:])


def initial(
    name: str, scale: float, shape: tuple[int, ...], rng: np.random.Generator, dtype: Any, transposed: bool
) -> Array:
    """Weights by the name of an initialiser.

    ``gaussian``: standard deviation ``scale`` (document 004, section 5.2); ``xavier``: sqrt(2 / (in + out)) (Glorot and
    Bengio, 2010); ``kaiming``: sqrt(2 / in) (He et al., arXiv:1502.01852); ``uniform``: between -1 / sqrt(in) and
    1 / sqrt(in), as PyTorch's layers; ``zeros``, ``ones``. Raises ValueError for another name.
    """
    inputs, outputs = _fans(shape, transposed)
    deviations = {"gaussian": scale, "xavier": sqrt(2 / (inputs + outputs)), "kaiming": sqrt(2 / inputs)}
    if name in deviations:
        w = rng.standard_normal(shape) * deviations[name]
    elif name == "uniform":
        w = rng.uniform(-1, 1, shape) / sqrt(inputs)
    elif name in ("zeros", "ones"):
        w = np.full(shape, float(name == "ones"))
    else:
        raise ValueError(f"init must be gaussian, xavier, kaiming, uniform, zeros or ones, got {name!r}")
    return w.astype(dtype)


# -- modules ----------------------------------------------------------------------------------------------------------


class Module:
    """A layer or a network: what it computes, without its arrays."""

    def init(self, seed: int | np.random.Generator = 0, dtype: Any = np.float32) -> tuple[Tree, Tree]:
        """New parameters and state, as nested dicts of NumPy arrays; the same seed gives the same."""
        return {}, {}

    def vjp(
        self, parameters: Tree, state: Tree, x: Array, *, training: bool = False, seed: Any = None
    ) -> tuple[Array, Tree, Pullback]:
        """The value, the new state, and the pullback: dy to dx and the gradients, a tree like the parameters.

        ``seed`` is what dropout draws from: a NumPy generator, or a JAX key for JAX arrays.
        """
        raise NotImplementedError

    def __call__(self, parameters: Tree, state: Tree, x: Array) -> Array:
        """The value in evaluation mode."""
        return self.vjp(parameters, state, x)[0]

    def parameter_count(self) -> int:
        """How many trainable numbers there are."""
        return size(self.init()[0])


_observers: list[Observer] = []


@contextmanager
def observed(observer: Observer) -> Iterator[None]:
    """Call observer(path, y) with the value of every layer of a network as it is computed, NumPy engine."""
    _observers.append(observer)
    try:
        yield
    finally:
        _observers.pop()


class Layer(Module):
    """A rule without parameters: ``Layer(F.max_pool2d, kernel_size=2)``."""

    def __init__(self, rule: Rule, **configuration: Any) -> None:
        self.rule, self.configuration = rule, configuration

    def vjp(self, parameters: Tree, state: Tree, x: Array, *, training: bool = False, seed: Any = None) -> Any:
        """As ``Module.vjp``."""
        y, back = self.rule.vjp(x, **self.configuration)
        return y, {}, lambda dy, dx=True: (back(dy)[0] if dx else None, {})


class ReLU(Layer):
    """max(x, 0)."""

    def __init__(self) -> None:
        super().__init__(F.relu)


class Sigmoid(Layer):
    """1 / (1 + exp(-x))."""

    def __init__(self) -> None:
        super().__init__(F.sigmoid)


class Tanh(Layer):
    """tanh x."""

    def __init__(self) -> None:
        super().__init__(F.tanh)


class MaxPool2d(Layer):
    """The largest element of each window."""

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        super().__init__(F.max_pool2d, kernel_size=kernel_size, stride=stride, padding=padding)


class AvgPool2d(Layer):
    """The mean of each window."""

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        super().__init__(F.avg_pool2d, kernel_size=kernel_size, stride=stride, padding=padding)


class GlobalAvgPool(Layer):
    """The mean over all places: (N, C)."""

    def __init__(self) -> None:
        super().__init__(F.global_avg_pool)


class Flatten(Layer):
    """(N, ...) to (N, D)."""

    def __init__(self) -> None:
        super().__init__(F.flatten)


class Dropout(Module):
    """Each element is 0 with probability p in training, the others divided by 1 - p; nothing in evaluation."""

    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p < 1:
            raise ValueError(f"Dropout: p must lie in [0, 1), got {p}")
        self.p = p

    def vjp(self, parameters: Tree, state: Tree, x: Array, *, training: bool = False, seed: Any = None) -> Any:
        """As ``Module.vjp``; needs a seed in training."""
        if not training:
            return x, {}, lambda dy, dx=True: (dy, {})
        if seed is None:
            raise ValueError("Dropout: training needs a seed (a NumPy generator or a JAX key)")
        if isinstance(seed, np.random.Generator):
            mask: Array = (seed.random(x.shape) >= self.p).astype(x.dtype)
        else:
            import jax

            mask = jax.random.bernoulli(seed, 1 - self.p, x.shape).astype(x.dtype)
        y, back = F.dropout.vjp(x, mask, p=self.p)
        return y, {}, lambda dy, dx=True: (back(dy)[0] if dx else None, {})


class _Weighted(Module):
    """A rule with w and, mostly, b."""

    transposed = False

    def __init__(
        self, rule: Rule, shape: tuple[int, ...], outputs: int, bias: bool, init: str, scale: float, **options: Any
    ) -> None:
        self.rule, self.shape, self.outputs, self.bias = rule, shape, outputs, bias
        self.initialiser, self.scale, self.options = init, scale, options

    def init(self, seed: int | np.random.Generator = 0, dtype: Any = np.float32) -> tuple[Tree, Tree]:
        """w by the initialiser; b zeros, or uniform beside uniform weights."""
        rng = np.random.default_rng(seed)
        parameters = {"w": initial(self.initialiser, self.scale, self.shape, rng, dtype, self.transposed)}
        if self.bias:
            fan = _fans(self.shape, self.transposed)[0]
            wide = 1 / sqrt(fan) if self.initialiser == "uniform" else 0.0
            parameters["b"] = rng.uniform(-wide, wide, self.outputs).astype(dtype)
        return parameters, {}

    def vjp(self, parameters: Tree, state: Tree, x: Array, *, training: bool = False, seed: Any = None) -> Any:
        """As ``Module.vjp``."""
        y, back = self.rule.vjp(x, parameters["w"], parameters.get("b"), **self.options)

        def pullback(dy: Array, wants_dx: bool = True) -> tuple[Array, Tree]:
            dx, dw, db = back(dy, wanted=None if wants_dx else ("w", "b"))
            return dx, {"w": dw, "b": db} if self.bias else {"w": dw}

        return y, {}, pullback


class Linear(_Weighted):
    """y = x w^T + b; w (outputs, inputs)."""

    def __init__(
        self, inputs: int, outputs: int, bias: bool = True, init: str = "kaiming", scale: float = 1e-2
    ) -> None:
        super().__init__(F.linear, (outputs, inputs), outputs, bias, init, scale)


class Affine(_Weighted):
    """y = x w + b over flattened samples, a column a neuron; w (inputs, outputs)."""

    transposed = True

    def __init__(
        self, inputs: int, outputs: int, bias: bool = True, init: str = "kaiming", scale: float = 1e-2
    ) -> None:
        super().__init__(F.affine, (inputs, outputs), outputs, bias, init, scale)


class Conv2d(_Weighted):
    """Convolution of channels to filters."""

    def __init__(
        self,
        channels: int,
        filters: int,
        kernel_size: int,
        stride: Any = 1,
        padding: Any = 0,
        bias: bool = True,
        init: str = "kaiming",
        scale: float = 1e-2,
    ) -> None:
        shape = (filters, channels, kernel_size, kernel_size)
        super().__init__(F.conv2d, shape, filters, bias, init, scale, stride=stride, padding=padding)


class BatchNorm(Module):
    """Batch normalisation with gamma and beta; the running statistics are its state."""

    def __init__(self, channels: int, momentum: float = 0.1, eps: float = 1e-5) -> None:
        self.channels, self.momentum, self.eps = channels, momentum, eps

    def init(self, seed: int | np.random.Generator = 0, dtype: Any = np.float32) -> tuple[Tree, Tree]:
        """gamma and the running variance 1, beta and the running mean 0."""
        one, zero = np.ones(self.channels, dtype), np.zeros(self.channels, dtype)
        return {"gamma": one, "beta": zero}, {"mean": zero.copy(), "var": one.copy()}

    def vjp(self, parameters: Tree, state: Tree, x: Array, *, training: bool = False, seed: Any = None) -> Any:
        """As ``Module.vjp``."""
        arrays = (x, parameters["gamma"], parameters["beta"], state["mean"], state["var"])
        (y, mean, var), back = F.batch_norm.vjp(*arrays, training=training, momentum=self.momentum, eps=self.eps)

        def pullback(dy: Array, wants_dx: bool = True) -> tuple[Array, Tree]:
            dx, dgamma, dbeta, _, _ = back(dy)
            return dx, {"gamma": dgamma, "beta": dbeta}

        return y, {"mean": mean, "var": var}, pullback


class Sequential(Module):
    """Modules one after the other, by name."""

    def __init__(self, **modules: Module) -> None:
        for name, module in modules.items():
            if not isinstance(module, Module):
                raise TypeError(f"Sequential: {name} must be a Module, got {type(module).__name__}")
        self.modules = modules

    def init(self, seed: int | np.random.Generator = 0, dtype: Any = np.float32) -> tuple[Tree, Tree]:
        """The parts' parameters and states, by name; what is empty is left out."""
        rng = np.random.default_rng(seed)
        made = {name: module.init(rng, dtype) for name, module in self.modules.items()}
        return {n: p for n, (p, _) in made.items() if p}, {n: s for n, (_, s) in made.items() if s}

    def vjp(self, parameters: Tree, state: Tree, x: Array, *, training: bool = False, seed: Any = None) -> Any:
        """As ``Module.vjp``; the parts' pullbacks are called in reverse."""
        backs, new_state = [], {}
        for (name, module), own in zip(self.modules.items(), _seeds(seed, len(self.modules)), strict=True):
            with _named(name):
                x, s, back = module.vjp(parameters.get(name, {}), state.get(name, {}), x, training=training, seed=own)
                _observe(x)
            if s:
                new_state[name] = s
            backs.append((name, back))

        def pullback(dy: Array, wants_dx: bool = True) -> tuple[Array, Tree]:
            gradients = {}
            for i, (name, back) in reversed(list(enumerate(backs))):
                dy, own = back(dy, wants_dx or i > 0)
                if own:
                    gradients[name] = own
            return dy, {name: gradients[name] for name in self.modules if name in gradients}

        return x, new_state, pullback


class Residual(Module):
    """relu(body(x) + shortcut(x)); without a shortcut x itself is added (document 000, section 5.1)."""

    def __init__(self, body: Module, shortcut: Module | None = None) -> None:
        self.parts = {"body": body} if shortcut is None else {"body": body, "shortcut": shortcut}

    def init(self, seed: int | np.random.Generator = 0, dtype: Any = np.float32) -> tuple[Tree, Tree]:
        """The body's and the shortcut's."""
        rng = np.random.default_rng(seed)
        made = {name: module.init(rng, dtype) for name, module in self.parts.items()}
        return {n: p for n, (p, _) in made.items()}, {n: s for n, (_, s) in made.items()}

    def vjp(self, parameters: Tree, state: Tree, x: Array, *, training: bool = False, seed: Any = None) -> Any:
        """As ``Module.vjp``: the gradients through the body and through the shortcut are added."""
        values, backs, new_state = [], {}, {}
        for (name, module), own in zip(self.parts.items(), _seeds(seed, len(self.parts)), strict=True):
            with _named(name):
                h, new_state[name], backs[name] = module.vjp(
                    parameters[name], state[name], x, training=training, seed=own
                )
            values.append(h)
        y, relu_back = F.relu.vjp(values[0] + (values[1] if len(values) > 1 else x))

        def pullback(dy: Array, wants_dx: bool = True) -> tuple[Array, Tree]:
            (total,) = relu_back(dy)
            made = {name: back(total) for name, back in backs.items()}
            dx = sum(dx for dx, _ in made.values())
            return (dx if "shortcut" in made else dx + total), {name: own for name, (_, own) in made.items()}

        return y, new_state, pullback


def _seeds(seed: Any, count: int) -> list[Any]:
    if seed is None or isinstance(seed, np.random.Generator):
        return [seed] * count
    import jax

    return list(jax.random.split(seed, count))


_path: list[str] = []


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Errors say which layer of the network they come from."""
    _path.append(name)
    try:
        yield
    except (ValueError, TypeError) as error:
        if getattr(error, "located", False):
            raise
        located = type(error)(f"{'.'.join(_path)}: {error}")
        located.located = True  # type: ignore[union-attr]
        raise located from None
    finally:
        _path.pop()


def _observe(x: Array) -> None:
    for observer in _observers:
        observer(".".join(_path), x)


# -- storage ----------------------------------------------------------------------------------------------------------


class StorageError(Exception):
    """A file that cannot be written, read, or used for this network; one line."""


def save(path: str | Path, **trees: Tree) -> None:
    """Write trees of arrays to one safetensors file, names as ``parameters.conv.w``; all or nothing.

    Raises StorageError where the file cannot be written.
    """
    from safetensors.numpy import save as encoded

    path = Path(path)
    arrays = {name: np.array(x, order="C") for name, x in flat(trees).items()}
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_bytes(encoded(arrays))
        partial.replace(path)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}") from None


def load(path: str | Path, **trees: Tree) -> dict[str, Tree]:
    """Read what ``save`` wrote, as trees of the structure of those given.

    Raises StorageError where the file is missing, is no safetensors file, lacks an array, has one too many, or has one
    of another shape or dtype.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as decoded

    try:
        found = decoded(Path(path).read_bytes())
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}") from None
    except SafetensorError as error:
        raise StorageError(f"{path} is not a safetensors file: {error}") from None
    wanted = flat(trees)
    for name, x in wanted.items():
        if name not in found:
            raise StorageError(f"{path} lacks {name} of shape {tuple(x.shape)}")
        if found[name].shape != tuple(x.shape) or found[name].dtype != np.asarray(x).dtype:
            got = f"{found[name].shape} {found[name].dtype}"
            raise StorageError(f"{path}: {name} is {got}; expected {tuple(x.shape)} {np.asarray(x).dtype}")
    extra = sorted(found.keys() - wanted.keys())
    if extra:
        raise StorageError(f"{path} has {extra[0]}, which the network has not")
    return like(trees, found)
