"""Evaluate a jaxpr in NumPy, in a number system of one's choice, without compiling anything.

Each primitive is a line of ``VALUES``: a function of its parameters and operands, written so that it works for float64,
extended precision and, as far as only sums, products and quotients occur, exact rationals.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
from jax.extend.core import Literal

Value = Callable[..., np.ndarray]


class Uninterpretable(NotImplementedError):
    """A primitive, or a form of it, that the interpreter or the rounding analysis does not know."""


class Numbers(Protocol):
    """A number system: how constants enter it, and what a primitive does in it."""

    def constant(self, value: Any) -> Any:
        """A literal or constant of the jaxpr."""

    def apply(self, primitive: str, parameters: dict[str, Any], *operands: Any) -> Any:
        """The result of a primitive."""


def evaluate(closed: Any, arguments: list[Any], numbers: Numbers) -> list[Any]:
    """The outputs of a closed jaxpr for the given arguments, which are numbers of the system already."""
    constants = [numbers.constant(np.asarray(c)) for c in closed.consts]
    with np.errstate(all="ignore"):
        return _run(closed.jaxpr, constants, arguments, numbers)


def _run(jaxpr: Any, constants: list[Any], arguments: list[Any], numbers: Numbers) -> list[Any]:
    values: dict[Any, Any] = dict(zip(jaxpr.constvars, constants, strict=True))
    values.update(zip(jaxpr.invars, arguments, strict=True))

    def read(atom: Any) -> Any:
        return numbers.constant(np.asarray(atom.val)) if isinstance(atom, Literal) else values[atom]

    for equation in jaxpr.eqns:
        operands = [read(atom) for atom in equation.invars]
        inner = next((equation.params[key] for key in INNER if key in equation.params), None)
        if inner is not None and _function_name(inner) in NAMED_CALLS:
            results = [numbers.apply(_function_name(inner), {}, *operands)]
        elif inner is not None and equation.primitive.name in CALLS:
            if hasattr(inner, "consts"):
                results = _run(inner.jaxpr, [numbers.constant(np.asarray(c)) for c in inner.consts], operands, numbers)
            else:
                results = _run(inner, [], operands, numbers)
        else:
            results = [numbers.apply(equation.primitive.name, equation.params, *operands)]
        values.update(zip(equation.outvars, results, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _function_name(closed: Any) -> str:
    """The name of the function that a call's jaxpr was traced from, as "exp_neg_sq"."""
    info = getattr(getattr(closed, "jaxpr", closed), "debug_info", None)
    return str(getattr(info, "func_name", "")).partition(" ")[0]


CALLS = frozenset({"pjit", "jit", "closed_call", "custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"})
INNER = ("jaxpr", "call_jaxpr", "fun_jaxpr")
NAMED_CALLS = frozenset({"exp_neg_sq"})  # taken as primitives: what is within is written in bits


class Floating:
    """IEEE arithmetic of one dtype: float64, or extended precision (np.longdouble, 64 bits of significand on x86)."""

    def __init__(self, dtype: Any = np.float64) -> None:
        self.dtype = np.dtype(dtype)

    def constant(self, value: np.ndarray) -> np.ndarray:
        """A float enters in the system's dtype; integers and booleans stay what they are."""
        return value.astype(self.dtype) if value.dtype.kind == "f" else value

    def apply(self, primitive: str, parameters: dict[str, Any], *operands: Any) -> np.ndarray:
        """The primitive's value."""
        if primitive == "convert_element_type":
            return (
                self.constant(np.asarray(operands[0]).astype(parameters["new_dtype"]))
                if operands[0].dtype.kind != "f"
                else operands[0]
            )
        if primitive not in VALUES:
            raise Uninterpretable(f"the interpreter has no primitive {primitive!r}")
        return VALUES[primitive](parameters, *operands)


class Exact:
    """Exact rational arithmetic (``fractions.Fraction``), for jaxprs of sums, products, quotients and comparisons."""

    def constant(self, value: np.ndarray) -> np.ndarray:
        """A float enters as the rational that it is."""
        if value.dtype.kind != "f":
            return value
        return np.array([Fraction(float(v)) for v in value.ravel()] + [None], object)[:-1].reshape(value.shape)

    def apply(self, primitive: str, parameters: dict[str, Any], *operands: Any) -> np.ndarray:
        """The primitive's value; one that is not rational is refused by name."""
        if primitive in IRRATIONAL:
            raise Uninterpretable(f"{primitive!r} of a rational is not rational")
        if primitive == "convert_element_type":
            (x,) = operands
            if x.dtype == object or np.dtype(parameters["new_dtype"]).kind != "f":
                return x
            return self.constant(np.asarray(x, np.float64))
        if primitive not in VALUES:
            raise Uninterpretable(f"the interpreter has no primitive {primitive!r}")
        return np.asarray(VALUES[primitive](parameters, *operands))


