"""Put a wrong layer before the cases that a default run judges: first the planned ones, in their order.

The planned cases do not depend on the seed of a run. What is found in them is found for every seed.
"""

from __future__ import annotations

from dataclasses import dataclass

from oracle.cases import Case
from oracle.judge import judge
from oracle.run.run import Options
from oracle.targets.ask import Asked
from oracle.trial.plan import planned_cases
from oracle.trial.search import Search

DEFAULTS = Options()
SEEDS = (0, 1, 2, 3, 4)


@dataclass(frozen=True)
class Found:
    """The first case that a layer gets wrong, and how many cases were judged until then."""

    case: Case
    judged: int


def first_found(asked: Asked, layer: str) -> Found | None:
    """Return the first planned case of a default run, in either dtype, that a layer gets wrong.

    A run that finds nothing in the first dtype has judged all its examples before it comes to the second.
    """
    for turn, dtype in enumerate(DEFAULTS.dtypes):
        planned = planned_cases(layer, dtype, DEFAULTS.sizes)[: DEFAULTS.examples]
        for judged, case in enumerate(planned, turn * DEFAULTS.examples + 1):
            if judge(asked, case).findings:
                return Found(case, judged)
    return None


def judged_until_found(asked: Asked, layer: str) -> list[int | None]:
    """Return, for each seed, how many cases a default run judges until its first finding; None if it finds nothing.

    What no planned case shows is searched for with every seed.
    """
    first = first_found(asked, layer)
    return [_searched(asked, layer, seed) if first is None else first.judged for seed in SEEDS]


def _searched(asked: Asked, layer: str, seed: int) -> int | None:
    judged = 0
    for dtype in DEFAULTS.dtypes:
        search = Search(asked, layer, dtype, DEFAULTS.sizes)
        search.run(DEFAULTS.examples, seed, until_found=True)
        judged += search.judged
        if search.found:
            return judged
    return None
