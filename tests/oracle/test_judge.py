"""Each check of the judge, on the smallest implementation that fails it and no other."""

import numpy as np
import pytest
from oracle.trial.examine import examine_function

from oracle.cases.case import Case
from oracle.judge.judge import judge, judge_refusals

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
        return y * np.float32(1.5 if self.calls > 1 else 1), pullback


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
    ],
    ids=lambda x: getattr(x, "__name__", type(x).__name__) if callable(x) else str(x),
)
def test_each_check(function, verdict, check, output):
    first = judge(function, CASE).findings[0]
    assert (first.verdict, first.check, first.output) == (verdict, check, output), first
    assert "\n" not in first.message


def test_what_is_right_conforms():
    judgement = judge(right, CASE)
    assert judgement.findings == []
    assert judgement.checks >= 10
    assert judgement.worst[1] <= 1


def test_a_pullback_that_is_linear_only_for_the_first_dy_is_not_linear():
    """Right for dy itself: only pullback(-2 dy) shows it."""

    def layer(x):
        y = logistic(x)
        seen = []

        def pullback(dy):
            seen.append(dy)
            return ((dy if (dy == seen[0]).all() else np.abs(dy)) * y * (1 - y),)

        return y, pullback

    (finding,) = judge(layer, CASE).findings
    assert (finding.verdict, finding.check) == ("wrong", "linearity")


def test_a_target_that_warns_is_no_failure_where_warnings_are_errors():
    """As under pytest -W error: 1 / (1 + exp(-x)) overflows on the way to a right value."""
    judgement = judge(right, Case("sigmoid", "float32", ((2, 3),), {}, "large"))
    assert judgement.findings == []


def test_not_implemented_is_no_failure():
    judgement = judge(unsupported, CASE)
    assert judgement.unsupported
    assert judgement.findings == []


def test_memory_that_was_never_written_shows():
    def layer(x):
        y, pullback = right(x)

        def reads_fresh_memory(dy):
            (dx,) = pullback(dy)
            fresh = np.empty_like(dx)
            fresh[0] = dx[0]
            return (fresh,)

        return y, reads_fresh_memory

    assert judge(layer, Case("sigmoid", "float32", ((64, 65),), {})).findings


def test_both_of_two_tied_maxima_may_not_receive_the_whole_gradient():
    def layer(x, **configuration):
        y = x.max(axis=(2, 3))
        winners = x == y[:, :, None, None]
        shared = winners / winners.sum(axis=(2, 3), keepdims=True)
        return y, lambda dy: ((dy[:, :, None, None] * (shared if fair else winners)).astype(x.dtype),)

    case = Case("global_max_pool", "float32", ((1, 1, 2, 2),), {}, "zeros")
    fair = True
    assert judge(layer, case).findings == []
    fair = False
    (finding,) = judge(layer, case).findings
    assert finding.check == "subgradient"


def test_what_is_accepted_but_must_be_refused_is_found():
    judgement = judge_refusals(lambda x, w, b=None: right(x), "linear", "float32")
    assert judgement.findings
    assert {f.check for f in judgement.findings} == {"refusal"}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_elementwise_layer_that_is_wrong_on_a_number_is_a_finding_not_the_end_of_the_run(dtype):
    """Right at 0 and at 1, wrong at 2: the simplifier rounds x, and of a 0-d array NumPy's round makes a scalar."""

    def layer(x):
        y = np.asarray(np.where(abs(x) > 1.5, 2, 1) * np.tanh(x), x.dtype)
        return y, lambda dy: (np.asarray(dy * (1 - np.tanh(x) ** 2), x.dtype),)

    trial = examine_function("scaled", layer, "tanh", dtype, 100, 0).trial
    assert trial.verdict == "wrong"
    assert [(d.check, d.output) for d in trial.discrepancies] == [("value", "y")]
