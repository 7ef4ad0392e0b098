"""Loosened argument checks of impl: each accepts, for the time of a test, something that impl refuses.

A loosened check is written as a planted fault is, with the key of a refusal that finds it (``backproof layers NAME --json``
lists the keys). Its function replaces the check, or changes the arguments as a careless implementation would.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.faults.planted import Fault

LOOSENED: list[Loosened] = []


@dataclass(frozen=True)
class Loosened(Fault):
    """A fault that lets a wrong argument pass, and the key of a refusal that finds it."""

    refusal: str


def loosened(layer: str, what: str, place: str, refusal: str) -> Callable[..., Any]:
    """Add a fault to LOOSENED; a decorator of ``wrong(right, *arguments)``."""

    def add(wrong: Callable[..., Any]) -> Callable[..., Any]:
        LOOSENED.append(Loosened(layer, what, f"impl.functional.{place}", wrong, None, refusal))
        return wrong

    return add


def forgotten(layer: str, what: str, place: str, refusal: str, message: str = "") -> None:
    """Add a check that is not made: of ``refuse``, only the one whose message contains the given text."""

    def nothing(right: Any, *arguments: Any) -> Any:
        return right(*arguments) if message and message not in arguments[0] else None

    loosened(layer, what, place, refusal)(nothing)


def unchecked(layer: str, what: str, place: str, refusal: str) -> None:
    """Add a check that returns the value of the option ``name`` as it is given."""

    def given(right: Any, name: str, value: Any, *limits: Any) -> Any:
        return value if name == refusal.partition(":")[0] else right(name, value, *limits)

    loosened(layer, what, place, refusal)(given)


def one_for_each_channel(vector: Any, x: Any) -> Any:
    """Repeat the only entry of a vector for each channel of x; return any other vector as it is."""
    return np.repeat(vector, x.shape[1]) if vector is not None and vector.shape == (1,) else vector


# -- words ------------------------------------------------------------------------------------------------------------

unchecked("cross_entropy", "an unknown reduction is a sum", "loss.choice", "reduction: 'avg'")
unchecked("mse_loss", "an unknown reduction is a mean in one direction only", "loss.choice", "reduction: 'avg'")
unchecked("binary_cross_entropy", "an unknown reduction is accepted", "loss.choice", "reduction: 'avg'")
unchecked("gelu", "an unknown approximation is that by tanh", "activation.choice", "approximate: 'fast'")


@loosened("pad", "an unknown mode replicates", "shape.choice", "mode: 'edgee'")
def _(right, name, value, allowed):
    return value if value in allowed else "replicate"


@loosened("conv2d", 'padding "full" is accepted', "conv.resolve_padding", "padding: 'full'")
def _(right, padding, kernel, stride, dilation):
    if padding == "full":
        padding = tuple(d * (k - 1) for k, d in zip(kernel, dilation, strict=True))
    return right(padding, kernel, stride, dilation)


@loosened("avg_pool2d", "an unknown padding is none", "window.resolve_padding", "padding: 'full'")
def _(right, padding, kernel, stride, dilation):
    return right("valid" if isinstance(padding, str) and padding != "same" else padding, kernel, stride, dilation)


# -- numbers ----------------------------------------------------------------------------------------------------------

unchecked("dropout", "any probability is accepted", "dropout.number", "p: 1.5")
unchecked("dropout", "a negative probability is accepted", "dropout.number", "p: -0.5")
unchecked("batch_norm", "a negative eps is accepted", "norm.number", "eps: -0.5")
unchecked("cross_entropy", "a negative smoothing is accepted", "loss.number", "label_smoothing: -0.5")
unchecked("cross_entropy", "True is the class 1 to be ignored", "loss.integer", "ignore_index: True")
forgotten("cross_entropy", "a smoothing above 1 is accepted", "loss.refuse", "label_smoothing: 1.5", "label_smoothing")
forgotten("batch_norm", "a momentum above 1 is accepted", "norm.refuse", "momentum: 1.5", "momentum")
forgotten("group_norm", "groups need not divide the channels", "norm.refuse", "groups", "does not divide")
forgotten("conv_transpose2d", "output_padding has no limit", "conv.refuse", "output_padding, axis 1", "output_padding")
forgotten("max_pool2d", "padding has no limit", "window.refuse", "padding, axis 1", "more than half")
forgotten("conv2d", 'padding "same" with a stride', "window.refuse", "same", "needs stride 1")


@loosened("max_pool2d", "a negative padding crops", "window.per_axis", "padding: (0, -1)")
def _(right, name, value, rank, least):
    return right(name, value, rank, -1 if name == "padding" else least)


@loosened("conv2d", "the stride is rounded down", "checks.integer", "stride: 1.5")
def _(right, name, value, least):
    return right(name, int(value), least)


@loosened("l2_penalty", "a number may be written as text", "loss.number", "weight: '0.5'")
def _(right, name, value, *limits):
    return right(name, float(value), *limits)


@loosened("conv2d", "a stride of 0 is 1", "conv.per_axis", "stride: (1, 0)")
def _(right, name, value, rank, least):
    return tuple(max(1, n) for n in right(name, value, rank, 0))


@loosened("max_pool2d", "one entry too many is ignored", "window.per_axis", "dilation: (1, 1, 1)")
def _(right, name, value, rank, least):
    return right(name, value[:rank] if isinstance(value, tuple) else value, rank, least)


@loosened("softmax", "axis=True is axis 1", "activation.axis_of", "axis: True")
def _(right, name, value, ndim):
    return right(name, int(value), ndim)


@loosened("log_softmax", "an axis beyond the last one starts again at 0", "activation.axis_of", "axis: 2")
def _(right, name, value, ndim):
    return value % ndim


# -- shapes -----------------------------------------------------------------------------------------------------------

forgotten("conv2d", "a bias of one entry is broadcast", "conv.shaped", "b: F of length 1")
forgotten("linear", "a bias of one entry is broadcast", "linear.shaped", "b: M of length 1")
forgotten("affine", "a bias per sample is broadcast", "linear.shaped", "b: a row per sample")
forgotten("rms_norm", "a gamma with another axis is broadcast", "norm.shaped", "gamma: another axis in front")
forgotten("mse_loss", "a vector and a column make a matrix", "loss.shaped", "column")
forgotten(
    "binary_cross_entropy", "targets of one entry are broadcast", "loss.shaped", "targets: *A, the last of length 1"
)
forgotten("cross_entropy", "labels of one sample are broadcast", "loss.shaped", "labels: N of length 1")
forgotten("dropout", "a mask of one sample is broadcast", "dropout.shaped", "mask: *A of length 1")
forgotten("residual_block", "one filter is broadcast over the shortcut", "block.refuse", "fewer filters", "w_shortcut")


@loosened("layer_norm", "a gamma of one entry is broadcast", "norm.layer_norm.vjp", "gamma: *B of length 1")
def _(right, x, gamma=None, *others, **options):
    only = gamma is not None and gamma.shape == (1,)
    return right(x, np.repeat(gamma, x.shape[-1]) if only else gamma, *others, **options)


@loosened("batch_norm", "a gamma of one entry is broadcast", "norm.batch_norm.vjp", "gamma: C of length 1")
def _(right, x, gamma=None, *others, **options):
    return right(x, one_for_each_channel(gamma, x), *others, **options)


@loosened("cross_entropy", "a weight of one entry is broadcast", "loss.cross_entropy.vjp", "weight: K of length 1")
def _(right, logits, labels, weight=None, **options):
    return right(logits, labels, one_for_each_channel(weight, logits), **options)


@loosened("conv2d", "any number of spatial axes is accepted", "conv._geometry", "3 axes for 2")
def _(right, x, w, b, rank, *options, **more):
    return right(x, w, b, x.ndim - 2, *options, **more)


@loosened("max_pool2d", "any number of spatial axes is accepted", "pool.spatial", "3 axes for 2")
def _(right, x, rank):
    return x.ndim - 2


@loosened("adaptive_avg_pool", "any number of spatial axes is accepted", "pool.spatial", "4 spatial axes")
def _(right, x, rank):
    return x.ndim - 2


@loosened("pad", "any number of spatial axes is accepted", "shape.spatial", "reflect, 4 spatial axes")
def _(right, x, rank):
    return x.ndim - 2


forgotten("pad", "an empty axis is replicated", "shape.refuse", "replicate, an empty axis padded by 0", "reaches past")


@loosened("conv2d", "a kernel too large along the second axis is cut", "conv.conv2d.vjp", "kernel, axis 1")
def _(right, x, w, b=None, **options):
    return right(x, w[..., : x.shape[-1]], b, **options)


@loosened("max_pool2d", "a window too large along the second axis is cut", "pool.max_pool2d.vjp", "kernel, axis 1")
def _(right, x, *, kernel_size, **options):
    if isinstance(kernel_size, tuple):
        kernel_size = (kernel_size[0], min(kernel_size[1], x.shape[-1]))
    return right(x, kernel_size=kernel_size, **options)


@loosened("conv2d", "a dilation that reaches past x is made smaller", "conv.conv2d.vjp", "dilated kernel, axis 1")
def _(right, x, w, b=None, *, dilation=1, **options):
    far = isinstance(dilation, tuple) and any(d >= n for d, n in zip(dilation, x.shape[2:], strict=False))
    return right(x, w, b, dilation=1 if far else dilation, **options)


@loosened("conv2d", "channels beyond the groups are left out", "conv.conv2d.vjp", "channels")
def _(right, x, w, b=None, *, groups=1, **options):
    return right(x[:, : groups * w.shape[1]], w, b, groups=groups, **options)


@loosened("batch_norm", "evaluation without statistics takes those of the batch", "norm.batch_norm.vjp", "evaluation")
def _(right, x, gamma=None, beta=None, mean=None, var=None, *, training=True, **options):
    return right(x, gamma, beta, mean, var, training=training or mean is None, **options)


# -- what an array holds ----------------------------------------------------------------------------------------------

forgotten("cross_entropy", "a label beyond the classes is accepted", "loss.refuse", "labels: 4", "labels must lie")
forgotten("cross_entropy", "labels need not be integers", "loss.refuse_type", "labels: float32")
forgotten("dropout", "of a complex mask the real part is taken", "dropout.refuse_type", "mask: complex64")
forgotten("dropout", "a mask of text is read as numbers", "dropout.refuse_type", "mask: text")


@loosened("cross_entropy", "a label of -1 is the last class", "loss.cross_entropy.vjp", "labels: -1")
def _(right, logits, labels, weight=None, **options):
    return right(logits, np.where(labels == -1, logits.shape[1] - 1, labels), weight, **options)
