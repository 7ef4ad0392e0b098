"""Signatures: the grammar, shapes that fit and do not, and what is generated from them for every layer."""

import inspect
import json
import re

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impl import functional as F
from oracle.cases import Case
from oracle.cases.case import refused_call
from oracle.judge import judge_refusals
from oracle.layers import LAYERS
from oracle.layers.calls import Edge, refusals_from_options, refusals_from_shapes
from oracle.layers.describe import details, layer_table, summary
from oracle.layers.fit import fit, misfit
from oracle.layers.options import Range, objection, wrong_values
from oracle.layers.signature import KINDS, Array, Factor, Kind, Run, Signature, SignatureError, Size, names_in, parse
from oracle.targets.adapters import autograd_jax
from oracle.targets.ask import InProcess
from oracle.truth.autodiff import flat_function

every_layer = pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)

# -- the grammar ------------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(["x", "w", "running_mean", "B2", "K_shortcut"])
FACTORS = st.one_of(st.integers(0, 99), st.sampled_from(["N", "C", "groups"]))


def size(values, divides):
    return Size(
        tuple(Factor(value, i > 0 and divide) for i, (value, divide) in enumerate(zip(values, divides, strict=False)))
    )


SIZES = st.builds(size, st.lists(FACTORS, min_size=1, max_size=3), st.lists(st.booleans(), min_size=3, max_size=3))
KIND = st.one_of(
    st.none(), st.builds(Kind, st.sampled_from(list(KINDS))), st.builds(Kind, st.just("int"), SIZES, SIZES)
)
COUNTED = st.builds(Run, st.sampled_from(["S", "T"]), st.one_of(st.integers(0, 9), st.just("normalized_ndim")))
ANY = st.builds(Run, st.just("A"))


@st.composite
def shapes(draw):
    axes = draw(st.lists(st.one_of(SIZES, COUNTED), max_size=3))
    return tuple(axes[:1] + ([draw(ANY)] if draw(st.booleans()) else []) + axes[1:])


ARRAYS = st.lists(
    st.builds(Array, NAMES, shapes(), st.booleans(), KIND), min_size=1, max_size=4, unique_by=lambda a: a.name
)


@given(st.builds(Signature, ARRAYS.map(tuple), ARRAYS.map(tuple)))
def test_what_is_written_is_read_again(signature):
    assert parse(str(signature)) == signature
    assert parse(str(signature).replace(" ", "  ").replace("(", " (\n")) == signature


@pytest.mark.parametrize(
    ("text", "column", "fact"),
    [("", 1, "the name of an array"), ("x", 2, "a shape"), ("x (N", 5, "','"), ("x (N) w (M)", 7, "'->'"), ("x (N,) -> ()", 6, "a symbol"),
     ("x (N); x (M) -> ()", 8, "x stands there twice"), ("x reel (N) -> ()", 3, "positive"), ("x (N) -> () y", 13, "the end"), ("x (*A, *B) -> ()", 8, "*A and *B"),
     ("x (prod(A)) -> ()", 9, "*A"), ("x (N) -> ", 10, "the end"), ("x int 0 (N) -> ()", 9, "'..'"), ("x (N - 1) -> ()", 6, "'-'"), ("x (*A:) -> ()", 7, "a number of axes"),
     ("x (N/) -> ()", 6, "a symbol"), ("x (é) -> ()", 4, "'é'"), ("2x (N) -> ()", 1, "'2'")],
)  # fmt: skip
def test_an_error_is_one_line_that_shows_the_place(text, column, fact):
    with pytest.raises(SignatureError) as caught:
        parse(text)
    message = str(caught.value)
    assert f"column {column} " in message and fact in message and text in message
    assert "\n" not in message


def test_an_error_in_a_signature_of_several_lines_is_one_line():
    with pytest.raises(SignatureError) as caught:
        parse("x (N, C);\n  w (M\n -> (N)")
    message = str(caught.value)
    assert "'->' at column 19 " in message and '"x (N, C);   w (M  -> (N)"' in message


# -- shapes that fit --------------------------------------------------------------------------------------------------

CONV = parse("x (N, C, *S:2); w (F, C/groups, *K:2); b? (F) -> (N, F, *O:2)").arrays
ATTENTION = parse("q (B, H, N, D); k (B, H, M, D); v (B, H, M, E); mask? bool (N, M) -> (B, H, N, E)").arrays