# -- structure: these move elements and know nothing of numbers -------------------------------------------------------


def _broadcast_in_dim(p: dict[str, Any], x: np.ndarray) -> np.ndarray:
    shape = [1] * len(p["shape"])
    for axis, n in zip(p["broadcast_dimensions"], np.shape(x), strict=True):
        shape[axis] = n
    return np.broadcast_to(np.reshape(x, shape), p["shape"])


def _reshape(p: dict[str, Any], x: np.ndarray) -> np.ndarray:
    if p.get("dimensions") is not None:
        x = np.transpose(x, p["dimensions"])
    return np.reshape(x, p["new_sizes"])


def _slice(p: dict[str, Any], x: np.ndarray) -> np.ndarray:
    strides = p["strides"] or (1,) * x.ndim
    return x[tuple(map(slice, p["start_indices"], p["limit_indices"], strides))]


def _pad(p: dict[str, Any], x: np.ndarray, fill: np.ndarray) -> np.ndarray:
    config = p["padding_config"]
    inner = [n + max(0, n - 1) * i for n, (_, _, i) in zip(x.shape, config, strict=True)]
    padded = np.empty([n + max(0, a) + max(0, b) for n, (a, b, _) in zip(inner, config, strict=True)], x.dtype)
    padded[...] = fill
    places = [slice(max(0, a), max(0, a) + n, i + 1) for n, (a, _, i) in zip(inner, config, strict=True)]
    padded[tuple(places)] = x
    crop = [slice(max(0, -a), padded.shape[d] - max(0, -b)) for d, (a, b, _) in enumerate(config)]
    return padded[tuple(crop)]


def places_along_last_axis(p: dict[str, Any], operand: np.ndarray, indices: np.ndarray, dims: tuple[Any, ...]) -> Any:
    """The index of a gather or scatter that picks places along the last axis and takes the others whole."""
    last = operand.ndim - 1
    if dims != (tuple(range(last)), (last,), (last,)):
        raise Uninterpretable(f"the interpreter knows gather and scatter along the last axis alone, not {dims}")
    return (slice(None),) * last + (np.asarray(indices)[..., 0],)


def _gather(p: dict[str, Any], x: np.ndarray, indices: np.ndarray) -> np.ndarray:
    d = p["dimension_numbers"]
    dims = (tuple(d.offset_dims), tuple(d.collapsed_slice_dims), tuple(d.start_index_map))
    if tuple(p["slice_sizes"]) != (*x.shape[:-1], 1):
        raise Uninterpretable("the interpreter knows gathers of whole slices alone")
    return x[places_along_last_axis(p, x, indices, dims)]


def scatter_places(p: dict[str, Any], x: np.ndarray, indices: np.ndarray) -> Any:
    """The index of a scatter-add, the transpose of a gather."""
    d = p["dimension_numbers"]
    dims = (tuple(d.update_window_dims), tuple(d.inserted_window_dims), tuple(d.scatter_dims_to_operand_dims))
    return places_along_last_axis(p, x, indices, dims)


def _scatter_add(p: dict[str, Any], x: np.ndarray, indices: np.ndarray, updates: np.ndarray) -> np.ndarray:
    y = np.array(x)
    np.add.at(y, scatter_places(p, x, indices), updates)
    return y


def _select(p: dict[str, Any], which: np.ndarray, *cases: np.ndarray) -> np.ndarray:
    if np.asarray(which).dtype != bool or len(cases) != 2:
        raise Uninterpretable("the interpreter knows select between two cases alone")
    return np.where(which, cases[1], cases[0])


def _iota(p: dict[str, Any]) -> np.ndarray:
    counted = np.arange(p["shape"][p["dimension"]], dtype=p["dtype"])
    return np.broadcast_to(
        counted.reshape([-1 if a == p["dimension"] else 1 for a in range(len(p["shape"]))]), p["shape"]
    )


