"""Describe a layer: its signature, its mathematics (the forward pass only), and the domain of its configurations."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from oracle.layers.calls import (
    Configuration,
    Edge,
    Refusal,
    refusals_from_contents,
    refusals_from_options,
    refusals_from_shapes,
)
from oracle.layers.fit import Shapes
from oracle.layers.options import Choices, Range, Ranges
from oracle.layers.signature import Signature, parse

__all__ = [
    "LAYERS",
    "Choices",
    "Configuration",
    "Draw",
    "Edge",
    "Layer",
    "Range",
    "Ranges",
    "Refusal",
    "Shapes",
    "register",
]

Draw = Callable[[Any], Any]


def _always(call: Mapping[str, Any]) -> bool:
    return True


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer of the contract.

    - ``text`` is the signature: the arrays, their shapes, what they hold, and which are optional.
    - ``mathematics(*arrays, **configuration)`` computes the value with ``jax.lax``, or a tuple of which only the first
      entry is differentiable. Its keyword-only parameters are the options.
    - ``domain(draw)`` draws shapes and a configuration with Hypothesis.
    - ``choices`` has all values of each option that takes words or truth values, and ``ranges`` the numbers that each
      option that takes numbers may be. An option that takes both is in both.
    - ``more_refusals`` are the calls to be refused that do not follow from the signature, the choices and the ranges.
    - ``nan_may_spread``: an implementation may multiply zeros (of padding, of other groups) with the elements of an input,
      so NaN or infinity in the input may show up at other places of the output.
    - ``where(call)`` is false for a call that fits the signature and the mathematics, but that must be refused. The call
      has the shapes of the arrays (None if one is left out) and of the value, and the options, under their names.
    - ``ties(configuration, shapes)`` returns the windows over which the layer takes its maxima.
    """

    name: str
    text: str
    mathematics: Callable[..., Any]
    domain: Callable[[Draw], tuple[Shapes, Configuration]]
    edges: Sequence[Edge]
    more_refusals: Sequence[Refusal] = ()
    no_gradient: tuple[str, ...] = ()
    nan_may_spread: bool = False
    ties: Callable[[Configuration, Shapes], Any] | None = None
    where: Callable[[Mapping[str, Any]], bool] = _always
    documents: tuple[str, ...] = ()
    choices: Choices = field(default_factory=dict)
    ranges: Ranges = field(default_factory=dict)

    @functools.cached_property
    def signature(self) -> Signature:
        """The signature, read from its text."""
        return parse(self.text)

    @functools.cached_property
    def arrays(self) -> tuple[str, ...]:
        """The names of the array arguments, in order."""
        return tuple(array.name for array in self.signature.arrays)

    @functools.cached_property
    def optional(self) -> tuple[str, ...]:
        """The names of the array arguments that may be left out."""
        return tuple(array.name for array in self.signature.arrays if array.optional)

    @functools.cached_property
    def kinds(self) -> Mapping[str, str]:
        """What an array holds, in the words of the cases, for each array that does not hold real numbers."""
        words = {array.name: array.kind.word for array in self.signature.arrays if array.kind is not None}
        return {name: {"int": "labels", "binary": "mask"}.get(word, word) for name, word in words.items()}

    @functools.cached_property
    def outputs(self) -> tuple[str, ...]:
        """The names of the outputs, in order."""
        return tuple(output.name for output in self.signature.outputs)

    @functools.cached_property
    def options(self) -> dict[str, Any]:
        """The configuration and its defaults; a required option has the default ``...``."""
        parameters = inspect.signature(self.mathematics).parameters.values()
        return {p.name: ... if p.default is p.empty else p.default for p in parameters if p.kind is p.KEYWORD_ONLY}

    @functools.cached_property
    def refusals(self) -> tuple[Refusal, ...]:
        """The calls that every implementation must refuse: those that follow from signature and options, then others."""
        call = self.signature, self.edges, self.options
        return (
            *refusals_from_shapes(*call),
            *refusals_from_options(*call, self.choices, self.ranges),
            *refusals_from_contents(*call),
            *self.more_refusals,
        )


LAYERS: dict[str, Layer] = {}


def register(layer: Layer) -> None:
    """Make a layer known to the trial, the command line and the tests."""
    LAYERS[layer.name] = layer
