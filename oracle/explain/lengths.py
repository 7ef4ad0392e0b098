"""Find the smallest length of a long axis that still shows a fault: "wrong from 129 on along D"."""

from __future__ import annotations

from typing import NamedTuple

from oracle.cases import Case
from oracle.cases.lengths import lengths, with_length
from oracle.judge import Finding, judge
from oracle.layers.fit import Symbol
from oracle.targets.ask import Asked
from oracle.truth import Uninterpretable

STEPS = (1, 2, 4, 8, 16, 32, 64)
LONG = 8  # a shorter axis is no sign of code that works in blocks


class Shortest(NamedTuple):
    """A case with axes as short as they can be, its finding, and what its lengths say about the fault."""

    case: Case
    finding: Finding
    says: str


def shortest(layer: Asked, case: Case, finding: Finding) -> Shortest:
    """Shorten each long axis of a case as far as the fault remains."""
    says = []
    for axis, length in sorted(lengths(case).items(), key=lambda item: -item[1]):
        if length <= LONG:
            continue
        found = _smallest(layer, case, finding, axis, length)
        if found is None:
            continue
        case, finding, length = found
        if length > LONG:
            says.append(f"wrong from {length} on along {axis}")
    return Shortest(case, finding, "; ".join(says))


def _smallest(
    layer: Asked, case: Case, finding: Finding, axis: Symbol, length: int
) -> tuple[Case, Finding, int] | None:
    """Return the case with the smallest length that fails: each shorter one that was tried is right.

    The lengths 2, 3, 5, 9, 17 and so on are tried until one fails: code that works in blocks is often right for whole
    blocks. Between it and the one before, halving finds the place. For a length that the target refuses, the next multiple
    of a power of two that it takes is tried.
    """

    def failing(least: int, most: int) -> tuple[Case, Finding, int] | None:
        for n in (n for step in STEPS if (n := -(-least // step) * step) <= most):
            other = with_length(case, axis, n)
            if other is None:
                continue
            try:
                judgement = judge(layer, other)
            except (
                ValueError,
                TypeError,
                ZeroDivisionError,
                Uninterpretable,
            ):  # the mathematics does not take this length
                continue
            if judgement.offered:
                return next(((other, f, n) for f in judgement.findings if f.fault == finding.fault), None)
        return None

    right, found = 0, failing(1, length - 1)
    step = 1
    while found is None and step + 1 < length:
        found = failing(step + 1, length - 1)
        right, step = (right, step) if found else (step + 1, 2 * step)
    best = found or failing(length, length)
    while best is not None and best[2] - right > 1:
        middle = (right + best[2]) // 2
        found = failing(middle, best[2] - 1)
        right, best = (right, found) if found else (middle, best)
    return best
