"""Draw arrays for the examples of a claim, and simpler arrays for its counterexample."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

DRAWS = 5


class Draw:
    """One of the ``DRAWS`` attempts: 1, 2, 3 ... at first, then small integers, and in the last attempt real numbers."""

    def __init__(self, attempt: int) -> None:
        self.attempt = attempt
        self.rng = np.random.default_rng(attempt)

    def array(self, given: Any, kind: str = "real") -> Any:
        """Draw an array if a shape is given, and a list of arrays for a list of shapes. Return anything else as it is."""
        if isinstance(given, list) and given and all(isinstance(x, tuple) for x in given):
            return [self.array(shape, kind) for shape in given]
        if not (isinstance(given, tuple) and all(isinstance(n, int) for n in given)):
            return given
        return self.of_shape(given, kind)

    def of_shape(self, shape: tuple[int, ...], kind: str = "real") -> np.ndarray:
        """Draw an array of a shape that holds a kind of values."""
        size = math.prod(shape)
        if kind in ("probability", "fraction", "positive"):
            return ((np.arange(size) * (self.attempt + 1)) % 7 + 1.0).reshape(shape) / 8
        if self.attempt == 0:
            return np.arange(1.0, size + 1).reshape(shape)
        if self.attempt < DRAWS - 1:
            return self.rng.integers(-3, 4, shape).astype(np.float64)
        return np.asarray(self.rng.standard_normal(shape))


def simpler(x: np.ndarray) -> Iterator[np.ndarray]:
    """Yield arrays of the same shape that are easier to read, the simplest first."""
    yield np.zeros_like(x)
    for i in range(x.size):
        one_hot = np.zeros_like(x)
        one_hot.flat[i] = 1
        yield one_hot
    yield np.ones_like(x)
    yield np.arange(1.0, x.size + 1).reshape(x.shape)
