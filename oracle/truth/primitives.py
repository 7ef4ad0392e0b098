"""The table of primitives: everything that the truth knows of a primitive of JAX is one row.

To add a primitive, add a row. A value takes the parameters of the equation and the operands; a longer one is in
``values``. A rule in ``errors`` says how the errors of the operands move.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from oracle.truth import errors, values
from oracle.truth.values import Value, of, over_axes


class Kind(Enum):
    """What a primitive does to numbers; this decides which columns of its row must be filled."""

    STRUCTURE = "moves elements and computes nothing: errors move as the values do"
    COUNT = "counts in whole numbers: the result is exact"
    CONVERSION = "changes the dtype, in the way of the number system"
    ELEMENTWISE = "computes a rational function of each element; needs an error rule"
    FUNCTION = "calls a library function, whose value is irrational; needs an error rule and ulps"
    COMPARISON = "compares numbers; needs a rule that says which results are undecided"
    LOGIC = "combines booleans; needs a rule that says which results are undecided"
    SUM = "adds up terms; needs a rule that says which ones"
    SELECTION = "chooses among elements; needs an error rule"


@dataclass(frozen=True)
class Primitive:
    """A row of the table."""

    name: str
    kind: Kind
    value: Value
    error: errors.Rule | None = None
    terms: errors.TermsRule | None = None  # of a sum, or of what may be a sum of sums
    ulps: int = 0  # how far a library function may be off
    moved: int | None = None  # how many operands a structure moves; the operands after them are indices
    quotient: bool = False
    call: bool = False  # JAX writes it as a call of a function of this name, and the body is written in bits
    aliases: tuple[str, ...] = ()

    @property
    def rational(self) -> bool:
        """Whether the value is rational if the operands are."""
        return self.kind is not Kind.FUNCTION

    @property
    def divides(self) -> bool:
        """Whether a layer that uses it may round even if its inputs are integers: see ``rounding``."""
        return self.quotient or not self.rational


# The ulps are the largest error of a library function in units in the last place, the largest over the libraries that
# targets run on. glibc 2.28+ manual, "Errors in Math Functions": exp, log 1; expm1, log1p 1; tanh 2; erf 1.
# CUDA C++ Programming Guide, "Mathematical Functions" (float): expf 2, logf 1, expm1f 1, log1pf 1, tanhf 2, erff 2,
# rsqrtf 2. Intel SVML and SLEEF (PyTorch's vector code) 1 to 4. XLA evaluates tanh, erf and log1p by rational
# approximations of its own, without a documented bound; the tests measure them on the CPU against 200-bit arithmetic.

# fmt: off
ROWS = (
    Primitive("broadcast_in_dim", Kind.STRUCTURE,   values.broadcast_in_dim),
    Primitive("reshape",          Kind.STRUCTURE,   values.reshape),
    Primitive("transpose",        Kind.STRUCTURE,   lambda p, x: np.transpose(x, p["permutation"])),
    Primitive("squeeze",          Kind.STRUCTURE,   lambda p, x: np.squeeze(x, tuple(p["dimensions"]))),
    Primitive("expand_dims",      Kind.STRUCTURE,   lambda p, x: np.expand_dims(x, tuple(p["dimensions"]))),
    Primitive("slice",            Kind.STRUCTURE,   values.slice_),
    Primitive("pad",              Kind.STRUCTURE,   values.pad),
    Primitive("rev",              Kind.STRUCTURE,   lambda p, x: np.flip(x, p["dimensions"])),
    Primitive("concatenate",      Kind.STRUCTURE,   lambda p, *xs: np.concatenate(xs, axis=p["dimension"])),
    Primitive("gather",           Kind.STRUCTURE,   values.gather, moved=1),
    Primitive("copy",             Kind.STRUCTURE,   lambda p, x: x, aliases=("copy_p", "stop_gradient")),

    Primitive("iota",             Kind.COUNT,       values.iota),
    Primitive("convert_element_type", Kind.CONVERSION, lambda p, x: np.asarray(x, p["new_dtype"]), errors.unchanged),

    Primitive("add",              Kind.ELEMENTWISE, of(np.add), errors.add, errors.added, aliases=("add_any",)),
    Primitive("sub",              Kind.ELEMENTWISE, of(np.subtract), errors.add, errors.added),
    Primitive("neg",              Kind.ELEMENTWISE, of(np.negative), errors.unchanged, errors.negated),
    Primitive("mul",              Kind.ELEMENTWISE, of(np.multiply), errors.mul),
    Primitive("div",              Kind.ELEMENTWISE, of(np.true_divide), errors.div, quotient=True),
    Primitive("abs",              Kind.ELEMENTWISE, of(np.abs), errors.unchanged),
    Primitive("sign",             Kind.ELEMENTWISE, of(np.sign), errors.sign),
    Primitive("max",              Kind.ELEMENTWISE, of(np.maximum), errors.larger),
    Primitive("min",              Kind.ELEMENTWISE, of(np.minimum), errors.larger),
    Primitive("square",           Kind.ELEMENTWISE, lambda p, x: np.multiply(x, x), errors.power),
    Primitive("integer_pow",      Kind.ELEMENTWISE, values.integer_pow, errors.power),
    # Newer versions of JAX write the derivative of tanh so.
    Primitive("one_minus_square", Kind.ELEMENTWISE, lambda p, x: (1 - x) * (1 + x), errors.one_minus_square),

    Primitive("exp",              Kind.FUNCTION,    of(np.exp), errors.exp, ulps=3),
    Primitive("expm1",            Kind.FUNCTION,    of(np.expm1), errors.expm1, ulps=4),
    Primitive("log",              Kind.FUNCTION,    of(np.log), errors.log, ulps=3),
    Primitive("log1p",            Kind.FUNCTION,    of(np.log1p), errors.log1p, ulps=4),
    Primitive("tanh",             Kind.FUNCTION,    of(np.tanh), errors.tanh, ulps=5),
    Primitive("logistic",         Kind.FUNCTION,    values.logistic, errors.logistic, ulps=5),
    Primitive("erf",              Kind.FUNCTION,    values.erf, errors.erf, ulps=5),
    Primitive("sqrt",             Kind.FUNCTION,    of(np.sqrt), errors.sqrt, ulps=1),
    Primitive("rsqrt",            Kind.FUNCTION,    lambda p, x: 1 / np.sqrt(x), errors.rsqrt, ulps=3),
    # Newer versions of JAX write the derivative of erf so.
    Primitive("exp_neg_sq",       Kind.FUNCTION,    lambda p, x: np.exp(-x * x), errors.exp_neg_sq, ulps=3, call=True),

    Primitive("eq",               Kind.COMPARISON,  of(np.equal), errors.equality),
    Primitive("ne",               Kind.COMPARISON,  of(np.not_equal), errors.equality),
    Primitive("lt",               Kind.COMPARISON,  of(np.less), errors.order),
    Primitive("le",               Kind.COMPARISON,  of(np.less_equal), errors.order),
    Primitive("gt",               Kind.COMPARISON,  of(np.greater), errors.order),
    Primitive("ge",               Kind.COMPARISON,  of(np.greater_equal), errors.order),

    Primitive("and",              Kind.LOGIC,       of(np.logical_and), errors.either),
    Primitive("or",               Kind.LOGIC,       of(np.logical_or), errors.either),
    Primitive("not",              Kind.LOGIC,       of(np.logical_not), errors.either),

    Primitive("reduce_sum",       Kind.SUM,         over_axes(np.sum), terms=errors.summed),
    Primitive("dot_general",      Kind.SUM,         values.dot_general, terms=errors.products_summed),
    Primitive("scatter-add",      Kind.SUM,         values.scatter_add, terms=errors.scattered, aliases=("scatter_add",)),

    Primitive("select_n",         Kind.SELECTION,   values.select, errors.select),
    Primitive("reduce_max",       Kind.SELECTION,   over_axes(np.max), errors.reduce_max),
    Primitive("reduce_min",       Kind.SELECTION,   over_axes(np.min), errors.reduce_max),
)
# fmt: on

PRIMITIVES = {name: row for row in ROWS for name in (row.name, *row.aliases)}
