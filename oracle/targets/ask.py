"""Ask a target one question and record every answer, whatever the target does meanwhile."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import jax
import numpy as np

from oracle.cases import Arrays
from oracle.cases.guarded import written_beyond
from oracle.targets.answer import (
    Accepted,
    Answer,
    Answered,
    Malformed,
    NotAnArray,
    NotOffered,
    Part,
    Parts,
    Raised,
    one_line,
)
from oracle.targets.question import Question

LayerFunction = Callable[..., tuple[Any, Callable[[Any], Any]]]
MOST_BYTES = 2**28


class Asked(Protocol):
    """A layer that can be asked, in this process or in another one."""

    def ask(self, question: Question) -> Answer:
        """Ask one question."""


@dataclass(frozen=True)
class InProcess:
    """A function ``layer(*arrays, **configuration) -> (value, pullback)``, asked in this process.

    Only in a process that may die do arrays end at a protected page; elsewhere these are contiguous.
    """

    function: LayerFunction
    expendable: bool = False

    def ask(self, question: Question) -> Answer:
        """Ask the function. What it raises is an answer, and the global state that it changes is put back."""
        answered: list[Answered] = []
        try:
            with _undisturbed(), jax.enable_x64(question.case.dtype == "float64"):
                return _ask(self.function, question, answered, self.expendable)
        except NotImplementedError:
            return NotOffered()
        except (Exception, SystemExit) as error:
            return Raised(one_line(error), answered[0] if answered else None)


def _ask(function: LayerFunction, question: Question, answered: list[Answered], expendable: bool) -> Answer:
    """Ask everything in order. What has been answered so far is in the list if the target raises."""
    case, dy = question.case, question.dy
    *memory, memory_of_dy = case.memory if expendable else case.unguarded.memory

    def call() -> tuple[Any, Arrays]:
        inputs = [None if x is None else m.lay_out(x) for x, m in zip(question.arrays, memory, strict=True)]
        return function(*inputs, **case.configuration), inputs

    returned, inputs = call()
    if not _is_pair(returned):
        return Malformed("the layer must return (value, pullback)")
    if dy is None:
        return Accepted()
    value, pullback = returned
    said = _parts(value, tuple)
    dirty_memory([*question.arrays, dy])
    given = memory_of_dy.lay_out(dy)
    cotangents = pullback(given)
    answer = Answered(said, _parts(cotangents, (tuple, list)))
    answered.append(answer)
    answer.inputs = _parts((*inputs, given), tuple)
    answer.written_beyond = tuple(written_beyond(x) for x in (*inputs, given)) if expendable else ()
    dirty_memory([*question.arrays, dy])
    answer.again = _parts(pullback(dy.copy()), (tuple, list))
    if case.values.scalable:
        twice = np.asarray(dy * dy.dtype.type(-2)).astype(dy.dtype)
        answer.scaled = _parts(pullback(twice), (tuple, list))
    dirty_memory([*question.arrays, dy])
    second, _ = call()
    if not _is_pair(second):
        return Malformed("the layer must return (value, pullback)")
    answer.value_again = _parts(second[0], tuple)
    answer.kept = _parts(value, tuple), _parts(cotangents, (tuple, list))
    return answer


def _is_pair(returned: Any) -> bool:
    return isinstance(returned, tuple) and len(returned) == 2 and callable(returned[1])


def _parts(answer: Any, several: Any) -> Parts:
    """Split an answer of several arrays; every other answer is one part."""
    return tuple(_part(x) for x in answer) if isinstance(answer, several) else (_part(answer),)


def _part(x: Any) -> Part:
    """Copy an array, so that nothing that happens later changes it."""
    if x is None:
        return None
    if not (hasattr(x, "dtype") and hasattr(x, "shape")):
        return NotAnArray(type(x).__name__)
    array = np.asarray(x)
    if array.dtype.hasobject:
        return NotAnArray("array of objects")
    if array.nbytes > MOST_BYTES:
        return NotAnArray(f"array of shape {array.shape}")
    return np.array(array, subok=False)


def dirty_memory(like: Arrays) -> None:
    """Leave NaN in freed memory of the sizes that the target will ask for, so that reading unwritten memory shows."""
    blocks = [np.full(x.shape, np.nan) for x in like if x is not None for _ in range(2)]
    blocks += [np.full(x.shape, np.nan, np.float32) for x in like if x is not None for _ in range(2)]
    del blocks


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Put back what a target may change for whoever comes after it.

    Its warnings are silenced. A warning while the target is fed NaN is not news, and it must not become an error if the
    caller turns warnings into errors.
    """
    where, depth, output, options = os.getcwd(), sys.getrecursionlimit(), sys.stdout, dict(jax.config.values)
    try:
        with warnings.catch_warnings(), np.errstate(), np.printoptions():
            warnings.simplefilter("ignore")
            yield
    finally:
        os.chdir(where)
        sys.setrecursionlimit(depth)
        sys.stdout = output
        for name, value in jax.config.values.items():
            if value != options.get(name, value):
                jax.config.update(name, options[name])
