"""No false alarm: a right layer that is written in another way is never wrong, and what is inexact has its reason.

``python -m tests.oracle.variants.alike`` does the same for as many cases as one likes.
"""

import numpy as np
import pytest

from oracle.cases import Case
from oracle.judge import judge
from oracle.targets.ask import InProcess
from tests.oracle.variants import VARIANTS
from tests.oracle.variants.alike import judged_alike

LAYERS = tuple(dict.fromkeys(variant.layer for variant in VARIANTS))
EXAMPLES = 12
FLAT = [layer for layer in LAYERS if not layer.endswith(("2d", "3d"))]  # one dimension is enough for float64


@pytest.mark.parametrize(
    ("layer", "dtype"), [*((layer, "float32") for layer in LAYERS), *((layer, "float64") for layer in FLAT)]
)
def test_right_variants_are_not_wrong(layer, dtype):
    variants = [variant for variant in VARIANTS if variant.layer == layer]
    found, judged = judged_alike(variants, layer, dtype, EXAMPLES, 0, "small")
    assert judged >= EXAMPLES
    for variant, findings in found.items():
        for case, finding in findings:
            assert variant.may_be(finding.verdict, case.values), f"{variant.name}: {finding.message}: {case}"


def test_layers_have_several_variants():
    """Layers that can be computed in several ways have at least four; a maximum or a copy has fewer."""
    count = {layer: sum(variant.layer == layer for variant in VARIANTS) for layer in LAYERS}
    assert {layer for layer, n in count.items() if n < 4} <= {"identity", "leaky_relu", "tanh"}


def test_rounding_of_the_largest_element_is_inexact_and_a_fault_beside_it_is_wrong():
    """A Fourier transform leaves small elements with the rounding of large ones; that of a slip is far beyond it."""
    case = Case("add", "float32", ((64,), (64,)), seed=3)

    def add(error):
        def function(x, r):
            y = x + r
            y[0] = np.float32(y[0] + error * np.abs(y).max())
            return y, lambda dy: (dy, dy)

        return InProcess(function)

    verdicts = [{f.verdict for f in judge(add(error), case).findings} for error in (3e-7, 1e-2)]
    assert verdicts == [{"inexact"}, {"wrong"}]
