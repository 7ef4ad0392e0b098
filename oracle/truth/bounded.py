"""The number system of pairs: a value, and a bound of the error that a target may have in it."""

from __future__ import annotations

from typing import Any

import numpy as np

from oracle.truth.interpreter import Floating
from oracle.truth.primitives import Kind, Primitive
from oracle.truth.rounding import BLOCK, ROUNDINGS, Pair, Precision, Rounding, Terms, in_blocks, only_number, whole
from oracle.truth.values import Uninterpretable


class Bounded(Rounding):
    """Pairs for a target of a given precision; values in float64, or in extended precision for a float64 target."""

    def __init__(self, precision: Precision, integers_exact: bool = True) -> None:
        super().__init__(precision, integers_exact)
        self.values = Floating(np.longdouble if precision.bits > 30 else np.float64)

    def exactly(self, x: np.ndarray) -> Pair:
        """Return the pair of an input, which the target holds exactly, but may read as 0 if it is subnormal."""
        value = x if x.dtype.kind in "iub" else x.astype(self.values.dtype)
        if value.dtype.kind != "f":
            return Pair(value, np.zeros(value.shape, bool if value.dtype == bool else np.float64))
        size = np.abs(value).astype(np.float64)
        flushed = np.where(size < self.underflow(self.precision.accumulator), size, 0.0)
        return Pair(value, flushed if flushed.any() else np.broadcast_to(0.0, size.shape))

    def constant(self, value: np.ndarray) -> Pair:
        """Return the pair of a constant of the mathematics; the target may have to round it."""
        pair = self.exactly(value)
        if value.dtype.kind != "f" or not np.isfinite(value).all():
            return pair
        u, tiny = self.precision.unit_roundoff, self.underflow(self.precision)
        small = whole(value) & (np.abs(value) <= 2.0**self.precision.bits)
        scaled = np.frexp(value)[0] * 2.0**self.precision.bits  # an integer if the constant is representable
        return Pair(pair.value, np.where(small | whole(scaled), 0.0, u * np.abs(value) + tiny))

    def apply(self, primitive: Primitive, parameters: dict[str, Any], *operands: Pair) -> Pair:
        """Return the primitive's value and its error."""
        value = np.asarray(self.values.apply(primitive, parameters, *(x.value for x in operands)))
        if primitive.kind is Kind.STRUCTURE:
            return self._rearranged(value, primitive, parameters, operands)
        if primitive.kind is Kind.COUNT or value.dtype.kind in "iu":
            return self.exactly(value)
        terms = None if primitive.terms is None else primitive.terms(self, parameters, *operands)
        if terms is not None:
            return Pair(value, self.sum_of(value, terms, *operands), terms)
        rule = primitive.error
        if rule is None:
            raise Uninterpretable(f"the rounding analysis has no rule for the primitive {primitive.name!r}")

        def error_of(value: np.ndarray, *columns: np.ndarray) -> np.ndarray:
            pairs = [Pair(x, e) for x, e in zip(columns[::2], columns[1::2], strict=True)] or operands
            error = rule(self, parameters, value, *pairs)
            if primitive.kind is Kind.COMPARISON or primitive.kind is Kind.LOGIC:
                return error
            if primitive.ulps:
                error = self.together(error, self.library(value, primitive.ulps))
            # The errors of the operands are themselves off: a target rounds what it has rounded before.
            error = np.asarray(error, np.float64) * (1 + ROUNDINGS * self.precision.unit_roundoff)
            return self.within_range(value, error, operands)

        if value.size <= BLOCK or not all(x.value.shape in ((), value.shape) for x in operands):
            return Pair(value, error_of(value))
        columns = (np.broadcast_to(x, value.shape) for pair in operands for x in (pair.value, pair.error))
        return Pair(value, in_blocks(error_of, value, *columns))

    def _rearranged(
        self, value: np.ndarray, primitive: Primitive, parameters: dict[str, Any], operands: tuple[Pair, ...]
    ) -> Pair:
        """Move the errors and the terms as the values were moved."""
        moved = operands[: primitive.moved]
        indices = [x.value for x in operands[len(moved) :]]

        def move(*xs: np.ndarray) -> np.ndarray:
            numbers = {only_number(x) for x in xs}
            if len(numbers) == 1 and None not in numbers:
                return np.broadcast_to(xs[0].dtype.type(*numbers), value.shape)
            return primitive.value(parameters, *xs, *indices)

        error = move(*(x.error for x in moved))
        if all(x.terms is None for x in moved):
            return Pair(value, error)
        parts = [self.terms_of(x) for x in moved]
        columns = zip(*((t.count, t.size, t.carried, t.stored) for t in parts), strict=True)
        return Pair(value, error, Terms(*(move(*column) for column in columns)))
