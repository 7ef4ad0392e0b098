"""What a module is: a description of a layer or network that keeps no arrays itself."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from impl.array import Array
from impl.tree import Tree, size

# What dropout draws from: a NumPy generator, or a JAX key when the arrays are JAX arrays.
Seed = np.random.Generator | Array | None


def split(seed: Seed, count: int) -> list[Seed]:
    """Return what each of ``count`` modules draws from. They share a NumPy generator, and a JAX key is split."""
    if seed is None or isinstance(seed, np.random.Generator):
        return [seed] * count
    import jax

    return list(jax.random.split(seed, count))


class Pullback(Protocol):
    """The way back through a module."""

    def __call__(self, dy: Array, wants_dx: bool = True, /) -> tuple[Array | None, Tree]:
        """Take dy, shaped like y, to dx, shaped like x, and the gradients of the parameters.

        With ``wants_dx=False`` no gradient with respect to x is computed, and dx is None.
        """


class Module:
    """A layer or a network, without its arrays. A new kind of layer defines ``vjp``, and ``init`` if it has arrays."""

    def init(self, seed: int | np.random.Generator = 0, dtype: Any = np.float32) -> tuple[Tree, Tree]:
        """Make new parameters and a new state, as nested dicts of NumPy arrays. The same seed makes the same arrays."""
        return {}, {}

    def vjp(
        self, parameters: Tree, state: Tree, x: Array, *, training: bool = False, seed: Seed = None
    ) -> tuple[Array, Tree, Pullback]:
        """Compute y from x, and return y, the new state, and the pullback from dy to dx and the parameters' gradients.

        The gradients have the structure of ``parameters``. Dropout draws from ``seed``, which is a NumPy generator, or a
        JAX key for JAX arrays; only training needs it. Raises ValueError or TypeError, with the path of the layer in
        front, if an array does not fit.
        """
        raise NotImplementedError

    def __call__(self, parameters: Tree, state: Tree, x: Array) -> Array:
        """Compute y from x in evaluation mode."""
        return self.vjp(parameters, state, x)[0]

    def parameter_count(self) -> int:
        """Count the numbers that training changes."""
        return size(self.init()[0])

    def _facts(self) -> dict[str, object]:
        """Return what the short description of the module shows."""
        return {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{key}={value!r}' for key, value in self._facts().items())})"
