"""The mutations of the mathematics: what they answer, their sentences, and which of them the edges exclude."""

import jax
import numpy as np
import pytest
from jax import lax

from oracle.cases import Case, Values, edge_cases
from oracle.judge.apart import told_apart
from oracle.layers import LAYERS, Edge, Layer
from oracle.slips import Circumstances, mutations_of, places, slips_of
from oracle.slips.program import Program, program_of
from oracle.truth import derive, drawn


def circumstances(case):
    arrays, dy, truth = drawn(case)
    return Circumstances(case, arrays, dy, truth)


def at(layer, *shapes, values=Values.NORMAL, seed=0, **configuration):
    return circumstances(Case(layer, "float32", shapes, configuration, values, seed=seed))


def sentences(circumstances):
    return {slip.sentence for slip in mutations_of(circumstances)}


def find(circumstances, *words):
    """Return the only mutation whose sentence has all the words."""
    (found,) = [slip for slip in mutations_of(circumstances) if all(word in slip.sentence for word in words)]
    return found


def excludes(here, answers):
    """Whether the case tells the answers from the truth."""
    return told_apart(answers, here.names, here.case, here.arrays, here.dy, here.truth)


@pytest.fixture
def register(monkeypatch):
    """Return a function that makes a user's function a layer until the test ends."""

    def register(function, text, *shapes, no_gradient=()):
        layer = Layer(
            function.__name__, text, function, lambda draw: (shapes, {}), [Edge(shapes)], no_gradient=no_gradient
        )
        monkeypatch.setitem(LAYERS, layer.name, layer)

    return register


# -- answers ----------------------------------------------------------------------------------------------------------


def test_a_path_left_out_is_the_formula_without_its_term():
    here = at("layer_norm", (3, 5), None, None)
    x, dy = here.array("x"), here.dy.astype(np.float64)
    scale = 1 / np.sqrt(x.var(1, keepdims=True) + 1e-5)
    x_hat = (x - x.mean(1, keepdims=True)) * scale
    through_mean = dy.mean(1, keepdims=True)
    through_variance = x_hat * (dy * x_hat).mean(1, keepdims=True)

    without = find(here, "the gradient lacks the path", "`mean = _mean(x, axes)`").answers(here)
    assert list(without) == ["dx"]
    assert without["dx"] == pytest.approx(scale * (dy - through_variance), rel=1e-9)
    without = find(here, "the gradient lacks the path", "broadcast", "`var = _mean(").answers(here)
    assert without["dx"] == pytest.approx(scale * (dy - through_mean), rel=1e-9)
    assert here.true("dx") == pytest.approx(scale * (dy - through_mean - through_variance), rel=1e-9)


def test_what_a_mutation_answers():
    here = at("linear", (4, 3), (2, 3), (2,))
    dy = here.dy.astype(np.float64)
    last = find(here, "in the gradient, the sum over axes", "only its last term").answers(here)
    assert list(last) == ["db"]
    assert np.array_equal(last["db"], dy[-1])
    mean = find(here, "in the gradient, the sum over axes", "number of its terms").answers(here)
    assert np.array_equal(mean["db"], dy.sum(0) / 4)
    assert find(here, "the value lacks the path", "contraction").answers(here)["y"] == pytest.approx(
        np.broadcast_to(here.array("b"), (4, 2))
    )

    here = at("affine", (4, 3), (3, 2), None)
    x, dy = here.array("x"), here.dy.astype(np.float64)
    transposed = find(here, "the transposition", "only get the new shape").answers(here)
    assert list(transposed) == ["dw"]
    assert transposed["dw"] == pytest.approx((dy.T @ x).reshape(3, 2))

    here = at("l2_penalty", (3,))
    w = here.array("w")
    whole = find(here, "in the value, the product", "0.5 * weight", "lacks its second factor").answers(here)
    assert whole["y"] == pytest.approx((w * w).sum())


def test_an_overlap_that_is_assigned():
    here = at("avg_pool1d", (1, 1, 3), kernel_size=2, stride=1)
    dy = here.dy.astype(np.float64).ravel()
    answers = find(here, "it writes = for +=").answers(here)
    assert answers["dx"].ravel() == pytest.approx([dy[0] / 2, dy[1] / 2, dy[1] / 2])


@pytest.mark.parametrize(
    "here", [("layer_norm", (3, 5), (5,), (5,)), ("conv2d", (2, 2, 4, 3), (3, 2, 2, 2), (3,)), ("softmax", (3, 4))]
)
def test_only_what_depends_on_the_step_is_computed_again_and_all_of_it(here, monkeypatch):
    here = at(*here)
    slips = mutations_of(here)
    quick = [slip.answers(here) for slip in slips]

    def whole(program, values, changed, result):
        values, step = list(values), program.steps[changed]
        with np.errstate(all="ignore"):
            for other in program.steps:
                values[other.result] = result if other is step else other.compute(values)
        return values

    monkeypatch.setattr(Program, "run_with", whole)
    for slip, answers in zip(slips, quick, strict=True):
        again = slip.answers(here)
        assert answers.keys() == again.keys(), slip.sentence
        assert all(np.array_equal(answers[name], again[name], equal_nan=True) for name in again), slip.sentence


