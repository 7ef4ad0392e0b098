"""A target that offers a part of a layer is judged on that part as strictly as another target on the whole layer.

Each target is impl behind a filter. The trial must say what is lacking, reach the number of cases that was asked for, leave
no slip open, and find the slips that are planted behind the same filter.
"""

import random

import numpy as np
import pytest

from impl import functional as F
from oracle.cases import Subject
from oracle.slips import slips_of
from oracle.targets.ask import InProcess
from oracle.trial.search import Search
from oracle.trial.trial import put_on_trial
from tests.faults.slips import planted_slip
from tests.oracle.restricted import (
    Restricted,
    axes,
    last_length,
    lengths,
    multiple_of,
    needs,
    no,
    only,
    only_dtype,
    only_ints,
    power_of_two,
)

PLANTED, MORE_PLANTED = 2, 6  # slips in each target
FEW_SLIPS = 120
WORDS = ("padding as pairs", "padding per axis", "padding='same'", "padding='valid'")
CONV, POOL, MEAN = (
    ("stride", "padding", "dilation"),
    ("kernel_size", "stride", "padding", "dilation"),
    ("kernel_size", "stride", "padding"),
)


def _evaluation(call):
    return not call["training"]


def _other_axes(name, *counts):
    return tuple(f"{name} with {n} {'axis' if n == 1 else 'axes'}" for n in counts)


STUDENT_CONV = (only_ints(*CONV), no("groups", "dilation"))
STUDENT_CONV_LACKS = ("dilation", "groups", *WORDS, "stride per axis")

