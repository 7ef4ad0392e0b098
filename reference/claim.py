"""A claim: one checkable thing that a document says, restated, and what it takes to judge it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Given = Mapping[str, Any]
LayerFunction = Callable[..., tuple[Any, Callable[[Any], tuple[Any, ...]]]]


@dataclass(frozen=True)
class Claim:
    """What a document says in one place.

    ``question`` is what the judge is asked: ``"dx of conv2d"`` (an output, a gradient or ``shape``, of a layer), or the
    name of one of the judge's own questions. ``says(**given)`` is what the document gives for the arguments of an
    example, its slips included. An array of an example may be given as its shape: the judge draws it. ``examples`` go
    from the smallest up, so that the first that fails is worth reading.

    For a claim that fails: ``corrected(**given)`` is what should stand there and ``correction`` says it in words;
    ``consequence`` is what happens to a reader who follows the document; where ``condition`` names when the claim does
    hold, ``under`` are examples of that. ``tried`` where the slip is part of the document's layer as a program, so that
    the trial of that layer meets it. A claim that nobody can check has ``why_not`` and no question.
    """

    id: str
    section: str
    statement: str
    layer: str | None = None
    formula: str = ""
    question: str = ""
    says: Callable[..., Any] | None = None
    examples: tuple[Given, ...] = ({},)
    corrected: Callable[..., Any] | None = None
    correction: str = ""
    consequence: str = ""
    condition: str = ""
    under: tuple[Given, ...] = ()
    tried: bool = False
    why_not: str = ""

    @property
    def document(self) -> str:
        """The document's number, as ``000``."""
        return self.id.partition("/")[0]


def value(layer: LayerFunction) -> Callable[..., Any]:
    """The value of a document's layer, as an answer to ``y of ...``."""

    def says(dy: Any = None, **given: Any) -> Any:
        y = layer(**given)[0]
        return y[0] if isinstance(y, tuple) else y

    return says


def gradient(layer: LayerFunction, place: int = 0) -> Callable[..., Any]:
    """One cotangent of a document's layer, as an answer to ``dx of ...``; place counts the arrays."""

    def says(dy: Any, **given: Any) -> Any:
        return layer(**given)[1](dy)[place]

    return says


def constant(answer: Any) -> Callable[..., Any]:
    """What a document prints, whatever it is asked."""

    def says(**given: Any) -> Any:
        return np.asarray(answer, np.float64) if isinstance(answer, (list, float, int)) else answer

    return says


def one(option: Any) -> Any:
    """An option given by axis and side, as the one number that all of them are; anything else as it is."""
    flat = option
    while isinstance(flat, (list, tuple)) and flat and all(v == flat[0] for v in flat):
        flat = flat[0]
    return option if isinstance(flat, (list, tuple)) else flat


def offered(condition: bool, what: str) -> None:
    """Raise NotImplementedError where a document's layer is asked for what the document does not describe."""
    if not condition:
        raise NotImplementedError(f"the document has no {what}")
