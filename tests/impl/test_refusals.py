"""Bad input: every argument of every rule has a wrong value here; one clear message names the layer and what is wrong."""

import jax.numpy as jnp
import numpy as np
import pytest

from impl import Rule
from impl import functional as F


def ones(*shape):
    return np.ones(shape)


IMAGE = {1: (2, 4, 6), 2: (2, 4, 6, 6), 3: (2, 4, 6, 6, 6)}

# layer: the good call, and for each argument a wrong value and a word of the message.
CASES = {
    "affine": ([ones(2, 3), ones(3, 4), ones(4)], {}, {"x": (ones(2, 5), "5 features"), "w": (ones(3), "shape"), "b": (ones(3), "b has shape")}),
    "linear": ([ones(2, 3), ones(4, 3), ones(4)], {}, {"x": (ones(2, 5), "5 features"), "w": (ones(3), "shape"), "b": (ones(3), "b has shape")}),
    "batch_norm": (
        [ones(4, 3), ones(3), ones(3), ones(3), ones(3)], {},
        {"x": (ones(3), "shape"), "gamma": (ones(2), "gamma"), "beta": (ones(2), "beta"), "running_mean": (ones(2), "running_mean"),
         "running_var": (None, "together"), "training": (1, "True or False"), "momentum": (1.5, "momentum"), "eps": (-1.0, "eps")},
    ),
    "layer_norm": ([ones(4, 3), ones(3), ones(3)], {}, {"x": (ones(4, 2), "gamma"), "gamma": (ones(2), "gamma"), "beta": (ones(4), "beta"), "normalized_ndim": (3, "only 2 axes"), "eps": ("a", "eps")}),
    "group_norm": ([ones(2, 4, 3), ones(4), ones(4)], {"groups": 2}, {"x": (ones(4), "shape"), "gamma": (ones(2), "gamma"), "beta": (ones(2), "beta"), "groups": (3, "does not divide"), "eps": (None, "eps")}),
    "instance_norm": ([ones(2, 4, 3), ones(4), ones(4)], {}, {"x": (ones(2, 4), "spatial"), "gamma": (ones(2), "gamma"), "beta": (ones(2), "beta"), "eps": (-1e-5, "eps")}),
    "rms_norm": ([ones(4, 3), ones(3)], {}, {"x": (ones(4, 2), "gamma"), "gamma": (ones(2), "gamma"), "normalized_ndim": (0, "normalized_ndim"), "eps": (True, "eps")}),
    "leaky_relu": ([ones(3)], {}, {"x": ([1.0], "array"), "negative_slope": ("steep", "negative_slope")}),
    "elu": ([ones(3)], {}, {"x": ([1.0], "array"), "alpha": (None, "alpha")}),
    "gelu": ([ones(3)], {}, {"x": ([1.0], "array"), "approximate": ("erf", "approximate")}),
    **{name: ([ones(3)], {}, {"x": (np.arange(3), "int64")}) for name in ("relu", "silu", "sigmoid", "tanh", "softplus", "identity")},
    "softmax": ([ones(2, 3)], {}, {"x": (1.0, "array"), "axis": (2, "axis is 2")}),
    "log_softmax": ([ones(2, 3)], {}, {"x": (1.0, "array"), "axis": (1.0, "axis must be an int")}),
    "cross_entropy": (
        [ones(2, 3), np.array([0, 2]), ones(3)], {},
        {"logits": (ones(3), "logits"), "labels": (np.array([0, 3]), r"\[0, 3\)"), "weight": (ones(2), "weight"), "reduction": ("max", "reduction"),
         "ignore_index": (0.5, "ignore_index"), "label_smoothing": (1.5, "label_smoothing")},
    ),
    "binary_cross_entropy": ([ones(3) / 2, ones(3)], {}, {"p": (ones(2), "targets"), "targets": (ones(2), "targets"), "reduction": (None, "reduction")}),
    "mse_loss": ([ones(3), ones(3)], {}, {"prediction": (ones(2), "target"), "target": (ones(3, 1), "target"), "reduction": ("avg", "reduction")}),
    "l2_penalty": ([ones(3)], {}, {"w": (None, "missing"), "weight": ("heavy", "weight")}),
    "dropout": ([ones(3), ones(3)], {}, {"x": (ones(2), "mask"), "mask": (ones(4), "mask"), "p": (1.0, "p must lie")}),
    "add": ([ones(3), ones(3)], {}, {"x": (ones(2), "broadcast"), "y": (ones(2), "broadcast")}),
    "flatten": ([ones(3)], {}, {"x": (ones(), "batch axis")}),
    "pad": ([ones(1, 1, 3)], {"padding": 1}, {"x": (ones(3), "spatial"), "padding": (-1, "padding"), "mode": ("mirror", "mode")}),
    "global_avg_pool": ([ones(1, 1, 3)], {}, {"x": (ones(1, 1), "spatial")}),
    "global_max_pool": ([ones(1, 1, 3)], {}, {"x": (ones(1, 1, 0), "no spatial place")}),
    "adaptive_avg_pool": ([ones(1, 1, 3)], {"output_size": 2}, {"x": (ones(1, 1, 0), "no spatial place"), "output_size": (0, "output_size")}),
}  # fmt: skip
for rank in (1, 2, 3):
    one, three = (1,) * rank, (3,) * rank
    CASES[f"conv{rank}d"] = (
        [ones(*IMAGE[rank]), ones(6, 2, *three), ones(6)], {"groups": 2},
        {"x": (ones(2, 3, *three), "x has 3 channels but w expects groups"), "w": (ones(6, 2), "axes"), "b": (ones(5), "b has shape"),
         "stride": (0, "stride must be at least 1"), "padding": ("full", "padding"), "dilation": (4, "reaches over 9"), "groups": (4, "channels")},
    )  # fmt: skip
    CASES[f"conv_transpose{rank}d"] = (
        [ones(*IMAGE[rank]), ones(4, 3, *three), ones(6)], {"groups": 2},
        {"x": (ones(2, 3, *three), "x has 3 channels"), "w": (ones(4, 3, *one[1:]), "axes"), "b": (ones(5), "b has shape"), "stride": (1.0, "stride must be an int"),
         "padding": (20, "output of size"), "output_padding": (1, "output_padding"), "dilation": ((1,) * 4, "dilation has 4 entries"), "groups": (3, "does not divide")},
    )  # fmt: skip
    pool = {
        "x": (ones(2, 2), "axes"),
        "kernel_size": (9, "reaches over 9"),
        "stride": (0, "stride"),
        "padding": (2, "more than half"),
        "ceil_mode": (1, "ceil_mode"),
    }
    CASES[f"max_pool{rank}d"] = ([ones(*IMAGE[rank])], {"kernel_size": 2}, {**pool, "dilation": (9, "reaches over 10")})
    CASES[f"avg_pool{rank}d"] = (
        [ones(*IMAGE[rank])],
        {"kernel_size": 2},
        {**pool, "count_include_pad": (None, "count_include_pad")},
    )