RESTRICTED = {
    "tanh, multiples of 4": Restricted(
        "tanh", (lengths(multiple_of(4)),), ("empty arrays", "lengths of A other than multiples of 4")
    ),
    "softmax, rows of a power of two": Restricted(
        "softmax",
        (only("axis", -1), axes(2), last_length(power_of_two)),
        ("axis", *_other_axes("x", 1, 3, 4, 5), "lengths of the last axis of A other than powers of two"),
    ),
    "conv2d of a student": Restricted("conv2d", STUDENT_CONV, STUDENT_CONV_LACKS),
    "conv_transpose1d, ints": Restricted(
        "conv_transpose1d",
        (only_ints(*CONV, "output_padding"), no("groups", "dilation")),
        ("dilation", "groups", "output_padding per axis", *WORDS, "stride per axis"),
    ),
    "linear, 2-d, multiples of 16": Restricted(
        "linear",
        (axes(2), no("b"), lengths(multiple_of(16))),
        (
            *("b", "empty arrays", *_other_axes("x", 1, 3, 4)),
            *(f"lengths of {axis} other than multiples of 16" for axis in ("the last axis of A", "D")),
        ),
    ),
    "batch_norm of a student": Restricted(
        "batch_norm",
        (needs("gamma", "beta", "running_mean", "running_var"), axes(2)),
        (
            *("beta left out", "gamma left out", "running_mean left out", "running_var left out"),
            *_other_axes("x", 3, 4, 5),
            "the pullback with training=False",
        ),
        (_evaluation,),
    ),
    "layer_norm of a student": Restricted(
        "layer_norm",
        (needs("gamma", "beta"), only("normalized_ndim", 1), axes(2)),
        ("beta left out", "gamma left out", "normalized_ndim", *_other_axes("x", 1, 3, 4, 5)),
    ),
    "cross_entropy of a student": Restricted(
        "cross_entropy",
        (only("reduction", "mean"), axes(2), no("weight", "ignore_index", "label_smoothing")),
        (
            *("ignore_index", "label_smoothing", *_other_axes("logits", 3, 4, 5)),
            *("reduction='none'", "reduction='sum'", "weight"),
        ),
    ),
    "max_pool2d of a student": Restricted(
        "max_pool2d",
        (only_ints(*POOL), no("dilation", "ceil_mode")),
        ("ceil_mode=True", "dilation", "kernel_size per axis", *WORDS, "stride per axis"),
    ),
    "global_avg_pool of images": Restricted("global_avg_pool", (axes(4),), _other_axes("x", 3, 5)),
    "adaptive_avg_pool, ints": Restricted("adaptive_avg_pool", (only_ints("output_size"),), ("output_size per axis",)),
    "affine_relu with a bias": Restricted("affine_relu", (needs("b"),), ("b left out",)),
    "pad, ints": Restricted("pad", (only_ints("padding"),), ("padding as pairs", "padding per axis")),
    "add without broadcasting": Restricted(
        "add", (lambda call: call["x"].shape != call["y"].shape,), ("arrays of different shapes",)
    ),
    "flatten of images": Restricted("flatten", (axes(4),), _other_axes("x", 1, 2, 3, 5)),
    "dropout of one half": Restricted("dropout", (no("p"),), ("p",)),
}
MORE = {
    "relu, 2-d": Restricted("relu", (axes(2),), _other_axes("x", 0, 1, 3, 4, 5)),
    "gelu, exact": Restricted("gelu", (no("approximate"),), ("approximate='tanh'",)),
    "conv2d, ints": Restricted("conv2d", (only_ints(*CONV),), ("dilation per axis", *WORDS, "stride per axis")),
    "conv2d without groups": Restricted("conv2d", (no("groups"),), ("groups",)),
    "conv2d, bare": Restricted(
        "conv2d",
        (no("groups", "dilation", "padding", "b", "stride"),),
        ("b", "dilation", "groups", "padding", "padding='same'", "padding='valid'", "stride"),
    ),
    "conv2d, multiples of 4": Restricted(
        "conv2d",
        (lengths(multiple_of(4)), *STUDENT_CONV),
        (
            *("dilation", "empty arrays", "groups", *WORDS, "stride per axis"),
            *(f"lengths of {axis} other than multiples of 4" for axis in "CNS"),
        ),
    ),
    "conv3d of a student": Restricted("conv3d", STUDENT_CONV, STUDENT_CONV_LACKS),
    "linear without a bias": Restricted("linear", (no("b"), axes(2)), ("b", *_other_axes("x", 1, 3, 4))),
    "batch_norm without the pullback of evaluation": Restricted(
        "batch_norm", (), ("the pullback with training=False",), (_evaluation,)
    ),
    "batch_norm without running statistics": Restricted(
        "batch_norm", (no("running_mean", "running_var"),), ("running_mean", "running_var")
    ),
    "batch_norm, evaluation only": Restricted("batch_norm", (only("training", False),), ("training=True",)),
    "batch_norm of images": Restricted(
        "batch_norm",
        (axes(4), needs("gamma", "beta")),
        ("beta left out", "gamma left out", *_other_axes("x", 2, 3, 5), "the pullback with training=False"),
        (_evaluation,),
    ),
    "layer_norm without gamma and beta": Restricted("layer_norm", (no("gamma", "beta"),), ("beta", "gamma")),
    "group_norm of images": Restricted(
        "group_norm",
        (axes(4), needs("gamma", "beta")),
        ("beta left out", "gamma left out", *_other_axes("x", 2, 3, 5)),
    ),
    "instance_norm without beta": Restricted("instance_norm", (no("beta"),), ("beta",)),
    "cross_entropy, mean": Restricted(
        "cross_entropy", (only("reduction", "mean"),), ("reduction='none'", "reduction='sum'")
    ),
    "mse_loss, mean": Restricted(
        "mse_loss",
        (only("reduction", "mean"), axes(2)),
        (*_other_axes("prediction", 0, 1, 3, 4), "reduction='none'", "reduction='sum'"),
    ),
    "max_pool2d of multiples of 4": Restricted(
        "max_pool2d",
        (
            only_ints(*POOL),
            no("dilation", "ceil_mode", "padding"),
            lambda call: any(n % 4 for n in call["x"].shape[2:]),
        ),
        (
            *("ceil_mode=True", "dilation", "kernel_size per axis", "padding", "padding='same'", "padding='valid'"),
            *("stride per axis", "lengths of S other than multiples of 4"),
        ),
    ),
    "avg_pool2d of a student": Restricted(
        "avg_pool2d",
        (only_ints(*MEAN), no("ceil_mode", "count_include_pad")),
        ("ceil_mode=True", "count_include_pad=False", "kernel_size per axis", *WORDS, "stride per axis"),
    ),
    "global_max_pool of images": Restricted("global_max_pool", (axes(4),), _other_axes("x", 3, 5)),
    "conv_bn_relu without groups": Restricted(
        "conv_bn_relu",
        (no("groups", "dilation", "b"),),
        ("b", "dilation", "groups", "the pullback with training=False"),
        (_evaluation,),
    ),
    "pad with zeros": Restricted(
        "pad", (only("mode", "constant"),), ("mode='circular'", "mode='reflect'", "mode='replicate'")
    ),
}


