"""A diagnosis names the slip that reproduces what came, and nothing that contradicts what the target has right."""

from impl import functional as F
from oracle.cases import Subject
from oracle.targets.ask import InProcess
from oracle.trial.trial import put_on_trial


def diagnoses(layer, function):
    trial = put_on_trial(Subject("test", layer, "float32"), InProcess(function), 60, 0).trial
    return {(d.verdict, d.output, d.aspect): d.diagnosis for d in trial.discrepancies if d.check != "refusal"}


def dropout(x, mask, *, p=0.5):
    y, _ = F.dropout.vjp(x, mask, p=p)
    return y, lambda dy: (dy * mask, None)


def linear(x, w, b=None):
    _, pullback = F.linear.vjp(x, w, b)
    return F.linear(x, w), pullback


def group_norm(x, gamma=None, beta=None, *, groups, eps=2e-5):
    return F.group_norm.vjp(x, gamma, beta, groups=groups, eps=eps)


def test_a_slip_of_another_output_too_is_not_named_if_that_output_is_right():
    """Who forgets the division in both directions has y wrong as well: "nothing is divided by 1 - p" is dropped."""
    assert diagnoses("dropout", dropout) == {("wrong", "dx", "mathematics"): "dx is not divided by 1 - p, but y is"}


def test_a_slip_is_named_though_the_bound_of_long_sums_hides_it():
    """Over 2,049 features the bound is as large as the bias."""
    assert diagnoses("linear", linear)["wrong", "y", "mathematics"] == "b is ignored"


def test_a_slip_that_would_show_in_a_right_configuration_is_not_named():
    """As long as eps is left out, a default of 2e-5 cannot be told from an eps that is added twice."""
    found = diagnoses("group_norm", group_norm)
    assert found and not any(found.values())