@pytest.mark.parametrize(
    ("arrays", "given", "options", "facts"),
    [(CONV, ((1, 4, 5, 5), (3, 2, 3, 3), (3,)), {"groups": 2}, ()), (CONV, ((0, 4, 5, 5), (3, 4, 3, 3), None), {"groups": 1}, ()),
     (CONV, ((1, 4, 5, 5), (3, 2, 3, 3), (4,)), {"groups": 2}, ("b", "(4,)", "F is 3")), (CONV, ((1, 5, 5, 5), (3, 2, 3, 3), None), {"groups": 2}, ("w", "C/groups is 5/2")),
     (CONV, ((1, 4, 5), (3, 2, 3, 3), None), {"groups": 2}, ("x", "(1, 4, 5)", "4 axes")), (CONV, ((1, 4, 5, 5), None, None), {"groups": 1}, ("w is left out",)),
     (CONV, ((1, 4, 5, 5), (3, 2, 3, 3), ()), {"groups": 2}, ("b", "1 axis")), (CONV, ((1, 4, 5, 5), (3, 2, 3, 3), None), {"groups": 0}, ("w", "groups is 0")),
     (CONV, ((1, 4, 5, 5),), {"groups": 1}, ("1 shapes", "3 arrays")),
     (ATTENTION, ((1, 2, 3, 4), (1, 2, 5, 4), (1, 2, 5, 6), (3, 5)), {}, ()), (ATTENTION, ((1, 2, 3, 4), (1, 2, 5, 4), (1, 2, 5, 6), (5, 3)), {}, ("mask", "N is 3")),
     (ATTENTION, ((1, 2, 3, 4), (1, 2, 5, 4), (1, 2, 3, 4), None), {}, ("v", "M is 5"))],
)  # fmt: skip
def test_shapes_fit_or_it_is_said_what_does_not(arrays, given, options, facts):
    found = misfit(arrays, given, options)
    assert bool(found) == bool(facts) and "\n" not in found
    assert all(fact in found for fact in facts), found


def test_a_symbol_is_learnt_from_an_expression_or_later():
    transposed = parse("x (C); w (C, F/groups); b? (F) -> (F)").arrays
    assert fit(transposed, ((4,), (4, 3), None), {"groups": 2}).sizes["F"] == 6
    assert "F is 6" in misfit(transposed, ((4,), (4, 3), (3,)), {"groups": 2})
    grouped = parse("x (N, G*M); gamma (G) -> ()").arrays
    assert fit(grouped, ((1, 6), (2,)), {}).sizes == {"N": 1, "G": 2, "M": 3}
    assert "not a multiple of 4" in misfit(grouped, ((1, 6), (4,)), {})


def test_a_number_of_axes_may_be_an_option():
    norm = parse("x (*A, *B:n); gamma? (*B) -> (*A, *B)").arrays
    assert fit(norm, ((2, 3, 4), (3, 4)), {"n": 2}).sizes == {"A": (2,), "B": (3, 4)}
    assert "B is (4,)" in misfit(norm, ((2, 3, 4), (3,)), {"n": 1})
    assert "at least 2 axes" in misfit(norm, ((2,), None), {"n": 2})


# -- every layer ------------------------------------------------------------------------------------------------------


def outputs_that_do_not_fit(layer, given, configuration):
    """Why the shapes of the mathematics' outputs are not those of the signature; the empty string if they are."""
    options = layer.options | configuration
    sizes = fit(layer.signature.arrays, given, options).sizes
    with jax.enable_x64(True):
        function, present, _ = flat_function(layer, given, configuration)
        labels = {i for i, name in enumerate(layer.arrays) if layer.kinds.get(name) == "labels"}
        arguments = [jax.ShapeDtypeStruct(given[i], np.int64 if i in labels else np.float64) for i in present]
        first, others = jax.eval_shape(function, *arguments)
    returned = [first.shape, *(other.shape for other in others)]
    left_out = [None] * (len(layer.outputs) - len(returned))  # running statistics that were not given
    return misfit(layer.signature.outputs, (*returned, *left_out), options, sizes)


@every_layer
def test_every_edge_fits_and_so_do_the_outputs(layer):
    for edge in layer.edges:
        assert misfit(layer.signature.arrays, edge.shapes, layer.options | edge.configuration) == ""
        assert outputs_that_do_not_fit(layer, edge.shapes, edge.configuration) == "", edge


