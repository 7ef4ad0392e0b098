"""What a target answers: the same in this process and in its own, and everything that the two say can be pickled."""

import dataclasses
import inspect
import pickle
import typing

import numpy as np
import pytest

from oracle.cases import Case
from oracle.targets import messages
from oracle.targets.answer import Accepted, Answer, Answered, Lost, Malformed, NotAnArray, NotOffered, Raised, Wrapped
from oracle.targets.ask import InProcess
from oracle.targets.find import resolve
from oracle.targets.messages import Ask, CannotLoad, Devices, Limits, Offer, WhatDoYouOffer, WhichDevices
from oracle.targets.process import Isolated, TargetProcess
from oracle.targets.question import Question

SOURCE = '''
import os
import time

import numpy as np


def sigmoid(x):
    y = 1 / (1 + np.exp(-x))
    return y, lambda dy: (dy * y * (1 - y),)


def batch_norm(x, gamma=None, beta=None, running_mean=None, running_var=None):
    return (x, None, [1.0]), lambda dy: [dy, np.array([None]), None]


def tanh(x):
    raise ArithmeticError("no such luck\\nsecond line")


def silu(x):
    calls = []

    def pullback(dy):
        if calls:
            raise KeyError("residual")
        calls.append(dy)
        return (3 * dy,)

    return x, pullback


CALLS = []


def relu(x):
    CALLS.append(x)
    if len(CALLS) == 2:
        CALLS.clear()
        raise SystemExit("the second call")
    return x, lambda dy: (dy,)


def gelu(x):
    def pullback(dy):
        raise NotImplementedError

    return x, pullback


def softplus(x):
    raise NotImplementedError("float16 only")


def identity(x):
    return x


def elu(x):
    os._exit(4)


def leaky_relu(x):
    time.sleep(60)
'''  # fmt: skip
X = np.array([[1.0, -2.0, 0.5]], np.float32)
DY = np.array([[1.0, 3.0, -1.0]], np.float32)


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    """A target with a layer for each kind of answer, and its process."""
    path = tmp_path_factory.mktemp("answers") / "mine.py"
    path.write_text(SOURCE)
    process = TargetProcess(str(path), Limits(timeout=20))
    yield resolve(str(path)), process
    process.close()


def question(layer, dy=DY, memory="contiguous"):
    arrays = [X, np.ones(3, np.float32), None, None, None] if layer == "batch_norm" else [X]
    shapes = tuple(None if x is None else x.shape for x in arrays)
    return Question(Case(layer, "float32", shapes, memory=memory), arrays, dy)


def plain(x):
    """Write an answer or a message as nested tuples that == compares, arrays to the last bit."""
    if isinstance(x, np.ndarray):
        return "array", str(x.dtype), x.shape, x.tobytes()
    if dataclasses.is_dataclass(x):
        return type(x), *(plain(getattr(x, field.name)) for field in dataclasses.fields(x))
    if isinstance(x, (tuple, list)):
        return type(x), *map(plain, x)
    return x


def asked_both(target, asked):
    """Return the answer, which has to be the same in both processes."""
    found, process = target
    layer = asked.case.layer
    here, there = InProcess(found.layer(layer)).ask(asked), Isolated(process, layer).ask(asked)
    assert plain(here) == plain(there)
    return here


@pytest.mark.parametrize("memory", ["contiguous", "strided"])
def test_value_and_cotangents(memory, target):
    answer = asked_both(target, question("sigmoid", memory=memory))
    assert isinstance(answer, Answered)
    y = 1 / (1 + np.exp(-X))
    for (got,), expected in (
        (answer.value, y),
        (answer.cotangents, DY * y * (1 - y)),
        (answer.again, DY * y * (1 - y)),
        (answer.scaled, -2 * DY * y * (1 - y)),
        (answer.second[0], y),
        (answer.second[1], DY * y * (1 - y)),
        (answer.kept[0], y),
        (answer.kept[1], DY * y * (1 - y)),
    ):
        np.testing.assert_allclose(got, expected, rtol=1e-6)
        assert got.dtype == np.float32
    assert plain(answer.inputs) == plain((X, DY))


def test_what_is_not_an_array_is_named_by_its_type(target):
    answer = asked_both(target, question("batch_norm"))
    assert plain(answer.value) == plain((X, None, Wrapped(np.array([1.0]), "list")))
    first, second, third = answer.cotangents
    assert (plain(first), third) == (plain(DY), None)
    assert isinstance(second, NotAnArray) and "object" in second.what


