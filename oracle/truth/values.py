"""The values of the primitives that do not fit on a line of the table.

Each function takes the parameters of the equation and then its operands. It works for float64, for extended precision
and, if it needs only sums, products and quotients, for exact rationals.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Value = Callable[..., np.ndarray]


class Uninterpretable(NotImplementedError):
    """A primitive, or a form of it, that the interpreter or the rounding analysis does not know."""


def of(function: Callable[..., Any]) -> Value:
    """Make a value of a NumPy function, which needs no parameters."""
    return lambda p, *operands: function(*operands)


# -- structure --------------------------------------------------------------------------------------------------------


def broadcast_in_dim(p: dict[str, Any], x: np.ndarray) -> np.ndarray:
    """Repeat x along the axes that it does not have."""
    shape = [1] * len(p["shape"])
    for axis, n in zip(p["broadcast_dimensions"], np.shape(x), strict=True):
        shape[axis] = n
    return np.broadcast_to(np.reshape(x, shape), p["shape"])


def reshape(p: dict[str, Any], x: np.ndarray) -> np.ndarray:
    """Reshape x, after a transposition if there is one."""
    if p.get("dimensions") is not None:
        x = np.transpose(x, p["dimensions"])
    return np.reshape(x, p["new_sizes"])


def slice_(p: dict[str, Any], x: np.ndarray) -> np.ndarray:
    """Take a slice with a start, an end and a stride per axis."""
    strides = p["strides"] or (1,) * x.ndim
    return x[tuple(map(slice, p["start_indices"], p["limit_indices"], strides))]


def pad(p: dict[str, Any], x: np.ndarray, fill: np.ndarray) -> np.ndarray:
    """Put ``fill`` before, after and between the elements; a negative amount crops."""
    config = p["padding_config"]
    inner = [n + max(0, n - 1) * i for n, (_, _, i) in zip(x.shape, config, strict=True)]
    padded = np.empty([n + max(0, a) + max(0, b) for n, (a, b, _) in zip(inner, config, strict=True)], x.dtype)
    padded[...] = fill
    places = [slice(max(0, a), max(0, a) + n, i + 1) for n, (a, _, i) in zip(inner, config, strict=True)]
    padded[tuple(places)] = x
    crop = [slice(max(0, -a), padded.shape[d] - max(0, -b)) for d, (a, b, _) in enumerate(config)]
    return padded[tuple(crop)]


def gather(p: dict[str, Any], x: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Take the elements at the given places of the last axis."""
    d = p["dimension_numbers"]
    dims = (tuple(d.offset_dims), tuple(d.collapsed_slice_dims), tuple(d.start_index_map))
    if tuple(p["slice_sizes"]) != (*x.shape[:-1], 1):
        raise Uninterpretable(f"the interpreter knows 'gather' of whole slices only, not of {tuple(p['slice_sizes'])}")
    return x[_places_along_last_axis("gather", x, indices, dims)]


def scatter_places(p: dict[str, Any], x: np.ndarray, indices: np.ndarray) -> Any:
    """Return the index of a scatter-add, which is the transpose of a gather."""
    d = p["dimension_numbers"]
    dims = (tuple(d.update_window_dims), tuple(d.inserted_window_dims), tuple(d.scatter_dims_to_operand_dims))
    return _places_along_last_axis("scatter-add", x, indices, dims)


def _places_along_last_axis(name: str, operand: np.ndarray, indices: np.ndarray, dims: tuple[Any, ...]) -> Any:
    """Return an index that picks places along the last axis and takes the other axes whole."""
    last = operand.ndim - 1
    if dims != (tuple(range(last)), (last,), (last,)):
        raise Uninterpretable(f"the interpreter knows {name!r} along the last axis only, not {dims}")
    return (slice(None),) * last + (np.asarray(indices)[..., 0],)


def iota(p: dict[str, Any]) -> np.ndarray:
    """Count 0, 1, 2, ... along one axis."""
    shape, axis = p["shape"], p["dimension"]
    counted = np.arange(shape[axis], dtype=p["dtype"])
    return np.broadcast_to(counted.reshape([-1 if a == axis else 1 for a in range(len(shape))]), shape)