STRUCTURE: dict[str, Value] = {
    "broadcast_in_dim": _broadcast_in_dim,
    "reshape": _reshape,
    "transpose": lambda p, x: np.transpose(x, p["permutation"]),
    "squeeze": lambda p, x: np.squeeze(x, tuple(p["dimensions"])),
    "expand_dims": lambda p, x: np.expand_dims(x, tuple(p["dimensions"])),
    "slice": _slice,
    "pad": _pad,
    "rev": lambda p, x: np.flip(x, p["dimensions"]),
    "concatenate": lambda p, *xs: np.concatenate(xs, axis=p["dimension"]),
    "gather": _gather,
    "copy": lambda p, x: x,
    "stop_gradient": lambda p, x: x,
    "copy_p": lambda p, x: x,
}


# -- arithmetic -------------------------------------------------------------------------------------------------------


def split_axes(p: dict[str, Any], a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
    """The operands of a dot_general as stacks of matrices (batch, free, contracted), (batch, contracted, free)."""
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


def _dot_general(p: dict[str, Any], a: np.ndarray, b: np.ndarray) -> np.ndarray:
    left, right, shape = split_axes(p, a, b)
    return np.matmul(left, right).reshape(shape)


def _logistic(p: dict[str, Any], x: np.ndarray) -> np.ndarray:
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


def _erf(p: dict[str, Any], x: np.ndarray) -> np.ndarray:
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


ELEMENTWISE: dict[str, Value] = {
    "add": lambda p, a, b: np.add(a, b),
    "add_any": lambda p, a, b: np.add(a, b),
    "sub": lambda p, a, b: np.subtract(a, b),
    "mul": lambda p, a, b: np.multiply(a, b),
    "div": lambda p, a, b: np.true_divide(a, b),
    "neg": lambda p, x: np.negative(x),
    "abs": lambda p, x: np.abs(x),
    "sign": lambda p, x: np.sign(x),
    "max": lambda p, a, b: np.maximum(a, b),
    "min": lambda p, a, b: np.minimum(a, b),
    "square": lambda p, x: np.multiply(x, x),
    "integer_pow": lambda p, x: x ** p["y"] if p["y"] >= 0 else 1 / x ** -p["y"],
    "exp": lambda p, x: np.exp(x),
    "expm1": lambda p, x: np.expm1(x),
    "log": lambda p, x: np.log(x),
    "log1p": lambda p, x: np.log1p(x),
    "tanh": lambda p, x: np.tanh(x),
    "logistic": _logistic,
    "erf": _erf,
    "sqrt": lambda p, x: np.sqrt(x),
    "rsqrt": lambda p, x: 1 / np.sqrt(x),
}
# Of newer versions of JAX: the derivative of tanh, and of erf (a call of that name).
ELEMENTWISE |= {
    "one_minus_square": lambda p, x: (1 - x) * (1 + x),
    "exp_neg_sq": lambda p, x: np.exp(-x * x),
}
IRRATIONAL = frozenset({"exp_neg_sq", "exp", "expm1", "log", "log1p", "tanh", "logistic", "erf", "sqrt", "rsqrt"})

COMPARISONS: dict[str, Value] = {
    "eq": lambda p, a, b: np.equal(a, b),
    "ne": lambda p, a, b: np.not_equal(a, b),
    "lt": lambda p, a, b: np.less(a, b),
    "le": lambda p, a, b: np.less_equal(a, b),
    "gt": lambda p, a, b: np.greater(a, b),
    "ge": lambda p, a, b: np.greater_equal(a, b),
}

LOGIC: dict[str, Value] = {
    "and": lambda p, a, b: np.logical_and(a, b),
    "or": lambda p, a, b: np.logical_or(a, b),
    "not": lambda p, a: np.logical_not(a),
}

VALUES: dict[str, Value] = {
    **STRUCTURE,
    **ELEMENTWISE,
    **COMPARISONS,
    **LOGIC,
    "select_n": _select,
    "iota": _iota,
    "scatter-add": _scatter_add,
    "scatter_add": _scatter_add,
    "dot_general": _dot_general,
    "reduce_sum": lambda p, x: np.sum(x, axis=tuple(p["axes"])),
    "reduce_max": lambda p, x: np.max(x, axis=tuple(p["axes"])),
    "reduce_min": lambda p, x: np.min(x, axis=tuple(p["axes"])),
}
