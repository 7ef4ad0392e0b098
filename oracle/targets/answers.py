"""Asking a target: one question, and everything that it says, whatever it says and whatever it does meanwhile."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from oracle.cases.case import laid_out

Arrays = list[np.ndarray | None]
LayerFunction = Callable[..., tuple[Any, Callable[[Any], Any]]]
MOST_BYTES = 2**28


@dataclass(frozen=True)
class Question:
    """A case as a target meets it; without dy, whether it accepts the arrays is all that is asked."""

    arrays: Arrays
    configuration: dict[str, Any]
    dy: np.ndarray | None
    memory: str = "contiguous"
    scaled: bool = True
    wide: bool = False


@dataclass(frozen=True)
class NotAnArray:
    """What came in the place of an array."""

    what: str


Said = tuple[np.ndarray | NotAnArray | None, ...]


@dataclass
class Answers:
    """What a target said, in the order in which it was asked. What is None it was not asked, or did not get to."""

    value: Said | None = None
    cotangents: Said | None = None
    inputs: Said | None = None
    again: Said | None = None
    scaled: Said | None = None
    value_again: Said | None = None
    kept: tuple[Said, Said] | None = None
    malformed: str | None = None
    raised: str | None = None
    unsupported: bool = False
    lost: tuple[str, str] | None = None


def perform(function: LayerFunction, question: Question) -> Answers:
    """Ask in this process. What the target raises is an answer; global state that it changes is put back."""
    answers = Answers()
    try:
        with _undisturbed(), jax.enable_x64(question.wide):
            _ask(function, question, answers)
    except NotImplementedError:
        answers.unsupported = True
    except (Exception, SystemExit) as error:
        answers.raised = named(error)
    return answers


def named(error: BaseException) -> str:
    """An exception as one line."""
    try:
        text = (str(error).splitlines() or [""])[0]
    except Exception:
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _ask(function: LayerFunction, question: Question, answers: Answers) -> None:
    def call() -> tuple[Any, Any, Arrays]:
        inputs = [None if x is None else laid_out(x, question.memory) for x in question.arrays]
        answer = function(*inputs, **question.configuration)
        if isinstance(answer, tuple) and len(answer) == 2 and callable(answer[1]):
            return *answer, inputs
        answers.malformed = "the layer must return (value, pullback)"
        return None, None, inputs

    value, pullback, inputs = call()
    if answers.malformed or question.dy is None:
        return
    answers.value = _said(value, tuple)
    everything = [*question.arrays, question.dy]
    dirty_memory(everything)
    dy = laid_out(question.dy, question.memory)
    cotangents = pullback(dy)
    answers.cotangents = _said(cotangents, (tuple, list))
    answers.inputs = _said((*inputs, dy), tuple)
    dirty_memory(everything)
    answers.again = _said(pullback(question.dy.copy()), (tuple, list))
    if question.scaled:
        twice = np.asarray(question.dy * question.dy.dtype.type(-2)).astype(question.dy.dtype)
        answers.scaled = _said(pullback(twice), (tuple, list))
    dirty_memory(everything)
    answers.value_again = _said(call()[0], tuple)
    answers.kept = _said(value, tuple), _said(cotangents, (tuple, list))


def _said(answer: Any, several: Any) -> Said:
    return tuple(_array(x) for x in answer) if isinstance(answer, several) else (_array(answer),)


def _array(x: Any) -> np.ndarray | NotAnArray | None:
    """A copy, which nothing that happens later changes."""
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
    """Leave NaN in freed memory of the sizes that the target will ask for: who reads what it never wrote shows."""
    blocks = [np.full(x.shape, np.nan) for x in like if x is not None for _ in range(2)]
    blocks += [np.full(x.shape, np.nan, np.float32) for x in like if x is not None for _ in range(2)]
    del blocks


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Put back what a target may change for whoever comes after it.

    Its warnings are silenced: what it warns of while it is fed NaN is not news, and no error where its caller makes
    warnings errors.
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
