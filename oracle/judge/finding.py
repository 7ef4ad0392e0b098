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
    """One comparison that held. If numbers were compared: the largest error over its bound."""

    output: str
    error_over_bound: float | None = None


@dataclass
class Judgement:
    """What came of one case, or of several."""

    findings: list[Finding] = field(default_factory=list)
    checks: int = 0
    worst: tuple[str, float] | None = None
    offered: bool = True
    undecided: int = 0

    def add(self, result: Finding | Held) -> None:
        """Count a comparison and remember what was found."""
        self.checks += 1
        if isinstance(result, Finding):
            self.findings.append(result)
        if result.error_over_bound is not None and np.isfinite(result.error_over_bound):
            self.compared(result.output, result.error_over_bound)

    def compared(self, output: str, ratio: float) -> None:
        """Remember the largest error over bound."""
        if self.worst is None or ratio > self.worst[1]:
            self.worst = (output, ratio)
