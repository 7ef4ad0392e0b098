"""The slips of normalisations, activations, losses and fully connected layers: each can be told from the truth."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracle.cases import Case, cases, edge_cases
from oracle.layers import LAYERS
from oracle.slips import Circumstances, slips_of
from oracle.slips.backward import ACTIVATIONS, LOSSES, NORMS, OTHERS
from oracle.slips.linear import product
from oracle.slips.loss import entropy
from oracle.slips.norm import parts
from oracle.slips.slip import CATALOGUE
from oracle.truth import drawn, truth_of

MINE = (*NORMS, *ACTIVATIONS, *LOSSES, *OTHERS)


def catalogue(layer):
    return [entry.slip for entry in CATALOGUE if entry.applies_to(LAYERS[layer])]


def circumstances(case, **replaced):
    """Return the circumstances of a case, with other values in some of its arrays."""
    if not replaced:
        return Circumstances(case, *drawn(case))
    names = LAYERS[case.layer].arrays
    arrays = [replaced.get(name, x) for name, x in zip(names, case.arrays(), strict=True)]
    arrays = [
        None if x is None else np.asarray(x, drawn_x.dtype) for x, drawn_x in zip(arrays, case.arrays(), strict=True)
    ]
    dy = case.cotangent(drawn(case).dy.shape)
    return Circumstances(case, arrays, dy, truth_of(case, arrays, dy))


def excludes(at, answers):
    """Whether an answer differs from the truth by more than twice the bound at some element."""
    for name, answer in answers.items():
        truth = at.truth.pairs[name]
        judged = np.isfinite(truth.value) & np.isfinite(truth.error)
        if (judged & ~(np.abs(answer - truth.value) <= 2 * truth.error)).any():
            return True
    return False


def not_excluded(slips, every):
    left = dict.fromkeys(slips)
    with np.errstate(all="ignore"):
        for at in every:
            for slip in list(left):
                if excludes(at, slip.answers(at)):
                    del left[slip]
    return list(left)


@pytest.mark.parametrize("layer", MINE)
def test_every_slip_is_excluded_by_a_case(layer):
    edges = [circumstances(case) for case in edge_cases(LAYERS[layer], "float32")]
    left = not_excluded(catalogue(layer), edges)
    assert [slip.sentence for slip in left] == []


@pytest.mark.parametrize("layer", MINE)
def test_float32_in_the_place_of_float64_is_excluded(layer):
    slips = [slip for slip in catalogue(layer) if "narrower dtype" in slip.sentence]
    assert len(slips) == 1
    assert not not_excluded(slips, map(circumstances, edge_cases(LAYERS[layer], "float64")))


@pytest.mark.parametrize("layer", MINE)
@given(data=st.data())
@settings(max_examples=10)
def test_a_slip_answers_in_the_shapes_of_the_truth(layer, data):
    dtype = data.draw(st.sampled_from(("float32", "float64", "float16", "bfloat16")))
    at = circumstances(data.draw(cases(LAYERS[layer], dtype)))
    with np.errstate(all="ignore"):
        for slip in catalogue(layer):
            for name, answer in slip.answers(at).items():
                assert isinstance(answer, np.ndarray), slip.sentence
                assert answer.dtype == np.float64, slip.sentence
                assert answer.shape == at.truth.pairs[name].value.shape, slip.sentence


@pytest.mark.parametrize("layer", MINE)
def test_a_sentence_names_one_slip_of_a_layer(layer):
    sentences = [slip.sentence for slip in slips_of(layer)]
    assert len(set(sentences)) == len(sentences)
    assert all(re.fullmatch(r"[\w.-]+/[\w.-]+ #\d+", slip.resembles) for slip in catalogue(layer) if slip.resembles)


# -- what the slips are made from is right ----------------------------------------------------------------------------


def agree(at, answers):
    assert answers
    for name, answer in answers.items():
        truth = at.truth.pairs[name]
        np.testing.assert_array_less(np.abs(answer - truth.value), truth.error + 1e-300, err_msg=f"{at.case} {name}")


@pytest.mark.parametrize("layer", [*NORMS, "cross_entropy", "affine", "linear"])
def test_without_a_slip_the_parts_give_the_truth(layer):
    judged = 0
    for case in edge_cases(LAYERS[layer], "float32"):
        at = circumstances(case)
        sizes = [x.size for x in at.arrays if x is not None]
        if not case.values.finite or 0 in sizes or case.values == "large":
            continue
        if layer in NORMS:
            norm = parts(at)
            if norm is not None:
                agree(at, norm.again(norm.split, norm.axes))
        elif layer == "cross_entropy":
            agree(at, {"y": entropy(at).value(), "dlogits": entropy(at).gradient()})
        else:
            factors = product(at)
            agree(at, factors.again(factors.rows, factors.m, factors.dy))
        judged += 1
    assert judged >= 5


def test_the_two_forms_of_gelu_are_those_of_the_layer():
    at = circumstances(Case("gelu", "float32", ((3, 4),)))
    exchanged = {slip.sentence: slip.answers(at) for slip in catalogue("gelu")}
    exchanged = exchanged["the approximation by tanh is computed; the exact form was asked for"]
    for name, answer in at.elsewhere(options={"approximate": "tanh"}).items():
        np.testing.assert_allclose(exchanged[name], answer, rtol=1e-12)
