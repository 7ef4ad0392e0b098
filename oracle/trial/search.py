"""Search for cases that a layer gets wrong: those of the plan, then what Hypothesis draws. What fails is shrunk."""

from __future__ import annotations

import sys
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from math import ceil
from unittest import mock

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.database import ExampleDatabase
from hypothesis.errors import HypothesisException
from hypothesis.internal.conjecture import engine

from oracle.cases import Case, again, cases, pool
from oracle.judge import Fault, Finding, Judgement, aspect_of, judge
from oracle.layers import LAYERS
from oracle.results import Aspect
from oracle.targets.ask import Asked
from oracle.trial.learn import learn
from oracle.trial.lengths import valid
from oracle.trial.offers import REFUSALS, Offers, features
from oracle.trial.plan import LONGEST_SMALL, has_plan, longest, planned_cases
from oracle.trial.strength import Strength

MOST_TIMED_OUT = 3
MOST_CRASHED = 25
SPARE = 10
OTHER_SEEDS = range(1, 6)
CONFIGURATIONS = 2
FEW = 20  # cases; a target that offers so few is not proven
BATCH = 1000  # Hypothesis remembers every example of a search


class Search:
    """Every case of one layer in one dtype that was tried, and what came of it."""

    def __init__(self, asked: Asked, layer: str, dtype: str, sizes: str = "tiles") -> None:
        self.asked, self.layer, self.dtype, self.sizes = asked, layer, dtype, sizes
        self.total = Judgement()
        self.strength, self.offers, self.pullbacks = Strength(layer, dtype), Offers(layer), Offers(layer)
        self.tried: set[tuple[int, int]] = set()
        self.right: list[Case] = []
        self.wrong: dict[Case, list[Finding]] = {}
        self.refused: list[Case] = []  # in whole, or only the pullback
        self.taken: set[Case] = set()
        self.not_offered: set[Case] = set()  # refused in whole
        self.not_asked: list[Case] = []  # the target seems to lack a feature, or has refused too much
        self.configurations: set[int] = set()
        self.judged = self.unsupported = self.crashed = self.timed_out = 0
        self.found: dict[tuple[Fault, Aspect], tuple[Case, Finding]] = {}
        self.failed: set[bytes] = set()
        self.most_judged = self.most_refused = self.most_afterwards = sys.maxsize
        self.left: int | None = None

    @property
    def stopped(self) -> str | None:
        """Why no further case is tried, or None."""
        if self.timed_out >= MOST_TIMED_OUT:
            return f"stopped after {self.timed_out} cases without an answer in time"
        return f"stopped after the process died {self.crashed} times" if self.crashed >= MOST_CRASHED else None

    @property
    def lacks(self) -> list[str]:
        """What the target does not offer, in words."""
        lacks = self.offers.lacks
        if self.judged and sum(map(self._is_unexplained, self.not_offered)) >= REFUSALS:
            lacks = [*lacks, "calls with some other lengths or combinations"]
        if self.pullbacks.refused and not self.pullbacks.taken:
            return [*lacks, "the pullback"]
        return [*lacks, *(f"the pullback with {word}" for word in self.pullbacks.lacks)]

    def _is_unexplained(self, case: Case) -> bool:
        """Whether a case was refused for a reason that is not known."""
        return self.offers.adapted(case) is case

    @property
    def doubts(self) -> list[str]:
        """Why the trial proves little, whatever the slips say: few cases, or an output of which nothing could be judged."""
        never = sorted(self.total.not_judged_outputs - self.total.judged)
        doubts = [f"no element of {output} was judged, because every bound is infinite" for output in never]
        if self.refused and self.judged < min(FEW, self.most_judged):
            doubts.append(f"only {self.judged} cases were judged, because the target refused {len(self.refused)}")
        return doubts

    def failing(self, fault: Fault, aspect: Aspect | None = None) -> list[tuple[Case, Finding]]:
        """Return the cases that have shown a fault, in one aspect or in any, each with its finding."""
        return [
            (case, finding)
            for case, findings in self.wrong.items()
            for finding in findings
            if finding.fault == fault and aspect in (None, aspect_of(fault, case))
        ]

    def attempt(self, case: Case, planned: bool = False, in_doubt: bool = False) -> list[Finding]:
        """Judge a case once. After the first finding, only a bounded number of new cases is judged.

        A case with a feature that the target seems to lack is only asked ``in_doubt``.
        """
        key = hash(case.key)
        if case in self.wrong:
            return self.wrong[case]
        if self._was_asked(case) or self.left == 0 or self.stopped:
            return []
        if self.judged >= self.most_judged and not self.found:
            return []
        if not in_doubt and (not self.offers.may_offer(case) or self.unsupported > self.most_refused):
            self.not_asked.append(case)
            return []
        judgement = judge(self.asked, case)
        self.configurations.add(key)
        if self.left is not None:
            self.left -= 1
        self.offers.add(case, judgement.offered)
        self.total.include(judgement)
        if judgement.offered:
            self.judged += 1
            self.taken.add(case)
            self.pullbacks.add(case, not judgement.no_pullback)
        else:
            self.unsupported += 1
            self.not_offered.add(case)
        if judgement.judged and not any(aspect == "mathematics" for _, aspect in self.found):
            self.strength.judged(case, judgement.judged, planned)
        if judgement.no_pullback or not judgement.offered:
            self.refused.append(case)
        self.tried.add((key, case.seed))
        if judgement.findings:
            self.wrong[case] = judgement.findings
        elif judgement.offered and not judgement.no_pullback:
            self.right.append(case)
        for finding in judgement.findings:
            self._remember(case, finding)
        return judgement.findings

    def _remember(self, case: Case, finding: Finding) -> None:
        self.crashed += finding.verdict == "crashed"
        self.timed_out += finding.verdict == "timed_out"
        key = finding.fault, aspect_of(finding.fault, case)
        known = self.found.get(key)
        if known is None or case.size < known[0].size:
            self.found[key] = (case, finding)
        if self.left is None:
            self.left = self.most_afterwards

    def run(self, examples: int, seed: int, until_found: bool = False, known: Iterable[bytes] = ()) -> None:
        """Try what failed the last time, then what is planned, then what Hypothesis draws, and shrink what fails.

        Each fault is shrunk on its own. With ``until_found`` the first finding ends the search, unshrunk.
        """
        self.most_judged, self.most_refused, self.most_afterwards = examples, examples, 3 * examples + 300
        remembered = _Remembered(known)
        if known:
            self._draw(examples, f"{seed}", (Phase.reuse,), remembered)
        planned = planned_cases(self.layer, self.dtype, self.sizes)
        for case in planned if has_plan(self.layer) else self._telling_first(planned):
            if self.judged < examples:
                self.attempt(case, planned=True)
            if until_found and self.found:
                return
        if self.refused and not self._is_over(examples):
            learn(self.offers, [*self.refused, *self.not_asked], self._takes)
        self._plan_again(planned, examples)
        complete = not self._is_over(examples)
        self.most_refused = self.unsupported + examples
        phases = (Phase.generate,) if until_found else (Phase.generate, Phase.shrink)
        for batch in range(ceil(examples / BATCH) + 5):
            left, before = examples - self.judged, self.judged
            if left <= 0 or (until_found and self.found) or self.stopped:
                break
            count = min(BATCH, left + SPARE)  # some of them have been judged before
            self._draw(count, f"{seed} {self.layer} {self.dtype} {batch or ''}".rstrip(), phases, remembered)
            if self.judged == before:
                break
        if complete:
            self._give_up()
        # A fault of long axes is not drawn; these are shortened when it is explained.
        short = [key for key, (case, _) in self.found.items() if longest(case) <= LONGEST_SMALL]
        for key in [key for key in short if self.found[key][0] in planned and not until_found]:
            seeded = f"{seed} {self.layer} {self.dtype} {tuple(key[0])} {key[1]}"
            self._draw(4 * examples, seeded, phases, remembered, only=key)
        self.failed = remembered.values

    def _telling_first(self, cases: list[Case]) -> Iterator[Case]:
        """Yield the cases that exclude something new, the cheapest first, and then the others: a plan made on the way."""
        others = []
        for case in sorted(cases, key=lambda case: case.elements):
            if self.strength.would_exclude(case, planned=True):
                yield case
            else:
                others.append(case)
        yield from others

    def _takes(self, case: Case) -> bool:
        """Ask the target for a case, whatever it seems to lack. Returns whether it takes the case."""
        self.attempt(case, planned=True, in_doubt=True)
        return self._was_asked(case) and case not in self.not_offered

    def _was_asked(self, case: Case) -> bool:
        return (hash(case.key), case.seed) in self.tried

    def _plan_again(self, planned: Iterable[Case], examples: int) -> None:
        """Exclude what is still open by other cases that the target may offer.

        First come the planned cases without what the target lacks, then those of the pool, then some more like them.
        """
        for case in planned if self.refused else ():
            if self._is_over(examples):
                break
            other = self.offers.adapted(case)
            if other in self.not_offered:
                self._ask_as_others(other)
            elif other is not None and not self._was_asked(other):
                before = set(self.strength.open), set(self.strength.with_effect)
                if self.strength.would_exclude(other, planned=True) and not self._takes(other):
                    self.strength.open, self.strength.with_effect = before
        for case in chain(pool(LAYERS[self.layer], self.dtype, self.sizes), self._others(planned)):
            if not self.strength.open or self._is_over(examples):
                return
            adapted = self.offers.adapted(case)
            if adapted is not None and self.strength.would_exclude(adapted):
                self.attempt(adapted)

    def _ask_as_others(self, case: Case) -> None:
        """Ask for the shapes of a case that is refused, although nothing is lacking, in configurations that are taken."""
        taken = list({str(right.configuration): right.configuration for right in self.right}.values())
        for configuration in taken[:CONFIGURATIONS]:
            other = replace(case, configuration=configuration)
            if valid(other):
                self._takes(other)

    def _others(self, planned: Iterable[Case]) -> Iterator[Case]:
        """Yield less than the target refused as a combination, and more numbers in long axes."""
        for case in [case for case in self.refused if case in self.not_offered and self._is_unexplained(case)]:
            if self.strength.would_exclude(case):
                yield from (less for word in sorted(features(case)) if (less := self.offers.without(case, {word})))
        taken = [case for case in planned if longest(case) > LONGEST_SMALL and self.offers.adapted(case) in self.taken]
        yield from (replace(case, seed=seed) for seed in OTHER_SEEDS for case in taken if self.not_offered)

    def _give_up(self) -> None:
        """Leave out the slips that only refused cases exclude: they do not apply to what the target offers."""
        for case in [*self.refused, *self.not_asked]:
            if case not in self.not_offered or not self._is_unexplained(case):
                self.strength.open -= self.strength.would_exclude(case)

    def _is_over(self, examples: int) -> bool:
        """Whether no further case is planned: enough were judged, or something was found."""
        return self.judged >= examples or bool(self.found)

    def _draw(
        self,
        examples: int,
        seeded: str,
        phases: tuple[Phase, ...],
        remembered: _Remembered,
        only: tuple[Fault, Aspect] | None = None,
    ) -> None:
        """Draw cases with Hypothesis and shrink those that fail, or ``only`` those that have one fault.

        Edges are not shrunk, so a fault that only an edge has shown is searched for once more like this.
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
        @hypothesis.seed(zlib.crc32(seeded.encode()))  # below settings it would take the database away
        @given(cases(LAYERS[self.layer], self.dtype))
        def conforms(case: Case) -> None:
            adapted = self.offers.adapted(case)
            if adapted is None:
                hypothesis.reject()
            case = adapted
            findings = self.attempt(case)
            for other in () if self.found else again(case):  # what fails is shrunk by itself
                findings = findings or self.attempt(other)
            if findings and (only is None or any((f.fault, aspect_of(f.fault, case)) == only for f in findings)):
                raise _failure(findings[0].fault if only is None else only[0])

        try:
            with _stopped_clock():
                conforms()
        except* (_FailureError, HypothesisException):
            pass  # what failed has been remembered, with its smallest case


@contextmanager
def _stopped_clock() -> Iterator[None]:
    """Let no time pass for Hypothesis, so that a search on a slow machine finds the same.

    Hypothesis stops drawing ten seconds after the first failure and stops shrinking after five minutes, and no setting
    changes that. Our own counts end the search.
    """
    clock = mock.Mock(wraps=time, monotonic=lambda: 0.0, perf_counter=lambda: 0.0)
    with mock.patch.object(engine, "time", clock, create=True):
        yield


class _Remembered(ExampleDatabase):
    """Hypothesis' database of one trial: what failed, whatever the name of the function that it failed in."""

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


class _FailureError(AssertionError):
    """A case that does not conform."""


_FAILURES: dict[Fault, type[_FailureError]] = {}


def _failure(fault: Fault) -> _FailureError:
    """Return an error of a class of its own for each fault, so that Hypothesis shrinks each by itself."""
    return _FAILURES.setdefault(fault, type("_FailureError", (_FailureError,), {}))()
