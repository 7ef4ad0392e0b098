"""Restate what a document says in one place, so that the oracle can judge it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Given = Mapping[str, Any]
LayerFunction = Callable[..., tuple[Any, Callable[[Any], tuple[Any, ...]]]]


@dataclass(frozen=True)
class Claim:
    """A claim: one thing that a document says in one place.

    A claim that can be checked has these fields:

    - ``question`` is what the oracle must answer: ``"dx of conv2d"`` (an output, a gradient or the ``shape`` of a layer's
      value), or the name of a question in ``oracle.documents.questions``.
    - ``says(**given)`` returns the document's answer for the arguments of an example, with the document's slips.
    - ``examples`` are the arguments to try, from small to large, so that the first that fails is easy to read. A tuple of
      integers in the place of an array is a shape: the judge draws an array of that shape. A list is a list.

    A claim that fails also has these fields:

    - ``corrected(**given)`` returns the right answer, and ``correction`` says in words what the document should say.
    - ``consequence`` says what happens to a reader who follows the document.
    - ``condition`` says when the claim holds, if there is such a condition, and ``under`` are examples of it.
    - ``tried`` is true if the slip is also in the document's program of the layer, so that a run finds it too.

    A claim that nobody can check has no question, and ``why_not`` says why. ``condition`` and ``why_not`` are clauses that
    continue the sentences "It holds if ..." and "It cannot be checked: ...".
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
        """The number of the document, for example ``000``."""
        return self.id.partition("/")[0]


def value(layer: LayerFunction) -> Callable[..., Any]:
    """Answer ``y of ...`` with the value of a document's layer."""

    def says(dy: Any = None, **given: Any) -> Any:
        y = layer(**given)[0]
        return y[0] if isinstance(y, tuple) else y

    return says


def gradient(layer: LayerFunction, place: int = 0) -> Callable[..., Any]:
    """Answer ``dx of ...`` with one cotangent of a document's layer; ``place`` is the place of its array."""

    def says(dy: Any, **given: Any) -> Any:
        return layer(**given)[1](dy)[place]

    return says


def constant(answer: Any) -> Callable[..., Any]:
    """Give the same answer to every example: what the document prints."""

    def says(**given: Any) -> Any:
        return np.asarray(answer, np.float64) if isinstance(answer, (list, float, int)) else answer

    return says


def one(option: Any) -> Any:
    """Return the number that an option has on both axes and sides. If they differ, return the option itself."""
    flat = option
    while isinstance(flat, (list, tuple)) and len(flat) == 2 and flat[0] == flat[1]:
        flat = flat[0]
    return option if isinstance(flat, (list, tuple)) else flat


def require(condition: bool, what: str) -> None:
    """Raise NotImplementedError unless the condition holds: the document does not describe what is asked for."""
    if not condition:
        raise NotImplementedError(f"the document does not describe {what}")