def test_nothing_is_computed_before_it_is_asked(monkeypatch):
    def run(*_):
        raise AssertionError("computed")

    monkeypatch.setattr(Program, "run", run)
    here = at("rms_norm", (2, 9), None)
    assert mutations_of(here)
    with pytest.raises(AssertionError, match="computed"):
        mutations_of(here)[0].answers(here)


def test_the_values_of_the_program_are_the_truth():
    for name in ("cross_entropy", "batch_norm", "conv_relu_pool"):
        here = circumstances(edge_cases(LAYERS[name], "float32")[2])
        program = program_of(derive(name, here.case.shapes, here.case.configuration))
        values = program.run(
            [x if x.dtype.kind == "i" else x.astype(float) for x in (*here.arrays, here.dy) if x is not None]
        )
        for output, number in program.results.items():
            assert values[number] == pytest.approx(here.true(output), rel=1e-12, abs=1e-12)


def edges(layer):
    """Return the edges of a layer without those that only differ in their memory layout."""
    return [case for case in edge_cases(LAYERS[layer], "float32") if case == case.contiguous]


def is_odd(case):
    return not case.values.finite or any(shape is not None and np.prod(shape) in (0, 1) for shape in case.shapes)


@pytest.mark.parametrize("layer", [name for name in LAYERS if not name.endswith(("1d", "3d", "_block"))])
def test_no_mutation_raises_for_empty_single_or_infinite_elements(layer):
    for case in [case for case in edges(layer) if is_odd(case)][:5]:
        here = circumstances(case)
        for slip in mutations_of(here):
            for output, got in slip.answers(here).items():
                assert got.shape == here.true(output).shape, slip.sentence


# -- sentences --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (at("layer_norm", (3, 5), (5,), (5,)), at("layer_norm", (2, 7), (7,), (7,))),
        (at("softmax", (3, 5)), at("softmax", (2, 7))),
        (at("cross_entropy", (3, 5), (3,), (5,)), at("cross_entropy", (2, 7), (2,), (7,))),
        (at("batch_norm", (3, 2, 4), (2,), (2,), (2,), (2,)), at("batch_norm", (2, 5, 3), (5,), (5,), (5,), (5,))),
        (at("conv2d", (2, 2, 4, 3), (3, 2, 2, 2), (3,)), at("conv2d", (3, 3, 5, 6), (2, 3, 3, 2), (2,))),
        (at("max_pool2d", (1, 2, 4, 4), kernel_size=2), at("max_pool2d", (2, 3, 6, 8), kernel_size=3)),
    ],
)
def test_a_mutation_has_the_same_sentence_for_all_shapes(one, other):
    assert sentences(one) == sentences(other)


def test_a_mutation_has_the_same_sentence_for_all_ranks_and_values():
    here, there = at("layer_norm", (3, 5), None, None), at("layer_norm", (2, 3, 7), None, None, values=Values.TIES)
    assert sentences(here) == sentences(there)
    through_mean = find(here, "the gradient lacks the path", "`mean = _mean(x, axes)`")
    assert through_mean.answers(there)["dx"].shape == (2, 3, 7)
    beta = find(at("layer_norm", (3, 5), None, (5,)), "the value lacks the path", "lax.broadcast_in_dim(beta")
    assert beta.answers(here) == {}


def test_a_sentence_names_the_part_the_expression_its_caller_and_the_file():
    here = at("layer_norm", (3, 5), None, None)
    assert {
        "the gradient lacks the path through the broadcast in `lax.reduce_sum(x, axes)`, "
        "called by `mean = _mean(x, axes)` (norm.py)",
        "in the value, the sum in `lax.add(var, eps)`, called by `_standardised(x, axes, eps)` (norm.py) "
        "lacks its second term",
        "in the value, the sum over axes in `lax.reduce_sum(x, axes)`, "
        "called by `var = _mean(lax.mul(centred, centred), axes)` (norm.py) is divided by the number of its terms",
    } <= sentences(here)
    assert len(sentences(here)) == len(mutations_of(here))


def test_whether_a_comparison_of_whole_numbers_is_strict(register):
    def masked(x, labels):
        """y = x if the label is at most 2, else 0."""
        kept = lax.le(labels, lax.full_like(labels, 2))
        return lax.select(lax.broadcast_in_dim(kept, x.shape, (0,)), x, lax.full_like(x, 0.0))

    register(masked, "x (N, K); labels int 0..K (N) -> (N, K)", (6, 4), (6,), no_gradient=("labels",))
    here = at("masked", (6, 4), (6,))
    equal = here.arrays[1] == 2
    assert equal.any()
    answers = find(here, "the comparison in `kept = lax.le(labels", "is strict").answers(here)
    assert np.array_equal(answers["y"], np.where(equal[:, None], 0, here.true("y")))
    assert np.array_equal(answers["dx"], np.where(equal[:, None], 0, here.true("dx")))


