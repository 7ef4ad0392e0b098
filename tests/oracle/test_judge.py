"""Each check of the judge, on the smallest implementation that fails it and no other."""

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

from oracle.cases import Case, Memory, Subject
from oracle.judge import Fault, Finding, Held, judge, judge_refusals
from oracle.judge.checks import CHECKS
from oracle.judge.others import arrays_of_other_shapes, other_arrays
from oracle.layers import LAYERS
from oracle.targets.ask import InProcess
from oracle.targets.question import Question
from oracle.trial.trial import put_on_trial
from oracle.truth import drawn

CASE = Case("sigmoid", "float32", ((2, 3),), {})


def logistic(x):
    return 1 / (1 + np.exp(-x))


def right(x):
    y = logistic(x)
    return y, lambda dy: (dy * y * (1 - y),)


class EveryOtherTime:
    """A layer whose pullback adds to what it gave the time before."""

    def __call__(self, x):
        y = logistic(x)
        total = np.zeros_like(x)

        def pullback(dy):
            nonlocal total
            total = total + dy * y * (1 - y)
            return (total,)

        return y, pullback


class Drifting:
    """A layer whose value depends on how often it was called."""

    def __init__(self):
        self.calls = 0

    def __call__(self, x):
        self.calls += 1
        y, pullback = right(x)
        late = self.calls > 3  # three calls are made up to the pullback
        return y * np.float32(1.5 if late else 1), pullback


def no_pair(x):
    return logistic(x)


def two_values(x):
    y, pullback = right(x)
    return (y, y), pullback


def no_cotangent(x):
    return logistic(x), lambda dy: ()


def two_cotangents(x):
    y, pullback = right(x)
    return y, lambda dy: pullback(dy) * 2


def transposed(x):
    y, pullback = right(x)
    return y, lambda dy: (pullback(dy)[0].T,)


def flat_value(x):
    y, pullback = right(x)
    return y.ravel(), pullback


def widened(x):
    y, pullback = right(x)
    return y, lambda dy: (pullback(dy)[0].astype(np.float64),)


def in_place(x):
    np.copyto(x, logistic(x))
    y = x.copy()
    return y, lambda dy: (dy * y * (1 - y),)


def writes_after_x(x):
    y = logistic(x)
    as_strided(x.ravel(), (x.size + 1,), (x.itemsize,))[x.size] = 0
    return y, lambda dy: (dy * y * (1 - y),)


def dy_in_place(x):
    y = logistic(x)

    def pullback(dy):
        dy *= y * (1 - y)
        return (dy.copy(),)

    return y, pullback


def affine_in_dy(x):
    y = logistic(x)
    return y, lambda dy: (np.where(dy > 0, dy, dy * np.float32(1.5)) * y * (1 - y),)


def raises(x):
    raise ValueError("no such luck\nsecond line")


def raises_in_pullback(x):
    def pullback(dy):
        raise KeyError("residual")

    return logistic(x), pullback


def inexact(x):
    y, pullback = right(x)
    return y * np.float32(1 + 2e-6), pullback


def wrong_value(x):
    y, pullback = right(x)
    return y * np.float32(1.01), pullback


def reuses_its_workspace(x):
    """Its pullback returns the same array each time, so that a later call changes what was returned."""
    y = logistic(x)
    workspace = np.empty_like(x)

    def pullback(dy):
        workspace[...] = dy * y * (1 - y)
        return (workspace,)

    return y, pullback


def linear_for_one_dy(x):
    """Right for dy itself: only pullback(-2 dy) shows that it is not linear."""
    y = logistic(x)
    seen = []

    def pullback(dy):
        seen.append(dy)
        return ((dy if (dy == seen[0]).all() else np.abs(dy)) * y * (1 - y),)

    return y, pullback


def unsupported(x):
    raise NotImplementedError


