"""One layer of one target in one dtype on trial: draw cases, judge them, and make what is found readable."""

from __future__ import annotations

import functools
import time
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import hypothesis
import jax
import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.database import ExampleDatabase
from hypothesis.errors import HypothesisException

from oracle.cases.case import Case, cases, edge_cases
from oracle.explain.diagnose import diagnose
from oracle.explain.script import as_array, script
from oracle.explain.simplify import simplified
from oracle.judge.judge import Asked, Finding, Judgement, drawn, judge, judge_refusals
from oracle.layers import LAYERS
from oracle.results.model import Discrepancy, Trial, Worst, worst_verdict
from oracle.targets.answers import LayerFunction
from oracle.targets.find import BUILT_IN
from oracle.targets.process import Isolated, Limits, TargetProcess

MOST_DISCREPANCIES = 5
MOST_TIMED_OUT = 3
MOST_CRASHED = 25
BATCH = 1000  # Hypothesis remembers every example of a search


@dataclass(frozen=True)
class Task:
    """What one trial needs: it follows from this alone, wherever it is done."""

    target: str
    layer: str
    dtype: str
    examples: int
    seed: int
    limits: Limits = field(default_factory=Limits)
    known: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """A trial, and the examples that failed, as Hypothesis stores them, to be tried first the next time."""

    trial: Trial
    failed: tuple[bytes, ...] = ()


def examine(task: Task) -> Outcome:
    """Put a layer that the target offers on trial, the target in a process of its own.

    The built-in targets keep theirs from one trial to the next; what another one does to its process while one layer is
    tried is not to be seen in the next.
    """
    process = _process_of(task.target, task.limits)
    try:
        process.offer()  # which starts it, also where it has died since the last trial
        layer = Isolated(process, task.layer)
        return examine_function(task.target, layer, task.layer, task.dtype, task.examples, task.seed, task.known)
    finally:
        jax.clear_caches()  # what was traced for this layer is of no use for the next
        if task.target not in BUILT_IN:
            process.close()


def lost(task: Task, message: str) -> Outcome:
    """The outcome of a trial whose own process died, again and again."""
    finding = Finding("crashed", "process", "y", message)
    source = f"# backproof run --target {task.target} --layers {task.layer} --dtype {task.dtype} --seed {task.seed}\n"
    discrepancy = Discrepancy(
        id=_identity(task.target, task.layer, task.dtype, finding),
        verdict="crashed",
        check=finding.check,
        output=finding.output,
        message=message,
        configuration={},
        arrays={},
        reproduce=source,
    )
    trial = Trial(
        target=task.target,
        layer=task.layer,
        dtype=task.dtype,
        verdict="crashed",
        note=message,
        discrepancies=[discrepancy],
    )
    return Outcome(trial)


@functools.cache
def _process_of(target: str, limits: Limits) -> TargetProcess:
    return TargetProcess(target, limits)


