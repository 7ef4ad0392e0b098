"""Which cases exist: layouts of each array, protected pages, odd values, every option, long axes."""

import sys
from collections import Counter
from math import prod

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import Phase, find, settings

from impl import functional as F
from oracle.cases import DTYPES, Case, Memory, Subject, Values, cases, edge_cases, numpy_dtype, pool, tile_cases
from oracle.cases.guarded import guarded, written_beyond
from oracle.cases.large import LARGE
from oracle.cases.tiles import tile_edges
from oracle.explain.explained import explained
from oracle.judge import Finding, judge
from oracle.layers import LAYERS, Edge, Layer
from oracle.layers.fit import fit, misfit
from oracle.targets.ask import InProcess
from oracle.targets.messages import Limits
from oracle.targets.process import Isolated, TargetProcess
from oracle.truth import drawn

every_layer = pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux protects pages")

# -- memory layouts ---------------------------------------------------------------------------------------------------


def test_one_layout_stands_for_all_arrays_and_dy():
    case = Case("linear", "float32", ((2, 3), (4, 3), (4,)), memory="strided")
    assert case.memory == (Memory.STRIDED,) * 4
    assert Case("linear", "float32", ((2, 3), (4, 3), None), memory="strided").memory[2] is Memory.CONTIGUOUS
    each = Case("linear", "float32", ((2, 3), (4, 3), (4,)), memory=("offset", "fortran", "contiguous", "reversed"))
    assert each.memory_by_name == {"x": "offset", "w": "fortran", "b": "contiguous", "dy": "reversed"}
    with pytest.raises(ValueError, match="2 memory layouts were given for 3 arrays and dy"):
        Case("linear", "float32", ((2, 3), (4, 3), (4,)), memory=("offset", "fortran"))


def test_the_arrays_and_the_truth_do_not_depend_on_the_layout():
    case = Case("linear", "float32", ((2, 3), (4, 3), (4,)))
    odd = Case("linear", "float32", ((2, 3), (4, 3), (4,)), memory=("offset", "fortran", "contiguous", "reversed"))
    assert case.key != odd.key and drawn(case) is drawn(odd)


@pytest.mark.parametrize("memory", Memory)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0, 2), (3,), (2, 3), (2, 3, 4), (2, 1, 3), (3, 1)])
def test_a_layout_keeps_the_elements(memory, dtype, shape):
    x = np.arange(prod(shape)).reshape(shape).astype(numpy_dtype(dtype))
    laid_out = memory.lay_out(x)
    assert laid_out.dtype == x.dtype and np.array_equal(laid_out, x) and not np.shares_memory(laid_out, x)


@every_layer
def test_every_layout_reaches_every_array_and_that_of_dy_differs(layer):
    found = edge_cases(layer, "float32")
    assert any(c.memory[0] is not c.memory[-1] for c in found)
    reached = {name: set() for name in (layer.arrays[0], "dy")}
    for case in pool(layer, "float32"):
        for name in reached:
            reached[name].add(case.memory_by_name[name])
    assert all(layouts == set(Memory) for layouts in reached.values())


@every_layer
def test_every_ordinary_edge_is_also_laid_out_oddly(layer):
    ordinary = [e for e in layer.edges if e.values == "normal" and sum(prod(s) for s in e.shapes if s) > len(e.shapes)]
    odd = [(c.shapes, c.configuration) for c in edge_cases(layer, "float32") if set(c.memory) != {"contiguous"}]
    assert ordinary and all((edge.shapes, edge.configuration) in odd for edge in ordinary)


def test_a_layout_shrinks_to_contiguous_where_it_does_not_matter():
    smallest = find(
        cases(LAYERS["linear"], "float32"),
        lambda case: case.memory[1] not in (Memory.CONTIGUOUS, Memory.OFFSET),
        settings=settings(database=None, derandomize=True, phases=(Phase.generate, Phase.shrink)),
    )
    assert smallest.memory == ("contiguous", "fortran", "contiguous", "contiguous")