NORM = {"training": (1, "True or False"), "momentum": (-0.5, "momentum"), "eps": ("small", "eps")}
PART = {"gamma": (ones(5), "gamma has shape"), "beta": (ones(5), "beta has shape"), "running_mean": (ones(5), "running_mean has shape"),
        "running_var": (ones(5), "running_var has shape")}  # fmt: skip
CONV = {"x": (ones(2, 3, 4, 4), "x has 3 channels"), "w": (ones(3, 3), "axes"), "b": (ones(5), "b has shape"), "stride": (0, "stride"),
        "padding": (-1, "padding"), "dilation": (9, "reaches over"), "groups": (2, "channels")}  # fmt: skip
CASES["affine_relu"] = CASES["affine"]
CASES["conv_relu_pool"] = (
    [ones(2, 2, 6, 6), ones(3, 2, 3, 3), ones(3)], {}, {**CONV, "kernel_size": (0, "kernel_size"), "pool_stride": (0, "pool_stride")},
)  # fmt: skip
CASES["conv_bn_relu"] = ([ones(2, 2, 6, 6), ones(3, 2, 3, 3), *[ones(3)] * 5], {}, {**CONV, **PART, **NORM})
for name, kernels in (
    ("residual_block", [ones(3, 2, 3, 3), ones(3, 3, 3, 3)]),
    ("bottleneck_block", [ones(2, 2, 1, 1), ones(2, 2, 3, 3), ones(3, 2, 1, 1)]),
):
    filters = [len(w) for w in kernels]
    which = [*map(str, range(1, len(kernels) + 1)), "_shortcut"]
    good = [
        ones(2, 2, 4, 4),
        *kernels,
        *(ones(f) for f in filters for _ in range(2)),
        ones(3, 2, 1, 1),
        ones(3),
        ones(3),
    ]
    good += [ones(f) for f in (*filters, 3) for _ in range(2)]
    wrong = {
        "x": (ones(2, 1, 4, 4), "w1 has shape"),
        "stride": (0, "stride"),
        "w_shortcut": (None, "w_shortcut of shape"),
        **NORM,
    }
    wrong |= {f"w{i + 1}": (ones(7, 7), f"w{i + 1} has shape") for i in range(len(kernels))}
    wrong |= {f"{part}{w}": (value, f"{part}{w} has shape") for part, (value, _) in PART.items() for w in which}
    CASES[name] = (good, {}, wrong)