class Examination:
    """One layer of one target in one dtype: every case that was tried, and what came of it."""

    def __init__(self, function: LayerFunction | Asked, layer: str, dtype: str) -> None:
        self.function, self.layer, self.dtype = function, layer, dtype
        self.total = Judgement()
        self.right: set[tuple[int, int]] = set()
        self.wrong: dict[Case, list[Finding]] = {}
        self.configurations: set[int] = set()
        self.examples = self.unsupported = self.crashed = self.timed_out = 0
        self.found: dict[tuple[str, str, str], tuple[Case, Finding]] = {}
        self.failed: set[bytes] = set()
        self.most_afterwards = 0
        self.left: int | None = None

    @property
    def stopped(self) -> str | None:
        """Why no further case is tried, where that is so."""
        if self.timed_out >= MOST_TIMED_OUT:
            return f"stopped after {self.timed_out} cases without an answer in time"
        return f"stopped after the process died {self.crashed} times" if self.crashed >= MOST_CRASHED else None

    def attempt(self, case: Case) -> list[Finding]:
        """Judge a case, once; after the first finding, no more than a bounded number of new ones."""
        key = hash(case.key)
        if case in self.wrong:
            return self.wrong[case]
        if (key, case.seed) in self.right or self.left == 0 or self.stopped:
            return []
        judgement = judge(self.function, case)
        self.examples += 1
        self.configurations.add(key)
        if self.left is not None:
            self.left -= 1
        self.unsupported += judgement.unsupported
        self.total.checks += judgement.checks
        self.total.undecided += judgement.undecided
        if judgement.worst is not None:
            self.total.compared(*judgement.worst)
        if judgement.findings:
            self.wrong[case] = judgement.findings
        else:
            self.right.add((key, case.seed))
        for finding in judgement.findings:
            self._remember(case, finding)
        return judgement.findings

    def _remember(self, case: Case, finding: Finding) -> None:
        self.crashed += finding.verdict == "crashed"
        self.timed_out += finding.verdict == "timed_out"
        known = self.found.get(finding.signature)
        if known is None or case.size < known[0].size:
            self.found[finding.signature] = (case, finding)
        if self.left is None:
            self.left = self.most_afterwards

    def draw(self, examples: int, seed: int, until_found: bool = False, known: Iterable[bytes] = ()) -> None:
        """What failed the last time first, then the edges, then what Hypothesis draws; what fails is shrunk.

        Each kind of finding is shrunk on its own. With ``until_found`` the first finding ends it, unshrunk.
        """
        self.most_afterwards = 3 * examples + 300
        remembered = _Remembered(known)
        if known:
            self._search(examples, f"{seed}", (Phase.reuse,), remembered)
        edges = edge_cases(LAYERS[self.layer], self.dtype)[:examples]
        for case in edges:
            self.attempt(case)
            if until_found and self.found:
                return
        phases = (Phase.generate,) if until_found else (Phase.generate, Phase.shrink)
        for batch, start in enumerate(range(0, examples - len(edges), BATCH)):
            if not (until_found and self.found) and not self.stopped:
                count = min(BATCH, examples - len(edges) - start)
                self._search(count, f"{seed} {self.layer} {self.dtype} {batch or ''}".rstrip(), phases, remembered)
        for signature in [s for s, (case, _) in self.found.items() if case in edges and not until_found]:
            seeded = f"{seed} {self.layer} {self.dtype} {signature}"
            self._search(4 * examples, seeded, phases, remembered, only=signature)
        self.failed = remembered.values

    def _search(
        self,
        examples: int,
        seeded: str,
        phases: tuple[Phase, ...],
        remembered: _Remembered,
        only: tuple[str, str, str] | None = None,
    ) -> None:
        """Draw cases with Hypothesis and shrink those that fail; with ``only``, those that fail in that one way.

        What an edge alone has found is searched for once more like this: edges are not shrunk, what is drawn is.
        """

        @settings(
            max_examples=examples,
            database=remembered,
            deadline=None,
            phases=phases,
            report_multiple_bugs=Phase.shrink in phases and only is None,
            suppress_health_check=list(HealthCheck),
            print_blob=False,
        )
        @hypothesis.seed(zlib.crc32(seeded.encode()))  # would take the database out of settings below it
        @given(cases(LAYERS[self.layer], self.dtype))
        def conforms(case: Case) -> None:
            findings = self.attempt(case)
            if findings and (only is None or any(f.signature == only for f in findings)):
                raise _failure(findings[0].signature if only is None else only)

        try:
            conforms()
        except* (_Failure, HypothesisException):
            pass  # what failed has been remembered, with its smallest case


class _Remembered(ExampleDatabase):
    """Hypothesis' database for one trial: what failed, whatever the name of the function that it failed in."""

    def __init__(self, values: Iterable[bytes]) -> None:
        super().__init__()
        self.values = set(values)

    def fetch(self, key: bytes) -> Iterable[bytes]:
        return () if key.endswith((b".secondary", b".pareto")) else sorted(self.values)

    def save(self, key: bytes, value: bytes) -> None:
        if not key.endswith((b".secondary", b".pareto")):
            self.values.add(value)

    def delete(self, key: bytes, value: bytes) -> None:
        if not key.endswith((b".secondary", b".pareto")):
            self.values.discard(value)


class _Failure(AssertionError):
    """A case that does not conform."""


_FAILURES: dict[tuple[str, str, str], type[_Failure]] = {}


def _failure(signature: tuple[str, str, str]) -> _Failure:
    """A failure of a class of its own for each kind of finding: Hypothesis shrinks each by itself."""
    return _FAILURES.setdefault(signature, type("_Failure", (_Failure,), {}))()


