"""Trees of arrays: nested dicts, as parameters, state and gradients are; also JAX pytrees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from impl.array import Array, is_jax, namespace

Tree = Any


def tree_map(function: Callable[..., Any], tree: Tree, *others: Tree) -> Tree:
    """The tree of function(leaf, ...) over trees of one structure."""
    if isinstance(tree, dict):
        return {key: tree_map(function, tree[key], *(other[key] for other in others)) for key in tree}
    return function(tree, *others)


def leaves(tree: Tree) -> list[Array]:
    """The arrays, in order."""
    return [x for child in tree.values() for x in leaves(child)] if isinstance(tree, dict) else [tree]


def flat(tree: Tree, path: str = "") -> dict[str, Array]:
    """The arrays by their paths, as ``layer1.w``."""
    if not isinstance(tree, dict):
        return {path: tree}
    joined = ((f"{path}.{key}" if path else key, child) for key, child in tree.items())
    return {name: x for key, child in joined for name, x in flat(child, key).items()}


def like(tree: Tree, values: dict[str, Array], path: str = "") -> Tree:
    """The tree of the same structure with the arrays of ``values``, by their paths."""
    if not isinstance(tree, dict):
        return values[path]
    return {key: like(child, values, f"{path}.{key}" if path else key) for key, child in tree.items()}


def size(tree: Tree) -> int:
    """The number of numbers in all arrays."""
    return sum(int(np.prod(x.shape)) for x in leaves(tree))


def squared_norm(tree: Tree) -> Array:
    """The sum of the squares of all numbers."""
    return sum((x * x).sum() for x in leaves(tree))


def zeros(tree: Tree) -> Tree:
    """Zeros of the same shapes, dtypes and kinds."""
    return tree_map(lambda x: namespace(x).zeros_like(x), tree)


def to_numpy(tree: Tree) -> Tree:
    """Every array as a NumPy array on the host."""
    return tree_map(np.asarray, tree)


def to_jax(tree: Tree) -> Tree:
    """Every array as a JAX array on the default device."""
    import jax.numpy as jnp

    return tree_map(lambda x: x if is_jax(x) else jnp.asarray(x), tree)
