"""Judge one case: ask the layer, and compare everything that it answers with the truth."""

from __future__ import annotations

import numpy as np

from oracle.cases import Arrays, Case
from oracle.judge.checks import CHECKS
from oracle.judge.finding import Finding, Judgement
from oracle.judge.form import FORM, gradients_of, outputs_of
from oracle.judge.others import arrays_of_other_shapes, other_arrays
from oracle.judge.overrun import lost_finding
from oracle.targets.answer import Accepted, Answer, Answered, Lost, Malformed, NotOffered, Raised
from oracle.targets.ask import Asked
from oracle.targets.question import Question
from oracle.truth import Truth, drawn, truth_of


def judge(layer: Asked, case: Case, arrays: Arrays | None = None, dy: np.ndarray | None = None) -> Judgement:
    """Put a case to a layer and judge the answer. Given arrays and dy take the place of those of the case."""
    if arrays is None or dy is None:
        arrays, dy, truth = drawn(case)
    else:
        truth = truth_of(case, arrays, dy)
    question = Question(case, arrays, dy, other_arrays(case), arrays_of_other_shapes(case))
    judgement = Judgement(undecided=truth.undecided)
    answer = layer.ask(question)
    if isinstance(answer, Lost):
        judgement.add(lost_finding(layer, question, answer))
    else:
        _judge(question, answer, truth, judgement)
    return judgement


def _judge(question: Question, answer: Answer, truth: Truth, judgement: Judgement) -> None:
    match answer:
        case Answered():
            _check(question, answer, truth, judgement)
        case Raised(error, before, traceback):
            if before is not None:
                _check(question, before, truth, judgement)
            # The pullback may have failed on a dy that has not the shape of its value, or on what another call has left.
            if not any(_makes_it_fail(finding) for finding in judgement.findings):
                message = f"raised on a valid case: {error}"
                judgement.add(Finding("error", "error", "y", message, got=error, traceback=traceback or None))
        case Malformed(message):
            judgement.add(Finding("wrong", "arity", "y", message))
        case NotOffered():
            judgement.offered = False
        case Accepted() | Lost():
            raise AssertionError("a question with dy is answered with a value and cotangents, or lost")


def _makes_it_fail(finding: Finding) -> bool:
    """Whether an error of a later call need not be another fault than this one."""
    return finding.check == "repeatability" or (finding.output == "y" and finding.check in ("shape", "arity", "type"))


def _check(question: Question, answer: Answered, truth: Truth, judgement: Judgement) -> None:
    judgement.no_pullback = answer.no_pullback
    for name in (*outputs_of(answer.value, truth), *gradients_of(answer.cotangents, question, truth)):
        judgement.count_not_judged(name, truth.pairs[name].error)
    for check in CHECKS:
        if check.needs_right_numbers and any(finding.check not in FORM for finding in judgement.findings):
            return
        for result in check.run(question, answer, truth):
            judgement.add(result)
