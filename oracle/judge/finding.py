"""What the judge says: of one comparison, and of one case."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from oracle.results import Verdict


class Fault(NamedTuple):
    """What makes two findings the same fault."""

    verdict: Verdict
    check: str
    output: str


@dataclass(frozen=True)
class Finding:
    """One thing that a target got wrong in one case."""

    verdict: Verdict
    check: str
    output: str
    message: str
    expected: Any = None
    got: Any = None
    error_over_bound: float | None = None
    traceback: str | None = None  # of an error that the target raised: the last lines in its own files

    @property
    def fault(self) -> Fault:
        """What it has in common with the same fault in other cases."""
        return Fault(self.verdict, self.check, self.output)


@dataclass(frozen=True)
class Held:
    """One comparison that held.

    If numbers were compared: the largest error over its bound. ``judged`` says whether these numbers were compared with the
    truth, and at least one of them had a bound that it had to lie within.
    """

    output: str
    error_over_bound: float | None = None
    judged: bool = False


@dataclass
class Judgement:
    """What came of one case, or of several.

    - ``judged`` has the names of the outputs and gradients whose numbers were found to lie within their bounds.
    - ``not_judged`` counts, for each output and gradient that came, the elements whose bound is infinite, if there are any.
    - ``not_judged_outputs`` has the names of those of which every element is so: nothing is known of them.
    - ``offered``: the layer returned a value. ``no_pullback``: but its pullback raised NotImplementedError.
    """

    findings: list[Finding] = field(default_factory=list)
    checks: int = 0
    worst: tuple[str, float] | None = None
    offered: bool = True
    undecided: int = 0
    no_pullback: bool = False
    judged: frozenset[str] = frozenset()
    not_judged: dict[str, int] = field(default_factory=dict)
    not_judged_outputs: frozenset[str] = frozenset()

    def add(self, result: Finding | Held) -> None:
        """Count a comparison and remember what was found."""
        self.checks += 1
        if isinstance(result, Finding):
            self.findings.append(result)
        elif result.judged:
            self.judged |= {result.output}
        if result.error_over_bound is not None and np.isfinite(result.error_over_bound):
            self.compared(result.output, result.error_over_bound)

    def count_not_judged(self, output: str, bound: np.ndarray) -> None:
        """Count the elements whose bound is infinite."""
        count = int(np.isinf(bound).sum())
        if count:
            self.not_judged[output] = self.not_judged.get(output, 0) + count
        if count and count == bound.size:
            self.not_judged_outputs |= {output}

    def include(self, other: Judgement) -> None:
        """Add the counts of another case; its findings stay with the case."""
        self.checks += other.checks
        self.undecided += other.undecided
        self.judged |= other.judged
        self.not_judged_outputs |= other.not_judged_outputs
        for output, count in other.not_judged.items():
            self.not_judged[output] = self.not_judged.get(output, 0) + count
        if other.worst is not None:
            self.compared(*other.worst)

    def compared(self, output: str, ratio: float) -> None:
        """Remember the largest error over bound."""
        if self.worst is None or ratio > self.worst[1]:
            self.worst = (output, ratio)
