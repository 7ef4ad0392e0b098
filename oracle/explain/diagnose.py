"""Name the slip that reproduces what a target returned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from oracle.cases import Case, Values, numpy_dtype
from oracle.judge import Fault, Finding, judge
from oracle.judge.apart import told_apart
from oracle.slips import Circumstances, Slip, mutations_of, slips_at
from oracle.targets.ask import Asked
from oracle.truth import Pair, Precision

LEAST_CASES, LEAST_ELEMENTS = 3, 8
MOST_CASES = 12
MOST_ELEMENTS = 20_000  # of a case: every slip is computed for it
MOST_RIGHT = 8
CLEARLY_OUTSIDE = 7  # times the bound; see ``_reproduces``
SHARE = 1e-2  # of the deviation that a slip may leave unexplained: what the target rounds


@dataclass(frozen=True)
class Evidence:
    """What a target returned for one output of a case, and the circumstances in which a slip is computed."""

    at: Circumstances
    output: str
    got: np.ndarray

    def shows(self, slip: Slip) -> bool:
        """Whether the slip reproduces what the target returned, and differs from the truth."""
        answer = slip.answers(self.at).get(self.output)
        return answer is not None and _reproduces(answer, self.got, self.at.truth.pairs[self.output], self.at.case)


@dataclass(frozen=True)
class Diagnosis:
    """The slips that reproduce what a target returned, by their sentences."""

    slips: tuple[str, ...]

    @property
    def text(self) -> str:
        """All of them as one sentence."""
        return "; or: ".join(self.slips)

    def explains(self, case: Case, finding: Finding) -> bool:
        """Whether one of the slips reproduces what came in another case."""
        if not isinstance(finding.got, np.ndarray):
            return False
        with np.errstate(all="ignore"):
            shown = Evidence(Circumstances.of(case), finding.output, np.asarray(finding.got, np.float64))
            return any(shown.shows(slip) for slip in slips_at(shown.at) if slip.sentence in self.slips)


def diagnose(
    layer: Asked, fault: Fault, failing: Sequence[tuple[Case, Finding]], right: Sequence[Case]
) -> Diagnosis | None:
    """Find the slips behind a fault; None if no known slip reproduces it.

    A slip is named if it reproduces what the target returned in at least three cases with at least eight elements of
    different truth together, and if it contradicts nothing that the target has right: another output of these cases, or
    any output of a case without findings. What is only derived from the jaxpr is named if the catalogue knows nothing that
    fits.
    """
    if fault.check not in ("value", "gradient", "subgradient"):
        return None
    evidence = _evidence(layer, fault, failing)
    if not evidence:
        return None
    with np.errstate(all="ignore"):  # what a slip computes may overflow
        derived = {slip.sentence for slip in mutations_of(evidence[0].at)}
        fitting = [slip.sentence for slip in slips_at(evidence[0].at) if all(e.shows(slip) for e in evidence)]
        for at, outputs in _known_right(layer, evidence, right) if fitting else ():
            shown = _would_show(at, outputs, fitting)
            fitting = [sentence for sentence in fitting if sentence not in shown]
    known = [sentence for sentence in fitting if sentence not in derived]
    return Diagnosis(tuple(known or fitting)) if fitting else None


def _evidence(layer: Asked, fault: Fault, failing: Sequence[tuple[Case, Finding]]) -> list[Evidence]:
    """Collect cases that show the fault, of as many configurations as there are, until they can tell slips apart."""
    evidence: list[Evidence] = []
    different: set[float] = set()

    def add(case: Case, finding: Finding) -> None:
        if isinstance(finding.got, np.ndarray):
            at = Circumstances.of(case)
            with np.errstate(over="ignore"):  # a wider dtype may hold more than float64
                got, true = np.asarray(finding.got, float), at.true(fault.output)
            evidence.append(Evidence(at, fault.output, got))
            if got.shape == true.shape:  # many slips lead to the same NaN
                different.update(true[np.isfinite(got)].tolist())

    def enough() -> bool:
        return len(evidence) >= LEAST_CASES and len(different) >= LEAST_ELEMENTS

    fitting = _telling_first(failing)
    for case, finding in fitting:
        if len(evidence) < MOST_CASES and (_tells(case, finding) or not enough()):
            add(case, finding)
    for case, finding in _fresh(layer, fault, fitting):
        if enough():
            break
        add(case, finding)
    return evidence if enough() else []


def _telling_first(failing: Sequence[tuple[Case, Finding]]) -> list[tuple[Case, Finding]]:
    """Order the cases that failed: those that tell most first, another configuration each time, the largest first."""
    findings = dict(failing)
    cases = _in_turn([case for case, _ in failing if case.elements <= MOST_ELEMENTS])
    return [(case, findings[case]) for case in sorted(cases, key=lambda case: not _tells(case, findings[case]))]


def _in_turn(cases: Sequence[Case]) -> list[Case]:
    """Order cases so that another configuration comes each time, the largest cases first."""
    seen: Counter[str] = Counter()
    turns: list[tuple[int, Case]] = []
    for case in sorted(cases, key=lambda case: -case.elements):
        options = repr(sorted(case.configuration.items()))
        turns.append((seen[options], case))
        seen[options] += 1
    return [case for _, case in sorted(turns, key=lambda turn: turn[0])]


def _tells(case: Case, finding: Finding) -> bool:
    """Whether ordinary numbers are so far outside their bound that whatever reproduces them differs from the truth."""
    ratio = finding.error_over_bound
    return case.values is Values.NORMAL and (ratio is None or not ratio < CLEARLY_OUTSIDE)


def _fresh(layer: Asked, fault: Fault, fitting: Sequence[tuple[Case, Finding]]) -> Iterator[tuple[Case, Finding]]:
    """Yield configurations that failed with other numbers."""
    for case, _ in fitting[:LEAST_CASES]:
        for seed in range(1, MOST_CASES):
            fresh = replace(case, seed=case.seed + 100 * seed)
            for finding in judge(layer, fresh).findings:
                if finding.fault == fault:
                    yield fresh, finding


def _known_right(
    layer: Asked, evidence: Sequence[Evidence], right: Sequence[Case]
) -> Iterator[tuple[Circumstances, frozenset[str]]]:
    """Yield what the target has right: outputs of the cases that show the fault, then all outputs of other cases."""
    for e in evidence:
        judgement = judge(layer, e.at.case)
        yield e.at, judgement.judged - {finding.output for finding in judgement.findings}
    for case in _telling(right):
        at = Circumstances.of(case)
        yield at, frozenset(at.names)


def _telling(right: Sequence[Case]) -> list[Case]:
    """Choose cases that the target has right and that tell most slips from the truth."""
    ordinary = [case for case in right if case.values is Values.NORMAL]
    return _in_turn([case for case in ordinary if LEAST_ELEMENTS <= case.elements <= MOST_ELEMENTS])[:MOST_RIGHT]


def _would_show(at: Circumstances, outputs: Collection[str], sentences: Collection[str]) -> set[str]:
    """Return the slips that would have shown in outputs that the target has right."""
    slips = (slip for slip in slips_at(at) if slip.sentence in sentences)
    return {s.sentence for s in slips if told_apart(s.answers(at), outputs, at.case, at.arrays, at.dy, at.truth)}


def _reproduces(answer: np.ndarray, got: np.ndarray, truth: Pair, case: Case) -> bool:
    """Whether an answer is what came, within rounding, and explains what is wrong with it."""
    if answer.shape != got.shape:
        return False
    finite = np.isfinite(got)
    if not np.array_equal(np.isfinite(answer), finite):
        return False
    if not np.array_equal(answer[~finite], got[~finite], equal_nan=True):
        return False
    if got.shape != truth.value.shape or not finite.all():
        return bool(np.allclose(answer[finite], got[finite], rtol=SHARE))
    bound = np.where(np.isfinite(truth.error), truth.error, 0.0)
    deviation = np.abs(answer - np.asarray(truth.value, np.float64))
    unit = Precision.of(numpy_dtype(case.dtype)).unit_roundoff
    room = 2 * bound + SHARE * deviation + 8 * unit * np.abs(answer)
    return bool(np.all(np.abs(answer - got) <= room) and np.any(deviation > 4 * bound))
