"""The values of impl against ONNX's operator test cases, for every operator that has a rule."""

import functools

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from impl import functional as F

pytestmark = pytest.mark.filterwarnings("ignore")

# Cases that cannot apply, with the reason: an option that no rule has, or a choice that PyTorch makes otherwise.
DILATED = "avg_pool has no dilation"
PADDED = "a padding of more than half the kernel is refused, as by PyTorch"
AXIS = "flatten keeps the batch axis alone"
CANNOT = {
    "averagepool_2d_dilations": DILATED,
    "averagepool_3d_dilations_small": DILATED,
    "averagepool_3d_dilations_large_count_include_pad_is_0_ceil_mode_is_True": DILATED,
    "averagepool_3d_dilations_large_count_include_pad_is_0_ceil_mode_is_False": DILATED,
    "averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_True": DILATED,
    "averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_False": DILATED,
    "averagepool_2d_pads": PADDED,
    "averagepool_2d_pads_count_include_pad": PADDED,
    "maxpool_2d_pads": PADDED,
    "averagepool_2d_ceil_last_window_starts_on_pad": "ceil_mode drops a window that starts in the padding after",
    "flatten_axis0": AXIS,
    "flatten_axis2": AXIS,
    "flatten_axis3": AXIS,
    "flatten_negative_axis4": AXIS,
    "flatten_negative_axis2": AXIS,
    "flatten_negative_axis1": AXIS,
    "identity_sequence": "a sequence, not an array",
    "identity_opt": "an optional, not an array",
    "constant_pad": "pad fills with zeros alone",
    "constant_pad_axes": "pad fills with zeros alone",
    "constant_pad_negative_axes": "pad fills with zeros alone",
}
MOVES = ("Add", "Pad", "MaxPool", "Identity")  # whose cases with integers are compared in float64


@functools.cache
def collected():
    from onnx.backend.test.case.node import collect_testcases

    return {case.name.removeprefix("test_"): case for case in collect_testcases("")}


def attributes(node):
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


