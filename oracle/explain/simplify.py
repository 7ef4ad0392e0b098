"""Make the arrays of a discrepancy readable: zeros, ones and small integers, as long as the fault remains.

Hypothesis shrinks the shapes and the configuration of a case. What is left is an array of random digits, and a person
sees more in ``[[1, 0], [0, 2]]``. A simplifier holds the arrays, dy and the finding. Its passes try simpler arrays in
their place. A good pass tries the largest step first (the whole array becomes zeros), keeps what still shows the same
fault, and ends after a bounded number of attempts, because each attempt asks the target. It goes through the arrays from
the last one to the first: dy and the weights are often irrelevant, and x then keeps what matters.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from oracle.cases import Arrays, Case
from oracle.judge import Finding, judge
from oracle.layers import LAYERS
from oracle.targets.ask import Asked
from oracle.truth import drawn

MOST_ATTEMPTS = 400
MOST_ELEMENTS = 64  # of an array whose elements are tried one by one


class Simplified(NamedTuple):
    """Simple arrays on which a fault still shows, and the finding that they lead to."""

    arrays: Arrays
    dy: np.ndarray
    finding: Finding


def simplified(layer: Asked, case: Case, finding: Finding, attempts: int = MOST_ATTEMPTS) -> Simplified:
    """Replace the values of a case by simpler ones wherever the fault of the finding remains."""
    return Simplifier(layer, case, finding, attempts).run()


class Simplifier:
    """The arrays of one case, and what is still to be tried on them."""

    def __init__(self, layer: Asked, case: Case, finding: Finding, attempts: int) -> None:
        self.layer, self.case, self.finding, self.attempts = layer, case, finding, attempts
        arrays, dy, _ = drawn(case)
        self.all: Arrays = [*arrays, dy]
        kinds, names = LAYERS[case.layer].kinds, LAYERS[case.layer].arrays
        self.free = [*(kinds.get(name, "real") == "real" for name in names), True]

    def run(self) -> Simplified:
        """Make every pass once."""
        for one_pass in (self.whole_arrays, self.single_elements):
            one_pass()
        *arrays, dy = self.all
        assert dy is not None
        return Simplified(arrays, dy, self.finding)

    def whole_arrays(self) -> None:
        """Put zeros, ones, a single one, or rounded numbers in the place of a whole array."""
        for i in reversed(range(len(self.all))):
            current = self.all[i]
            if current is None or not self.free[i]:
                continue
            for simpler in _simpler(current):
                if self.attempts <= 0 or self.keeps(i, simpler):
                    break

    def single_elements(self) -> None:
        """Put 0 or 1 in the place of single elements of small arrays."""
        for i, current in enumerate(self.all):
            if current is None or current.size > MOST_ELEMENTS or not self.free[i]:
                continue
            for place in np.ndindex(current.shape):
                for value in (0, 1):
                    now = self.all[i]
                    assert now is not None
                    if self.attempts <= 0 or now[place] in (0, 1):
                        break
                    simpler = now.copy()
                    simpler[place] = value
                    if self.keeps(i, simpler):
                        break

    def keeps(self, i: int, simpler: np.ndarray) -> bool:
        """Try an array in the place of another one, and keep it if the same fault is found."""
        self.attempts -= 1
        trial = [*self.all[:i], simpler, *self.all[i + 1 :]]
        *arrays, dy = trial
        found = judge(self.layer, self.case, arrays, dy).findings
        if any(f.verdict == "timed_out" for f in found):
            self.attempts = 0
        again = next((f for f in found if f.fault == self.finding.fault), None)
        if again is None:
            return False
        self.all, self.finding = trial, again
        return True


def _simpler(x: np.ndarray) -> Iterator[np.ndarray]:
    """Yield whole arrays to try in the place of x, the simplest first."""
    yield np.zeros_like(x)
    yield np.ones_like(x)
    if 1 < x.size <= 16:
        for i in range(x.size):
            one_hot = np.zeros_like(x)
            one_hot.flat[i] = 1
            yield one_hot
    if x.size:
        yield np.arange(x.size).reshape(x.shape).astype(x.dtype)
    with np.errstate(invalid="ignore"):
        # np.round of a 0-d array is a scalar, which cannot be assigned to.
        rounded = np.asarray(np.round(x.astype(np.float64))).astype(x.dtype)
    if not np.array_equal(rounded, x, equal_nan=True):
        yield rounded
