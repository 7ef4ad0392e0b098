"""Why a target's process died: perhaps it left an array that ends at a protected page."""

from __future__ import annotations

from dataclasses import replace

from oracle.cases import Memory
from oracle.judge.finding import Finding
from oracle.layers import LAYERS
from oracle.targets.answer import Lost
from oracle.targets.ask import Asked
from oracle.targets.question import Question

_SIDES = {Memory.GUARDED_END: "beyond the end", Memory.GUARDED_START: "before the start"}


def lost_finding(layer: Asked, question: Question, lost: Lost) -> Finding:
    """Say what the loss of a process shows. If it died beside a guarded array, name the array and the side.

    The layer is asked again, first with no array guarded and then with one at a time.
    """
    case = question.case
    plain = Finding(lost.verdict, "process", "y", lost.message)
    if lost.verdict != "crashed" or case.unguarded == case or _dies(layer, question, case.unguarded.memory):
        return plain
    for i, (name, memory) in enumerate(zip((*LAYERS[case.layer].arrays, "dy"), case.memory, strict=True)):
        only = [m if i == j else n for j, (m, n) in enumerate(zip(case.memory, case.unguarded.memory, strict=True))]
        if memory.guarded and _dies(layer, question, tuple(only)):
            message = f"reads or writes {_SIDES[memory]} of {name}: {lost.message}"
            return Finding("crashed", "process", name, message)
    return plain


def _dies(layer: Asked, question: Question, memory: tuple[Memory, ...]) -> bool:
    answer = layer.ask(replace(question, case=replace(question.case, memory=memory)))
    return isinstance(answer, Lost) and answer.verdict == "crashed"
