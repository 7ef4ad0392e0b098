"""Numbers are judged whatever form they come in, and what is wrong with the form is one finding."""

import jax.numpy as jnp
import numpy as np
import pytest

from oracle.adapters import autograd_jax
from oracle.cases import Case
from oracle.judge import judge
from oracle.targets.ask import InProcess

CASE = Case("linear", "float32", ((2, 3), (4, 3), (4,)), {})
NO_BIAS = Case("linear", "float32", ((2, 3), (4, 3), None), {})
SIGMOID = Case("sigmoid", "float32", ((2, 3),), {})


def linear(x, w, b=None):
    y = x @ w.T if b is None else x @ w.T + b
    return y, lambda dy: (dy @ w, dy.T @ x, None if b is None else dy.sum(0))


def with_form(change, value=lambda y: y):
    """Return the layer with its cotangents, as a tuple, and its value changed."""

    def layer(*arrays):
        y, pullback = linear(*arrays)
        return value(y), lambda dy: change(pullback(dy))

    return InProcess(layer)


def faults(judgement):
    return [tuple(finding.fault) for finding in judgement.findings]


def test_a_right_layer_is_judged_in_every_output():
    judgement = judge(InProcess(linear), CASE)
    assert judgement.findings == []
    assert judgement.judged == {"y", "dx", "dw", "db"}
    assert not (judgement.no_pullback or judgement.not_judged or judgement.not_judged_outputs)


class Lazy:
    """A proxy that computes its numbers when they are read."""

    def __init__(self, array):
        self.array, self.dtype, self.shape = array, array.dtype, array.shape

    def __array__(self, dtype=None, copy=None):
        return self.array


def everywhere(f):
    return {"change": lambda cotangents: tuple(map(f, cotangents)), "value": f}


@pytest.mark.parametrize(
    ("changes", "check", "words"),
    [
        (everywhere(lambda x: x.astype(np.float64)), "dtype", ["y, dx, dw, db", "float64", "expected float32"]),
        (everywhere(Lazy), "type", ["y, dx, dw, db", "Lazy", "NumPy array"]),
        (everywhere(jnp.asarray), "type", ["y, dx, dw, db", "ArrayImpl"]),
        (everywhere(lambda x: x.tolist()), "type", ["list"]),
    ],
    ids=["dtype", "proxy", "jax array", "list"],
)
def test_the_form_is_one_finding_and_the_numbers_are_judged(changes, check, words):
    judgement = judge(with_form(**changes), CASE)
    assert faults(judgement) == [("wrong", check, "y")]
    assert all(word in judgement.findings[0].message for word in words)
    assert judgement.judged == {"y", "dx", "dw", "db"}
    nonsense = {"value": changes["value"], "change": lambda g: changes["change"]((g[0], 2 * g[1], -g[2]))}
    wrong = judge(with_form(**nonsense), CASE)
    assert faults(wrong) == [("wrong", check, "y"), ("wrong", "gradient", "dw"), ("wrong", "gradient", "db")]
    assert wrong.judged == {"y", "dx"}


def test_repeatability_is_looked_at_in_any_dtype():
    def layer(x):
        y = 1 / (1 + np.exp(-x))
        calls = []

        def pullback(dy):
            calls.append(dy)
            return (len(calls) * (dy * y * (1 - y)).astype(np.float64),)

        return y, pullback

    assert ("wrong", "repeatability", "dx") in faults(judge(InProcess(layer), SIGMOID))


def test_a_number_of_the_right_dtype_is_fine_for_an_array_without_axes():
    def mse(p, t):
        return np.mean((p - t) ** 2), lambda dy: (dy * 2 * (p - t) / p.dtype.type(p.size), dy * 2 * (t - p) / p.size)

    case = Case("mse_loss", "float32", ((2, 3), (2, 3)), {})
    assert judge(InProcess(mse), case).findings == []

    def with_float(p, t):
        y, pullback = mse(p, t)
        return float(y), pullback

    judgement = judge(InProcess(with_float), case)
    assert faults(judgement) == [("wrong", "type", "y")] and "float" in judgement.findings[0].message
    assert "y" in judgement.judged


def test_single_precision_for_double_is_no_error_of_the_mathematics():
    def single(*arrays):
        y, pullback = linear(*(None if x is None else x.astype(np.float32) for x in arrays))
        return y, lambda dy: pullback(dy.astype(np.float32))

    judgement = judge(InProcess(single), Case("linear", "float64", CASE.shapes))
    assert faults(judgement)[0] == ("wrong", "dtype", "y")
    assert {finding.verdict for finding in judgement.findings[1:]} == {"inexact"}


