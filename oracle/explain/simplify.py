"""Make the arrays of a discrepancy readable: zeros, ones and small integers, as long as it stays."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from oracle.cases.case import Case
from oracle.judge.judge import Asked, Finding, drawn, judge
from oracle.layers import LAYERS
from oracle.targets.answers import Arrays, LayerFunction


def simplified(
    function: LayerFunction | Asked, case: Case, finding: Finding, attempts: int = 400
) -> tuple[Arrays, np.ndarray, Finding]:
    """Arrays, cotangent and finding of a case, its values replaced by simpler ones wherever the finding remains."""
    arrays, dy, _ = drawn(case)
    arrays, dy = [None if x is None else x.copy() for x in arrays], dy.copy()

    def still(candidate: Arrays, cotangent: np.ndarray) -> Finding | None:
        nonlocal attempts
        attempts -= 1
        found = judge(function, case, candidate, cotangent).findings
        if any(f.verdict == "timed_out" for f in found):
            attempts = 0
        return next((f for f in found if f.signature == finding.signature), None)

    layer = LAYERS[case.layer]
    everything: list[np.ndarray | None] = [*arrays, dy]
    free = [*(layer.kinds.get(name, "real") == "real" for name in layer.arrays), True]
    for i in reversed(range(len(everything))):
        current = everything[i]
        if current is None or not free[i]:
            continue
        for simpler in _simpler(current):
            if attempts <= 0:
                break
            trial = [*everything[:i], simpler, *everything[i + 1 :]]
            again = still(trial[:-1], np.asarray(trial[-1]))
            if again is not None:
                everything, finding = trial, again
                break
    for i, current in enumerate(everything):
        if current is None or current.size > 64 or not free[i]:
            continue
        for place in np.ndindex(current.shape):
            for value in (0, 1):
                now = everything[i]
                assert now is not None
                if attempts <= 0 or now[place] in (0, 1):
                    break
                simpler = now.copy()
                simpler[place] = value
                trial = [*everything[:i], simpler, *everything[i + 1 :]]
                again = still(trial[:-1], np.asarray(trial[-1]))
                if again is not None:
                    everything, finding = trial, again
                    break
    last = everything[-1]
    assert last is not None
    return everything[:-1], last, finding


def _simpler(x: np.ndarray) -> Iterator[np.ndarray]:
    """Whole arrays to try in the place of x, simplest first."""
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
        rounded = np.asarray(np.round(x.astype(np.float64))).astype(x.dtype)  # of a 0-d array np.round makes a scalar
    if not np.array_equal(rounded, x, equal_nan=True):
        yield rounded
