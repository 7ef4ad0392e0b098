"""What is asked of a layer beside its cases: does it repeat itself, to the last bit, and how accurate is it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from oracle.cases import Case, Values
from oracle.judge import Finding, judge
from oracle.judge.checks import same_bits
from oracle.judge.form import gradients_of, outputs_of
from oracle.results import Accuracy
from oracle.targets.answer import Answer, Answered, Part, numbers_of
from oracle.targets.ask import Asked
from oracle.targets.question import Question
from oracle.truth import drawn, grade, usual_error

MOST_GRADED = 2


@dataclass
class Attentive:
    """A layer that is asked, and whether each of its answers came again bit for bit when the call was repeated."""

    asked: Asked
    reproducible: bool | None = None

    def ask(self, question: Question) -> Answer:
        """Ask, and compare the first call with the second one."""
        answer = self.asked.ask(question)
        if isinstance(answer, Answered) and answer.second is not None:
            value, cotangents = answer.second
            pairs = zip((*answer.value, *(answer.cotangents or ())), (*value, *(cotangents or ())), strict=False)
            same = all(_same(before, after) for before, after in pairs)
            self.reproducible = same and self.reproducible is not False
        return answer


def _same(before: Part, after: Part) -> bool:
    first, second = numbers_of(before), numbers_of(after)
    return first is second if first is None or second is None else same_bits(first, second)


def ask_again(layer: Asked, case: Case) -> Finding | None:
    """Put the first case of a trial once more, at its end. Returns what is wrong, if it was right before."""
    for finding in judge(layer, case).findings:
        message = f"the first case of the trial is answered in another way at its end: {finding.message}"
        return Finding("wrong", "repeatability", finding.output, message, finding.expected, finding.got)
    return None


def accuracy(layer: Asked, right: list[Case]) -> Accuracy | None:
    """Return the largest error in units of the usual error, over the cases with the longest sums."""
    ordinary = sorted((case for case in right if case.values is Values.NORMAL), key=lambda case: -case.elements)
    grades = [graded for case in ordinary[:MOST_GRADED] for graded in _grades(layer, case)]
    return max(grades, key=lambda graded: graded.grade, default=None)


def _grades(layer: Asked, case: Case) -> Iterator[Accuracy]:
    arrays, dy, truth = drawn(case)
    question = Question(case, arrays, dy)
    answer = layer.ask(question)
    if not isinstance(answer, Answered):
        return
    usual = usual_error(case, arrays, dy)
    named = outputs_of(answer.value, truth) | gradients_of(answer.cotangents, question, truth)
    for name, got in named.items():
        found = grade(got, truth.pairs[name].value, usual[name])
        if np.isfinite(found):
            yield Accuracy(output=name, grade=found)
