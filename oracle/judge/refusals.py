"""Judge what must be refused: every call of a layer's list has to raise."""

from __future__ import annotations

from dataclasses import dataclass, field

from oracle.cases.case import refused_call
from oracle.judge.finding import Finding
from oracle.layers import LAYERS, Refusal
from oracle.targets.answer import Lost, NotOffered, Raised
from oracle.targets.ask import Asked
from oracle.targets.question import Question


@dataclass
class Refusals:
    """How many bad calls were made, and those that were not refused, each with its finding."""

    checks: int = 0
    accepted: list[tuple[Refusal, Finding]] = field(default_factory=list)


def judge_refusals(asked: Asked, layer_name: str, dtype: str) -> Refusals:
    """Make every bad call of a layer's list. A layer refuses by raising any error; NotImplementedError counts too."""
    layer, judged = LAYERS[layer_name], Refusals()
    for refusal in layer.refusals:
        judged.checks += 1
        finding = judge_refusal(asked, layer_name, dtype, refusal)
        if finding is not None:
            judged.accepted.append((refusal, finding))
    return judged


def judge_refusal(asked: Asked, layer_name: str, dtype: str, refusal: Refusal) -> Finding | None:
    """Make one bad call, and return what is wrong if it is not refused."""
    case, arrays = refused_call(LAYERS[layer_name], dtype, refusal)
    wrong_number = refusal.content is not None and refusal.content.number is not None
    match asked.ask(Question(case, arrays, wrong_number=wrong_number)):
        case Raised() | NotOffered():
            return None
        case Lost(verdict, message):
            text = f"{message}; it must refuse: {refusal.why}"
            return Finding(verdict, "refusal", "y", text, "an exception", message)
    shapes = [None if s is None else list(s) for s in refusal.shapes]
    got = f"a value, for arrays of shapes {shapes} with {refusal.configuration}"
    return Finding("error", "refusal", "y", f"accepted what it must refuse: {refusal.why}", "an exception", got)