# -- shapes and places ------------------------------------------------------------------------------------------------


def test_a_gradient_of_another_shape_does_not_hide_the_others():
    judgement = judge(with_form(lambda g: (g[0], g[1].T, 2 * g[2])), CASE)
    assert faults(judgement) == [("wrong", "shape", "dw"), ("wrong", "gradient", "db")]
    assert judgement.judged == {"y", "dx"}


def test_a_value_of_another_shape_is_said_though_the_pullback_then_fails():
    def layer(*arrays):
        y, pullback = linear(*arrays)

        def back(dy):
            assert dy.shape == y.T.shape
            return pullback(dy.T)

        return y.T, back

    assert faults(judge(InProcess(layer), CASE)) == [("wrong", "shape", "y")]


def test_a_wrong_value_does_not_hide_an_error_of_the_pullback():
    def back(cotangents):
        raise KeyError("residual")

    judgement = judge(with_form(back, lambda y: 2 * y), CASE)
    assert faults(judgement) == [("wrong", "value", "y"), ("error", "error", "y")]


@pytest.mark.parametrize(
    ("case", "change", "output"),
    [
        (NO_BIAS, lambda g: g[:2], "db"),
        (CASE, lambda g: (*g, None), "db"),
        (NO_BIAS, lambda g: (None, *g[:2]), "dx"),
        (NO_BIAS, lambda g: (*g[:2], np.zeros(4, np.float32)), "db"),
        (CASE, lambda g: (*g[:2], None), "db"),
    ],
    ids=["too few", "too many", "None in another place", "for what is not given", "None for what is given"],
)
def test_every_cotangent_and_every_none_has_its_place(case, change, output):
    judgement = judge(with_form(change), case)
    assert ("wrong", "arity", output) in faults(judgement)
    assert judge(with_form(lambda g: g), case).findings == []


def test_a_missing_none_does_not_hide_wrong_numbers():
    judgement = judge(with_form(lambda g: (g[0], 2 * g[1])), NO_BIAS)
    assert faults(judgement) == [("wrong", "arity", "db"), ("wrong", "gradient", "dw")]


def test_labels_take_no_gradient():
    def loss(logits, labels, weight=None):
        p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        rows, hot = np.arange(len(p)), np.eye(p.shape[1], dtype=p.dtype)[labels]
        y = -np.log(p[rows, labels]).mean(dtype=p.dtype)
        return y, lambda dy: (dy * (p - hot) / p.dtype.type(len(p)), given, None)

    case = Case("cross_entropy", "float32", ((1, 4), (1,), None), {})
    given = None
    assert judge(InProcess(loss), case).findings == []
    given = np.zeros(1, np.float32)
    (finding,) = judge(InProcess(loss), case).findings
    assert finding.fault == ("wrong", "arity", "dlabels") and "takes no gradient" in finding.message


# -- what is judged ---------------------------------------------------------------------------------------------------


def test_a_pullback_that_is_not_offered_leaves_the_value_judged():
    def layer(factor):
        def not_offered(cotangents):
            raise NotImplementedError

        return with_form(not_offered, lambda y: factor * y)

    right, wrong = (judge(layer(np.float32(factor)), CASE) for factor in (1, 2))
    assert right.offered and right.no_pullback and right.judged == {"y"} and right.findings == []
    assert faults(wrong) == [("wrong", "value", "y")]


def test_not_implemented_after_an_answer_is_an_error():
    def layer(x):
        y = 1 / (1 + np.exp(-x))
        calls = []

        def pullback(dy):
            calls.append(dy)
            if len(calls) > 1:
                raise NotImplementedError("only once")
            return (dy * y * (1 - y),)

        return y, pullback

    judgement = judge(InProcess(layer), SIGMOID)
    assert judgement.offered and faults(judgement) == [("error", "error", "y")]


def group_norm(x, gamma=None, beta=None, *, groups, eps=1e-5, one_pass=False):
    parts = x.reshape(x.shape[0] * groups, -1)
    mean = parts.mean(1, keepdims=True)
    with np.errstate(invalid="ignore"):
        var = (parts**2).mean(1, keepdims=True) - mean**2 if one_pass else parts.var(1, keepdims=True)
        inv = 1 / np.sqrt(var + np.float32(eps))
    z = (parts - mean) * inv

    def pullback(dy):
        d = dy.reshape(z.shape)
        dx = inv * (d - d.mean(1, keepdims=True) - z * (d * z).mean(1, keepdims=True))
        return dx.reshape(x.shape).astype(x.dtype), None, None

    return z.reshape(x.shape).astype(x.dtype), pullback


