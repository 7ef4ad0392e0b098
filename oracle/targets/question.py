"""A question to a target."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oracle.cases import Arrays, Case


@dataclass(frozen=True)
class Question:
    """A case with its arrays and its cotangent. Without dy only this is asked: does the layer accept the arrays?

    The arrays are those of the case, or simpler ones in their place.
    """

    case: Case
    arrays: Arrays
    dy: np.ndarray | None = None
