"""A verdict is as strong as its evidence: ``conforms`` means that the judged cases exclude every known slip."""

import numpy as np
import pytest

from impl import functional as F
from oracle.cases import Case, Subject
from oracle.judge.apart import told_apart
from oracle.layers import LAYERS
from oracle.results.trial import unproven_because
from oracle.slips import Circumstances
from oracle.targets.ask import InProcess
from oracle.trial.trial import put_on_trial


def trial_of(function, layer, dtype="float32", examples=100, **more):
    return put_on_trial(Subject("mine", layer, dtype), InProcess(function), examples, 0, **more).trial


@pytest.mark.parametrize("layer", ["relu", "linear", "softmax", "max_pool2d", "mse_loss"])
def test_a_right_layer_excludes_every_slip(layer):
    trial = trial_of(getattr(F, layer).vjp, layer)
    assert (trial.verdict, trial.strength.open) == ("conforms", [])
    assert trial.strength.excluded == trial.strength.slips > 20


def test_three_cases_prove_little():
    trial = trial_of(F.layer_norm.vjp, "layer_norm", examples=3)
    assert trial.verdict == "unproven" and trial.judged == 3
    assert 0 < trial.strength.excluded < trial.strength.slips == trial.strength.excluded + len(trial.strength.open)


def test_without_long_axes_nothing_is_said_about_blocks():
    long = trial_of(F.relu.vjp, "relu")
    small = trial_of(F.relu.vjp, "relu", sizes="small")
    assert small.verdict == long.verdict == "conforms"
    assert small.strength.slips < long.strength.slips


def test_what_the_judge_accepts_excludes_no_slip():
    """A NaN that is made of infinities is indeterminate, so the judge accepts a number there."""
    at = Circumstances.of(Case("layer_norm", "float32", ((3, 5), None, None), values="infinite"))
    assert np.isnan(at.true("y")).any()
    answers = {"y": np.where(np.isnan(at.true("y")), 0.0, at.true("y"))}
    assert not told_apart(answers, ("y",), at.case, at.arrays, at.dy, at.truth)


# -- code that is right up to one block --------------------------------------------------------------------------------


def softmax_without_the_tail(x, *, axis=-1):
    """Leaves out the rest of a row beyond a multiple of 128."""
    n = x.shape[axis]
    if n <= 128 or n % 128 == 0:
        return F.softmax.vjp(x, axis=axis)
    whole = [slice(None)] * x.ndim
    whole[axis] = slice(n - n % 128)
    y, pullback = F.softmax.vjp(x, axis=axis)
    short, _ = F.softmax.vjp(x[tuple(whole)], axis=axis)
    y = y.copy()
    y[tuple(whole)] = short
    return y, pullback


def layer_norm_of_64(x, gamma=None, beta=None, *, normalized_ndim=1, eps=1e-5):
    """Has dgamma of the first 64 rows only."""
    y, pullback = F.layer_norm.vjp(x, gamma, beta, normalized_ndim=normalized_ndim, eps=eps)
    rows = int(np.prod(x.shape[: x.ndim - normalized_ndim]))

    def back(dy):
        dx, dgamma, dbeta = pullback(dy)
        if gamma is not None and rows > 64:
            tail = x.shape[x.ndim - normalized_ndim :]
            first = F.layer_norm.vjp(
                x.reshape(rows, *tail)[:64], gamma, beta, normalized_ndim=normalized_ndim, eps=eps
            )[1]
            dgamma = first(dy.reshape(rows, *tail)[:64])[1]
        return dx, dgamma, dbeta

    return y, back


def linear_of_64_rows(x, w, b=None):
    """Has dw of the first 64 rows only."""
    y, pullback = F.linear.vjp(x, w, b)

    def back(dy):
        dx, dw, db = pullback(dy)
        flat_x, flat_dy = x.reshape(-1, x.shape[-1])[:64], dy.reshape(-1, dy.shape[-1])[:64]
        return dx, (flat_dy.T @ flat_x).astype(x.dtype) if len(x.reshape(-1, x.shape[-1])) > 64 else dw, db

    return y, back


def cross_entropy_of_256_classes(logits, labels, weight=None, **options):
    """Gives classes above 256 no gradient."""
    y, pullback = F.cross_entropy.vjp(logits, labels, weight, **options)

    def back(dy):
        dlogits, *none = pullback(dy)
        dlogits = dlogits.copy()
        dlogits[:, 256:] = 0
        return dlogits, *none

    return y, back