def test_layouts_stand_in_the_results_and_come_back():
    subject = Subject("here", "linear", "float32")
    for memory, written in (
        ("strided", "strided"),
        (("contiguous", "fortran", "offset", "contiguous"), {"x": "contiguous", "w": "fortran", "dy": "contiguous"}),
    ):
        case = Case("linear", "float32", ((2, 3), (4, 3), None), memory=memory)
        shown = explained(subject, InProcess(F.linear.vjp), case, Finding("crashed", "process", "y", "it died"))
        stored = shown.model_dump(mode="json")
        assert stored["memory"] == written
        again = type(shown).model_validate(stored)
        assert again.case(subject).memory == case.memory
        assert ("w fortran" in again.text) == (isinstance(written, dict))
        assert ("w = Memory('fortran').lay_out(w)" in again.reproduce) == isinstance(written, dict)


# -- protected pages --------------------------------------------------------------------------------------------------

OVERRUNS = '''
import numpy as np
from numpy.lib.stride_tricks import as_strided


def around(x, first, count):
    """Elements of the memory that x lies in, from the place ``first`` on."""
    if first < 0:
        x = as_strided(x.ravel()[::-1], (x.size + 1,), (-x.itemsize,))[::-1]
        return x[:count]
    return as_strided(x.ravel(), (x.size + 1,), (x.itemsize,))[first : first + count]


def layer(beyond):
    def add(x, y):
        beyond("forward", x, y, None)
        def pullback(dy):
            beyond("backward", x, y, dy)
            return dy, dy
        return x + y, pullback
    return {"add": add}


def reads_after_y(when, x, y, dy):
    around(y, y.size, 1).sum()


def reads_before_dy(when, x, y, dy):
    if when == "backward":
        around(dy, -1, 1).sum()


def writes_after_x(when, x, y, dy):
    around(x, x.size, 1)[...] = 0


def writes_before_y(when, x, y, dy):
    around(y, -1, 1)[...] = 0


def always_dies(when, x, y, dy):
    import os
    os.abort()


after_y, before_dy, after_x, before_y, dies, right = map(
    layer, (reads_after_y, reads_before_dy, writes_after_x, writes_before_y, always_dies, lambda *_: None)
)
'''


@pytest.fixture
def overrun(tmp_path):
    """Return a function that judges ``add`` of a target that leaves its arrays, in a process of its own."""
    path = tmp_path / "overruns.py"
    path.write_text(OVERRUNS)

    def judged(target, memory):
        process = TargetProcess(f"{path}:{target}", Limits())
        try:
            return judge(Isolated(process, "add"), Case("add", "float32", ((3, 5), (3, 5)), memory=memory)).findings
        finally:
            process.close()

    return judged


@on_linux
@pytest.mark.parametrize(
    ("target", "memory", "verdict", "output", "fact"),
    [
        ("after_y", "guarded_end", "crashed", "y", "reads or writes beyond the end of y: the process was killed by"),
        ("before_dy", "guarded_start", "crashed", "dy", "reads or writes before the start of dy"),
        ("after_x", "guarded_end", "crashed", "x", "reads or writes beyond the end of x"),
        ("after_x", "guarded_start", "wrong", "x", "writes beyond the end of x"),
        ("before_y", "guarded_end", "wrong", "y", "writes before the start of y"),
        ("dies", "guarded_end", "crashed", "y", "the process was killed by SIGABRT"),
    ],
)
def test_who_leaves_an_array_is_seen(overrun, target, memory, verdict, output, fact):
    (finding,) = overrun(target, memory)
    assert (finding.verdict, finding.output) == (verdict, output) and finding.message.startswith(fact)


@on_linux
def test_who_stays_inside_is_right(overrun):
    assert overrun("right", ("guarded_end", "guarded_start", "guarded_end")) == []


@on_linux
@pytest.mark.parametrize("at_the_end", [True, False])
def test_the_pattern_around_an_array_shows_where_it_was_written(at_the_end):
    x = guarded(np.arange(6.0).reshape(2, 3), at_the_end)
    x += 1
    assert written_beyond(x) is None
    inside = x.nbytes if not at_the_end else -8  # the side on which there is no protected page
    np.ndarray((1,), buffer=x.base, offset=x.base.first + inside)[:] = 3
    assert written_beyond(x) == ("before the start" if at_the_end else "beyond the end")


def test_in_the_process_of_the_judge_no_page_is_protected():
    seen = []

    def relu(x):
        seen.append(x)
        return F.relu.vjp(x)

    case = Case("relu", "float32", ((3, 4),), memory="guarded_end")
    assert judge(InProcess(relu), case).findings == []
    assert all(x.base is None for x in seen)


