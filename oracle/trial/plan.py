"""The plan of a layer: the cases that a trial starts with, and the slips that no case can tell from the truth.

A plan is made once, by a long search, and stored in ``plans/LAYER.json``:

- ``cases``: a small set of cases that together exclude every slip that any case of the search excludes, chosen greedily;
- ``equivalent``: the slips that change something, but never more than the rounding bound allows, each with the reason;
- ``hidden``: for each dtype, those that are seen in another dtype, but not in this one;
- ``no_effect``: the slips of the catalogue that change nothing in this layer.

``python -m oracle.trial.planning LAYER ...`` makes plans anew, after a layer, its cases or its slips have changed.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Collection, Mapping
from importlib.resources import files
from typing import Any, NamedTuple

from oracle.cases import Case, edge_cases
from oracle.cases.tiles import tile_cases
from oracle.layers import LAYERS
from oracle.results.codec import tuples

FULL, HALVES = ("float32", "float64"), ("float16", "bfloat16")
LONGEST_SMALL = 12  # the longest axis of a case of ``--sizes small``


@functools.cache
def _stored(layer: str) -> dict[str, Any]:
    path = files("oracle.trial") / "plans" / f"{layer}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def has_plan(layer: str) -> bool:
    """Whether a plan of the layer is stored. A layer of a user has none."""
    return bool(_stored(layer))


class Equivalent(NamedTuple):
    """The slips of a layer that no case tells from the truth, each with the reason, and those that change nothing."""

    equivalent: Mapping[str, str]
    no_effect: Collection[str]


def equivalent_slips(layer: str, dtype: str) -> Equivalent:
    """Return the slips of a layer that cannot be told from the truth in a dtype."""
    plan = _stored(layer)
    return Equivalent(plan.get("equivalent", {}) | plan.get("hidden", {}).get(dtype, {}), plan.get("no_effect", ()))


def planned_cases(layer: str, dtype: str, sizes: str = "tiles") -> list[Case]:
    """Return the cases that every trial judges: those of the plan, the cheapest first, then the edges and the long axes."""
    planned = [read(layer, dtype, case) for case in _stored(layer).get("cases", ())]
    if sizes == "small":
        planned = [case for case in planned if longest(case) <= LONGEST_SMALL]
    planned.sort(key=lambda case: case.elements)
    found = [*planned, *edge_cases(LAYERS[layer], dtype), *tile_cases(LAYERS[layer], dtype, sizes)]
    return list({(case.key, case.seed): case for case in found}.values())


def longest(case: Case) -> int:
    """Return the length of the longest axis of a case."""
    return max((n for shape in case.shapes if shape is not None for n in shape), default=0)


def read(layer: str, dtype: str, stored: list[Any]) -> Case:
    """Return the case that was written by ``written``, in a dtype."""
    shapes, configuration, values, memory, seed, odd_array = stored
    configuration = {name: tuples(value) for name, value in configuration.items()}
    return Case(layer, dtype, tuples(shapes), configuration, values, tuples(memory), seed, odd_array)


def written(case: Case) -> list[Any]:
    """Return a case as JSON has it, without its layer and its dtype."""
    return [case.shapes, case.configuration, case.values, case.memory, case.seed, case.odd_array]
