"""What the oracle knows of a layer: its mathematics, forward only, and the domain of its configurations."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Configuration = dict[str, Any]
Shapes = tuple[tuple[int, ...] | None, ...]
Draw = Callable[[Any], Any]


@dataclass(frozen=True)
class Refusal:
    """A call that every implementation must refuse: shapes and options that cannot meet."""

    shapes: Shapes
    configuration: Configuration
    why: str

    @property
    def key(self) -> str:
        """A name for it."""
        return self.why


@dataclass(frozen=True)
class Edge:
    """A configuration that is tried in every run."""

    shapes: Shapes
    configuration: Configuration = field(default_factory=dict)
    values: str = "normal"


@dataclass(frozen=True)
class Layer:
    """A layer of the contract.

    ``mathematics(*arrays, **configuration)`` is the value in ``jax.lax``, or a tuple whose first entry alone is
    differentiable. ``domain(draw)`` draws shapes and a configuration with Hypothesis; ``kinds`` says what an array
    holds where that is not any real number; ``nan_may_spread`` marks a sum of products (where zeros are padded, zero times
    infinity may show, depending on the algorithm); ``ties(configuration, shapes)`` gives the windows of a maximum.
    """

    name: str
    mathematics: Callable[..., Any]
    domain: Callable[[Draw], tuple[Shapes, Configuration]]
    edges: Sequence[Edge]
    refusals: Sequence[Refusal] = ()
    kinds: Mapping[str, str] = field(default_factory=dict)
    no_gradient: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ("y",)
    nan_may_spread: bool = False
    ties: Callable[[Configuration, Shapes], Any] | None = None
    documents: tuple[str, ...] = ()

    @property
    def arrays(self) -> tuple[str, ...]:
        """The names of the array arguments, in order."""
        parameters = inspect.signature(self.mathematics).parameters.values()
        return tuple(p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD)

    @property
    def optional(self) -> tuple[str, ...]:
        """The names of the array arguments that may be left out."""
        parameters = inspect.signature(self.mathematics).parameters.values()
        return tuple(p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD and p.default is None)

    @property
    def options(self) -> dict[str, Any]:
        """The configuration and its defaults; a required option has the default ``...``."""
        parameters = inspect.signature(self.mathematics).parameters.values()
        return {p.name: ... if p.default is p.empty else p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


LAYERS: dict[str, Layer] = {}


def register(layer: Layer) -> None:
    """Make a layer known to the trial, the command line and the tests."""
    LAYERS[layer.name] = layer
