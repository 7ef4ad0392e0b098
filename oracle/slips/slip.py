"""A slip: a known way to get a layer wrong, and what an implementation with it would answer.

A slip of the catalogue is a function under the decorator ``slip``::

    @slip("the stride is ignored along the width", "conv*", options=("stride",))
    def _stride_of_one_axis(at: Circumstances) -> Answers:
        ...

The function returns what an implementation with the slip would answer, under the names of the outputs and gradients that
the slip changes ("y", "dx", ...). It returns nothing if the slip changes nothing in this case.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import wraps
from typing import Any

import numpy as np

from oracle.cases import Arrays, Case
from oracle.layers import LAYERS, Layer
from oracle.layers.fit import misfit
from oracle.truth import Floating, Truth, derive, drawn, evaluate

Answers = Mapping[str, np.ndarray]
NOTHING: Answers = {}


@dataclass(frozen=True, eq=False)
class Circumstances:
    """What a slip is computed from: a case with its arrays, dy, and the truth. Each object is equal to itself only."""

    case: Case
    arrays: Arrays
    dy: np.ndarray
    truth: Truth

    @classmethod
    def of(cls, case: Case) -> Circumstances:
        """Return those of a case with its own arrays and its own dy."""
        return cls(case, *drawn(case))

    @property
    def layer(self) -> Layer:
        """The layer of the case."""
        return LAYERS[self.case.layer]

    def option(self, name: str) -> Any:
        """Return the value of an option: that of the case, or the default of the layer."""
        return self.case.configuration.get(name, self.layer.options.get(name))

    def array(self, name: str) -> np.ndarray | None:
        """Return an array by its name, in float64 (integers stay integers), or None if it is not given."""
        x = self.arrays[self.layer.arrays.index(name)]
        return x if x is None or x.dtype.kind in "iub" else x.astype(np.float64)

    def true(self, output: str) -> np.ndarray:
        """Return the true value of an output or a gradient, in float64."""
        return np.asarray(self.truth.pairs[output].value, np.float64)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all outputs and gradients of the case."""
        return tuple(self.truth.pairs)

    def elsewhere(
        self,
        *,
        dy: np.ndarray | None = None,
        given: Mapping[str, np.ndarray | None] = NOTHING,
        options: Mapping[str, Any] | None = None,
    ) -> Answers:
        """Return the true answers of another call: other arrays (``given``, by name), another dy, other options.

        Returns nothing if the call is not valid, and no gradients if its value has another shape than dy.
        """
        arrays = [given.get(name, x) for name, x in zip(self.layer.arrays, self.arrays, strict=True)]
        shapes = tuple(None if x is None else tuple(x.shape) for x in arrays)
        other = replace(self.case, shapes=shapes, configuration=self.case.configuration | dict(options or {}))
        dy = self.dy if dy is None else dy
        if misfit(self.layer.signature.arrays, shapes, self.layer.options | other.configuration):
            return NOTHING
        try:
            derivation = derive(other.layer, other.shapes, other.configuration)
        except (ValueError, TypeError, ZeroDivisionError, IndexError):  # the mathematics does not take this call
            return NOTHING
        fits = derivation.value_shape == dy.shape
        dy = dy if fits else np.zeros(derivation.value_shape)
        numbers = Floating(np.float64)
        inputs = [
            numbers.constant(np.asarray(x, np.float64 if x.dtype.kind not in "iub" else x.dtype))
            for x in (*arrays, dy)
            if x is not None
        ]
        names = (*derivation.outputs, *("d" + name for name in derivation.gradients if fits))
        results = evaluate(derivation.jaxpr, inputs, numbers)
        return {name: np.asarray(x, np.float64) for name, x in zip(names, results, strict=False)}


Function = Callable[[Circumstances], Answers]


@dataclass(frozen=True)
class Slip:
    """A sentence that names the slip, and the function that computes the answers of an implementation with it.

    ``resembles`` names a public bug of this kind, if one is known.
    """

    sentence: str
    answers: Function
    resembles: str = ""


@dataclass(frozen=True)
class Entry:
    """A slip of the catalogue, with the names of the layers that it applies to (``*`` stands for anything)."""

    slip: Slip
    layers: tuple[str, ...]
    options: tuple[str, ...]

    def applies_to(self, layer: Layer) -> bool:
        """Whether the layer can have the slip: its name fits, and it has the options."""
        return any(fnmatchcase(layer.name, name) for name in self.layers) and set(self.options) <= set(layer.options)


CATALOGUE: list[Entry] = []


def slip(
    sentence: str, *layers: str, options: tuple[str, ...] = (), resembles: str = ""
) -> Callable[[Function], Function]:
    """Put a function into the catalogue, for the layers of these names that have these options."""

    def put(function: Function) -> Function:
        @wraps(function)
        def answers(at: Circumstances) -> Answers:
            # NumPy makes a scalar of what is computed from arrays without axes.
            return {name: np.asarray(y, np.float64) for name, y in function(at).items()}

        CATALOGUE.append(Entry(Slip(sentence, answers, resembles), layers, options))
        return function

    return put