def test_without_dy_only_acceptance_is_asked(target):
    assert asked_both(target, question("sigmoid", dy=None)) == Accepted()
    assert isinstance(asked_both(target, question("tanh", dy=None)), Raised)


def test_raised_at_once(target):
    answer = asked_both(target, question("tanh"))
    assert (answer.error, answer.before) == ("ArithmeticError: no such luck", None)
    where, source, error, _ = answer.traceback.splitlines()
    assert "mine.py" in where and "in tanh" in where
    assert "raise ArithmeticError" in source and error == "ArithmeticError: no such luck"


def test_raised_keeps_what_was_answered_before(target):
    answer = asked_both(target, question("silu"))
    assert isinstance(answer, Raised) and "KeyError" in answer.error and "residual" in answer.error
    before = answer.before
    assert plain((before.value, before.cotangents, before.inputs)) == plain(((X,), (3 * DY,), (X, DY)))
    assert plain(before.second) == plain(((X,), (3 * DY,)))
    assert (before.again, before.scaled, before.kept) == (None, None, None)


def test_raised_in_the_second_call_keeps_the_first(target):
    answer = asked_both(target, question("relu"))
    assert isinstance(answer, Raised) and "SystemExit" in answer.error
    before = answer.before
    assert plain((before.value, before.cotangents)) == plain(((X,), (DY,)))
    assert (before.second, before.again, before.kept) == (None, None, None)


def test_not_offered(target):
    assert asked_both(target, question("softplus")) == NotOffered()


def test_a_pullback_that_is_not_offered_leaves_the_value(target):
    answer = asked_both(target, question("gelu"))
    assert isinstance(answer, Answered) and answer.no_pullback
    assert plain(answer.value) == plain(answer.second[0]) == plain((X,))
    assert (answer.cotangents, answer.again, answer.scaled) == (None, None, None)
    assert (answer.second[1], answer.kept[1]) == (None, None)


def test_malformed(target):
    answer = asked_both(target, question("identity"))
    assert isinstance(answer, Malformed) and "pullback" in answer.message


def test_lost_and_the_next_question_is_answered(target):
    """Only a process of its own can be lost: the answer says how it ended, and another process takes its place."""
    _, process = target
    died = Isolated(process, "elu").ask(question("elu"))
    assert isinstance(died, Lost) and died.verdict == "crashed" and "4" in died.message
    asked_both(target, question("sigmoid"))


def test_no_answer_in_time_is_lost(target):
    found, _ = target
    process = TargetProcess(found.name, Limits(timeout=0.5))
    hung = Isolated(process, "leaky_relu").ask(question("leaky_relu"))
    assert isinstance(hung, Lost) and hung.verdict == "timed_out" and "0.5 s" in hung.message
    assert isinstance(Isolated(process, "sigmoid").ask(question("sigmoid")), Answered)
    process.close()


# -- the pipe ---------------------------------------------------------------------------------------------------------

ANSWERED = Answered((X, None, NotAnArray("str")), (DY,), False, (X, DY), ((Wrapped(X, "list"),), None), (DY,))
SAID = [
    Ask("sigmoid", question("sigmoid")),
    Ask("sigmoid", Question(Case("sigmoid", "float32", (None,), {"axis": (0, 1)}, "infinite", "strided", 3), [None])),
    Ask("sigmoid", Question(question("sigmoid").case, [X], DY, others=[DY], reshaped=[X[:, :1]])),
    Limits(1.5, 64, "cpu:1"),
    WhatDoYouOffer(),
    Offer(("relu", "tanh"), "cpu:0 (cpu)"),
    CannotLoad("no such file", "File mine.py, line 3"),
    WhichDevices(),
    Devices(("cpu:0 (cpu)",)),
    ANSWERED,
    Accepted(),
    NotOffered(),
    Malformed("no pair"),
    Raised("ValueError", ANSWERED, "File mine.py, line 3"),
    Lost("crashed", "exit code 4"),
]


@pytest.mark.parametrize("said", SAID, ids=lambda said: type(said).__name__)
def test_what_goes_through_the_pipe_can_be_pickled(said):
    assert plain(pickle.loads(pickle.dumps(said))) == plain(said)


def test_every_message_and_every_answer_is_among_them():
    defined = {
        kind for _, kind in inspect.getmembers(messages, inspect.isclass) if kind.__module__ == messages.__name__
    }
    assert {type(said) for said in SAID} == defined | set(typing.get_args(Answer))
