"""Put a wrong layer before the cases that a default run judges first: the planned ones, in their order.

The planned cases do not depend on the seed of a run. What is found in them is found for every seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from oracle.cases import Case
from oracle.judge import judge
from oracle.run.run import Options
from oracle.targets.ask import Asked
from oracle.trial.plan import planned_cases

DEFAULTS = Options()


@dataclass(frozen=True)
class Found:
    """The first case that a layer gets wrong, and how many cases were judged until then."""

    case: Case
    judged: int


def first_found(asked: Asked, layer: str) -> Found | None:
    """Return the first planned case of a default run, in either dtype, that a layer gets wrong."""
    for judged, case in enumerate(planned(layer), 1):
        if judge(asked, case).findings:
            return Found(case, judged)
    return None


def planned(layer: str) -> Iterator[Case]:
    """Yield the planned cases that a default run judges, dtype by dtype."""
    for dtype in DEFAULTS.dtypes:
        yield from planned_cases(layer, dtype, DEFAULTS.sizes)[: DEFAULTS.examples]