@every_layer
def test_every_drawn_case_fits_and_so_do_the_outputs(layer):
    @given(st.data())
    def fits(data):
        drawn, configuration = layer.domain(data.draw)
        assert misfit(layer.signature.arrays, drawn, layer.options | configuration) == ""

    fits()

    @settings(max_examples=5)
    @given(st.data())
    def outputs_fit(data):
        assert outputs_that_do_not_fit(layer, *layer.domain(data.draw)) == ""

    outputs_fit()


@every_layer
def test_the_signature_is_that_of_the_rule_and_of_the_mathematics(layer):
    rule = getattr(F, layer.name)
    assert layer.arrays == rule.arrays and layer.optional == rule.optional and layer.no_gradient == rule.no_gradient
    parameters = inspect.signature(layer.mathematics).parameters.values()
    positional = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    if positional:  # a block takes its arrays together
        assert layer.arrays == tuple(p.name for p in positional)
        assert layer.optional == tuple(p.name for p in positional if p.default is None)
    symbols = {axis.count for array in layer.signature.arrays for axis in array.axes if isinstance(axis, Run)}
    assert {count for count in symbols if isinstance(count, str)} <= set(layer.options)


# -- refusals ---------------------------------------------------------------------------------------------------------


@every_layer
def test_every_refusal_has_a_key_and_says_why(layer):
    assert len({refusal.key for refusal in layer.refusals}) == len(layer.refusals) < 100
    for refusal in layer.refusals:
        assert refusal.why and "\n" not in refusal.why and len(refusal.shapes) == len(layer.arrays)


@every_layer
def test_impl_refuses_every_one_with_a_message(layer):
    """The message is one line that names the layer; and the argument, if the refusal is about one."""
    rule = getattr(F, layer.name)
    for refusal in layer.refusals:
        _, arrays = refused_call(layer, "float32", refusal)
        with pytest.raises((ValueError, TypeError), match=f"^{layer.name}: [^\n]*$") as caught:
            rule.vjp(*arrays, **refusal.configuration)
        argument = refusal.key.partition(":")[0]
        if argument in (*layer.arrays, *layer.options):
            assert re.search(rf"\b{argument}\b", str(caught.value)), (refusal, str(caught.value))


def one_change(wanted, given):
    """How many shapes differ, and the place of the last one that does."""
    places = [i for i, (a, b) in enumerate(zip(wanted, given, strict=True)) if a != b]
    return len(places), places[-1] if places else None


@every_layer
def test_a_refusal_of_shapes_is_one_change_away_from_a_call_that_impl_accepts(layer):
    """So what impl refuses is that change, and nothing else about the call."""
    rule = getattr(F, layer.name)
    for refusal in refusals_from_shapes(layer.signature, layer.edges, layer.options):
        assert misfit(layer.signature.arrays, refusal.shapes, layer.options | refusal.configuration) == refusal.why
        name = refusal.key.partition(":")[0]
        if name not in layer.arrays:
            continue  # the number of axes changes in several arrays at once: see below
        before = [
            edge.shapes
            for edge in layer.edges
            if one_change(refusal.shapes, edge.shapes) == (1, layer.arrays.index(name))
            and not misfit(layer.signature.arrays, edge.shapes, layer.options | refusal.configuration)
        ]
        assert before and name in refusal.why, refusal
        rule.vjp(*Case(layer.name, "float32", before[0], refusal.configuration).arrays(), **refusal.configuration)


@pytest.mark.parametrize("family", ["conv", "conv_transpose", "max_pool", "avg_pool"])
def test_a_call_with_one_axis_more_is_right_for_the_next_layer(family):
    for rank in (1, 2):
        refusals = {refusal.key: refusal for refusal in LAYERS[f"{family}{rank}d"].refusals}
        more = refusals[f"{rank + 1} axes for {rank}"]
        larger = f"{family}{rank + 1}d"
        assert misfit(LAYERS[larger].signature.arrays, more.shapes, LAYERS[larger].options | more.configuration) == ""
        getattr(F, larger).vjp(*Case(larger, "float32", more.shapes, more.configuration).arrays(), **more.configuration)


@every_layer
def test_a_refusal_of_an_option_is_one_value_away_from_a_call_that_impl_accepts(layer):
    rule = getattr(F, layer.name)
    found = refusals_from_options(layer.signature, layer.edges, layer.options, layer.choices, layer.ranges)
    for refusal in found:
        name = refusal.key.partition(":")[0]
        assert name in refusal.why and refusal.key == f"{name}: {refusal.configuration[name]!r}"
        right = refusal.configuration | ({name: 2} if layer.options[name] is ... else {name: layer.options[name]})
        rule.vjp(*Case(layer.name, "float32", refusal.shapes, right).arrays(), **right)
        sizes = fit(layer.signature.arrays, refusal.shapes, layer.options | right).sizes
        assert objection(name, refusal.configuration[name], layer.choices, layer.ranges, sizes)