WRONG = [(layer, name) for layer, (_, _, wrong) in CASES.items() for name in wrong]


def test_every_argument_of_every_rule_is_here():
    for name in F.__all__:
        rule = getattr(F, name)
        if isinstance(rule, Rule):
            arguments = {*rule.arrays, *rule.required, *rule.configuration}
            assert set(CASES[name][2]) == arguments, name


@pytest.mark.parametrize("convert", [np.asarray, jnp.asarray], ids=["numpy", "jax"])
@pytest.mark.parametrize(("layer", "name"), WRONG)
def test_wrong_value_is_refused(layer, name, convert):
    arrays, options, wrong = CASES[layer]
    value, word = wrong[name]
    rule = getattr(F, layer)
    if convert is jnp.asarray and (word in (r"\[0, 3\)", "int64")):
        value, word = (
            (jnp.ones((2,), jnp.int32), "dtype int32") if word == "int64" else (jnp.ones(3, int), "labels has shape")
        )
    arrays = [convert(a.astype(np.float32)) if a.dtype.kind == "f" else convert(a) for a in arrays]
    if isinstance(value, np.ndarray):
        value = convert(value.astype(np.float32)) if value.dtype.kind == "f" else convert(value)
    rule(*arrays, **options)
    if name in rule.arrays:
        arrays[rule.arrays.index(name)] = value
    else:
        options = options | {name: value}
    for call in (rule, rule.vjp):
        with pytest.raises((ValueError, TypeError), match=f"^{layer}: .*{word}") as caught:
            call(*arrays, **options)
        assert type(caught.value) in (ValueError, TypeError)
        assert "\n" not in str(caught.value)


def test_the_message_of_the_contract():
    with pytest.raises(ValueError, match=r"^conv2d: x has 3 channels but w expects groups \* w.shape\[1\] = 4$"):
        F.conv2d(ones(1, 3, 4, 4), ones(2, 4, 3, 3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: F.conv2d(ones(1, 2, 4, 4)), "conv2d: the array w is missing"),
        (lambda: F.relu(ones(1), ones(1)), "relu: takes 1 arrays"),
        (lambda: F.relu(ones(1), slope=1), "relu: unknown option 'slope'"),
        (lambda: F.conv2d(ones(1, 2, 4, 4), ones(1, 2, 1, 1), b=ones(1)), "conv2d: b is an array and is passed by position"),
        (lambda: F.max_pool2d(ones(1, 2, 4, 4)), "max_pool2d: the option kernel_size is missing"),
        (lambda: F.linear(ones(1, 2), ones(1, 2).astype("float32")), "linear: w is float32 but x is float64"),
        (lambda: F.relu.vjp(ones(2))[1](ones(3)), r"relu: dy has shape \(3,\) but the value has shape \(2,\)"),
        (lambda: F.relu.vjp(ones(2))[1]("dy"), "relu: dy must be"),
        (lambda: F.conv2d(ones(1, 2, 4, 4), ones(1, 2, 1, 1), padding="same", stride=2), "conv2d: padding \"same\" needs stride 1"),
        (lambda: F.conv2d(ones(1, 2, 4, 4), ones(1, 2, 1, 1), padding=((1, 0),)), "conv2d: padding must hold one"),
        (lambda: F.batch_norm(ones(1, 2)), "batch_norm: training needs more than one value"),
        (lambda: F.batch_norm(ones(2, 2), training=False), "batch_norm: evaluation"),
        (lambda: F.cross_entropy(ones(2, 3), ones(2)), "cross_entropy: labels must be integers"),
        (lambda: F.dropout(ones(2), np.array(["a", "b"])), "dropout: mask must hold numbers"),
    ],
)  # fmt: skip
def test_wrong_call_is_refused(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()
