"""Make the plan of a layer: search long for cases that tell its slips from the truth, and keep a few that do.

``python -m oracle.trial.planning [LAYER ...]`` makes plans anew, after a layer, its cases or its slips have changed.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings

from oracle.cases import Case, cases, pool, tile_cases
from oracle.layers import LAYERS, Layer
from oracle.trial.plan import FULL, HALVES, Equivalent, written
from oracle.trial.strength import Strength

DRAWN = 200
NOTHING = Equivalent({}, ())
WITHIN = "changes no answer by more than the rounding bound allows in any of {count} cases"
HIDDEN = "is seen in another dtype; the rounding of {dtype} hides it, or it is a slip of the other dtype only"


def make_plan(layer: str) -> dict[str, Any]:
    """Search for the cases of a layer that exclude its slips. Returns what is stored."""
    candidates = _candidates(LAYERS[layer])
    searches = {dtype: Strength(layer, dtype, NOTHING) for dtype in FULL}
    useful = [case for case in candidates if _judged_in_all(searches, case)]
    chosen = _chosen(layer, useful, searches)
    within = set.intersection(*(search.open for search in searches.values()))
    effect = set.union(*(search.with_effect for search in searches.values()))
    equivalent = dict.fromkeys(sorted(within & effect), WITHIN.format(count=len(candidates)))
    found = Equivalent(equivalent, sorted(within - effect))
    hidden = {dtype: sorted(search.open - within) for dtype, search in searches.items()}
    for dtype in HALVES:
        search = Strength(layer, dtype, found)
        for case in useful:
            search.judged(replace(case, dtype=dtype))
        hidden[dtype] = sorted(search.open)
    return {
        "cases": [written(case) for case in chosen],
        "equivalent": found.equivalent,
        "hidden": {dtype: dict.fromkeys(slips, HIDDEN.format(dtype=dtype)) for dtype, slips in hidden.items()},
        "no_effect": found.no_effect,
    }


def _candidates(layer: Layer) -> list[Case]:
    """Return what the search tries: the pool, long axes with other numbers, and what is drawn as in a trial."""
    again = [replace(case, seed=seed) for seed in (1, 2, 3) for case in tile_cases(layer, "float32", "tiles")]
    return [*sorted([*pool(layer, "float32", "tiles"), *again], key=lambda case: case.elements), *_drawn(layer.name)]


def _judged_in_all(searches: dict[str, Strength], case: Case) -> bool:
    """Exclude what a case excludes in each dtype. Returns whether that was anything."""
    found = [search.judged(replace(case, dtype=dtype)) for dtype, search in searches.items()]
    return any(found)


def _chosen(layer: str, useful: list[Case], searches: dict[str, Strength]) -> list[Case]:
    """Choose cases that together exclude all that the search has excluded, the ones that exclude most first."""
    again = {
        case: {(dtype, slip) for dtype in FULL for slip in _alone(layer, replace(case, dtype=dtype))} for case in useful
    }
    chosen, left = [], {(dtype, slip) for dtype, search in searches.items() for slip in search.excluded}
    while left:
        best = max(useful, key=lambda case: len(again[case] & left) / (1 + case.elements / 500))
        chosen.append(best)
        left -= again[best]
    return chosen


def _alone(layer: str, case: Case) -> set[str]:
    return Strength(layer, case.dtype, NOTHING).judged(case)


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
