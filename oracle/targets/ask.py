"""Ask a target one question and record every answer, whatever the target does meanwhile."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

import jax
import ml_dtypes
import numpy as np

from oracle.cases import Arrays, Memory
from oracle.cases.guarded import written_beyond
from oracle.cases.large import is_large
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
    Wrapped,
    one_line,
    same_bits,
)
from oracle.targets.precision import looks_at_numbers
from oracle.targets.question import Question
from oracle.targets.traces import last_lines

LayerFunction = Callable[..., tuple[Any, Callable[[Any], Any]]]
MOST_BYTES = 2**28
MOST_DIRTIED = 2**22  # bytes of an array; the system gives larger ones memory that it has cleared


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
            with _undisturbed():
                return _ask(self.function, question, answered, self.expendable)
        except _NotAPairError:
            return Malformed("the layer must return (value, pullback)")
        except NotImplementedError as error:
            return Raised(one_line(error), answered[0], last_lines(error)) if answered else NotOffered()
        except (Exception, SystemExit) as error:
            return Raised(one_line(error), answered[0] if answered else None, last_lines(error))


def _ask(function: LayerFunction, question: Question, answered: list[Answered], expendable: bool) -> Answer:
    """Ask everything in order. What has been answered so far is in the list if the target raises.

    The layer is called with other arrays first, and then with the question's arrays in the same memory: an answer that is
    remembered by shape, by address or from the first call shows. It is called with other arrays again before its value is
    read and before its pullback is called: one buffer for the values of all calls, or one place for what the pullback
    needs, shows. A second call with no call in between says whether that was the cause. A large case is asked only for
    its first and its second answer, because every further one takes as much memory.
    """
    case, dy = question.case, question.dy
    *memory, memory_of_dy = case.memory if expendable else case.unguarded.memory

    def call(inputs: Arrays) -> tuple[Any, Callable[[Any], Any]]:
        returned = function(*inputs, **case.configuration)
        if not (isinstance(returned, tuple) and len(returned) == 2 and callable(returned[1])):
            raise _NotAPairError
        return returned

    def laid_out(arrays: Arrays) -> Arrays:
        return [None if x is None else m.lay_out(x) for x, m in zip(arrays, memory, strict=True)]

    if dy is None and question.wrong_number:
        return Accepted() if looks_at_numbers(lambda: call(laid_out(question.arrays))) else NotOffered()
    if dy is None:
        call(laid_out(question.arrays))
        return Accepted()
    before, inputs = None, laid_out(question.arrays)
    if question.others is not None:
        inputs = laid_out(question.others)
        before = _parts(call(inputs)[0], tuple)
        filled = zip(inputs, question.arrays, memory, strict=True)
        inputs = [_refilled(old, x, layout) for old, x, layout in filled]
    value, pullback = call(inputs)
    if question.others is not None:
        call(laid_out(question.others))
    answer = Answered(_parts(value, tuple), before=before)
    answered.append(answer)
    dirty_memory([*question.arrays, dy])
    given = memory_of_dy.lay_out(dy)
    cotangents = None
    try:
        cotangents = pullback(given)
    except NotImplementedError:
        answer.no_pullback = True
    else:
        answer.cotangents = _parts(cotangents, (tuple, list))
    answer.inputs = _parts((*inputs, given), tuple)
    answer.written_beyond = tuple(written_beyond(x) for x in (*inputs, given))
    dirty_memory([*question.arrays, dy])
    second, second_pullback = call(laid_out(question.arrays))
    read = _shared(_parts(second, tuple), answer.value)
    dirty_memory([*question.arrays, dy])
    cotangents_again = None
    if not answer.no_pullback:
        cotangents_again = _shared(_parts(second_pullback(memory_of_dy.lay_out(dy)), (tuple, list)), answer.cotangents)
    answer.second = read, cotangents_again
    if is_large(case):
        return answer
    if question.reshaped is not None:
        with suppress(Exception, SystemExit):  # only what this does to the other calls is judged
            call(laid_out(question.reshaped))
    if not answer.no_pullback:
        dirty_memory([*question.arrays, dy])
        # In the layout of the first call: an answer that depends on the layout is another fault.
        answer.again = _parts(pullback(memory_of_dy.lay_out(dy)), (tuple, list))
        if case.values.scalable:
            twice = np.asarray(dy * dy.dtype.type(-2)).astype(dy.dtype)
            answer.scaled = _parts(pullback(memory_of_dy.lay_out(twice)), (tuple, list))
    answer.kept = _parts(value, tuple), None if answer.no_pullback else _parts(cotangents, (tuple, list))
    return answer


class _NotAPairError(Exception):
    """The layer did not return a value and a pullback."""


def _refilled(old: np.ndarray | None, x: np.ndarray | None, memory: Memory) -> np.ndarray | None:
    """Write x into the memory of an earlier input; use other memory if the target has made that impossible."""
    if x is None:
        return None
    if old is None or old.shape != x.shape or not old.flags.writeable:
        return memory.lay_out(x)
    np.copyto(old, x)
    return old


def _parts(answer: Any, several: Any) -> Parts:
    """Split an answer of several arrays; every other answer is one part."""
    return tuple(_part(x) for x in answer) if isinstance(answer, several) else (_part(answer),)


def _shared(parts: Parts, before: Parts | None) -> Parts:
    """Take each array from an earlier answer if it is the same to the last bit: it is then held and sent only once."""
    earlier = (*(before or ()), *[None] * len(parts))
    return tuple(
        b if isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and same_bits(a, b) else a
        for a, b in zip(parts, earlier, strict=False)
    )


def _part(x: Any) -> Part:
    """Copy the numbers of an array, or of what can be converted to one, so that nothing that happens later changes them."""
    if x is None:
        return None
    what = type(x).__name__
    if not (hasattr(x, "__array__") or isinstance(x, (bool, int, float, list))):
        return NotAnArray(what)
    try:
        array = np.asarray(x)
        if not _real(array.dtype):
            return NotAnArray("array of objects" if array.dtype.hasobject else f"array of {array.dtype}")
        if array.nbytes > MOST_BYTES:
            return NotAnArray(f"array of shape {array.shape}")
        array = np.array(array, subok=False)
    except Exception:  # it cannot be converted: a list of lists of several lengths, a tensor that is on another device
        return NotAnArray(what)
    return array if isinstance(x, (np.ndarray, np.generic)) else Wrapped(array, what)


def _real(dtype: np.dtype) -> bool:
    """Decide if a dtype holds real numbers. The kind of bfloat16 and its relatives does not say so."""
    if dtype.kind in "biuf" or dtype.isbuiltin != 2:
        return dtype.kind in "biuf"
    try:
        return bool(ml_dtypes.finfo(dtype))
    except ValueError:
        return False


def dirty_memory(like: Arrays) -> None:
    """Leave NaN in freed memory of the sizes that the target will ask for, so that reading unwritten memory shows."""
    shapes = [x.shape for x in like if x is not None and x.nbytes <= MOST_DIRTIED for _ in range(2)]
    blocks = [np.full(shape, np.nan, dtype) for dtype in (np.float64, np.float32) for shape in shapes]
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