# -- elementwise ------------------------------------------------------------------------------------------------------


def integer_pow(p: dict[str, Any], x: np.ndarray) -> np.ndarray:
    """Raise x to an integer power."""
    y = p["y"]
    return x**y if y >= 0 else 1 / x**-y


def logistic(p: dict[str, Any], x: np.ndarray) -> np.ndarray:
    """Compute 1 / (1 + exp(-x)) without overflow."""
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


def erf(p: dict[str, Any], x: np.ndarray) -> np.ndarray:
    """Compute the error function: by SciPy in float64, by its series in extended precision."""
    from scipy import special

    x = np.asarray(x)
    if x.dtype == np.float64:
        return np.asarray(special.erf(x))
    # 2 x exp(-x^2) / sqrt(pi) * sum of (2 x^2)^n / (2 n + 1)!!: all terms are positive (DLMF 7.6.2).
    near = np.clip(x, -7, 7)
    near = np.where(np.isnan(near), 0, near).astype(x.dtype)
    term = total = np.ones_like(near)
    for n in range(1, 200):
        term = term * (2 * near * near) / (2 * n + 1)
        total = total + term
    pi = x.dtype.type("3.14159265358979323846264338327950288")
    y = 2 * near * np.exp(-near * near) / np.sqrt(pi) * total
    return np.where(np.isnan(x), x, np.where(np.abs(x) < 7, y, np.sign(x)))


# -- sums and selections ----------------------------------------------------------------------------------------------


def over_axes(function: Callable[..., Any]) -> Value:
    """Make a value of a NumPy reduction, over the axes of the equation."""
    return lambda p, x: function(x, axis=tuple(p["axes"]))


def split_axes(p: dict[str, Any], a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
    """Return the operands of a dot_general as stacks of matrices, and the shape of the result.

    The axes of the stacks are (batch, free, contracted) and (batch, contracted, free).
    """
    (ca, cb), (ba, bb) = p["dimension_numbers"]
    fa = [i for i in range(a.ndim) if i not in (*ca, *ba)]
    fb = [i for i in range(b.ndim) if i not in (*cb, *bb)]
    batch = [a.shape[i] for i in ba]
    inner = int(np.prod([a.shape[i] for i in ca], dtype=int))
    rows, columns = [a.shape[i] for i in fa], [b.shape[i] for i in fb]
    count = int(np.prod(batch, dtype=int))
    left = a.transpose(*ba, *fa, *ca).reshape(count, int(np.prod(rows, dtype=int)), inner)
    right = b.transpose(*bb, *cb, *fb).reshape(count, inner, int(np.prod(columns, dtype=int)))
    return left, right, (*batch, *rows, *columns)


def dot_general(p: dict[str, Any], a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Multiply stacks of matrices."""
    left, right, shape = split_axes(p, a, b)
    return np.matmul(left, right).reshape(shape)


def scatter_add(p: dict[str, Any], x: np.ndarray, indices: np.ndarray, updates: np.ndarray) -> np.ndarray:
    """Add the updates to x at the given places of its last axis."""
    return added_at(np.array(x), scatter_places(p, x, indices), updates)


def added_at(total: np.ndarray, places: Any, what: np.ndarray) -> np.ndarray:
    """Add to a total at places of its last axis, and return it. Places that do not repeat are much faster."""
    last = places[-1].ravel()
    if last.size <= total.shape[-1] and (np.bincount(last, minlength=1) <= 1).all():
        total[places] += what
    else:
        np.add.at(total, places, what)
    return total


def select(p: dict[str, Any], which: np.ndarray, *cases: np.ndarray) -> np.ndarray:
    """Choose the second case if ``which`` is true, else the first."""
    if np.asarray(which).dtype != bool or len(cases) != 2:
        raise Uninterpretable("the interpreter knows 'select_n' between two cases only, by a boolean")
    return np.where(which, cases[1], cases[0])