@pytest.mark.parametrize(
    ("function", "layer", "output", "block"),
    [
        (softmax_without_the_tail, "softmax", "y", 128),
        (layer_norm_of_64, "layer_norm", "dgamma", 64),
        (linear_of_64_rows, "linear", "dw", 64),
        (cross_entropy_of_256_classes, "cross_entropy", "dlogits", 256),
    ],
)
def test_code_that_is_right_up_to_one_block_is_found(function, layer, output, block):
    trial = trial_of(function, layer)
    assert trial.verdict == "wrong"
    (found,) = {d.output for d in trial.discrepancies}
    assert found == output
    shown = trial.discrepancies[0]
    assert f"from {block + 1} on" in shown.message  # the smallest length that fails
    assert max(n for array in shown.arrays.values() if array for n in array.shape) == block + 1
    small = trial_of(function, layer, sizes="small")
    assert small.verdict == "conforms"


# -- targets that offer less -------------------------------------------------------------------------------------------


def restricted(rule, refuses):
    def layer(*arrays, **configuration):
        if refuses(arrays, configuration):
            raise NotImplementedError
        return rule.vjp(*arrays, **configuration)

    return layer


def test_what_is_not_offered_is_named_and_not_drawn_again():
    layer = restricted(F.conv2d, lambda arrays, options: options.get("groups", 1) != 1 or "dilation" in options)
    trial = trial_of(layer, "conv2d")
    assert (trial.verdict, trial.judged, trial.lacks) == ("conforms", 100, ["dilation", "groups"])
    assert trial.unsupported < 20


@pytest.mark.parametrize(
    ("name", "missing"), [("linear", ["b"]), ("layer_norm", ["beta", "gamma"]), ("cross_entropy", ["weight"])]
)
def test_a_target_without_optional_arrays_is_judged_on_all_the_rest(name, missing):
    rule, own = getattr(F, name), LAYERS[name]
    places = [own.arrays.index(array) for array in missing]
    trial = trial_of(restricted(rule, lambda arrays, options: any(arrays[i] is not None for i in places)), name)
    assert (trial.verdict, trial.judged, trial.lacks) == ("conforms", 100, missing)
    assert trial.strength.slips > 120


def test_few_cases_do_not_prove_a_target_that_refuses_one():
    """What a refused case would have excluded may be excluded by another one, which was not judged."""
    layer = restricted(F.layer_norm, lambda arrays, options: arrays[1] is None)
    trial = trial_of(layer, "layer_norm", examples=5)
    assert (trial.verdict, trial.judged) == ("unproven", 5)
    assert trial.strength.open


def test_a_target_that_offers_nearly_nothing_is_unproven():
    trial = trial_of(restricted(F.relu, lambda arrays, options: arrays[0].shape != (3, 4)), "relu")
    assert trial.verdict == "unproven" and trial.judged < 20
    (doubt,) = trial.doubts
    assert f"only {trial.judged} cases were judged" in doubt and doubt in unproven_because([trial])


def test_plain_code_that_pads_a_maximum_with_zeros_is_found():
    """It takes integers only. It was called right, because nearly every padded case gave two integers."""

    def max_pool(x, *, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
        if not (isinstance(kernel_size, int) and isinstance(padding, int) and isinstance(stride, int | None)):
            raise NotImplementedError
        if dilation != 1 or ceil_mode:
            raise NotImplementedError
        around = ((0, 0), (0, 0), (padding, padding), (padding, padding))
        y, pullback = F.max_pool2d.vjp(np.pad(x, around), kernel_size=kernel_size, stride=stride)
        inside = slice(padding, -padding or None)
        return y, lambda dy: (pullback(dy)[0][:, :, inside, inside],)

    trial = trial_of(max_pool, "max_pool2d")
    assert trial.verdict == "wrong"
    assert {"ceil_mode=True", "dilation", "kernel_size per axis", "padding per axis"} <= set(trial.lacks)


def test_a_value_without_a_pullback_is_judged():
    def evaluation(x, *arrays, **options):
        def refuse(dy):
            raise NotImplementedError

        return np.full_like(F.batch_norm(x, *arrays, **options)[0], 12345.0), refuse

    assert trial_of(evaluation, "batch_norm").verdict == "wrong"

    def right(x):
        def refuse(dy):
            raise NotImplementedError

        return F.tanh(x), refuse

    trial = trial_of(right, "tanh")
    assert (trial.verdict, trial.lacks) == ("conforms", ["the pullback"])