SHIFTED = [  # of so many terms that no bound of the variance is finite
    Case("group_norm", "float32", ((2, 4, 40, 40), None, None), {"groups": 2}, "shifted", seed=seed)
    for seed in range(6)
]


def test_nan_out_of_numbers_is_wrong_though_no_bound_is_known():
    """A one-pass variance of shifted values is negative by rounding: its root is NaN. The bounds are infinite there."""

    def one_pass(*arrays, **options):
        return group_norm(*arrays, one_pass=True, **options)

    found = {fault for case in SHIFTED for fault in faults(judge(InProcess(one_pass), case))}
    assert ("wrong", "value", "y") in found
    assert not [fault for case in SHIFTED for fault in faults(judge(InProcess(group_norm), case))]


def test_what_has_no_bound_is_counted():
    for case in SHIFTED:
        judgement = judge(InProcess(group_norm), case)
        assert judgement.not_judged["y"] == 2 * 4 * 40 * 40
        assert "y" in judgement.not_judged_outputs and "y" not in judgement.judged


def test_nan_is_no_fault_in_the_gradient_at_nan():
    def relu(x):
        return np.maximum(x, 0), lambda dy: ((np.where(np.isnan(x), x, x > 0) * dy).astype(x.dtype),)

    assert judge(InProcess(relu), Case("relu", "float32", ((4, 5),), {}, "nan")).findings == []


def test_wrong_or_inexact_is_a_matter_of_the_element_s_own_scale():
    """An error of 1e-4 is no inexactness of a result of 1e-4, though another element is 10,000 times as large."""

    def tanh(x):
        y = np.tanh(x)
        off = np.where(abs(x) < 0.2, np.float32(1e-5), np.float32(0))
        return y + off, lambda dy: (dy * (1 - y) * (1 + y),)

    x, dy = np.array([[1e-5, 3]], np.float32), np.ones((1, 2), np.float32)
    judgement = judge(InProcess(tanh), Case("tanh", "float32", ((1, 2),)), [x], dy)
    assert faults(judgement) == [("wrong", "value", "y")]


def test_a_miss_without_measure_is_never_inexact():
    def silu(x):
        s = 1 / (1 + np.exp(-x))
        return np.where(x == np.inf, 0, x * s).astype(x.dtype), lambda dy: (dy * (s + x * s * (1 - s)),)

    x, dy = np.array([[np.inf, -1]], np.float32), np.ones((1, 2), np.float32)
    judgement = judge(InProcess(silu), Case("silu", "float32", ((1, 2),), {}, "infinite"), [x], dy)
    assert ("wrong", "value", "y") in faults(judgement)


# -- JAX inside -------------------------------------------------------------------------------------------------------


def test_a_numpy_layer_that_goes_through_jax_runs_as_in_its_user_s_process():
    """There JAX computes in float32, and the cast back does not mend that."""

    def through_jax(x):
        y = np.asarray(1 / (1 + jnp.exp(-jnp.asarray(x)))).astype(x.dtype)
        return y, lambda dy: (dy * y * (1 - y),)

    assert faults(judge(InProcess(through_jax), Case("sigmoid", "float64", ((2, 3),))))
    assert judge(InProcess(through_jax), SIGMOID).findings == []


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_jax_program_is_asked_in_double_precision_also_inside_another_function(dtype):
    inner = autograd_jax(lambda x: 1 / (1 + jnp.exp(-x)))
    case = Case("sigmoid", dtype, ((2, 3),))
    assert judge(InProcess(inner), case).findings == []
    assert judge(InProcess(lambda x: inner(x)), case).findings == []


def test_an_adapter_leaves_out_the_gradients_that_nobody_wants():
    case = Case("dropout", "float32", ((2, 3), (2, 3)), {"p": 0.5})

    def dropout(x, mask, *, p):
        return x * mask / (1 - p)

    assert faults(judge(InProcess(autograd_jax(dropout)), case)) == [("wrong", "arity", "dmask")]
    assert judge(InProcess(autograd_jax(dropout, no_gradient=(1,))), case).findings == []