# -- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("values", Values)
def test_values_are_what_their_kind_says(values, dtype):
    case = Case("relu", dtype, ((40, 5),), values=values)
    x = case.arrays()[0].astype(np.float64)
    largest = float(np.finfo(np.float64).max if dtype == "float64" else jnp.finfo(dtype).max)
    assert np.isfinite(x).all() == values.finite and np.isnan(x).any() == (values is Values.NAN)
    assert np.isinf(x).any() == values.infinite
    if values is Values.EXTREME:
        assert largest / 20 < np.abs(x).max() < largest and (np.abs(x) > 1e4 * np.median(np.abs(x))).mean() < 0.3
    if values is Values.NEGATIVE:
        assert x.max() < -(1000 if dtype == "float16" else 100_000)
    if values is Values.MINUS_INFINITE:
        assert 0.5 < np.isneginf(x).mean() < 1 and not np.isposinf(x).any()


def test_odd_values_are_in_one_array_only():
    ordinary = Case("linear", "float32", ((20, 3), (4, 3), (4,))).arrays()
    for i, name in enumerate(("x", "w", "b")):
        case = Case("linear", "float32", ((20, 3), (4, 3), (4,)), values="large", odd_array=name)
        sizes = [np.abs(x).max() > 100 for x in case.arrays()]
        assert sizes == [i == j for j in range(3)]
    assert all(np.abs(x).max() < 100 for x in ordinary)


@every_layer
def test_every_array_of_real_numbers_takes_odd_values_in_every_run(layer):
    odd = {case.odd_array for case in edge_cases(layer, "float32")}
    largest = max(edge_cases(layer, "float32"), key=lambda c: sum(prod(s) for s in c.shapes if s is not None))
    real = {n for n, s in zip(layer.arrays, largest.shapes, strict=True) if s and layer.kinds.get(n, "real") == "real"}
    assert real <= odd | {layer.arrays[0]}


def test_labels_are_ignored_only_if_the_configuration_says_so():
    for case in pool(LAYERS["cross_entropy"], "float32"):
        labels, classes = case.arrays()[1], case.shapes[0][1]
        if "ignore_index" not in case.configuration:
            assert ((labels >= 0) & (labels < classes)).all()
    assert any((c.arrays()[1] == -100).any() for c in edge_cases(LAYERS["cross_entropy"], "float32"))


def test_certain_probabilities_cost_nothing_and_have_the_gradient_of_the_limit():
    case = Case("binary_cross_entropy", "float64", ((40,), (40,)), {"reduction": "none"}, "ties")
    (p, t), dy, truth = drawn(case)
    certain = (p == 0) | (p == 1)
    assert {0.0, 1.0} <= set(p) and (p[certain] == t[certain]).all()
    assert (truth.pairs["y"].value[certain] == 0).all()
    assert np.allclose(truth.pairs["dp"].value[certain], (dy * np.where(p == 0, 1, -1))[certain])
    assert judge(InProcess(F.binary_cross_entropy.vjp), case).findings == []


# -- options ----------------------------------------------------------------------------------------------------------


@every_layer
def test_every_boolean_and_every_word_occurs_in_the_edges(layer):
    seen = {name: {str(edge.configuration.get(name, "default")) for edge in layer.edges} for name in layer.options}
    words = {"padding": {"same", "valid"}, "reduction": {"mean", "sum", "none"}, "approximate": {"none", "tanh"}}
    words["mode"] = {"constant", "reflect", "replicate", "circular"}
    takes_words = layer.name.startswith(("conv1", "conv2", "conv3", "conv_transpose", "max_", "avg_"))
    for name, default in layer.options.items():
        wanted = words.get(name, set()) if name != "padding" or takes_words else set()
        if isinstance(default, bool):
            wanted = {str(not default)}
        assert wanted <= seen[name], name
        assert default is ... or "default" in seen[name], name


@pytest.mark.parametrize("name", [n for n in LAYERS if n.startswith(("conv", "max_pool", "avg_pool"))])
def test_plain_code_that_takes_ints_only_sees_outputs_that_are_not_square(name):
    layer = LAYERS[name]
    if not any(axis in name for axis in ("2d", "3d", "relu")):
        pytest.skip("one axis")
    for edge in layer.edges:
        ints = all(isinstance(value, int) for value in edge.configuration.values())
        strided = edge.configuration.get("stride", edge.configuration.get("kernel_size", 1)) not in (1, True)
        shape = drawn(Case(name, "float32", edge.shapes, edge.configuration)).dy.shape
        if ints and strided and edge.values == "normal" and len(set(shape[2:])) > 1:
            return
    raise AssertionError("every strided edge with ints has a square output")