@pytest.mark.parametrize(
    ("function", "verdict", "check", "output"),
    [
        (no_pair, "wrong", "arity", "y"),
        (two_values, "wrong", "arity", "y"),
        (no_cotangent, "wrong", "arity", "dx"),
        (two_cotangents, "wrong", "arity", "dx"),
        (transposed, "wrong", "shape", "dx"),
        (flat_value, "wrong", "shape", "y"),
        (widened, "wrong", "dtype", "dx"),
        (in_place, "wrong", "mutation", "x"),
        (dy_in_place, "wrong", "mutation", "dy"),
        (EveryOtherTime(), "wrong", "repeatability", "dx"),
        (Drifting(), "wrong", "repeatability", "y"),
        (raises, "error", "error", "y"),
        (raises_in_pullback, "error", "error", "y"),
        (inexact, "inexact", "value", "y"),
        (wrong_value, "wrong", "value", "y"),
        (affine_in_dy, "wrong", "gradient", "dx"),
        (linear_for_one_dy, "wrong", "linearity", "dx"),
        (reuses_its_workspace, "wrong", "repeatability", "dx"),
    ],
    ids=lambda x: getattr(x, "__name__", type(x).__name__) if callable(x) else str(x),
)
def test_each_check(function, verdict, check, output):
    first = judge(InProcess(function), CASE).findings[0]
    assert first.fault == Fault(verdict, check, output), first
    assert "\n" not in first.message


def test_what_is_right_conforms():
    judgement = judge(InProcess(right), CASE)
    assert judgement.findings == []
    assert judgement.checks >= 10
    assert judgement.worst[1] <= 1


# -- the checks -------------------------------------------------------------------------------------------------------

# A layer for each check that fails it. A layer that counts its calls is made anew for each test.
FAILS = {
    "InputsUnchanged": (lambda: in_place, Fault("wrong", "mutation", "x")),
    "InsideInputs": (lambda: writes_after_x, Fault("wrong", "bounds", "x")),
    "Form": (lambda: widened, Fault("wrong", "dtype", "dx")),
    "Value": (lambda: wrong_value, Fault("wrong", "value", "y")),
    "Gradient": (lambda: affine_in_dy, Fault("wrong", "gradient", "dx")),
    "Repeatable": (EveryOtherTime, Fault("wrong", "repeatability", "dx")),
    "Linear": (lambda: linear_for_one_dy, Fault("wrong", "linearity", "dx")),
    "SameAnswer": (Drifting, Fault("wrong", "repeatability", "y")),
    "Kept": (lambda: reuses_its_workspace, Fault("wrong", "repeatability", "dx")),
}


def name_of(check):
    return type(check).__name__


def run_by_itself(check, function):
    """Put the case to a function and make one check of the answer, and no other."""
    arrays, dy, truth = drawn(CASE)
    case = replace(CASE, memory=("guarded_start",))
    question = Question(case, arrays, dy, other_arrays(CASE), arrays_of_other_shapes(CASE))
    return list(check.run(question, InProcess(function, expendable=True).ask(question), truth))


@pytest.mark.parametrize("check", CHECKS, ids=name_of)
def test_a_check_can_be_run_by_itself(check):
    held = run_by_itself(check, right)
    assert held and all(isinstance(result, Held) for result in held)
    make, fault = FAILS[name_of(check)]
    (found,) = (result for result in run_by_itself(check, make()) if isinstance(result, Finding))
    assert found.fault == fault


@pytest.fixture
def made(monkeypatch):
    """The checks that the judge makes, in order."""
    log = []

    class Noted:
        def __init__(self, check):
            self.check, self.name, self.needs_right_numbers = check, check.name, check.needs_right_numbers

        def run(self, *given):
            log.append(self.check)
            return self.check.run(*given)

    monkeypatch.setattr(import_module("oracle.judge.judge"), "CHECKS", tuple(map(Noted, CHECKS)))
    return log


def test_checks_are_made_in_order(made):
    judge(InProcess(right), CASE)
    assert list(map(name_of, made)) == list(FAILS)
    assert made == list(CHECKS)


@pytest.mark.parametrize("function", [wrong_value, affine_in_dy, in_place], ids=lambda function: function.__name__)
def test_after_a_finding_no_check_is_made_that_needs_right_numbers(function, made):
    judgement = judge(InProcess(function), CASE)
    assert made == [check for check in CHECKS if not check.needs_right_numbers]
    assert {"InputsUnchanged", "InsideInputs", "Form", "Value", "Gradient"} == set(map(name_of, made))
    assert {finding.check for finding in judgement.findings} <= {check.name for check in made}


def test_a_value_of_another_shape_does_not_hide_its_gradient(made):
    def doubled(x):
        y, pullback = right(x)
        return y.ravel(), lambda dy: (2 * pullback(dy)[0],)

    judgement = judge(InProcess(doubled), CASE)
    assert [finding.fault[1:] for finding in judgement.findings] == [("shape", "y"), ("gradient", "dx")]
    assert list(map(name_of, made)) == ["InputsUnchanged", "InsideInputs", "Form", "Value", "Gradient"]


