"""The trial of impl and impl:jax, a layer a test item, as Hypothesis property tests on whatever device JAX has."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracle.cases.case import cases, edge_cases
from oracle.judge.judge import judge, judge_refusals
from oracle.layers import LAYERS
from oracle.targets.find import resolve

# Compiling is what a case of impl:jax costs, so it gets fewer.
SHARE = {"impl": 1, "impl:jax": 10}


def check(target, case):
    findings = judge(resolve(target).layer(case.layer), case).findings
    assert not findings, f"{case}: {findings[0].message}"


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("target", SHARE)
def test_drawn_cases_conform(target, layer):
    few = max(1, settings().max_examples // SHARE[target])

    @settings(max_examples=few)
    @given(data=st.data())
    def conforms(data):
        dtype = data.draw(st.sampled_from(["float32", "float64"]))
        check(target, data.draw(cases(LAYERS[layer], dtype)))

    conforms()


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("layer", LAYERS)
def test_edges_conform(layer, dtype):
    for case in edge_cases(LAYERS[layer], dtype):
        check("impl", case)


@pytest.mark.parametrize("layer", LAYERS)
def test_some_edges_conform_compiled(layer):
    edges = edge_cases(LAYERS[layer], "float32")
    for case in edges[1 : len(LAYERS[layer].edges) : 4]:
        check("impl:jax", case)
    check("impl:jax", edge_cases(LAYERS[layer], "bfloat16")[0])


@pytest.mark.parametrize("target", SHARE)
@pytest.mark.parametrize("layer", LAYERS)
def test_what_must_be_refused_is_refused(target, layer):
    assert not judge_refusals(resolve(target).layer(layer), layer, "float32").findings
