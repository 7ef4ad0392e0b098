"""A slip: a known way to get a layer wrong, and what an implementation with it would return."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from oracle.cases import Arrays, Case
from oracle.truth import truth_of


class Slip(NamedTuple):
    """A sentence that names the slip, and the array that an implementation with it would return."""

    sentence: str
    answer: np.ndarray


@dataclass(frozen=True)
class Circumstances:
    """What a slip is computed from: a case with its arrays and dy, and the true value of one output or gradient."""

    case: Case
    arrays: Arrays
    dy: np.ndarray
    output: str
    truth: np.ndarray

    def true_value(self, case: Case, arrays: Arrays, dy: np.ndarray) -> np.ndarray:
        """Compute what the same output truly is in another case."""
        return np.asarray(truth_of(case, arrays, dy).pairs[self.output].value, np.float64)


Family = Callable[[Circumstances], Iterator[Slip]]
