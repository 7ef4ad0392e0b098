"""Judge one case: ask the layer, and compare everything that it answers with the truth."""

from __future__ import annotations

import numpy as np

from oracle.cases import Arrays, Case
from oracle.judge.checks import CHECKS, MalformedError
from oracle.judge.finding import Finding, Judgement
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
    question = Question(case, arrays, dy)
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
        case Raised(error, before):
            if before is not None:
                _check(question, before, truth, judgement)
            if not judgement.findings:
                message = f"raised on a valid case: {error}"
                judgement.add(Finding("error", "error", "y", message, got=error))
        case Malformed(message):
            judgement.add(Finding("wrong", "arity", "y", message))
        case NotOffered():
            judgement.offered = False
        case Accepted() | Lost():
            raise AssertionError("a question with dy is answered with a value and cotangents, or lost")


def _check(question: Question, answer: Answered, truth: Truth, judgement: Judgement) -> None:
    try:
        for check in CHECKS:
            if check.needs_right_numbers and judgement.findings:
                return
            for result in check.run(question, answer, truth):
                judgement.add(result)
    except MalformedError as malformed:
        judgement.add(malformed.finding)
