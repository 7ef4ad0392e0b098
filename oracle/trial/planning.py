"""Make the plan of a layer: search long for cases that tell its slips from the truth, and keep a few that do.

``python -m oracle.trial.planning [LAYER ...]`` makes plans anew, after a layer, its cases or its slips have changed.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings

from oracle.cases import Case, cases, pool
from oracle.layers import LAYERS
from oracle.trial.plan import HALVES, Equivalent, written
from oracle.trial.strength import Strength

DRAWN = 200
NOTHING = Equivalent({}, ())
WITHIN = "changes no answer by more than the rounding bound allows in any of {count} cases"
IN_HALVES = "is seen in float32 and float64; the rounding of float16 or of bfloat16 hides it"


def make_plan(layer: str) -> dict[str, Any]:
    """Search for the cases of a layer that exclude its slips. Returns what is stored."""
    candidates = [*sorted(pool(LAYERS[layer], "float32", "tiles"), key=_cost), *_drawn(layer)]
    search = Strength(layer, "float32", NOTHING)
    useful = [case for case in candidates if search.judged(case)]
    again = {case: Strength(layer, "float32", NOTHING).judged(case) for case in useful}
    chosen, left = [], set(search.excluded)
    while left:
        best = max(useful, key=lambda case: len(again[case] & left) / (1 + _cost(case) / 500))
        chosen.append(best)
        left -= again[best]
    within = search.open & search.with_effect
    found = Equivalent(
        dict.fromkeys(sorted(within), WITHIN.format(count=len(candidates))), sorted(search.open - within)
    )
    return {
        "cases": [written(case) for case in chosen],
        "equivalent": found.equivalent,
        "equivalent_in_halves": _in_halves(layer, useful, found),
        "no_effect": found.no_effect,
    }


def _in_halves(layer: str, useful: list[Case], found: Equivalent) -> dict[str, str]:
    """Return the slips that are seen in float32, but not in one of the halves."""
    hidden: set[str] = set()
    for dtype in HALVES:
        search = Strength(layer, dtype, found)
        for case in useful:
            search.judged(replace(case, dtype=dtype))
        hidden |= search.open
    return dict.fromkeys(sorted(hidden), IN_HALVES)


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
