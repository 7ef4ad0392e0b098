"""Known slips, planted into the truth of their layer, are found at default settings and named by their own sentence.

They are found in the planned cases, so for every seed. ``pytest -m every_slip`` plants all of them.
"""

import random

import numpy as np
import pytest

from oracle.cases import Case, Memory
from oracle.judge import judge
from oracle.layers import LAYERS
from oracle.slips import Circumstances, slips_at, slips_of
from oracle.slips.blocks import block_slips
from oracle.slips.layout import layout_slips
from oracle.trial.plan import planned_cases
from oracle.trial.strength import Strength
from tests.faults.search import DEFAULTS, first_found
from tests.faults.slips import memory_of, planted_slip, slips_with_effect

EACH = 3  # of the slips of a layer in the default suite
DERIVED = 4  # of those that follow from a case
FEW_LAYERS = ("softmax", "linear", "rms_norm", "conv1d", "max_pool1d", "mse_loss", "add")


def found(layer, sentences):
    """Return how many judged cases it takes to find each of the slips."""
    return {sentence: first_found(planted_slip(layer, sentence), layer) for sentence in sentences}


def missed(layer, sentences):
    return [sentence for sentence, first in found(layer, sentences).items() if first is None]


def derived(layer):
    """Return slips that follow from a planned case and show in it: of blocks, of layouts, and from the jaxpr."""
    planned = planned_cases(layer, "float32", DEFAULTS.sizes)
    laid_out = next(case for case in planned if case.unguarded.memory[-1] is not Memory.CONTIGUOUS)
    seen = {
        slip for case in (planned[0], laid_out) for slip in Strength(layer, "float32").would_exclude(case, planned=True)
    }
    return sorted(seen - {slip.sentence for slip in slips_of(layer)})


@pytest.mark.parametrize("layer", LAYERS)
def test_some_slips_are_found(layer):
    sentences = slips_with_effect(layer)
    assert missed(layer, random.Random(layer).sample(sentences, EACH)) == []


@pytest.mark.parametrize("layer", FEW_LAYERS)
def test_some_derived_slips_are_found(layer):
    sentences = derived(layer)
    layouts = [sentence for sentence in sentences if "is read as if" in sentence]
    assert layouts
    assert missed(layer, {layouts[0], *random.Random(layer).sample(sentences, DERIVED)}) == []


@pytest.mark.every_slip
@pytest.mark.parametrize("layer", LAYERS)
def test_every_slip_is_found(layer):
    assert missed(layer, slips_with_effect(layer)) == []


@pytest.mark.parametrize("memory", [memory for memory in Memory if not memory.guarded])
def test_a_planted_slip_sees_how_an_array_lies_in_memory(memory):
    x = np.arange(120.0).reshape(2, 3, 4, 5)
    assert memory_of(memory.lay_out(x)) is memory


@pytest.mark.parametrize("layer", ["softmax", "affine"])
def test_a_slip_that_one_case_has_shown_is_computed_for_the_lengths_and_layouts_of_another(layer):
    """A diagnosis asks the slips of one case for their answers in the others."""
    memories = {"softmax": ("reversed", "contiguous"), "affine": ("contiguous", *["contiguous"] * 2, "reversed")}
    shapes = {"softmax": lambda n: ((3, n),), "affine": lambda n: ((5, n), (n, 3), (3,))}[layer]
    first = Circumstances.of(Case(layer, "float64", shapes(70), memory=memories[layer]))
    other = Circumstances.of(Case(layer, "float64", shapes(39), memory=memories[layer][::-1]))
    its_own = {slip.sentence: slip for slip in slips_at(other)}
    shared = [slip for slip in (*block_slips(first), *layout_slips(first)) if slip.sentence in its_own]
    assert len(shared) > 8
    for slip in shared:
        assert same_answers(slip.answers(other), its_own[slip.sentence].answers(other)), slip.sentence


def same_answers(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def test_a_target_with_a_slip_that_changes_nothing_is_right():
    case = Case("relu", "float32", ((3, 4),))
    assert not judge(planted_slip("relu", "no known slip"), case).findings
