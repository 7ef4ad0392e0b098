"""Planted faults: each a small, realistic change of a correct rule, made in the source text of impl."""

from __future__ import annotations

import importlib
import itertools
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import impl

IMPL = Path(impl.__file__).parent
_numbers = itertools.count()


@dataclass(frozen=True)
class Fault:
    """What is wrong, in which layer, and the one change of the source that makes it so."""

    what: str
    layer: str
    file: str
    old: str
    new: str
    diagnosis: str | None = None


def planted(fault: Fault, directory: Path):
    """The functional module of a copy of impl with the fault in it."""
    name = f"mutant{next(_numbers)}"
    shutil.copytree(IMPL, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
    wrong = directory / name / "functional" / fault.file
    source = wrong.read_text()
    assert source.count(fault.old) >= 1, f"{fault.what}: {fault.old!r} is not in {fault.file}"
    wrong.write_text(source.replace(fault.old, fault.new, 1))
    for path in (directory / name).rglob("*.py"):
        text = path.read_text()
        path.write_text(text.replace("from impl", f"from {name}").replace("import impl", f"import {name}"))
    sys.path.insert(0, str(directory))
    try:
        return importlib.import_module(f"{name}.functional")
    finally:
        sys.path.remove(str(directory))


CONV, POOL, WINDOW, NORM = "conv.py", "pool.py", "window.py", "norm.py"
ACTIVATION, LOSS, LINEAR, SHAPE, DROPOUT = "activation.py", "loss.py", "linear.py", "shape.py", "dropout.py"
BLOCK, ARRAY = "block.py", "../array.py"

FAULTS = [
    # -- convolution
    Fault("dx: the kernel is not flipped", "conv2d", CONV, "kernel)[flipped]", "kernel)", "not flipped where dx"),
    Fault("dx: only the last axis of the kernel is flipped", "conv3d", CONV, "*[np.s_[::-1]] * len(kernel))", "np.s_[::-1])"),
    Fault("dx: padding taken on the wrong side", "conv2d", CONV, "for n, m, k, s, d, (before, _) in", "for n, m, k, s, d, (_, before) in"),
    Fault("dw: the stride is forgotten", "conv1d", ARRAY, "in _unfolded(x, dy.shape[2:], tuple(kernel), stride, dilation, groups)", "in _unfolded(x, dy.shape[2:], tuple(kernel), (1,) * len(size), dilation, groups)"),
    Fault("dw: stride and dilation exchanged", "conv2d", ARRAY, "in _unfolded(x, dy.shape[2:], tuple(kernel), stride, dilation, groups)", "in _unfolded(spread(x, (1,) * len(size), [(0, 99)] * len(size)), dy.shape[2:], tuple(kernel), dilation, stride, groups)"),
    Fault("dw: leftovers of the stride left out before", "conv2d", ARRAY, "x = spread(x, (1,) * len(size), padding)\n    for", "x = spread(x, (1,) * len(size), padding)\n    x = x[..., (x.shape[-1] - dilation[-1] * (kernel[-1] - 1) - 1) % stride[-1] :]\n    for"),
    Fault("dw: rotated by 180 degrees", "conv2d", CONV, "lambda: conv_dw(x, dy, w.shape[2:], stride, edges, dilation, groups)", "lambda: conv_dw(x, dy, w.shape[2:], stride, edges, dilation, groups)[..., ::-1, ::-1]", "rotated"),
    Fault("db: the mean over the batch, not the sum", "conv2d", CONV, "dy.sum(axis=(0, *range(2, 2 + rank)))", "dy.sum(axis=tuple(range(2, 2 + rank))).mean(axis=0)"),
    Fault("a dilation of 3 reads as 2, forward and backward agree", "conv2d", CONV, 'dilation = per_axis("dilation", dilation, rank, 1)', 'dilation = tuple(min(d, 2) for d in per_axis("dilation", dilation, rank, 1))'),
    Fault("groups: channels interleaved, not blocked", "conv2d", CONV, "exchanged = w.reshape(groups, filters // groups, per_group, *kernel).swapaxes(1, 2)", "exchanged = w.reshape(filters // groups, groups, per_group, *kernel).swapaxes(0, 1).swapaxes(1, 2)"),
    Fault('"same" pads an even kernel before', "conv2d", WINDOW, "(total // 2, total - total // 2)", "(total - total // 2, total // 2)"),
    Fault("transposed: output_padding added before", "conv_transpose2d", CONV, "y = conv_dx(x, w, size, stride, edges, dilation, groups)", "y = conv_dx(x, w, size, stride, [(a + e, b) for (a, b), e in zip(edges, extra)], dilation, groups)"),
    Fault("transposed: dw keeps x and dy in conv's places", "conv_transpose2d", CONV, "dw = conv_dw(dy, x, w.shape[2:], stride, edges, dilation, groups)", "dw = conv_dw(dy, x, w.shape[2:], stride, edges, dilation, groups)[..., ::-1]"),
    Fault("transposed: bias forgotten", "conv_transpose1d", CONV, "y = conv_dx(x, w, size, stride, edges, dilation, groups)\n        return (y if b is None else y + b.reshape(-1, *[1] * rank))", "y = conv_dx(x, w, size, stride, edges, dilation, groups)\n        return y"),
    # -- pooling
    Fault("max pool: = for += where windows overlap", "max_pool2d", WINDOW, "padded[(..., *tap)] += part", "padded[(..., *tap)] = np.where(part != 0, part, padded[(..., *tap)])", "="),
    Fault("max pool: every tied element receives dy", "max_pool2d", POOL, "parts = (xp.where(place == k, dy, 0) for k in range(prod(windows.kernel)))", "padded = windows.pad(x, -np.inf)\n        seen = [padded[(..., *tap)] for tap in windows.taps()]\n        parts = (xp.where(tap == np.max(seen, axis=0), dy, 0) for tap in seen)", "every one of several equal maxima"),
    Fault("max pool: the padding is 0 and can win", "max_pool2d", POOL, "windows.pad(x, -np.inf), windows", "windows.pad(x, 0.0), windows"),
    Fault("max pool: the last of a window's taps is not seen", "max_pool1d", POOL, "for k, tap in enumerate(taps, start=1):", "for k, tap in list(enumerate(taps, start=1))[: prod(windows.kernel) - 2 or 1]:"),
    Fault("max pool: a dilated pool reads the wrong pixels, forward and backward agree", "max_pool2d", WINDOW, "starts = [k * d for k, d in", "starts = [k * d if d < 3 else k * (d - 1) for k, d in"),
    Fault("max pool: ceil_mode keeps a window that starts outside", "max_pool2d", WINDOW, "if ceil and (count - 1) * s >= n + before:", "if ceil and (count - 1) * s > n + before:"),
    Fault("max pool: a padding of more than half the window is accepted", "max_pool2d", WINDOW, 'if padding != "same" and max(before, after) > k // 2:', "if False:"),
    Fault("avg pool: the padding is not counted by default", "avg_pool2d", POOL, "windows.counts_with_padding() if included else", "windows.counts() if included else"),
    Fault("avg pool: an overhang of ceil_mode is counted", "avg_pool2d", WINDOW, "zip(self.size, self.after, strict=True)])", "zip(self.size, [9] * 3)])"),
    Fault("avg pool: dx not divided", "avg_pool1d", POOL, "share = dy / _divisor(windows, count_include_pad, x)", "share = dy"),
    Fault("global average: dx divided by one side only", "global_avg_pool", POOL, "share = (dy / prod(x.shape[2:]))", "share = (dy / x.shape[2])"),
    Fault("global max: dx to every place", "global_max_pool", POOL, "namespace(x).where(winners, share.reshape(kept.shape), 0)", "share.reshape(kept.shape) + 0 * x"),
    Fault("adaptive: windows end too early", "adaptive_avg_pool", POOL, "-((-(i + 1) * n) // m)", "max(i * n // m + 1, (i + 1) * n // m)"),
    # -- normalisation
    Fault("batch norm: dx forgets that the mean depends on x", "batch_norm", NORM, "scale * (dy - dbeta.reshape(shape) / count - x_hat", "scale * (dy - x_hat", "forgets that the mean"),
    Fault("batch norm: dx forgets that the variance depends on x", "batch_norm", NORM, "/ count - x_hat * (dgamma.reshape(shape) / count))", "/ count)", "forgets that the variance"),
    Fault("batch norm: M - 1 in the derivative", "batch_norm", NORM, "x_hat * (dgamma.reshape(shape) / count)", "x_hat * (dgamma.reshape(shape) / max(1, count - 1))"),
    Fault("batch norm: the unbiased variance in the value", "batch_norm", NORM, "    inv_std = 1 / xp.sqrt(var + eps)\n    return (centred", "    count = prod(x.shape[a] for a in axes)\n    var = var * count / max(1, count - 1)\n    inv_std = 1 / xp.sqrt(var + eps)\n    return (centred", "unbiased"),
    Fault("batch norm: the running variance takes the biased one", "batch_norm", NORM, "(var.reshape(channels) * (count / (count - 1)))", "var.reshape(channels)"),
    Fault("batch norm: momentum weighs the old", "batch_norm", NORM, "(1 - momentum) * running_mean + momentum * mean", "momentum * running_mean + (1 - momentum) * mean"),
    Fault("batch norm: statistics of the batch in evaluation", "batch_norm", NORM, "    if not training:\n        return dy * scale", "    if False:\n        return dy * scale"),
    Fault("batch norm: one-pass variance", "batch_norm", NORM, "xp.maximum(_mean(centred * centred, axes) - rest * rest, 0)", "_mean(x * x, axes) - mean * mean"),
    Fault("layer norm: eps added to the deviation", "layer_norm", NORM, "inv_std = 1 / xp.sqrt(var + eps)\n    return (centred", "inv_std = 1 / (xp.sqrt(var) + eps)\n    return (centred", "eps is added"),
    Fault("layer norm: dgamma summed over the wrong axes when two are normalised", "layer_norm", NORM, "others = tuple(range(dy.ndim - normalized_ndim))\n    dx_hat = dy if gamma is None else dy * gamma\n    dx = stand", "others = tuple(range(dy.ndim - 1))\n    dx_hat = dy if gamma is None else dy * gamma\n    dx = stand"),
    Fault("layer norm over one element: dgamma is dy", "layer_norm", NORM, "return dx, (dy * x_hat).sum(axis=others), dy.sum(axis=others)", "return dx, (dy * x_hat + dy * (dy.shape[-1] == 1)).sum(axis=others), dy.sum(axis=others)"),
    Fault("group norm: right for 3-D input alone", "group_norm", NORM, "dx = standardise_dx(_grouped(x_hat, groups), inv_std, _grouped(dx_hat, groups), (2,)).reshape(dy.shape)", "dx = standardise_dx(_grouped(x_hat, groups), inv_std, _grouped(dx_hat, groups), (2,)).reshape(dy.shape) * (dy.shape[-1] / (dy.size / max(1, dy.shape[0] * dy.shape[1])) if dy.ndim > 2 and dy.size else 1)"),
    Fault("group norm: the sum of dy * x_hat forgotten", "group_norm", NORM, "inv_std * (dx_hat - own - x_hat * along)", "inv_std * (dx_hat - own - x_hat * own)", "sum of dy"),
    Fault("instance norm: gamma left out of dx", "instance_norm", NORM, "dx_hat = dy if gamma is None else dy * gamma.reshape(_channel_shape(dy))\n    dx = standardise_dx(_grouped", "dx_hat = dy\n    dx = standardise_dx(_grouped"),
    Fault("rms norm: the mean is subtracted in dx", "rms_norm", NORM, "return inv_rms * (dx_hat - x_hat * along)", "return inv_rms * (dx_hat - _mean(dx_hat, axes) - x_hat * along)"),
    # -- fully connected
    Fault("affine: db divided by the batch", "affine", LINEAR, "lambda: dy.sum(axis=0)", "lambda: dy.sum(axis=0) / max(1, len(dy))", "batch size"),
    Fault("linear: dw transposed where it happens to fit", "linear", LINEAR, "flat_dy.T @ flat_x", "(flat_dy.T @ flat_x if w.shape[0] != w.shape[1] else flat_x.T @ flat_dy)"),
    # -- activations
    Fault("relu: the sign of dy is tested as well", "relu", ACTIVATION, "namespace(x).where(x <= 0, 0, dy)", "namespace(x).where((x <= 0) | (dy <= 0), 0, dy)"),
    Fault("relu: derivative 1 below 0 in part", "leaky_relu", ACTIVATION, "where(x <= 0, negative_slope * dy, dy)", "where(x <= 0, negative_slope, 1) + 0 * dy"),
    Fault("sigmoid: dy * y, without 1 - y", "sigmoid", ACTIVATION, "return logistic(x)", "return logistic(x)[0], logistic(x)[0]"),
    Fault("tanh: 1 - y for 1 - y * y", "tanh", ACTIVATION, "(dy * ((1 - y) * (1 + y)),)", "(dy * (1 - y),)"),
    Fault("gelu: the density's factor forgotten", "gelu", ACTIVATION, "* (1 / sqrt(2 * pi))", ""),
    Fault("elu: alpha forgotten in dx", "elu", ACTIVATION, "dy * (alpha * xp.exp(below))", "dy * xp.exp(below)"),
    Fault("silu: the slope of s forgotten", "silu", ACTIVATION, "return x * s, s + x * slope", "return x * s, s + 0 * slope"),
    Fault("softmax: the sum taken over the wrong axis", "softmax", ACTIVATION, "(dy * y).sum(axis=axis, keepdims=True)", "(dy * y).sum(axis=-1, keepdims=True)"),
    Fault("softmax: overflows, the largest is not subtracted", "softmax", ACTIVATION, "shifted = x - x.max(axis=axis, keepdims=True) if x.shape[axis] else x", "shifted = x"),
    Fault("softmax: zeros", "softmax", ACTIVATION, "return (y * (dy - (dy * y).sum(axis=axis, keepdims=True)),)", "return (0 * dy,)", "never written"),
    Fault("log softmax: dy not summed", "log_softmax", ACTIVATION, "dy - p * dy.sum(axis=axis, keepdims=True)", "dy - p * dy"),
    # -- losses
    Fault("cross entropy: ignored labels are counted in the mean", "cross_entropy", LOSS, "divisor = xp.where(chosen, weights, 0).sum()", "divisor = xp.where(chosen, weights, 0).sum() + ignored.sum()"),
    Fault("cross entropy: the mean over the batch alone", "cross_entropy", LOSS, "divisor = xp.where(chosen, weights, 0).sum()", "divisor = xp.where(chosen, weights, 0).sum() / prod(labels.shape[1:])"),
    Fault("binary cross entropy: the negative classes forgotten", "binary_cross_entropy", LOSS, "slope = xp.where(targets == 1, 0, (1 - targets) / (1 - p)) - ", "slope = -"),
    Fault("mse: dtarget has dprediction's sign", "mse_loss", LOSS, "return d, -d", "return d, d", "sign"),
    Fault("mse: the factor 2 forgotten", "mse_loss", LOSS, "d = 2 * difference", "d = difference", "half"),
    Fault("l2 penalty: twice the gradient", "l2_penalty", LOSS, "return (dy * weight * w,)", "return (2 * dy * weight * w,)", "twice"),
    # -- composed
    Fault("affine relu: the gate of the value's sign is left out", "affine_relu", BLOCK, "(da,) = relu.backward(relu_kept, dy)\n    return affine", "da = dy\n    return affine"),
    Fault("conv relu pool: relu's gate skipped", "conv_relu_pool", BLOCK, "(da,) = relu.backward(relu_kept, dh)\n    return conv2d", "da = dh\n    return conv2d"),
    Fault("conv bn relu: the normalisation skipped going back", "conv_bn_relu", BLOCK, "dx, dw, db = conv2d.backward(conv_kept, da, stride", "dx, dw, db = conv2d.backward(conv_kept, dh, stride"),
    Fault("residual block: the gradient of the shortcut forgotten", "residual_block", BLOCK, "return dh + by, parts, projected", "return dh, parts, projected"),
    Fault("residual block: the block overwritten by its shortcut", "residual_block", BLOCK, "y, last = relu.forward(h + by)", "y, last = relu.forward(by + by if by_kept else h + by)"),
    Fault("bottleneck: the stride on the first kernel", "bottleneck_block", BLOCK, "norms, [1, stride, 1], shortcut, stride, options)", "norms, [stride, 1, 1], shortcut, stride, options)"),
    # -- the rest
    Fault("dropout: the scale left out of dx", "dropout", DROPOUT, "return dy * kept * (1 / (1 - p)), None", "return dy * kept, None"),
    Fault("add: a broadcast not summed over", "add", SHAPE, "stretched = tuple(i for i, n in enumerate(shape) if n == 1 and dy.shape[i] != 1)", "stretched = ()"),
    Fault("pad: reflected gradients dropped", "pad", SHAPE, "dy = add_at(zeros, axis, _source", "zeros[(slice(None),) * axis + (_source(x.shape[axis], before, after, mode),)] = dy\n        dy = zeros + 0 * add_at(zeros * 1, axis, _source"),
    Fault("flatten: in Fortran order", "flatten", SHAPE, "return (dy.reshape(x.shape),)", "return (dy.reshape(x.shape, order='F'),)"),
    Fault("identity: dy is changed in place", "identity", ACTIVATION, 'def _(residuals: Any, dy: Array) -> tuple[Array]:\n    return (dy,)', 'def _(residuals: Any, dy: Array) -> tuple[Array]:\n    dy *= 2\n    return (dy / 2,)'),
    Fault("tanh: the output is never written", "tanh", ACTIVATION, "return (dy * ((1 - y) * (1 + y)),)", "import numpy as np\n    return (np.empty_like(y),)"),
]  # fmt: skip
