"""Make the plan of a layer: search long for cases that tell its slips from the truth, and keep a few that do.

``python -m oracle.trial.planning [LAYER ...]`` makes plans anew, after a layer, its cases or its slips have changed.
"""

from __future__ import annotations

import json
import sys
from math import prod
from pathlib import Path
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings

from oracle.cases import Case, cases, pool
from oracle.layers import LAYERS
from oracle.trial.plan import HALVES, written
from oracle.trial.strength import Strength

DRAWN = 200
REASON = "no case of a search over {count} cases tells it from the truth"


def make_plan(layer: str) -> dict[str, Any]:
    """Search for the cases of a layer that exclude its slips. Returns what is stored."""
    candidates = [*sorted(pool(LAYERS[layer], "float32", "tiles"), key=_cost), *_drawn(layer)]
    search = Strength(layer, "float32", equivalent={})
    useful = [case for case in candidates if search.judged(case)]
    again = {case: Strength(layer, "float32", equivalent={}).judged(case) for case in useful}
    chosen, left = [], set(search.excluded)
    while left:
        best = max(useful, key=lambda case: len(again[case] & left) / (1 + _cost(case) / 500))
        chosen.append(best)
        left -= again[best]
    reason = REASON.format(count=len(candidates))
    equivalent = dict.fromkeys(sorted(search.open), reason)
    return {
        "cases": [written(case) for case in chosen],
        "equivalent": equivalent,
        "equivalent_in_halves": _in_halves(layer, [*chosen, *useful], equivalent),
    }


def _in_halves(layer: str, useful: list[Case], equivalent: dict[str, str]) -> dict[str, str]:
    """Return the slips that are seen in float32, but not in one of the halves."""
    found: set[str] = set()
    for dtype in HALVES:
        search = Strength(layer, dtype, equivalent=equivalent)
        for case in [Case(layer, dtype, *written(case)) for case in useful]:  # type: ignore[arg-type]
            search.judged(case)
        found |= search.open
    return dict.fromkeys(sorted(found), "is seen in float32 and float64, but not in float16 or not in bfloat16")


def _drawn(layer: str) -> list[Case]:
    """Draw cases as a trial does."""
    drawn: list[Case] = []

    @settings(
        max_examples=DRAWN,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.seed(0)
    @given(cases(LAYERS[layer], "float32"))
    def collect(case: Case) -> None:
        drawn.append(case)

    collect()
    return drawn


def _cost(case: Case) -> int:
    return sum(prod(shape) for shape in case.shapes if shape is not None)


def main(layers: list[str]) -> None:
    """Make and store the plans of the layers that are named, or of all."""
    for layer in layers or list(LAYERS):
        plan = make_plan(layer)
        path = Path(__file__).with_name("plans") / f"{layer}.json"
        path.parent.mkdir(exist_ok=True)
        lines = [json.dumps(case) for case in plan.pop("cases")]
        body = ",\n  ".join(lines)
        rest = json.dumps(plan, indent=1)[1:]
        path.write_text('{\n "cases": [\n  ' + body + "\n ]," + rest + "\n", encoding="utf-8")
        print(f"{layer}: {len(lines)} cases, {len(plan['equivalent'])} equivalent slips")


if __name__ == "__main__":
    main(sys.argv[1:])
