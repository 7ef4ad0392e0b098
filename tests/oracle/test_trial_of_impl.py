"""impl and impl:jax beyond the default trial of impl.

Here are half precision, what the compiler makes of the same layers on whatever device JAX has, and the refusals.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracle.cases import cases, edge_cases
from oracle.judge import judge, judge_refusals
from oracle.layers import LAYERS
from oracle.targets.ask import InProcess
from oracle.targets.find import resolve

SHARE = 10  # compiling is what a case of impl:jax costs, so it gets a tenth of the examples


def asked(target, layer):
    return InProcess(resolve(target).layer(layer))


def check(target, case):
    findings = judge(asked(target, case.layer), case).findings
    assert not findings, f"{case}: {findings[0].message}"


@pytest.mark.parametrize("layer", LAYERS)
def test_drawn_cases_conform_compiled(layer):
    @settings(max_examples=max(1, settings().max_examples // SHARE))
    @given(data=st.data())
    def conforms(data):
        dtype = data.draw(st.sampled_from(["float32", "float64"]))
        check("impl:jax", data.draw(cases(LAYERS[layer], dtype)))

    conforms()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("layer", LAYERS)
def test_edges_conform_in_half_precision(layer, dtype):
    for case in edge_cases(LAYERS[layer], dtype)[::2]:
        check("impl", case)


@pytest.mark.parametrize("layer", LAYERS)
def test_some_edges_conform_compiled(layer):
    edges = edge_cases(LAYERS[layer], "float32")
    for case in edges[1 : len(LAYERS[layer].edges) : 8]:
        check("impl:jax", case)
    check("impl:jax", edge_cases(LAYERS[layer], "bfloat16")[0])


@pytest.mark.parametrize("target", ["impl", "impl:jax"])
@pytest.mark.parametrize("layer", LAYERS)
def test_what_must_be_refused_is_refused(target, layer):
    judged = judge_refusals(asked(target, layer), layer, "float32")
    assert judged.checks == len(LAYERS[layer].refusals)
    assert [refusal for refusal, _ in judged.accepted] == []
