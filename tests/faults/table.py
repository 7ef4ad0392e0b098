"""One row per planted fault: how the trial finds and names it, and which gradient checkers see it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from oracle.cases import Case, Values
from oracle.explain.diagnose import Diagnosis, diagnose
from oracle.judge import Fault as Kind
from oracle.judge import Finding, aspect_of, judge, judge_refusals
from oracle.layers import LAYERS
from oracle.targets.ask import InProcess, LayerFunction
from oracle.trial.search import Search
from tests.faults import FAULTS, Fault, planted
from tests.faults.checkers import CHECKERS, passes_check_grads, usual
from tests.faults.search import DEFAULTS, SEEDS, first_found, judged_until_found
from tests.faults.slips import planted_slip, slips_with_effect

SLIPS_PER_LAYER = 2
FRESH = 1000  # is added to the seeds of the cases that a diagnosis is checked with
MOST_FRESH, MOST_ELEMENTS = 24, 20_000
NUMERIC = ("value", "gradient", "subgradient")
DIAGNOSES = ("right", "several", "none", "wrong")
PATCH, TILES, SLIP = "patch", "patch at a tile size", "slip"
WHAT = ("a gradient, with a right value", "the value, with right gradients", "the value and a gradient", "no number")

Failing = dict[Kind, list[tuple[Case, Finding]]]


@dataclass(frozen=True)
class Slipped:
    """A known slip, planted into the truth of a layer."""

    layer: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.layer}: {self.sentence}"


def rows() -> list[Fault | Slipped]:
    """Return every patch of impl, and a few slips per layer, drawn with a fixed seed; layer by layer.

    The truth of a case is remembered for a while, so the rows of a layer share it.
    """
    drawn = random.Random(0)
    slips = [
        Slipped(layer, sentence)
        for layer in LAYERS
        for sentence in drawn.sample(slips_with_effect(layer), SLIPS_PER_LAYER)
    ]
    order = list(LAYERS)
    return sorted([*FAULTS, *slips], key=lambda fault: order.index(fault.layer))


def row(fault: Fault | Slipped) -> dict[str, Any]:
    """Try everything on one fault."""
    with _asked(fault) as asked:
        refusals = [] if isinstance(fault, Slipped) else judge_refusals(asked, fault.layer, DEFAULTS.dtypes[0]).accepted
        failing, right = _shown(asked, fault.layer)
        numeric = {kind: found for kind, found in failing.items() if kind.check in NUMERIC}
        said = {kind: diagnose(asked, kind, found, right) for kind, found in numeric.items()}
        judged = judged_until_found(asked, fault.layer) if not refusals else []
        return {
            "fault": str(fault),
            "family": LAYERS[fault.layer].mathematics.__module__.rpartition(".")[2],
            "origin": _origin(fault),
            "found": [True] * len(SEEDS) if refusals else [n is not None for n in judged],
            "judged": judged,
            "shown": sorted(
                {f"{kind.check} of {kind.output}" for kind in failing} | ({"refusal"} if refusals else set())
            ),
            "what": _what(numeric),
            "diagnosis": _worst(asked, fault, said, failing),
            "said": {f"{kind.check} of {kind.output}": d.text for kind, d in said.items() if d},
            "seen": [not passes(asked.function, usual(fault.layer)) for passes in CHECKERS.values()],
            "seen in its own case": _seen_in_its_own_case(asked.function, fault.layer, numeric),
        }


def _origin(fault: Fault | Slipped) -> str:
    if isinstance(fault, Slipped):
        return SLIP
    return TILES if fault.wrong.__module__.endswith(".tiles") else PATCH


@contextmanager
def _asked(fault: Fault | Slipped) -> Iterator[InProcess]:
    if isinstance(fault, Slipped):
        yield planted_slip(fault.layer, fault.sentence)
    else:
        with planted(fault) as faulty:
            yield faulty.layer


def _shown(asked: InProcess, layer: str) -> tuple[Failing, list[Case]]:
    """Search as a default run does, in the dtype that shows the fault first. Returns what fails, and what is right."""
    first = first_found(asked, layer)
    search = Search(asked, layer, DEFAULTS.dtypes[0] if first is None else first.case.dtype, DEFAULTS.sizes)
    search.run(DEFAULTS.examples, SEEDS[0])
    kinds = dict.fromkeys(kind for kind, _ in search.found)
    return {kind: search.failing(kind) for kind in kinds}, search.right


def _what(numeric: Failing) -> str:
    """Say which numbers are wrong."""
    gradient = any(kind.output.startswith("d") for kind in numeric)
    value = any(not kind.output.startswith("d") for kind in numeric)
    return {(False, True): WHAT[0], (True, False): WHAT[1], (True, True): WHAT[2], (False, False): WHAT[3]}[
        value, gradient
    ]


def _worst(asked: InProcess, fault: Fault | Slipped, said: dict[Kind, Diagnosis | None], failing: Failing) -> str:
    """Say whether what is named is what was planted; of several diagnoses the worst counts."""
    given = {kind: diagnosis for kind, diagnosis in said.items() if diagnosis is not None}
    words = [_rightness(asked, fault, kind, diagnosis, failing[kind]) for kind, diagnosis in given.items()]
    return max(words, key=DIAGNOSES.index, default="none")


def _rightness(asked: InProcess, fault: Fault | Slipped, kind: Kind, diagnosis: Diagnosis, failing: list[Any]) -> str:
    """A slip is rightly named by its own sentence; else what is named must give the same answers in fresh cases."""
    named = isinstance(fault, Slipped) and fault.sentence in diagnosis.slips
    if not named and not all(diagnosis.explains(case, finding) for case, finding in _fresh(asked, kind, failing)):
        return "wrong"
    return "several" if len(diagnosis.slips) > 1 else "right"


def _fresh(asked: InProcess, kind: Kind, failing: list[tuple[Case, Finding]]) -> Iterator[tuple[Case, Finding]]:
    """Yield what the layer gets wrong in the same way with other numbers, in configurations from all of the search."""
    ordinary = [case for case in _ordinary(kind, failing) if case.elements <= MOST_ELEMENTS]
    for case in ordinary[:: -(-len(ordinary) // MOST_FRESH) or 1]:
        fresh = replace(case, seed=case.seed + FRESH)
        yield from ((fresh, finding) for finding in judge(asked, fresh).findings if finding.fault == kind)


def _ordinary(kind: Kind, failing: list[tuple[Case, Finding]]) -> list[Case]:
    """Return the cases with ordinary numbers that have shown a fault, without edges such as an empty array."""
    return [case for case, _ in failing if case.values is Values.NORMAL and aspect_of(kind, case) == "mathematics"]


def _seen_in_its_own_case(function: LayerFunction, layer: str, numeric: Failing) -> bool:
    """Whether ``check_grads`` sees the fault in the first case with ordinary numbers that the trial found it with.

    It must accept the truth there.
    """
    ordinary = [case for kind, failing in numeric.items() for case in _ordinary(kind, failing)]
    if not ordinary:
        return False
    first = replace(ordinary[0], dtype="float64").contiguous
    return passes_check_grads(planted_slip(layer, "").function, first) and not passes_check_grads(function, first)
