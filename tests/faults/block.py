"""Faults of the composed layers."""

import numpy as np

from impl.functional import batch_norm, conv2d, relu, residual_block
from tests.faults.planted import fault


@fault("affine_relu", "the gate of the value's sign is left out", "impl.functional.block.relu.backward")
def _(right, kept, dy, wanted=None):
    return (dy,)


@fault("conv_relu_pool", "the gate of relu is skipped", "impl.functional.block.relu.backward")
def _(right, kept, dy, wanted=None):
    return (dy,)


@fault("conv_bn_relu", "the normalisation is skipped going back", "impl.functional.block.batch_norm.backward")
def _(right, kept, dy, wanted=None, **options):
    _, *others = right(kept, dy, wanted, **options)
    return dy, *others


def projection(arrays, stride=1, **options):
    """Return the value and the pullback to x of a block's projected shortcut: bn(conv(x))."""
    given = dict(zip(residual_block.arrays, arrays, strict=True))
    a, conv_back = conv2d.vjp(given["x"], given["w_shortcut"], stride=stride)
    norm = [given[f"{name}_shortcut"] for name in ("gamma", "beta", "running_mean", "running_var")]
    (by, *_), norm_back = batch_norm.vjp(a, *norm, **options)
    return by, lambda dy: conv_back(norm_back(dy)[0])[0]


def is_projected(arrays):
    """Tell whether a residual block was given a projection for its shortcut."""
    return arrays[residual_block.arrays.index("w_shortcut")] is not None


@fault("residual_block", "the gradient of the shortcut is forgotten", "impl.functional.block.residual_block.vjp")
def _(right, *arrays, **options):
    (y, *running), pullback = right(*arrays, **options)
    shortcut_back = projection(arrays, **options)[1] if is_projected(arrays) else lambda dy: dy

    def forgetful(dy):
        dx, *others = pullback(dy)
        return dx - shortcut_back(np.where(y > 0, dy, 0)), *others

    return (y, *running), forgetful


@fault("residual_block", "the block is overwritten by its shortcut", "impl.functional.block.residual_block.vjp")
def _(right, *arrays, **options):
    (y, *running), pullback = right(*arrays, **options)
    if is_projected(arrays):
        by, _ = projection(arrays, **options)
        y = relu(by + by)  # the gradients stay those of the right sum
    return (y, *running), pullback


@fault("bottleneck_block", "the stride on the first kernel", "impl.functional.block.bottleneck_block.vjp")
def _(right, x, *arrays, stride=1, **options):
    right(x, *arrays, stride=stride, **options)  # refuses what must be refused
    seen = np.s_[:, :, ::stride, ::stride]  # a 1 x 1 kernel with a stride sees these places only
    value, pullback = right(x[seen], *arrays, **options)

    def back(dy):
        dx = np.zeros_like(x)
        dx[seen], *others = pullback(dy)
        return dx, *others

    return value, back