def test_a_function_that_was_traced_elsewhere_is_named_by_its_call_in_the_layer(register):
    @jax.jit
    def gate(h):
        s = lax.logistic(h)
        return lax.mul(h, s)

    def elsewhere(x):
        wrong_place = gate(x)
        return wrong_place

    jax.make_jaxpr(elsewhere)(jax.ShapeDtypeStruct((2, 3), np.float32))
    with jax.enable_x64(True):
        jax.make_jaxpr(elsewhere)(jax.ShapeDtypeStruct((2, 3), np.float64))

    def gated(x):
        """y = gate(x) + gate(x x)."""
        left = gate(x)
        right = gate(lax.mul(x, x))
        return lax.add(left, right)

    register(gated, "x (N, D) -> (N, D)", (2, 3))
    found = sentences(at("gated", (2, 3)))
    assert not any("wrong_place" in sentence for sentence in found)
    for call in ("`left = gate(x)`", "`right = gate(lax.mul(x, x))`"):
        for function in ("`s = lax.logistic(h)`", "`lax.mul(h, s)`"):
            assert any(f"in {function}, called by {call} (test_mutations.py)" in sentence for sentence in found)


# -- evidence ---------------------------------------------------------------------------------------------------------


def test_a_fault_that_only_a_mutation_names(register):
    def branches(x, w):
        """y = tanh(x) + w x tanh(x)."""
        left = lax.tanh(x)
        right = lax.mul(x, lax.broadcast_in_dim(w, x.shape, (1,)))
        both = lax.mul(right, left)
        return lax.add(left, both)

    def wrong(here):
        """Forget that the second branch depends on tanh(x) too."""
        x, w, dy = here.array("x"), here.array("w"), here.dy.astype(np.float64)
        return dy * (1 - np.tanh(x) ** 2) + dy * w * np.tanh(x)

    register(branches, "x (N, D); w (D) -> (N, D)", (2, 3), (3,))
    fresh = [at("branches", (4, 3), (3,), seed=seed) for seed in range(3)]

    def fits(slip):
        given = [(slip.answers(here), wrong(here)) for here in fresh]
        return all(list(got) == ["dx"] and got["dx"] == pytest.approx(dx, rel=1e-9, abs=1e-12) for got, dx in given)

    assert [slip.sentence for slip in mutations_of(fresh[0]) if fits(slip)] == [
        "the gradient lacks the path through the product in `both = lax.mul(right, left)` (test_mutations.py)"
    ]
    assert not any(fits(slip) for slip in slips_of("branches"))


@pytest.mark.parametrize("layer", [name for name in LAYERS if not name.endswith(("1d", "3d", "_block"))])
def test_the_edges_exclude_every_mutation_that_changes_something_in_them(layer):
    excluded, changes, known = set(), set(), set()
    for case in edges(layer):
        here = circumstances(case)
        for slip in mutations_of(here):
            known.add(slip.sentence)
            if slip.sentence in excluded:
                continue
            with np.errstate(all="ignore"):
                answers = slip.answers(here)
                if answers:
                    changes.add(slip.sentence)
                if told_apart(answers, here.names, case, here.arrays, here.dy, here.truth):
                    excluded.add(slip.sentence)
    assert changes - excluded == set()
    assert len(known - excluded) <= max(1, 0.05 * len(known))
    print(
        f"{layer}: {len(excluded)} of {len(known)} mutations are excluded; no effect have", *known - changes, sep="\n"
    )


def test_what_ties_do_not_tell_apart_fresh_numbers_do():
    """The number of ties along the middle axis matters only if there are ties along it."""
    here = at("global_max_pool", (1, 1, 2, 3, 2), values=Values.TIES)
    slip = find(here, "lax.reduce_max", "only its last term along the middle of its axes")
    shown = [at("global_max_pool", (1, 1, 2, 3, 2), values=Values.TIES, seed=seed) for seed in range(8)]
    assert any(excludes(here, slip.answers(here)) for here in shown)


def test_a_version_of_jax_that_does_not_tell_the_frames(register, monkeypatch):
    def unseen(x):
        """y = 2 x tanh(x)."""
        return lax.mul(lax.mul(x, 2.0), lax.tanh(x))

    monkeypatch.setattr(places, "_raw", lambda equation: [])
    register(unseen, "x (N) -> (N)", (3,))
    here = at("unseen", (3,))
    assert "in the value, the second product lacks its first factor" in sentences(here)
    assert len(sentences(here)) == len(mutations_of(here))
