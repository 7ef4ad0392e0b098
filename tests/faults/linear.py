"""Faults of the fully connected layers."""

from tests.faults.planted import fault


@fault("affine", "db is divided by the batch", "impl.functional.linear.affine.backward", diagnosis="batch size")
def _(right, kept, dy, wanted=None):
    dx, dw, db = right(kept, dy, wanted)
    return dx, dw, None if db is None else db / max(1, len(dy))


@fault("linear", "dw is transposed where it happens to fit", "impl.functional.linear.linear.backward")
def _(right, kept, dy, wanted=None):
    dx, dw, db = right(kept, dy, wanted)
    return dx, dw.T if dw.shape[0] == dw.shape[1] else dw, db