def examine_function(
    target: str,
    function: LayerFunction | Asked,
    layer: str,
    dtype: str,
    examples: int,
    seed: int,
    known: tuple[bytes, ...] = (),
) -> Outcome:
    """Put one layer's function on trial in one dtype; target is what it is called in the results."""
    began = time.perf_counter()
    examination = Examination(function, layer, dtype)
    examination.draw(examples, seed, known=known)
    discrepancies = [
        _discrepancy(target, function, case, finding)
        for case, finding in sorted(examination.found.values(), key=lambda found: found[0].size)
    ]
    everything_unsupported = examination.unsupported == examination.examples
    silent = everything_unsupported or examination.stopped
    refusals = Judgement() if silent else judge_refusals(function, layer, dtype)
    discrepancies += [_refusal(target, layer, dtype, finding) for finding in refusals.findings]
    verdict = worst_verdict([d.verdict for d in discrepancies] or ["conforms"])
    worst = examination.total.worst
    trial = Trial(
        target=target,
        layer=layer,
        dtype=dtype,
        verdict="not_implemented" if everything_unsupported and not discrepancies else verdict,
        examples=examination.examples,
        configurations=len(examination.configurations),
        checks=examination.total.checks + refusals.checks,
        seconds=round(time.perf_counter() - began, 3),
        unsupported=examination.unsupported,
        undecided=examination.total.undecided,
        worst=None if worst is None else Worst(output=worst[0], error_over_bound=worst[1]),
        discrepancies=discrepancies[:MOST_DISCREPANCIES],
        note=examination.stopped,
    )
    return Outcome(trial, tuple(sorted(examination.failed)))


def _discrepancy(target: str, function: LayerFunction | Asked, case: Case, finding: Finding) -> Discrepancy:
    arrays, dy, _ = drawn(case)
    diagnosis = None
    if finding.check != "process":
        diagnosis = diagnose(case, arrays, dy, finding)  # before simplifying: random numbers tell faults apart
        arrays, dy, finding = simplified(function, case, finding)
        diagnosis = diagnosis or diagnose(case, arrays, dy, finding)
    names = LAYERS[case.layer].arrays
    shown = {name: as_array(x) for name, x in zip(names, arrays, strict=True)} | {"dy": as_array(dy)}
    return Discrepancy(
        id=_identity(target, case.layer, case.dtype, finding),
        verdict=finding.verdict,  # type: ignore[arg-type]
        check=finding.check,
        output=finding.output,
        message=finding.message,
        configuration=case.configuration | ({"(memory)": case.memory} if case.memory != "contiguous" else {}),
        arrays=shown,
        expected=_listed(finding.expected),
        got=_listed(finding.got),
        error_over_bound=finding.error_over_bound,
        diagnosis=diagnosis,
        reproduce=script(target, case, arrays, dy, finding),
    )


def _refusal(target: str, layer: str, dtype: str, finding: Finding) -> Discrepancy:
    refusal = next(r for r in LAYERS[layer].refusals if finding.message.endswith(f"refuse: {r.why}"))
    case = Case(layer, dtype, refusal.shapes, refusal.configuration)
    arrays = case.arrays()
    return Discrepancy(
        id=_identity(target, layer, dtype, finding),
        verdict=finding.verdict,  # type: ignore[arg-type]
        check=finding.check,
        output=finding.output,
        message=finding.message,
        configuration=refusal.configuration,
        arrays={name: as_array(x) for name, x in zip(LAYERS[layer].arrays, arrays, strict=True)},
        expected=finding.expected,
        got=finding.got,
        reproduce=script(target, case, arrays, None, finding),
    )


def _identity(target: str, layer: str, dtype: str, finding: Finding) -> str:
    """An id that the same fault has in every run: target, layer, dtype, check and output."""
    text = "/".join((target, layer, dtype, finding.verdict, finding.check, finding.output))
    if finding.check == "refusal":
        text += "/" + finding.message
    return f"{zlib.crc32(text.encode()):08x}"


def _listed(value: Any) -> Any:
    return as_array(value).data if isinstance(value, np.ndarray) else value  # type: ignore[union-attr]
