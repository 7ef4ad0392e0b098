"""Faults of dropout."""

from tests.faults.planted import fault


@fault("dropout", "the scale is left out of dx", "impl.functional.dropout.dropout.backward")
def _(right, kept, dy, wanted=None, **options):
    return right(kept, dy, wanted, p=0.0)
