"""A question to a target."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oracle.cases import Arrays, Case


@dataclass(frozen=True)
class Question:
    """A case with its arrays and its cotangent. Without dy only this is asked: does the layer accept the arrays?

    The arrays are those of the case, or simpler ones in their place. ``others`` are other valid arrays of the same shapes,
    and ``reshaped`` valid arrays of other shapes: the layer is called with them before the arrays and in between, so that
    an answer that is remembered from another call shows.

    ``wrong_number``: the arrays must be refused because of a number in one of them. Code that cannot look at numbers is
    not asked.
    """

    case: Case
    arrays: Arrays
    dy: np.ndarray | None = None
    others: Arrays | None = None
    reshaped: Arrays | None = None
    wrong_number: bool = False
