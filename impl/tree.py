"""Trees of arrays: nested dicts that hold parameters, state, gradients and slots. JAX knows them as pytrees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from impl.array import Array, is_jax, namespace

# Names to arrays, or to further trees. A single array counts as a tree of one leaf in the functions below.
Tree = dict[str, Any]
TreeOrLeaf = Any


def tree_map(function: Callable[..., Any], tree: TreeOrLeaf, *others: TreeOrLeaf) -> Any:
    """Apply a function to the arrays of one tree, or of several trees with the same structure, place by place.

    >>> tree_map(lambda a, b: a - b, {"w": 3, "more": {"b": 4}}, {"w": 1, "more": {"b": 1}})
    {'w': 2, 'more': {'b': 3}}
    """
    if isinstance(tree, dict):
        return {key: tree_map(function, tree[key], *(other[key] for other in others)) for key in tree}
    return function(tree, *others)


def leaves(tree: TreeOrLeaf) -> list[Array]:
    """List the arrays of a tree, in order."""
    return [x for child in tree.values() for x in leaves(child)] if isinstance(tree, dict) else [tree]


def flat(tree: TreeOrLeaf, path: str = "") -> dict[str, Array]:
    """Return the arrays of a tree by their paths.

    >>> flat({"layer1": {"w": 1, "b": 2}})
    {'layer1.w': 1, 'layer1.b': 2}
    """
    if not isinstance(tree, dict):
        return {path: tree}
    joined = ((f"{path}.{key}" if path else key, child) for key, child in tree.items())
    return {name: x for key, child in joined for name, x in flat(child, key).items()}


def like(tree: TreeOrLeaf, values: dict[str, Array], path: str = "") -> Any:
    """Build a tree with the structure of another one from arrays by their paths: the inverse of ``flat``."""
    if not isinstance(tree, dict):
        return values[path]
    return {key: like(child, values, f"{path}.{key}" if path else key) for key, child in tree.items()}


def size(tree: TreeOrLeaf) -> int:
    """Count the numbers in all arrays of a tree."""
    return sum(int(np.prod(x.shape)) for x in leaves(tree))


def squared_norm(tree: TreeOrLeaf) -> Array:
    """Sum the squares of all numbers in a tree."""
    return sum((x * x).sum() for x in leaves(tree))


def zeros(tree: TreeOrLeaf) -> Any:
    """Make a tree of zeros with the same shapes and dtypes, of NumPy or JAX arrays as in the given one."""
    return tree_map(lambda x: namespace(x).zeros_like(x), tree)


def to_numpy(tree: TreeOrLeaf) -> Any:
    """Bring every array to the host, as a NumPy array."""
    return tree_map(np.asarray, tree)


def to_jax(tree: TreeOrLeaf) -> Any:
    """Make every array a JAX array, on the default device unless it is one already."""
    import jax.numpy as jnp

    return tree_map(lambda x: x if is_jax(x) else jnp.asarray(x), tree)