@every_layer
def test_every_option_has_choices_or_a_range_that_hold_what_is_tried(layer):
    assert {*layer.choices, *layer.ranges} == set(layer.options)
    objections = []

    def tried(shapes, configuration):
        sizes = fit(layer.signature.arrays, shapes, layer.options | configuration).sizes
        for name, value in configuration.items():
            objections.append(objection(name, value, layer.choices, layer.ranges, sizes))

    for edge in layer.edges:
        tried(edge.shapes, edge.configuration)
    for name, default in layer.options.items():
        if default is not None and default is not ...:
            tried(layer.edges[0].shapes, {name: default})

    @given(st.data())
    def drawn(data):
        tried(*layer.domain(data.draw))

    drawn()
    assert set(objections) <= {""}


def test_the_refusals_of_a_convolution():
    keys = [refusal.key for refusal in LAYERS["conv2d"].refusals]
    assert keys == [
        "x: another axis at the end", "x: another axis in front", "w: C/groups", "w: C/groups of length 1",
        "w: another axis at the end", "w: another axis in front", "b: F", "b: F of length 1", "b: a row per sample",
        "3 axes for 2", "1 axis for 2", "padding: 'full'", "stride: 0", "stride: (1, 0)", "stride: 1.5",
        "stride: (1, 1, 1)", "padding: -1", "padding: (0, -1)", "padding: 0.5", "padding: (0, 0, 0)",
        "dilation: 0", "dilation: (1, 0)", "dilation: 1.5", "dilation: (1, 1, 1)", "groups: 0",
        "kernel, axis 0", "kernel, axis 1", "dilated kernel, axis 0", "dilated kernel, axis 1", "filters", "channels", "same",
    ]  # fmt: skip


def test_each_symbol_that_must_agree_is_changed():
    keys = {refusal.key for refusal in LAYERS["cross_entropy"].refusals}
    assert keys >= {"labels: N", "labels: N of length 1", "labels: *S, the last of length 1", "weight: K of length 1"}
    assert [refusal.key for refusal in LAYERS["add"].refusals] == [
        "broadcast"
    ]  # x and y may differ: they are broadcast
    assert {"w_shortcut: C", "w_shortcut: F", "running_var2: F"} <= {r.key for r in LAYERS["residual_block"].refusals}


def test_a_symbol_that_occurs_twice_in_one_array_is_changed_there():
    square = parse("a (N, N); x (N) -> (N)")
    found = refusals_from_shapes(square, [Edge(((1, 1), (1,))), Edge(((3, 3), (3,)))], {})
    assert {refusal.key: refusal.shapes for refusal in found} == {
        "a: N": ((3, 4), (3,)),
        "a: N of length 1": ((3, 1), (3,)),
        "x: N": ((3, 3), (4,)),
        "x: N of length 1": ((3, 3), (1,)),
        "x: a row per sample": ((3, 3), (3, 3)),
    }


def test_a_layer_that_broadcasts_a_bias_of_wrong_length_is_found():
    def linear(x, w, b=None):
        return F.linear.vjp(x, w, None if b is None else np.resize(b, len(w)))

    accepted = judge_refusals(InProcess(linear), "linear", "float32").accepted
    assert [refusal.key for refusal, _ in accepted] == ["b: M", "b: M of length 1", "b: a row per sample"]


CONTENTS = ["labels: float32", "labels: complex64", "labels: text", "labels: -1", "labels: 4"]


def test_what_an_array_holds_is_changed_too():
    refusals = {r.key: r for r in LAYERS["cross_entropy"].refusals if r.content is not None}
    assert list(refusals) == CONTENTS
    (logits, labels, _) = refused_call(LAYERS["cross_entropy"], "float32", refusals["labels: 4"])[1]
    assert logits.shape == (3, 4) and labels[-1] == 4 and (labels[:-1] < 4).all()
    mask = {r.key for r in LAYERS["dropout"].refusals if r.content is not None}
    assert mask == {"mask: complex64", "mask: text"}
    assert not [r for r in LAYERS["relu"].refusals if r.content is not None]


