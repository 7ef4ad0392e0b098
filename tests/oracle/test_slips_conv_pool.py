"""The slips of convolution, pooling, the layers that move elements, and the fused layers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracle.cases import DTYPES, Case, cases, edge_cases
from oracle.judge.apart import told_apart
from oracle.layers import LAYERS
from oracle.slips import CATALOGUE, Circumstances, block, conv, convolution, fused, pooling, windows
from oracle.truth import drawn

FAMILIES = ("conv", "conv_transpose", "max_pool", "avg_pool", "global_", "adaptive_")
OTHERS = ("add", "flatten", "pad", "affine_relu", "residual_block", "bottleneck_block")
NAMES = [name for name in LAYERS if name.startswith(FAMILIES) or name in OTHERS]


def slips(name):
    own = tuple(
        f"oracle.slips.{file}"
        for file in ("conv", "pool", "maximum", "mean", "pooling", "misreadings", "shape", "block")
    )
    return [e.slip for e in CATALOGUE if e.applies_to(LAYERS[name]) and e.slip.answers.__module__ in own]


def circumstances(case):
    arrays, dy, truth = drawn(case)
    return Circumstances(case, arrays, dy, truth)


@pytest.mark.parametrize("name", NAMES)
def test_every_slip_is_excluded_by_a_small_case(name):
    still_open = {slip.sentence: slip for slip in slips(name)}
    assert len(still_open) == len(slips(name)) > 5, "two slips have the same sentence"
    with np.errstate(all="ignore"):  # what a slip computes may overflow
        for case in edge_cases(LAYERS[name], "float32"):
            at = circumstances(case)
            for slip in list(still_open.values()):
                if told_apart(slip.answers(at), at.names, case, at.arrays, at.dy, at.truth):
                    del still_open[slip.sentence]
    assert not still_open


@pytest.mark.parametrize("name", NAMES)
def test_without_a_slip_the_parts_compute_the_truth(name):
    checked = 0
    for case in edge_cases(LAYERS[name], "float64"):
        at = circumstances(case)
        # at ties the gradient of a maximum has a choice; a large mean leaves only rounding of some gradients
        if case.values not in ("normal", "tiny", "large") or not windows.small(at):
            continue
        if name in conv.ALL:
            found = {output: convolution.sum_of(at).answer(output) for output in ("y", "dx", "dw")}
        elif name.startswith(("max_pool", "avg_pool", "global_", "adaptive_")):
            found = {output: pooling.pooling_of(at).answer(output) for output in ("y", "dx")}
        elif name in (*block.ENDED, *block.INNER):
            found = fused.computed(at, fused.Parts())
        else:
            return
        for output, answer in found.items():
            error = at.truth.pairs[output].error
            assert answer.shape == at.true(output).shape
            assert (np.abs(answer - at.true(output)) <= 2 * error + 1e-12 * np.abs(answer)).all(), (case, output)
            checked += 1
    assert checked > 10


@pytest.mark.parametrize("name", NAMES)
def test_a_slip_answers_with_arrays_or_not_at_all(name):
    def check(case):
        at = circumstances(case)
        for slip in slips(name):
            for output, answer in slip.answers(at).items():
                assert output in at.truth.pairs, slip.sentence
                assert isinstance(answer, np.ndarray) and answer.dtype == np.float64, slip.sentence

    @settings(max_examples=4 if name in fused.BLOCKS else 10)  # a block takes long to trace
    @given(st.sampled_from(sorted(DTYPES)).flatmap(lambda dtype: cases(LAYERS[name], dtype)))
    def drawn_cases(case):
        check(case)

    with np.errstate(all="ignore"):
        for case in edge_cases(LAYERS[name], "bfloat16")[::2]:
            check(case)
        drawn_cases()


def test_large_cases_are_left_out():
    at = circumstances(Case("max_pool1d", "float32", ((1, 1, windows.MOST + 2),), {"kernel_size": 2}))
    assert not windows.small(at)
    assert not any(slip.answers(at) for slip in slips("max_pool1d"))


def test_a_public_bug_is_a_project_and_a_number():
    named = {slip.resembles for name in NAMES for slip in slips(name) if slip.resembles}
    assert len(named) > 20
    for bug in named:
        project, number = bug.split(" #")
        assert project.count("/") == 1 and number.isdigit(), bug
