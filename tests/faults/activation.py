"""Faults of the activations."""

from math import pi, sqrt

import numpy as np

from impl.functional import softmax
from tests.faults.planted import fault


@fault("relu", "the sign of dy is tested as well", "impl.functional.activation.relu.backward")
def _(right, kept, dy, wanted=None):
    (dx,) = right(kept, dy, wanted)
    return (np.where(dy <= 0, 0, dx),)


@fault("leaky_relu", "dx is the slope without dy", "impl.functional.activation.leaky_relu.backward")
def _(right, kept, dy, wanted=None, **options):
    (slope,) = right(kept, np.ones_like(dy), wanted, **options)
    return (slope + 0 * dy,)


@fault("sigmoid", "dy * y, without 1 - y", "impl.functional.activation.logistic")
def _(right, x):
    y, _ = right(x)
    return y, y


@fault("tanh", "1 - y for 1 - y * y", "impl.functional.activation.tanh.backward")
def _(right, kept, dy, wanted=None):
    (x,), _ = kept
    return (dy * (1 - np.tanh(x)),)


@fault("gelu", "the factor of the density is forgotten", "impl.functional.activation.gelu.backward")
def _(right, kept, dy, wanted=None, *, approximate="none"):
    (x,), _ = kept
    (dx,) = right(kept, dy, wanted, approximate=approximate)
    if approximate == "none":
        dx = dx + dy * x * np.exp(-0.5 * x * x) * (1 - 1 / sqrt(2 * pi))
    return (dx,)


@fault("elu", "alpha is forgotten in dx", "impl.functional.activation.elu.backward")
def _(right, kept, dy, wanted=None, **options):
    return right(kept, dy, wanted, alpha=1.0)


@fault("silu", "the slope of the sigmoid is forgotten", "impl.functional.activation.logistic")
def _(right, x):
    s, slope = right(x)
    return s, 0 * slope


@fault("softmax", "the sum is taken over the wrong axis", "impl.functional.activation.softmax.backward")
def _(right, kept, dy, wanted=None, **options):
    return right(kept, dy, wanted, axis=-1)


@fault("softmax", "it overflows: the largest is not subtracted", "impl.functional.activation._shifted_exp")
def _(right, x, axis):
    *_, axis = right(x, axis)
    e = np.exp(x)
    return x, e, e.sum(axis=axis, keepdims=True), axis


@fault("softmax", "dx is all zeros", "impl.functional.activation.softmax.backward", diagnosis="never written")
def _(right, kept, dy, wanted=None, **options):
    return (0 * dy,)


@fault("log_softmax", "dy is not summed", "impl.functional.activation.log_softmax.backward")
def _(right, kept, dy, wanted=None, *, axis=-1):
    (x,), _ = kept
    return (dy - softmax(x, axis=axis) * dy,)


@fault("identity", "dy is changed in place", "impl.functional.activation.identity.backward")
def _(right, kept, dy, wanted=None):
    dy *= 2
    return (dy / 2,)


@fault("tanh", "the output is never written", "impl.functional.activation.tanh.backward")
def _(right, kept, dy, wanted=None):
    return (np.empty_like(dy),)