def test_a_number_out_of_range_is_asked_of_code_only_that_can_look_at_it():
    def sums(logits, labels, weight=None, **options):
        return logits.sum()

    def with_numpy(*arrays, **options):
        return arrays[0].sum(), lambda dy: (dy * np.ones_like(arrays[0]), None, None)

    def accepted(layer):
        found = judge_refusals(InProcess(layer), "cross_entropy", "float32").accepted
        return [refusal.key for refusal, _ in found if refusal.content is not None]

    assert accepted(with_numpy) == CONTENTS
    assert accepted(autograd_jax(sums, (1, 2))) == ["labels: float32", "labels: complex64"]


# -- values of options ------------------------------------------------------------------------------------------------

IMAGE = {"S": (5, 6)}


@pytest.mark.parametrize(
    ("allowed", "right", "wrong"),
    [
        (Range(1, whole=True, axes="S"), (1, 7, (1, 2), [3, 1]), (0, 1.0, True, "1", None, (1,), (1, 2, 3), (1, 0), ((1, 1), (1, 1)))),
        (Range(0, whole=True, axes="S", pairs=True), (0, (0, 1), ((0, 1), (2, 0)), (1, (0, 2))), (-1, ((0, 1),), ((0, 1, 2), (0, 1)), ((0, -1), 0))),
        (Range(0, 1), (0, 1, 0.5, np.float32(0.1)), (-0.1, 1.5, True, "0.5", (0.5,), float("nan"))),
        (Range(0, below=1), (0, 0.999), (1, 1.0, -1e-9)),
        (Range(whole=True), (-100, 0, np.int64(3)), (0.5, False)),
    ],
)  # fmt: skip
def test_a_range_holds_its_numbers(allowed, right, wrong):
    assert [value for value in right if not allowed.holds(value, IMAGE)] == []
    assert [value for value in wrong if allowed.holds(value, IMAGE)] == []


def test_what_is_refused_follows_from_the_range():
    def wrong(name, allowed):
        return [value for _, value, _ in wrong_values({}, {name: allowed}, IMAGE)]

    assert wrong("p", Range(0, below=1)) == [-0.5, 1.5, "0.5"]
    assert wrong("eps", Range(0, refused=())) == ["0.5"]
    assert wrong("axis", Range(whole=True)) == [True]
    assert wrong("stride", Range(1, whole=True, axes="S")) == [0, (1, 0), 1.5, (1, 1, 1)]


def test_a_word_that_is_not_known_is_tried_for_each_option_that_takes_words():
    choices = {
        "reduction": ("mean", "sum"),
        "causal": (False, True),
        "side": ("left", "right"),
        "mode": ("edgee", "wrap"),
    }
    assert [(name, value) for name, value, _ in wrong_values(choices, {}, {})] == [
        ("reduction", "avg"), ("side", "rightt"), ("mode", "edgeee"),
    ]  # fmt: skip
    assert objection("causal", 1, choices, {}, {}) == "causal is 1, but must be False or True"


# -- descriptions -----------------------------------------------------------------------------------------------------


@every_layer
def test_descriptions_are_data(layer):
    short, long = summary(layer), details(layer)
    assert json.loads(json.dumps([short, long]))[1]["layer"] == layer.name
    assert [name.rstrip("?") for name in short["arrays"]] == list(layer.arrays) == [a["name"] for a in long["arrays"]]
    assert {a["name"] for a in long["arrays"] if a["optional"]} == set(layer.optional)
    assert {a["name"] for a in long["arrays"] if not a["gradient"]} == set(layer.no_gradient)
    assert parse(long["signature"]) == layer.signature
    assert len(long["refused"]) == len(layer.refusals) and long["formula"] in inspect.cleandoc(
        layer.mathematics.__doc__
    )


def test_the_table_has_every_layer_once():
    table = layer_table()
    rows = table.splitlines()[2:]
    assert sorted(word for row in rows for word in row.split("|")[1].split()) == sorted(f"`{name}`" for name in LAYERS)
    assert "| `conv1d` `conv2d` `conv3d` | x (N, C, *S), w (F, C/groups, *K), b? (F) |" in table
    assert "| `conv_relu_pool` | x (N, C, *S:2)," in table
    assert {row.count("|") for row in rows} == {4}


def test_names_are_those_of_symbols_runs_and_options():
    assert names_in(LAYERS["layer_norm"].signature) == {"A", "B", "normalized_ndim"}
    assert {"groups", "C", "K"} <= names_in(LAYERS["conv2d"].signature)
