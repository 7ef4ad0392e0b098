"""What is asked of a layer beside its cases: does it repeat itself, to the last bit, and how accurate is it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from oracle.cases import Case, Values
from oracle.cases.large import is_large
from oracle.judge import Finding, judge
from oracle.judge.form import gradients_of, outputs_of
from oracle.results import Accuracy
from oracle.targets.answer import Answer, Answered, Part, numbers_of, same_bits
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
        """Ask, and compare the first call with the second one.

        A large case is asked without other calls in between, and what came again to the last bit is not judged again.
        """
        large = is_large(question.case)
        if large:
            question = replace(question, others=None, reshaped=None)
        answer = self.asked.ask(question)
        if isinstance(answer, Answered) and answer.second is not None:
            value, cotangents = answer.second
            pairs = zip((*answer.value, *(answer.cotangents or ())), (*value, *(cotangents or ())), strict=False)
            same = all(_same(before, after) for before, after in pairs)
            self.reproducible = same and self.reproducible is not False
            if large and same:
                answer.second = None
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
    """Return the largest error in units of the usual error, over the cases with the longest sums that are not large.

    The usual errors of a large case would take as much time and memory as its truth has taken.
    """
    graded = [case for case in right if case.values is Values.NORMAL and not is_large(case)]
    ordinary = sorted(graded, key=lambda case: -case.elements)
    grades = [found for case in ordinary[:MOST_GRADED] for found in _grades(layer, case)]
    return max(grades, key=lambda found: found.grade, default=None)


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
