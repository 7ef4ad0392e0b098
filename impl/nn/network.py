"""Networks: modules that are composed of modules. Going back, the pullbacks of the parts are called in reverse."""

from __future__ import annotations

from textwrap import indent
from typing import Any

import numpy as np

from impl import functional as F  # noqa: N812
from impl.array import Array
from impl.nn.module import Module, Pullback, Seed, split
from impl.nn.watch import inside
from impl.tree import Tree


class _Composed(Module):
    """Modules by name. The arrays of a part lie under its name; a part without arrays has no entry."""

    def __init__(self, modules: dict[str, Module]) -> None:
        for name, module in modules.items():
            if not isinstance(module, Module):
                raise TypeError(f"{type(self).__name__}: {name} must be a Module, got {type(module).__name__}")
        self.modules = modules

    def init(self, seed: int | np.random.Generator = 0, dtype: Any = np.float32) -> tuple[Tree, Tree]:
        """Make the parameters and states of all parts, from one generator, in order."""
        rng = np.random.default_rng(seed)
        made = {name: module.init(rng, dtype) for name, module in self.modules.items()}
        return {n: p for n, (p, _) in made.items() if p}, {n: s for n, (_, s) in made.items() if s}

    def _part(
        self, name: str, parameters: Tree, state: Tree, x: Array, training: bool, seed: Seed
    ) -> tuple[Array, Tree, Pullback]:
        """Run one part with its own arrays."""
        own, kept = parameters.get(name, {}), state.get(name, {})
        with inside(name) as show:
            y, new, back = self.modules[name].vjp(own, kept, x, training=training, seed=seed)
            show(y)
        return y, new, back

    def __repr__(self) -> str:
        parts = ",\n".join(f"{name}={module!r}" for name, module in self.modules.items())
        return f"{type(self).__name__}(\n{indent(parts, '  ')}\n)"


class Sequential(_Composed):
    """Modules one after the other, each with a name: ``Sequential(conv=Conv2d(1, 8, 3), relu=ReLU())``.

    Raises TypeError for a part that is not a module.

    >>> from impl.nn import ReLU, Tanh
    >>> net = Sequential(relu=ReLU(), tanh=Tanh())
    >>> net({}, {}, np.array([-1.0, 0.0, 100.0]))
    array([0., 0., 1.])
    """

    def __init__(self, **modules: Module) -> None:
        super().__init__(modules)

    def vjp(
        self, parameters: Tree, state: Tree, x: Array, *, training: bool = False, seed: Seed = None
    ) -> tuple[Array, Tree, Pullback]:
        """Compute as ``Module.vjp`` says. The pullback goes no further back than somebody wants a gradient."""
        names = list(self.modules)
        backs: list[Pullback] = []
        new_state = {}
        for name, own in zip(names, split(seed, len(names)), strict=True):
            x, new, back = self._part(name, parameters, state, x, training, own)
            backs.append(back)
            if new:
                new_state[name] = new
        first = next((i for i, name in enumerate(names) if parameters.get(name)), len(names))

        def pullback(dy: Array, wants_dx: bool = True) -> tuple[Array | None, Tree]:
            through: Any = dy
            gradients = {}
            for i in reversed(range(0 if wants_dx else first, len(names))):
                through, own = backs[i](through, wants_dx or i > first)
                if own:
                    gradients[names[i]] = own
            return through if wants_dx else None, dict(reversed(gradients.items()))

        return x, new_state, pullback


class Residual(_Composed):
    """y = relu(body(x) + shortcut(x)). Without a shortcut, x itself is added.

    Going back, with total = dy if y > 0 else 0: dx = body's dx(total) + shortcut's dx(total). Raises ValueError if the
    body's value has another shape than the shortcut's, or than x. Source: document 000, section 5.1; He et al.,
    arXiv:1512.03385.
    """

    # The rules residual_block and bottleneck_block compute this for branches of convolutions with batch_norm, from a flat
    # list of arrays. They cannot stand in here, where a branch may be any module, with dropout or blocks inside of it,
    # with layers that errors and observers name, and without a dx if nobody wants it. A test compares the two.

    def __init__(self, body: Module, shortcut: Module | None = None) -> None:
        super().__init__({"body": body} if shortcut is None else {"body": body, "shortcut": shortcut})

    def vjp(
        self, parameters: Tree, state: Tree, x: Array, *, training: bool = False, seed: Seed = None
    ) -> tuple[Array, Tree, Pullback]:
        """Compute as ``Module.vjp`` says. The gradients through the body and through the shortcut are added."""
        branches: list[Array] = []
        backs: dict[str, Pullback] = {}
        new_state = {}
        for name, own in zip(self.modules, split(seed, len(self.modules)), strict=True):
            h, new, backs[name] = self._part(name, parameters, state, x, training, own)
            branches.append(h)
            if new:
                new_state[name] = new
        through_body, by = branches[0], branches[1] if "shortcut" in backs else x
        if through_body.shape != by.shape:
            what = "the shortcut's" if "shortcut" in backs else "that of x"
            shapes = f"{tuple(through_body.shape)}, but {what} is {tuple(by.shape)}"
            raise ValueError(f"Residual: the shape of the body's value is {shapes}; they must agree")
        y, relu_back = F.relu.vjp(through_body + by)

        def pullback(dy: Array, wants_dx: bool = True) -> tuple[Array | None, Tree]:
            (total,) = relu_back(dy)
            dx = total if wants_dx and "shortcut" not in backs else None
            gradients = {}
            for name, back in backs.items():
                through, own = back(total, wants_dx)
                if through is not None:
                    dx = through if dx is None else dx + through
                if own:
                    gradients[name] = own
            return dx, gradients

        return y, new_state, pullback