def test_a_check_that_needs_right_numbers_finds_something_before_the_next_is_made(made):
    judgement = judge(InProcess(linear_for_one_dy), CASE)
    assert [finding.check for finding in judgement.findings] == ["linearity"]
    assert name_of(made[-1]) == "Linear"


# -- cases ------------------------------------------------------------------------------------------------------------


def test_a_target_that_warns_is_no_failure_where_warnings_are_errors():
    """As under pytest -W error: 1 / (1 + exp(-x)) overflows on the way to a right value."""
    judgement = judge(InProcess(right), Case("sigmoid", "float32", ((2, 3),), {}, "large"))
    assert judgement.findings == []


def test_not_implemented_is_no_failure():
    judgement = judge(InProcess(unsupported), CASE)
    assert not judgement.offered
    assert judgement.findings == []


@pytest.mark.parametrize("memory", list(Memory))
def test_every_call_of_a_pullback_gets_the_layout_of_dy(memory):
    """An answer that depends on the layout is one fault, not a second call that returns another answer too."""
    strides = []

    def layer(x):
        y, pullback = right(x)

        def noted(dy):
            strides.append(dy.strides)
            return pullback(dy)

        return y, noted

    assert (
        judge(InProcess(layer), Case("sigmoid", "float32", ((2, 3, 4),), {}, memory=("contiguous", memory))).findings
        == []
    )
    assert len(strides) == 4 and len(set(strides)) == 1


def test_memory_that_was_never_written_shows():
    def layer(x):
        y, pullback = right(x)

        def reads_fresh_memory(dy):
            (dx,) = pullback(dy)
            fresh = np.empty_like(dx)
            fresh[0] = dx[0]
            return (fresh,)

        return y, reads_fresh_memory

    first = judge(InProcess(layer), Case("sigmoid", "float32", ((64, 65),), {})).findings[0]
    assert first.fault == Fault("wrong", "gradient", "dx")


def test_both_of_two_tied_maxima_may_not_receive_the_whole_gradient():
    def layer(x, **configuration):
        y = x.max(axis=(2, 3))
        winners = x == y[:, :, None, None]
        shared = winners / winners.sum(axis=(2, 3), keepdims=True)
        return y, lambda dy: ((dy[:, :, None, None] * (shared if fair else winners)).astype(x.dtype),)

    case = Case("global_max_pool", "float32", ((1, 1, 2, 2),), {}, "zeros")
    fair = True
    assert judge(InProcess(layer), case).findings == []
    fair = False
    (finding,) = judge(InProcess(layer), case).findings
    assert finding.fault == Fault("wrong", "subgradient", "dx")


def test_what_is_accepted_but_must_be_refused_is_found():
    """Each bad call is a finding of its own, which says what was given."""
    refusals = list(LAYERS["linear"].refusals)
    judged = judge_refusals(InProcess(lambda x, w, b=None: right(x)), "linear", "float32")
    assert judged.checks == len(refusals) >= 2
    assert [refusal for refusal, _ in judged.accepted] == refusals
    for refusal, finding in judged.accepted:
        assert finding.fault == Fault("error", "refusal", "y")
        assert all(str(list(shape)) in finding.got for shape in refusal.shapes if shape is not None)


@pytest.mark.parametrize("error", [ValueError, NotImplementedError, SystemExit])
def test_any_error_refuses(error):
    def layer(x, w, b=None):
        raise error

    judged = judge_refusals(InProcess(layer), "linear", "float32")
    assert (judged.checks, judged.accepted) == (len(LAYERS["linear"].refusals), [])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_elementwise_layer_that_is_wrong_on_a_number_is_a_finding_not_the_end_of_the_run(dtype):
    """Right at 0 and at 1, wrong at 2: the simplifier rounds x, and of a 0-d array NumPy's round makes a scalar."""

    def layer(x):
        y = np.asarray(np.where(abs(x) > 1.5, 2, 1) * np.tanh(x), x.dtype)
        return y, lambda dy: (np.asarray(dy * (1 - np.tanh(x) ** 2), x.dtype),)

    trial = put_on_trial(Subject("scaled", "tanh", dtype), InProcess(layer), 100, 0).trial
    assert trial.verdict == "wrong"
    assert [(d.check, d.output) for d in trial.discrepancies] == [("value", "y")]