def searched(target, function, dtype="float32", until_found=False):
    search = Search(InProcess(target.filter(function)), target.layer, dtype)
    search.run(100, 0, until_found=until_found)
    return search


def proven(target):
    """Put a right target on trial. Returns the slips of the layer that are excluded within what it offers."""
    search = searched(target, getattr(F, target.layer).vjp)
    assert (search.found, search.lacks) == ({}, list(target.lacks))
    assert (search.judged, search.doubts, search.strength.open) == (100, [], set())
    assert len(search.strength.excluded) > FEW_SLIPS
    return sorted(search.strength.excluded & {slip.sentence for slip in slips_of(target.layer)})


def missed(target, sentences):
    """Return the slips that are not found behind the filter."""
    functions = {sentence: planted_slip(target.layer, sentence).function for sentence in sentences}
    return [sentence for sentence, slip in functions.items() if not searched(target, slip, until_found=True).found]


@pytest.mark.parametrize("name", RESTRICTED)
def test_a_part_of_a_layer_is_proven_and_slips_in_it_are_found(name):
    sentences = proven(RESTRICTED[name])
    assert missed(RESTRICTED[name], random.Random(name).sample(sentences, PLANTED)) == []


@pytest.mark.every_slip
@pytest.mark.parametrize("name", MORE)
def test_more_parts_of_layers_are_proven_and_slips_in_them_are_found(name):
    sentences = proven(MORE[name])
    assert missed(MORE[name], random.Random(name).sample(sentences, MORE_PLANTED)) == []


@pytest.mark.every_slip
@pytest.mark.parametrize("name", [name for name in RESTRICTED if name.endswith("of a student")])
def test_every_slip_is_found_in_the_layers_of_a_student(name):
    assert missed(RESTRICTED[name], proven(RESTRICTED[name])) == []


def test_a_target_of_one_dtype_is_proven_in_that_one():
    target = Restricted("tanh", (only_dtype("float32"),), ())
    verdicts = {}
    for dtype in ("float32", "float64"):
        layer = InProcess(target.filter(F.tanh.vjp))
        verdicts[dtype] = put_on_trial(Subject("mine", "tanh", dtype), layer, 100, 0).trial.verdict
    assert verdicts == {"float32": "conforms", "float64": "not_implemented"}


def test_a_refusal_for_the_size_is_not_blamed_on_an_option():
    target = Restricted("leaky_relu", (lambda call: call["x"].size > 12,), ())
    search = searched(target, F.leaky_relu.vjp)
    assert (search.found, search.judged) == ({}, 100)
    assert search.lacks == ["calls with some other lengths or combinations"]


def test_the_smallest_length_that_fails_is_one_that_the_target_takes():
    def relu(x):
        if x.ndim != 1 or not x.size or x.size % 16:
            raise NotImplementedError

        def pullback(dy):
            dx = dy * (x > 0)
            dx[512:] = 0
            return (dx,)

        return np.maximum(x, 0), pullback

    outcome = put_on_trial(Subject("kernel", "relu", "float32"), InProcess(relu), 100, 0)
    messages = [d.message for d in outcome.trial.discrepancies]
    assert any(message.endswith("wrong from 528 on along axis 1 of A") for message in messages), messages
