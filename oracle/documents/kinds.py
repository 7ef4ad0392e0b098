"""The kinds of question that a claim answers. Each kind completes an example and checks the document's answer to it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from oracle.cases import Case
from oracle.documents.draws import Draw
from oracle.documents.questions import PREDICATES, QUESTIONS
from oracle.judge.subgradient import is_subgradient
from oracle.layers import LAYERS, Layer
from oracle.truth import Precision, derive, truth_of

Arguments = dict[str, Any]
Says = Callable[..., Any]
DOUBLE = Precision.of(np.float64)


@dataclass(frozen=True)
class Raised:
    """The exception that came instead of a document's answer."""

    kind: str
    text: str


@dataclass(frozen=True)
class Miss:
    """An example for which the document's answer is not true. ``drawn`` are the arguments that were drawn."""

    arguments: Arguments
    said: Any
    true: Any
    drawn: frozenset[str] = frozenset()


class Question(Protocol):
    """What a claim answers."""

    def complete(self, example: Arguments, draw: Draw) -> Arguments:
        """Return the arguments of an example, with drawn arrays in the place of shapes."""

    def miss(self, says: Says, arguments: Arguments) -> Miss | None:
        """Return None if what the document says about the arguments is true."""


def question(text: str) -> Question:
    """Find the kind of a question: one of the oracle's own, or ``"dx of conv2d"`` about a layer."""
    if text in QUESTIONS:
        return Own(QUESTIONS[text])
    if text in PREDICATES:
        return Checked(PREDICATES[text])
    output, _, layer = text.partition(" of ")
    return ShapeOf(LAYERS[layer]) if output == "shape" else OutputOf(LAYERS[layer], output)


@dataclass(frozen=True)
class Own:
    """A question that the oracle answers with a function of its own."""

    answer: Callable[..., Any]

    def complete(self, example: Arguments, draw: Draw) -> Arguments:
        """Draw all arrays."""
        return {name: draw.array(x) for name, x in example.items()}

    def miss(self, says: Says, arguments: Arguments) -> Miss | None:
        """Compare what the document says with the oracle's answer."""
        with jax.enable_x64(True):
            given = {k: jax.tree.map(jnp.asarray, v) if _holds_arrays(v) else v for k, v in arguments.items()}
            true = self.answer(**given)
        return _compare(says, arguments, true if isinstance(true, (str, tuple)) else np.asarray(true))


@dataclass(frozen=True)
class Checked:
    """A question with more than one right answer. ``wrong`` returns what is wrong with an answer, or None."""

    wrong: Callable[..., str | None]

    def complete(self, example: Arguments, draw: Draw) -> Arguments:
        """Draw all arrays."""
        return {name: draw.array(x) for name, x in example.items()}

    def miss(self, says: Says, arguments: Arguments) -> Miss | None:
        """Check what the document says."""
        said = _ask(says, arguments)
        if isinstance(said, Raised):
            return Miss(arguments, said, "an answer")
        wrong = self.wrong(said, **arguments)
        return Miss(arguments, said, wrong) if wrong else None


@dataclass(frozen=True)
class ShapeOf:
    """A question about the shape of a layer's value. Its examples are shapes."""

    layer: Layer

    def complete(self, example: Arguments, draw: Draw) -> Arguments:
        """Draw nothing."""
        return dict(example)

    def miss(self, says: Says, arguments: Arguments) -> Miss | None:
        """Compare the shape that the document gives with the true one."""
        return _compare(says, arguments, _value_shape(self.layer, arguments))


@dataclass(frozen=True)
class OutputOf:
    """A question about an output or a gradient of a layer."""

    layer: Layer
    output: str

    def complete(self, example: Arguments, draw: Draw) -> Arguments:
        """Draw the layer's arrays, and dy if the example does not give it."""
        arrays = {*self.layer.arrays, "dy"}
        kinds = self.layer.kinds
        arguments = {
            name: np.asarray(draw.array(x, kinds.get(name, "real"))) if name in arrays else x
            for name, x in example.items()
        }
        if "dy" not in arguments:
            shapes = {k: v.shape if k in self.layer.arrays else v for k, v in arguments.items()}
            arguments["dy"] = np.asarray(draw.of_shape(_value_shape(self.layer, shapes)), np.float64)
        return arguments

    def miss(self, says: Says, arguments: Arguments) -> Miss | None:
        """Compare with the derived truth. A subgradient of a maximum is right too."""
        arrays = [arguments.get(name) for name in self.layer.arrays]
        shapes = tuple(None if x is None else x.shape for x in arrays)
        case = Case(self.layer.name, "float64", shapes, _configuration(self.layer, arguments))
        truth = truth_of(case, arrays, arguments["dy"])
        true = truth.pairs[self.output]
        is_gradient = self.output in truth.gradients
        said = _ask(says, arguments if is_gradient else {k: v for k, v in arguments.items() if k != "dy"})
        if not isinstance(said, Raised):
            if _agrees(said, true.value, true.error):
                return None
            if self.layer.ties and is_gradient and arrays[0] is not None:
                windows = self.layer.ties(case.configuration, case.shapes)
                dx = np.asarray(said, np.float64)
                if dx.shape == true.value.shape and is_subgradient(dx, arrays[0], arguments["dy"], windows, DOUBLE):
                    return None
        return Miss(arguments, said, np.asarray(true.value, np.float64))


def _configuration(layer: Layer, arguments: Arguments) -> Arguments:
    return {k: v for k, v in arguments.items() if k not in (*layer.arrays, "dy")}


def _value_shape(layer: Layer, shapes: Arguments) -> tuple[int, ...]:
    given = tuple(shapes.get(name) for name in layer.arrays)
    return derive(layer.name, given, _configuration(layer, shapes)).value_shape


def _holds_arrays(x: Any) -> bool:
    return isinstance(x, np.ndarray) or (isinstance(x, list) and any(isinstance(v, np.ndarray) for v in x))


def _ask(says: Says, arguments: Arguments) -> Any:
    """Return what the document says, or ``Raised``."""
    try:
        with np.errstate(all="ignore"):
            return says(**{k: v.copy() if isinstance(v, np.ndarray) else v for k, v in arguments.items()})
    except Exception as error:
        kind = type(error).__name__
        return Raised(kind, f"{kind}: {error}")


def _compare(says: Says, arguments: Arguments, true: Any) -> Miss | None:
    said = _ask(says, arguments)
    return None if not isinstance(said, Raised) and _agrees(said, true) else Miss(arguments, said, true)


def _agrees(said: Any, true: Any, bound: Any = 0.0) -> bool:
    """Tell whether an answer is true, up to the bound or half of the digits. Masked entries are not compared."""
    if isinstance(true, (str, tuple)):
        return bool(said == true)
    mask = np.ma.getmaskarray(said) if isinstance(said, np.ma.MaskedArray) else False
    got = np.asarray(said, np.float64) if mask is False else np.asarray(said.filled(0.0), np.float64)
    true = np.asarray(true, np.float64)
    if got.shape != true.shape:
        return False
    finite = np.abs(true[np.isfinite(true)])
    room = np.maximum(bound, math.sqrt(DOUBLE.unit_roundoff) * (finite.max() if finite.size else 0.0))
    with np.errstate(invalid="ignore"):
        same = (np.abs(got - true) <= room) | (got == true) | (np.isnan(got) & np.isnan(true))
    return bool(np.all(same | mask))
