"""Ordinary cases of a layer, which the tests of the truth share."""

from oracle.cases import edge_cases
from oracle.layers import LAYERS
from oracle.truth import drawn


def usual(layer, dtype="float64"):
    """Return the layer's edges with ordinary values and at least one element."""
    cases = [c for c in edge_cases(LAYERS[layer], dtype) if c.values == "normal" and set(c.memory) == {"contiguous"}]
    cases = [c for c in cases if not any(shape is not None and 0 in shape for shape in c.shapes)]
    assert cases, f"no ordinary edge of {layer}"
    return cases


def given(case):
    """Return the arrays of a case that are given, and dy."""
    arrays, dy, _ = drawn(case)
    return [x for x in (*arrays, dy) if x is not None]