# -- long axes --------------------------------------------------------------------------------------------------------


@every_layer
def test_long_axes_fit_the_signature_and_pass_the_boundaries(layer):
    tiles = tile_cases(layer, "float32", "tiles")
    assert 0 < len(tiles) <= 18 and tiles == tile_cases(layer, "float32", "tiles")
    longest = Counter()
    for case in tiles:
        options = layer.options | case.configuration
        assert misfit(layer.signature.arrays, case.shapes, options) == ""
        for name, size in fit(layer.signature.arrays, case.shapes, options).sizes.items():
            for i, length in enumerate(size if isinstance(size, tuple) else (size,)):
                longest[name, i] = max(longest[name, i], length)
    short = {key: length for key, length in longest.items() if length < 33 and not key[0].startswith("K")}
    assert not short
    assert max(longest.values()) > 64


def test_sizes_are_small_tiles_or_large():
    layer = LAYERS["layer_norm"]
    assert tile_cases(layer, "float32", "small") == []
    tiles, large = tile_cases(layer, "float32", "tiles"), tile_cases(layer, "float32", "large")
    assert large[:-1] == tiles and large[-1].shapes[0] == (8, 512, 768)
    with pytest.raises(ValueError, match="small, tiles, large"):
        tile_cases(layer, "float32", "huge")


@every_layer
def test_the_shape_of_a_real_network_fits(layer):
    edge = LARGE[layer.name]
    assert misfit(layer.signature.arrays, edge.shapes, layer.options | edge.configuration) == ""


def attention(q, k, v):
    """y = softmax(q k^T) v."""
    return jnp.einsum("nm,me->ne", jnp.exp(jnp.einsum("nd,md->nm", q, k)), v)


def test_long_axes_follow_from_the_signature_of_any_layer():
    text = "q (N, D); k (M, D); v (M, E) -> (N, E)"
    mine = Layer("mine", text, attention, lambda draw: None, [Edge(((2, 3), (4, 3), (4, 5)))])
    found = [fit(mine.signature.arrays, edge.shapes, {}).sizes for edge in tile_edges(mine)]
    assert found and {name for size in found for name, n in size.items() if n > 256} == {"N", "D", "M", "E"}


def test_a_length_that_the_mathematics_refuses_becomes_a_multiple():
    shapes = [case.shapes[0] for case in tile_cases(LAYERS["group_norm"], "float32", "tiles")]
    assert any(shape[1] > 32 for shape in shapes) and all(shape[1] % 2 == 0 for shape in shapes)


def blocked_softmax(x, *, axis=-1):
    y, pullback = F.softmax.vjp(x, axis=axis)
    if axis == -1 and x.ndim and x.shape[-1] > 128:
        y = y.copy()
        y[..., x.shape[-1] // 128 * 128 :] = 0
    return y, pullback


def first_rows(x, w, b=None):
    y, pullback = F.linear.vjp(x, w, b)

    def of_first_rows(dy):
        dx, dw, db = pullback(dy)
        return dx, dy[:64].T @ x[:64] if x.ndim == 2 and len(x) > 64 else dw, db

    return y, of_first_rows


def many_classes(logits, labels, weight=None, **options):
    return F.cross_entropy.vjp(logits, np.minimum(labels, 255) if logits.shape[1] > 256 else labels, weight, **options)


@pytest.mark.parametrize(
    ("layer", "faulty"), [("softmax", blocked_softmax), ("linear", first_rows), ("cross_entropy", many_classes)]
)
def test_code_that_is_right_up_to_one_block_is_found(layer, faulty):
    small = edge_cases(LAYERS[layer], "float32")
    assert not any(judge(InProcess(faulty), case).findings for case in small)
    assert any(judge(InProcess(faulty), case).findings for case in tile_cases(LAYERS[layer], "float32", "tiles"))


@every_layer
def test_the_pool_is_bounded_and_has_what_every_run_tries(layer):
    everything = pool(layer, "float32")
    assert {c.key for c in edge_cases(layer, "float32")} <= {c.key for c in everything}
    assert len({c.key for c in everything}) == len(everything) <= 150
    sizes = [sum(prod(s) for s in c.shapes if s is not None) for c in everything]
    assert sizes == sorted(sizes)
