"""Evaluate a jaxpr in NumPy, in any number system, without compiling anything."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Protocol

import numpy as np
from jax.extend.core import Literal

from oracle.truth.primitives import PRIMITIVES, Kind, Primitive
from oracle.truth.values import Uninterpretable

CALLS = frozenset({"pjit", "jit", "closed_call", "custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"})
INNER = ("jaxpr", "call_jaxpr", "fun_jaxpr")


class Numbers(Protocol):
    """A number system: how constants enter it, and what a primitive does in it."""

    def constant(self, value: Any) -> Any:
        """Return a literal or constant of the jaxpr as a number of the system."""

    def apply(self, primitive: Primitive, parameters: dict[str, Any], *operands: Any) -> Any:
        """Return the result of a primitive."""


def evaluate(closed: Any, arguments: list[Any], numbers: Numbers) -> list[Any]:
    """Return the outputs of a closed jaxpr for the given arguments, which are numbers of the system already."""
    with np.errstate(all="ignore"):
        return _run(closed, arguments, numbers)


def _run(closed: Any, arguments: list[Any], numbers: Numbers) -> list[Any]:
    jaxpr = body_of(closed)
    values: dict[Any, Any] = dict(zip(jaxpr.invars, arguments, strict=True))
    constants = getattr(closed, "consts", ())
    values.update(zip(jaxpr.constvars, (numbers.constant(np.asarray(c)) for c in constants), strict=True))

    def read(atom: Any) -> Any:
        return numbers.constant(np.asarray(atom.val)) if isinstance(atom, Literal) else values[atom]

    names = [[atom for atom in equation.invars if not isinstance(atom, Literal)] for equation in jaxpr.eqns]
    last_use = {atom: i for i, atoms in enumerate(names) for atom in atoms}
    last_use |= {atom: len(names) for atom in jaxpr.outvars if not isinstance(atom, Literal)}
    for i, equation in enumerate(jaxpr.eqns):
        operands = [read(atom) for atom in equation.invars]
        primitive = primitive_of(equation)
        if primitive is not None:
            results = [numbers.apply(primitive, equation.params, *operands)]
        elif equation.primitive.name in CALLS:
            results = _run(called(equation), operands, numbers)
        else:
            raise Uninterpretable(f"the interpreter has no primitive {equation.primitive.name!r}")
        values.update(zip(equation.outvars, results, strict=True))
        for atom in names[i]:
            if last_use[atom] == i:
                values.pop(atom, None)  # large arrays need the memory
    return [read(atom) for atom in jaxpr.outvars]


def primitive_of(equation: Any) -> Primitive | None:
    """Return the row of an equation's primitive; a call has a row only if JAX writes that primitive as a call."""
    row = PRIMITIVES.get(equation.primitive.name)
    if row is not None:
        return row
    # The debug name of a called function is its name, and then the place that it is from.
    info = getattr(body_of(called(equation)), "debug_info", None)
    row = PRIMITIVES.get(str(getattr(info, "func_name", "")).partition(" ")[0])
    return row if row is not None and row.call else None


def called(equation: Any) -> Any:
    """Return the jaxpr that an equation calls, or None."""
    return next((equation.params[key] for key in INNER if key in equation.params), None)


def body_of(jaxpr: Any) -> Any:
    """Return a jaxpr without its constants."""
    return getattr(jaxpr, "jaxpr", jaxpr)


class Floating:
    """IEEE arithmetic of one dtype: float64, or extended precision (np.longdouble, 64 bits of significand on x86)."""

    def __init__(self, dtype: Any = np.float64) -> None:
        self.dtype = np.dtype(dtype)

    def constant(self, value: np.ndarray) -> np.ndarray:
        """Convert a float to the system's dtype; integers and booleans stay as they are."""
        return value.astype(self.dtype) if value.dtype.kind == "f" else value

    def apply(self, primitive: Primitive, parameters: dict[str, Any], *operands: Any) -> np.ndarray:
        """Return the primitive's value; a float stays in the system's dtype whatever float it is converted to."""
        if primitive.kind is not Kind.CONVERSION:
            return primitive.value(parameters, *operands)
        (x,) = operands
        _refuse_truncation(parameters, x.dtype.kind == "f")
        return x if x.dtype.kind == "f" else self.constant(primitive.value(parameters, x))


class Exact:
    """Exact rational arithmetic (``fractions.Fraction``), for jaxprs of sums, products, quotients and comparisons."""

    def constant(self, value: np.ndarray) -> np.ndarray:
        """Convert a float to the rational number that it is."""
        if value.dtype.kind != "f":
            return value
        return np.array([Fraction(float(v)) for v in value.ravel()] + [None], object)[:-1].reshape(value.shape)

    def apply(self, primitive: Primitive, parameters: dict[str, Any], *operands: Any) -> np.ndarray:
        """Return the primitive's value; refuse a primitive that is not rational, by name."""
        if not primitive.rational:
            raise Uninterpretable(f"{primitive.name!r} of a rational is not rational")
        if primitive.kind is Kind.CONVERSION:
            (x,) = operands
            _refuse_truncation(parameters, x.dtype == object)
            if x.dtype == object or np.dtype(parameters["new_dtype"]).kind != "f":
                return x
            return self.constant(np.asarray(x, np.float64))
        return np.asarray(primitive.value(parameters, *operands))


def _refuse_truncation(parameters: dict[str, Any], real: bool) -> None:
    """Refuse to convert real numbers to integers or booleans: how their errors move has no rule."""
    dtype = np.dtype(parameters["new_dtype"])
    if real and dtype.kind in "iub":
        raise Uninterpretable(f"'convert_element_type' of real numbers to {dtype} has no rule")
