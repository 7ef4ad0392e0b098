"""Differentiate a layer's mathematics with ``jax.vjp``: one jaxpr computes the outputs and every cotangent."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from oracle.layers import LAYERS, Layer
from oracle.truth.interpreter import body_of, called, primitive_of


@dataclass(frozen=True)
class Derivation:
    """The derivative of a layer at one configuration and one set of shapes.

    ``jaxpr`` takes the given arrays and then dy. It returns the ``outputs`` and then one cotangent per name in
    ``gradients``. ``divides`` is true if it divides or calls a library function: then a mean may be a running one, which
    is not exact for integers.
    """

    jaxpr: Any
    outputs: tuple[str, ...]
    gradients: tuple[str, ...]
    value_shape: tuple[int, ...]
    divides: bool

    @property
    def names(self) -> tuple[str, ...]:
        """The names of what the jaxpr returns: the outputs, then dx for the gradient by x."""
        return (*self.outputs, *("d" + name for name in self.gradients))


def derive(name: str, shapes: tuple[tuple[int, ...] | None, ...], configuration: dict[str, Any]) -> Derivation:
    """Trace the value and ``jax.vjp`` of a layer in float64; a cache answers repeated calls."""
    return _derive(name, shapes, tuple(configuration.items()))


@functools.lru_cache(maxsize=256)
def _derive(name: str, shapes: tuple[Any, ...], items: tuple[tuple[str, Any], ...]) -> Derivation:
    layer, configuration = LAYERS[name], dict(items)
    with jax.enable_x64(True):
        function, given, wanted = flat_function(layer, shapes, configuration)
        arguments = [
            jax.ShapeDtypeStruct(shapes[i], np.int64 if layer.kinds.get(layer.arrays[i]) == "labels" else np.float64)
            for i in given
        ]
        value, others = jax.eval_shape(function, *arguments)

        def whole(*arrays: Any) -> Any:
            *inputs, dy = arrays

            def of_wanted(*chosen: Any) -> Any:
                full = list(inputs)
                for i, x in zip(wanted, chosen, strict=True):
                    full[given.index(i)] = x
                return function(*full)

            y, pullback, others = jax.vjp(of_wanted, *(inputs[given.index(i)] for i in wanted), has_aux=True)
            return y, others, pullback(dy)

        jaxpr = jax.make_jaxpr(whole)(*arguments, value)
    outputs = layer.outputs[: 1 + len(others)]
    gradients = tuple(layer.arrays[i] for i in wanted)
    return Derivation(jaxpr, outputs, gradients, tuple(value.shape), _divides(jaxpr.jaxpr))


def _divides(jaxpr: Any) -> bool:
    """Decide if a jaxpr, or a jaxpr that it calls, divides or calls a library function."""
    for equation in jaxpr.eqns:
        primitive, inner = primitive_of(equation), called(equation)
        if primitive is not None and primitive.divides:
            return True
        if inner is not None and _divides(body_of(inner)):
            return True
    return False


def flat_function(
    layer: Layer, shapes: tuple[Any, ...], configuration: dict[str, Any]
) -> tuple[Any, list[int], list[int]]:
    """Return a layer as a function of only the given arrays, their places, and the places of the differentiable ones."""
    given = [i for i, shape in enumerate(shapes) if shape is not None]
    wanted = [i for i in given if layer.arrays[i] not in layer.no_gradient]

    def function(*arrays: Any) -> tuple[Any, list[Any]]:
        full: list[Any] = [None] * len(layer.arrays)
        for i, x in zip(given, arrays, strict=True):
            full[i] = x
        value = layer.mathematics(*full, **configuration)
        first, *others = value if isinstance(value, tuple) else (value,)
        return first, [x for x in others if x is not None]

    return function, given, wanted
