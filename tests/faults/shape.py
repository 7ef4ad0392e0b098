"""Faults of the layers that only move elements."""

from tests.faults.planted import fault


@fault("add", "what was broadcast is not summed over", "impl.functional.shape._summed_to")
def _(right, dy, shape):
    return dy.sum(axis=tuple(range(dy.ndim - len(shape))))


@fault("pad", "reflected gradients are dropped", "impl.functional.shape.add_at")
def _(right, x, axis, index, values):
    x[(slice(None),) * axis + (index,)] = values
    return x


@fault("flatten", "dx in Fortran order", "impl.functional.shape.flatten.backward")
def _(right, kept, dy, wanted=None):
    (x,), _ = kept
    return (dy.reshape(x.shape, order="F"),)
