"""A large case takes little more memory than its arrays, and its truth in parts is its truth."""

import numpy as np
import pytest

from oracle.cases import Case
from oracle.cases import large as large_cases
from oracle.cases.large import LARGE, cut_of, is_large
from oracle.layers import LAYERS
from oracle.layers.fit import fit, lengths_of, resized, shapes_of
from oracle.targets.answer import Answered
from oracle.targets.ask import InProcess
from oracle.targets.question import Question
from oracle.trial.strength import Strength
from oracle.truth import case as truth_case
from oracle.truth import derive, drawn, parts, truth_of
from tests.oracle.memory import factors

CUT = sorted(set(LARGE) - {"residual_block", "bottleneck_block", "l2_penalty"})
MOST_LENGTH = 7  # adaptive_avg_pool needs 6
# The bounds of the truth and of the judge. Measured: 3.5 and 7.0, 3.6 and 7.0, 3.5 and 7.0.
MODERATE = {
    "relu": (((16, 128, 128),), 3.7, 5.6),
    "conv2d": (((32, 16, 28, 28), (16, 16, 3, 3), (16,)), 3.9, 5.6),
    "layer_norm": (((16, 128, 128), (128,), (128,)), 3.8, 5.6),
}


def small(layer, dtype):
    """Return the large case of a layer with short axes."""
    spec, edge = LAYERS[layer], LARGE[layer]
    options = spec.options | edge.configuration
    sizes = fit(spec.signature.arrays, edge.shapes, options).sizes
    for symbol, length in lengths_of(sizes).items():
        most = length if layer == "group_norm" and symbol.name == "C" else MOST_LENGTH
        sizes = resized(sizes, symbol, min(length, most))
    shapes = shapes_of(spec.signature.arrays, sizes, options, [shape is not None for shape in edge.shapes])
    return Case(layer, dtype, shapes, edge.configuration)


@pytest.mark.parametrize("layer", MODERATE)
def test_a_large_case_takes_a_few_times_the_memory_of_its_arrays(layer):
    shapes, truth, judge = MODERATE[layer]
    case = Case(layer, "float32", shapes, LARGE[layer].configuration)
    assert is_large(case)
    found = factors(case)
    assert 2.5 <= found.truth <= truth  # float32 arrays, with the outputs and gradients in float64 and their bounds
    assert found.judge <= judge


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("layer", CUT)
def test_the_truth_in_parts_is_the_truth(layer, dtype, monkeypatch):
    case = small(layer, dtype)
    arrays = case.arrays()
    dy = case.cotangent(derive(layer, case.shapes, case.configuration).value_shape)
    assert cut_of(case) is None
    whole = truth_of(case, arrays, dy)
    monkeypatch.setattr(large_cases, "MOST_ELEMENTS", 0)
    monkeypatch.setattr(parts, "PARTS", 3)
    monkeypatch.setattr(parts, "FEWER", 3)
    assert cut_of(case).length > 3
    in_parts = truth_of(case, arrays, dy)
    assert (in_parts.undecided, in_parts.may_overflow) == (whole.undecided, whole.may_overflow)
    for name, pair in whole.pairs.items():
        got = in_parts.pairs[name]
        np.testing.assert_allclose(got.value, pair.value, rtol=0, atol=1e-13 * np.abs(pair.value).max(initial=1))
        np.testing.assert_allclose(got.error, pair.error, rtol=1e-9, atol=0)


def test_what_is_no_sum_over_the_samples_cannot_be_added_up(monkeypatch):
    """A mean of the whole batch is no sum of the means of its parts."""
    monkeypatch.setattr(large_cases, "MOST_ELEMENTS", 0)
    monkeypatch.setitem(LARGE, "mse_loss", LARGE["mse_loss"].__class__(LARGE["mse_loss"].shapes, {}))
    case = Case("mse_loss", "float32", ((4, 3, 2, 2), (4, 3, 2, 2)))
    with pytest.raises(NotImplementedError, match="y is not a sum over the samples"):
        truth_of(case, case.arrays(), case.cotangent(()))


def test_every_other_large_case_has_a_layer_that_needs_all_samples():
    whole = {
        name for name, edge in LARGE.items() if cut_of(Case(name, "float32", edge.shapes, edge.configuration)) is None
    }
    assert whole == {"residual_block", "bottleneck_block", "l2_penalty"}


def test_no_slip_is_computed_for_a_large_case():
    edge = LARGE["relu"]
    strength = Strength("relu", "float32")
    assert strength.open and not strength.would_exclude(Case("relu", "float32", edge.shapes), planned=True)
    assert strength.would_exclude(Case("relu", "float32", ((2, 3),)), planned=True)


def test_remembered_cases_are_bounded_by_their_bytes(monkeypatch):
    monkeypatch.setattr(truth_case, "_KNOWN", truth_case._Known(512, 100_000))
    cases = [Case("relu", "float32", ((1000,),), seed=seed) for seed in range(20)]
    first = [drawn(case) for case in cases]
    assert drawn(cases[-1]) is first[-1]
    assert drawn(cases[0]) is not first[0]
    assert truth_case._KNOWN.nbytes <= 100_000 + first[0].nbytes


def test_a_second_answer_with_the_same_bits_is_held_once():
    def layer(x):
        return np.maximum(x, 0), lambda dy: (dy * (x > 0),)

    case = Case("relu", "float32", ((4, 5),))
    arrays, dy, _ = drawn(case)
    answer = InProcess(layer).ask(Question(case, arrays, dy))
    assert isinstance(answer, Answered)
    (value, cotangents), first = answer.second, answer.cotangents
    assert value[0] is answer.value[0] and cotangents[0] is first[0]


def test_a_second_answer_with_other_bits_is_kept():
    def layer(x, calls=[]):  # noqa: B006 (a target that counts its calls)
        calls.append(x)
        return np.maximum(x, 0) + len(calls), lambda dy: (dy * (x > 0) * len(calls),)

    case = Case("relu", "float32", ((4, 5),))
    arrays, dy, _ = drawn(case)
    answer = InProcess(layer).ask(Question(case, arrays, dy))
    (value, cotangents), first = answer.second, answer.cotangents
    assert np.allclose(value[0] - answer.value[0], 1) and not np.array_equal(cotangents[0], first[0])
