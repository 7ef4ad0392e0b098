"""What the truth of a new configuration costs, compared with compiling it.

    pytest tests/benchmarks --benchmark-enable -n 0 --benchmark-columns=median,min,rounds

Each round traces, differentiates and interprets with bounds a configuration that was never traced before. The compiled
rows trace and compile the same configurations with jax.jit. These are benchmarks: nothing here asserts a time.
"""

import itertools

import jax
import numpy as np
import pytest

from oracle.cases import Case
from oracle.truth import derive, truth_of

_sizes = itertools.count()

ROUNDS = 20


def fresh(layer):
    """Make a configuration with a size that no earlier round had."""
    n = 5 + next(_sizes) % 1000
    if layer == "conv2d":
        return Case(layer, "float32", ((2, 4, n, 6), (6, 2, 3, 3), (6,)), {"stride": 2, "padding": 1, "groups": 2})
    if layer == "max_pool2d":
        return Case(layer, "float32", ((2, 4, n, 6),), {"kernel_size": 3, "stride": 2, "padding": 1})
    return Case(layer, "float32", ((3, 4, n, 3), (4,), (4,), (4,), (4,)), {})


LAYERS = ["conv2d", "batch_norm", "max_pool2d"]


@pytest.mark.parametrize("layer", LAYERS)
def test_truth_of_a_fresh_configuration(benchmark, layer):
    first = fresh(layer)
    derive(layer, first.shapes, first.configuration)  # what JAX does only at its first call

    def setup():
        case = fresh(layer)
        return (case, case.arrays()), {}

    def truth(case, arrays):
        dy = case.cotangent(derive(case.layer, case.shapes, case.configuration).value_shape)
        return truth_of(case, arrays, dy)

    benchmark.group = layer
    assert benchmark.pedantic(truth, setup=setup, rounds=ROUNDS).pairs


@pytest.mark.parametrize("layer", LAYERS)
def test_compiling_the_same(benchmark, layer):
    first = fresh(layer)
    derive(layer, first.shapes, first.configuration)

    def setup():
        case = fresh(layer)
        return (case, [x for x in case.arrays() if x is not None]), {}

    def compiled(case, given):
        derivation = derive(case.layer, case.shapes, case.configuration)
        dy = case.cotangent(derivation.value_shape)
        with jax.enable_x64(True):
            program = jax.jit(jax.extend.core.jaxpr_as_fun(derivation.jaxpr))
            return jax.block_until_ready(program(*(np.asarray(x, np.float64) for x in (*given, dy))))

    benchmark.group = layer
    assert benchmark.pedantic(compiled, setup=setup, rounds=ROUNDS)
