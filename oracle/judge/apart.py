"""Decide if a case can tell an answer from the truth."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from oracle.cases import Arrays, Case
from oracle.judge.element import elements_of, error_over_bound
from oracle.judge.subgradient import is_another_subgradient
from oracle.truth import Truth

# Code that makes a slip rounds as well, so its answer may lie as far from the slip's as a right answer from the truth.
CLEARLY = 2.0


def told_apart(
    answers: Mapping[str, np.ndarray], judged: Collection[str], case: Case, arrays: Arrays, dy: np.ndarray, truth: Truth
) -> bool:
    """Whether some answer, of an output that was judged, is clearly outside its bound."""
    return any(_outside(name, answer, case, arrays, dy, truth) for name, answer in answers.items() if name in judged)


def _outside(name: str, answer: np.ndarray, case: Case, arrays: Arrays, dy: np.ndarray, truth: Truth) -> bool:
    if answer.shape != truth.pairs[name].value.shape:
        return True
    ratio = error_over_bound(elements_of(name, answer, case, arrays, dy, truth))
    if not ratio.size or ratio.max() <= CLEARLY:
        return False
    return not is_another_subgradient(name, answer, case, arrays, dy)
