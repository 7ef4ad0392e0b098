"""The trial of one layer of one target in one dtype: search for what is wrong, then explain it."""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass, field

import jax

from oracle.cases import Subject
from oracle.explain.diagnose import diagnose
from oracle.explain.explained import explained, explained_refusal, identity
from oracle.judge import Finding, Refusals, aspect_of, judge_refusals
from oracle.results import ASPECTS, Aspect, Discrepancy, Strength, Trial, Verdict, Worst, worst_verdict
from oracle.targets.ask import Asked
from oracle.targets.find import BUILT_IN
from oracle.targets.messages import Limits
from oracle.targets.process import Isolated, TargetProcess
from oracle.trial.search import Search

MOST_DISCREPANCIES = 5
SIZES = ("small", "tiles", "large")


@dataclass(frozen=True)
class Task:
    """What one trial needs. Its outcome follows from this, wherever it is done."""

    subject: Subject
    examples: int
    seed: int
    limits: Limits = field(default_factory=Limits)
    known: tuple[bytes, ...] = ()
    sizes: str = "tiles"


@dataclass(frozen=True)
class Outcome:
    """A trial, and the examples that failed, as Hypothesis stores them, to be tried first the next time."""

    trial: Trial
    failed: tuple[bytes, ...] = ()


def perform(task: Task) -> Outcome:
    """Put a layer that the target offers on trial. The target runs in a process of its own.

    A built-in target keeps its process from one trial to the next. Any other target gets a new one for each layer, so that
    what it does to its process while one layer is tried cannot change the next.
    """
    process = _process_of(task.subject.target, task.limits)
    try:
        process.offer()  # starts the process, also if it has died since the last trial
        layer = Isolated(process, task.subject.layer)
        return put_on_trial(task.subject, layer, task.examples, task.seed, task.known, task.sizes)
    finally:
        jax.clear_caches()  # what was traced for this layer is of no use for the next
        if task.subject.target not in BUILT_IN:
            process.close()


@functools.cache
def _process_of(target: str, limits: Limits) -> TargetProcess:
    return TargetProcess(target, limits)


def put_on_trial(
    subject: Subject, layer: Asked, examples: int, seed: int, known: tuple[bytes, ...] = (), sizes: str = "tiles"
) -> Outcome:
    """Put one layer on trial in one dtype. The subject says what it is called in the results."""
    began = time.perf_counter()
    search = Search(layer, subject.layer, subject.dtype, sizes)
    search.run(examples, seed, known=known)
    discrepancies = [
        explained(subject, layer, case, finding, _aspect(search, finding), _diagnosis(layer, search, finding))
        for case, finding in sorted(search.found.values(), key=lambda found: found[0].size)
    ]
    refusals = Refusals()
    if search.judged and not search.stopped:
        refusals = judge_refusals(layer, subject.layer, subject.dtype)
    discrepancies += [explained_refusal(subject, refusal, finding) for refusal, finding in refusals.accepted]
    worst = search.total.worst
    trial = Trial(
        **subject._asdict(),
        verdict=_verdict(search, discrepancies),
        examples=search.judged + search.unsupported,
        judged=search.judged,
        configurations=len(search.configurations),
        checks=search.total.checks + refusals.checks,
        seconds=round(time.perf_counter() - began, 3),
        unsupported=search.unsupported,
        undecided=search.total.undecided,
        worst=None if worst is None else Worst(output=worst[0], error_over_bound=worst[1]),
        lacks=search.lacks,
        strength=_strength(search),
        discrepancies=discrepancies[:MOST_DISCREPANCIES],
        note=search.stopped,
    )
    return Outcome(trial, tuple(sorted(search.failed)))


def _aspect(search: Search, finding: Finding) -> Aspect:
    """Return the first aspect in which a fault has shown, in whichever case."""
    shown = {
        aspect_of(f.fault, case) for case, found in search.wrong.items() for f in found if f.fault == finding.fault
    }
    return min(shown, key=ASPECTS.index)


def _verdict(search: Search, discrepancies: list[Discrepancy]) -> Verdict:
    if discrepancies:
        return worst_verdict([d.verdict for d in discrepancies])
    if not search.judged:
        return "not_implemented"
    return "unproven" if search.strength.open else "conforms"


def _diagnosis(layer: Asked, search: Search, finding: Finding) -> str | None:
    failing = [(case, f) for case, findings in search.wrong.items() for f in findings if f.fault == finding.fault]
    return diagnose(layer, finding.fault, failing, search.right)


def _strength(search: Search) -> Strength:
    strength = search.strength
    return Strength(
        slips=len(strength.excluded) + len(strength.open),
        excluded=len(strength.excluded),
        open=sorted(strength.open),
        equivalent=len(strength.equivalent),
    )


def lost(task: Task, message: str) -> Outcome:
    """Return the outcome of a trial whose own process died again and again."""
    subject, fault = task.subject, Finding("crashed", "process", "y", message).fault
    target, layer, dtype = subject
    source = f"# backproof run --target {target} --layers {layer} --dtype {dtype} --seed {task.seed}\n"
    discrepancy = Discrepancy(
        id=identity(subject, fault),
        **fault._asdict(),
        aspect="mathematics",
        message=message,
        configuration={},
        arrays={},
        reproduce=source,
    )
    return Outcome(Trial(**subject._asdict(), verdict="crashed", note=message, discrepancies=[discrepancy]))