def pads(a, kernel, stride, dilation, size):
    """ONNX's pads and auto_pad as (before, after) pairs."""
    auto = a.get("auto_pad", b"NOTSET").decode()
    rank = len(kernel)
    if auto in ("NOTSET", ""):
        flat = a.get("pads", [0] * (2 * rank))
        return tuple(zip(flat[:rank], flat[rank:], strict=True))
    if auto == "VALID":
        return ((0, 0),) * rank
    pairs = []
    for n, k, s, d in zip(size, kernel, stride, dilation, strict=True):
        total = max(0, (-(-n // s) - 1) * s + d * (k - 1) + 1 - n)
        less, more = total // 2, total - total // 2
        pairs.append((less, more) if auto == "SAME_UPPER" else (more, less))
    return tuple(pairs)


def windows(a, x, kernel):
    rank = len(kernel)
    stride, dilation = a.get("strides", [1] * rank), a.get("dilations", [1] * rank)
    return tuple(stride), tuple(dilation), pads(a, kernel, stride, dilation, x.shape[2:])


def conv(a, x, w, b=None):
    stride, dilation, padding = windows(a, x, w.shape[2:])
    rule = getattr(F, f"conv{x.ndim - 2}d")
    return rule(x, w, b, stride=stride, dilation=dilation, padding=padding, groups=a.get("group", 1))


def conv_transpose(a, x, w, b=None):
    rank = x.ndim - 2
    stride, dilation = a.get("strides", [1] * rank), a.get("dilations", [1] * rank)
    extra = a.get("output_padding", [0] * rank)
    shape, auto = a.get("output_shape"), a.get("auto_pad", b"NOTSET").decode()
    padding = pads(a if auto == "NOTSET" else {}, w.shape[2:], stride, dilation, x.shape[2:])
    if shape is not None or auto.startswith("SAME"):
        goal = shape or [n * s for n, s in zip(x.shape[2:], stride, strict=True)]
        padding, extra = [], list(extra)
        for i, (n, k, s, d, m) in enumerate(zip(x.shape[2:], w.shape[2:], stride, dilation, goal, strict=True)):
            total = (n - 1) * s + extra[i] + d * (k - 1) + 1 - m
            if total < 0:
                extra[i], total = extra[i] - total, 0
            less, more = total // 2, total - total // 2
            padding.append((less, more) if auto == "SAME_UPPER" else (more, less))
    rule = getattr(F, f"conv_transpose{rank}d")
    return rule(x, w, b, stride=tuple(stride), dilation=tuple(dilation), padding=tuple(padding),
                output_padding=tuple(extra), groups=a.get("group", 1))  # fmt: skip


def max_pool(a, x):
    kernel = a["kernel_shape"]
    stride, dilation, padding = windows(a, x, kernel)
    rule = getattr(F, f"max_pool{x.ndim - 2}d")
    return rule(x, kernel_size=tuple(kernel), stride=stride, padding=padding, dilation=dilation,
                ceil_mode=bool(a.get("ceil_mode", 0)))  # fmt: skip


def avg_pool(a, x):
    kernel = a["kernel_shape"]
    stride, _, padding = windows(a, x, kernel)
    rule = getattr(F, f"avg_pool{x.ndim - 2}d")
    return rule(x, kernel_size=tuple(kernel), stride=stride, padding=padding, ceil_mode=bool(a.get("ceil_mode", 0)),
                count_include_pad=bool(a.get("count_include_pad", 0)))  # fmt: skip


def batch_norm(a, x, gamma, beta, mean, var):
    training = bool(a.get("training_mode", 0))
    y, *_ = F.batch_norm(x, gamma, beta, mean, var, training=training, eps=a.get("epsilon", 1e-5))
    return y


def layer_norm(a, x, gamma, beta=None):
    return F.layer_norm(x, gamma, beta, normalized_ndim=x.ndim - a.get("axis", -1) % x.ndim, eps=a.get("epsilon", 1e-5))


def rms_norm(a, x, gamma):
    return F.rms_norm(x, gamma, normalized_ndim=x.ndim - a.get("axis", -1) % x.ndim, eps=a.get("epsilon", 1e-5))


def softmax_loss(a, x, labels, weight=None):
    options = {"reduction": a.get("reduction", b"mean").decode()}
    if "ignore_index" in a:
        options["ignore_index"] = a["ignore_index"]
    axes = tuple(range(2, x.ndim))
    loss = F.cross_entropy(x, labels, weight, **options)
    return loss, F.log_softmax(x, axis=1) if axes or x.ndim == 2 else None


def gemm(a, x, w, c=None):
    """Y = alpha A B + beta C: affine with the factors folded into its arrays."""
    x, w = (x.T if a.get("transA") else x), (w.T if a.get("transB") else w)
    y = F.affine(np.ascontiguousarray(x), np.ascontiguousarray(w) * np.float32(a.get("alpha", 1.0)))
    return y if c is None else F.add(y, np.asarray(c * np.float32(a.get("beta", 1.0))))


def pad(a, x, pads, *rest):
    mode = {"edge": "replicate", "wrap": "circular"}.get(
        a.get("mode", b"constant").decode(), a.get("mode", b"constant").decode()
    )
    pairs = list(zip(pads[: x.ndim], pads[x.ndim :], strict=True))
    assert pairs[:2] == [(0, 0), (0, 0)]
    return F.pad(x, padding=[(int(before), int(after)) for before, after in pairs[2:]], mode=mode)


def elementwise(rule, **names):
    def call(a, x):
        return rule(x, **{ours: a[theirs] for ours, theirs in names.items() if theirs in a})

    return call


def softmax(rule):
    def call(a, x):
        return rule(x, axis=a.get("axis", -1))

    return call


OPERATORS = {
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "MaxPool": max_pool,
    "AveragePool": avg_pool,
    "GlobalAveragePool": lambda a, x: F.global_avg_pool(x).reshape(*x.shape[:2], *[1] * (x.ndim - 2)),
    "GlobalMaxPool": lambda a, x: F.global_max_pool(x).reshape(*x.shape[:2], *[1] * (x.ndim - 2)),
    "BatchNormalization": batch_norm,
    "InstanceNormalization": lambda a, x, g, b: F.instance_norm(x, g, b, eps=a.get("epsilon", 1e-5)),
    "GroupNormalization": lambda a, x, g, b: F.group_norm(x, g, b, groups=a["num_groups"], eps=a.get("epsilon", 1e-5)),
    "LayerNormalization": layer_norm,
    "RMSNormalization": rms_norm,
    "Softmax": softmax(F.softmax),
    "LogSoftmax": softmax(F.log_softmax),
    "SoftmaxCrossEntropyLoss": softmax_loss,
    "Gemm": gemm,
    "Relu": elementwise(F.relu),
    "LeakyRelu": elementwise(F.leaky_relu, negative_slope="alpha"),
    "Elu": elementwise(F.elu, alpha="alpha"),
    "Gelu": lambda a, x: F.gelu(x, approximate=a.get("approximate", b"none").decode()),
    "Sigmoid": elementwise(F.sigmoid),
    "Tanh": elementwise(F.tanh),
    "Softplus": elementwise(F.softplus),
    "Swish": lambda a, x: F.silu(x),
    "Identity": elementwise(F.identity),
    "Add": lambda a, x, y: F.add(x, y),
    "Flatten": lambda a, x: F.flatten(x),
    "Pad": pad,
}


def applicable():
    names = []
    for name, case in collected().items():
        nodes = case.model.graph.node if case.model is not None else []
        if len(nodes) == 1 and nodes[0].op_type in OPERATORS and case.data_sets:
            names.append(name)
    return names


def arrays_of(items):
    return [None if x is None else x if isinstance(x, np.ndarray) else np.asarray(
        x if np.isscalar(x) else numpy_helper.to_array(x)) for x in items]  # fmt: skip


def compare(name):
    (node,) = collected()[name].model.graph.node
    inputs, outputs = collected()[name].data_sets[0]
    supplied = iter(arrays_of(inputs))
    given = [next(supplied) if slot else None for slot in node.input]
    if node.op_type in MOVES and given[0].dtype.kind in "iu":
        given = [given[0].astype(float), *(x.astype(float) if node.op_type == "Add" else x for x in given[1:])]
    result = OPERATORS[node.op_type](attributes(node), *given)
    for got, expected in zip(result if isinstance(result, tuple) else (result,), arrays_of(outputs), strict=False):
        assert got.shape == expected.shape, name
        tolerance = 2e-3 if got.dtype == np.float16 else 1e-4
        np.testing.assert_allclose(got, expected, rtol=tolerance, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("operator", OPERATORS)
def test_operator(operator):
    mine = [n for n in applicable() if collected()[n].model.graph.node[0].op_type == operator]
    compared = [n for n in mine if n not in CANNOT]
    assert compared
    for name in compared:
        compare(name)


def test_the_list_of_what_cannot_apply_is_current():
    assert set(CANNOT) <= set(applicable())
