"""One row per planted fault: how the trial finds and names it, and which gradient checkers see it."""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from oracle.cases import Case, Values
from oracle.explain.diagnose import Diagnosis, diagnose
from oracle.judge import Fault as Kind
from oracle.judge import judge, judge_refusals
from oracle.layers import LAYERS
from oracle.targets.ask import InProcess
from oracle.trial.plan import planned_cases
from tests.faults import FAULTS, Fault, planted
from tests.faults.checkers import passes_check_grads, passes_gradcheck
from tests.faults.search import DEFAULTS, first_found
from tests.faults.slips import planted_slip, slips_with_effect

SLIPS_PER_LAYER = 2
FRESH = 1000  # is added to the seeds of the cases that a diagnosis is checked with
MOST_FRESH, MOST_ELEMENTS = 8, 20_000
NUMERIC = ("value", "gradient", "subgradient")
DIAGNOSES = ("right", "several", "absent", "wrong")
COLUMNS = ("gradcheck, slow", "gradcheck, fast", "check_grads")


@dataclass(frozen=True)
class Slipped:
    """A known slip, planted into the truth of a layer."""

    layer: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.layer}: {self.sentence} (slip)"


def rows() -> list[Fault | Slipped]:
    """Return every patch of impl, and a few slips per layer, drawn with a fixed seed."""
    drawn = random.Random(0)
    slips = [
        Slipped(layer, sentence)
        for layer in LAYERS
        for sentence in drawn.sample(slips_with_effect(layer), SLIPS_PER_LAYER)
    ]
    return [*FAULTS, *slips]


def row(fault: Fault | Slipped) -> dict[str, Any]:
    """Try everything on one fault."""
    slip = isinstance(fault, Slipped)
    found: dict[str, Any] = {"family": family(fault.layer), "slip": slip}
    found["tiles"] = not slip and fault.wrong.__module__.endswith(".tiles")
    with _asked(fault) as asked:
        if not slip and judge_refusals(asked, fault.layer, DEFAULTS.dtypes[0]).accepted:
            found |= {"judged": 0, "diagnosis": "not numeric"}
        else:
            first = first_found(asked, fault.layer)
            found["judged"] = None if first is None else first.judged
            found["diagnosis"] = "not numeric" if first is None else _diagnosed(asked, fault, first.case.dtype)
        if importlib.util.find_spec("torch") is not None:
            for column, fast in zip(COLUMNS, (False, True), strict=False):
                found[column] = not passes_gradcheck(asked.function, fault.layer, fast)
        found[COLUMNS[2]] = not passes_check_grads(asked.function, fault.layer)
    return found


def family(layer: str) -> str:
    """Return the file of the mathematics of a layer."""
    return LAYERS[layer].mathematics.__module__.rpartition(".")[2]


@contextmanager
def _asked(fault: Fault | Slipped) -> Iterator[InProcess]:
    if isinstance(fault, Slipped):
        yield planted_slip(fault.layer, fault.sentence)
    else:
        with planted(fault) as faulty:
            yield faulty.layer


def _diagnosed(asked: InProcess, fault: Fault | Slipped, dtype: str) -> str:
    """Diagnose what the planned cases show; say whether what is named is what was planted."""
    failing: dict[Kind, list[Any]] = {}
    right: list[Case] = []
    for case in planned_cases(fault.layer, dtype, DEFAULTS.sizes)[: DEFAULTS.examples]:
        findings = judge(asked, case).findings
        for finding in findings:
            failing.setdefault(finding.fault, []).append((case, finding))
        if not findings:
            right.append(case)
    numeric = [kind for kind in failing if kind.check in NUMERIC]
    if not numeric:
        return "not numeric"
    said = {kind: diagnose(asked, kind, failing[kind], right) for kind in numeric}
    given = [_rightness(asked, fault, kind, diagnosis, failing[kind]) for kind, diagnosis in said.items() if diagnosis]
    return max(given, key=DIAGNOSES.index, default="absent")


def _rightness(asked: InProcess, fault: Fault | Slipped, kind: Kind, diagnosis: Diagnosis, failing: list[Any]) -> str:
    """A slip is rightly named by its own sentence; else what is named must give the same answers in fresh cases."""
    named = isinstance(fault, Slipped) and fault.sentence in diagnosis.slips
    if not named and not all(diagnosis.explains(case, finding) for case, finding in _fresh(asked, kind, failing)):
        return "wrong"
    return "several" if len(diagnosis.slips) > 1 else "right"


def _fresh(asked: InProcess, kind: Kind, failing: list[Any]) -> Iterator[tuple[Case, Any]]:
    """Yield what the layer gets wrong in the same way with other numbers."""
    ordinary = [case for case, _ in failing if case.values is Values.NORMAL and case.size[1] <= MOST_ELEMENTS]
    for case in ordinary[:MOST_FRESH]:
        fresh = replace(case, seed=case.seed + FRESH)
        yield from ((fresh, finding) for finding in judge(asked, fresh).findings if finding.fault == kind)


def written(found: list[dict[str, Any]]) -> str:
    """Return the table in Markdown: a line per family, and one for all."""
    heads = ["family", "patches of impl", "of these at tile sizes", "slips", "found", "median judged cases until found"]
    heads += [f"diagnosis {word}" for word in DIAGNOSES] + [f"{column} sees" for column in COLUMNS]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for name in (*sorted({r["family"] for r in found}), "all"):
        lines.append("| " + " | ".join(_cells(name, [r for r in found if name in (r["family"], "all")])) + " |")
    return "\n".join(lines) + "\n"


def _cells(name: str, found: list[dict[str, Any]]) -> list[str]:
    judged = [r["judged"] for r in found if r["judged"] is not None]
    slips = sum(r["slip"] for r in found)
    counts = [len(found) - slips, sum(r["tiles"] for r in found), slips, f"{len(judged)} of {len(found)}"]
    counts += [f"{median(judged):g}" if judged else "-"]
    counts += [sum(r["diagnosis"] == word for r in found) for word in DIAGNOSES]
    counts += [sum(r[c] for r in found) if all(c in r for r in found) else "not run" for c in COLUMNS]
    return [name, *map(str, counts)]
