"""What a layer remembers from one call to another is found in the first case that is judged, and right layers keep conforming."""

import numpy as np
import pytest

from oracle.cases import Case, Memory, Values
from oracle.judge import judge
from oracle.judge.others import arrays_of_other_shapes, other_arrays
from oracle.layers import LAYERS
from oracle.layers.fit import misfit
from oracle.targets.ask import InProcess
from oracle.targets.question import Question
from oracle.truth import drawn

CASE = Case("tanh", "float32", ((3, 4),), {})


def slope(y):
    return (1 - y) * (1 + y)


def one_buffer_for_all_values():
    buffers = {}

    def layer(x):
        y = np.tanh(x)
        out = buffers.setdefault(x.shape, np.empty_like(x))
        out[...] = y
        return out, lambda dy: (dy * slope(y),)

    return layer


def one_place_for_what_backward_needs():
    kept = {}

    def layer(x):
        kept["y"] = y = np.tanh(x)
        return y.copy(), lambda dy: (dy * slope(kept["y"]),)

    return layer


def one_arena_for_each_shape():
    arenas = {}

    def layer(x):
        arena = arenas.setdefault(x.shape, np.empty_like(x))
        y = np.tanh(x)
        arena[...] = slope(y)
        return y, lambda dy: (dy * arena,)

    return layer


def a_shape_in_one_place():
    kept = {}

    def layer(x):
        kept["shape"] = x.shape
        y = np.tanh(x)
        return y, lambda dy: (
            np.resize(dy, kept["shape"])[: len(x)].reshape(x.shape) * slope(y) * len(x) / kept["shape"][0],
        )

    return layer


def a_cache_keyed_by_shape():
    cache = {}

    def layer(x):
        y = cache.setdefault(x.shape, np.tanh(x)).copy()
        return y, lambda dy: (dy * slope(y),)

    return layer


def a_cache_of_residuals_keyed_by_shape():
    cache = {}

    def layer(x):
        s = cache.setdefault(x.shape, slope(np.tanh(x)))
        return np.tanh(x), lambda dy: (dy * s,)

    return layer


def a_cache_keyed_by_address():
    cache, alive = {}, []

    def layer(x):
        alive.append(x)  # no other array gets its address
        y = cache.setdefault(x.ctypes.data, np.tanh(x)).copy()
        return y, lambda dy: (dy * slope(y),)

    return layer


def the_first_answer_for_ever():
    answers = []

    def layer(x):
        answers.append(np.tanh(x))
        y = answers[0].copy() if answers[0].shape == x.shape else answers[-1].copy()
        return y, lambda dy: (dy * slope(y),)

    return layer


class Lazy:
    """A proxy that is computed when it is read, from an input that is kept in one place."""

    x = None

    def __init__(self, x):
        self.dtype, self.shape = x.dtype, x.shape
        Lazy.x = x

    def __array__(self, dtype=None, copy=None):
        return np.tanh(Lazy.x)


def a_lazy_value():
    return lambda x: (Lazy(x), lambda dy: (dy * slope(np.tanh(x)),))


@pytest.mark.parametrize(
    ("make", "check", "output"),
    [
        (one_buffer_for_all_values, "repeatability", "y"),
        (one_place_for_what_backward_needs, "repeatability", "dx"),
        (one_arena_for_each_shape, "repeatability", "dx"),
        (a_shape_in_one_place, "repeatability", "dx"),
        (a_cache_keyed_by_shape, "value", "y"),
        (a_cache_of_residuals_keyed_by_shape, "gradient", "dx"),
        (a_cache_keyed_by_address, "repeatability", "y"),
        (the_first_answer_for_ever, "value", "y"),
        (a_lazy_value, "repeatability", "y"),
    ],
    ids=lambda x: getattr(x, "__name__", x),
)
def test_what_is_remembered_is_found_in_one_case(make, check, output):
    findings = judge(InProcess(make()), CASE).findings
    assert ("wrong", check, output) in [finding.fault for finding in findings]
    assert "error" not in [finding.check for finding in findings]


@pytest.mark.parametrize("make", [a_cache_keyed_by_shape, a_cache_keyed_by_address, the_first_answer_for_ever])
def test_the_answer_of_the_call_before_is_named(make):
    finding = judge(InProcess(make()), CASE).findings[0]
    assert "for other arrays in the call before" in finding.message


@pytest.mark.parametrize("number", [1, np.nan])
def test_the_same_wrong_number_everywhere_is_not_taken_for_the_call_before(number):
    finding = judge(InProcess(lambda x: (np.full_like(x, number), lambda dy: (dy,))), CASE).findings[0]
    assert "call before" not in finding.message


def test_what_is_wrong_by_itself_is_not_blamed_on_other_calls():
    def layer(x):
        y = np.tanh(x)
        return y, lambda dy: (2 * dy * slope(y),)

    (finding,) = judge(InProcess(layer), CASE).findings
    assert finding.check == "gradient"


@pytest.mark.parametrize("values", [Values.NORMAL, Values.TIES, Values.ZEROS, Values.NAN])
@pytest.mark.parametrize("memory", list(Memory))
def test_a_layer_that_remembers_nothing_conforms(values, memory):
    def layer(x):
        y = np.tanh(x)
        return y, lambda dy: (dy * slope(y),)

    assert judge(InProcess(layer), Case("tanh", "float32", ((3, 4),), {}, values, memory)).findings == []


def test_a_view_of_the_input_may_be_returned():
    assert judge(InProcess(lambda x: (x, lambda dy: (dy,))), Case("identity", "float32", ((3, 4),))).findings == []


def test_a_cache_keyed_by_what_the_array_holds_conforms():
    cache = {}

    def layer(x):
        y = cache.setdefault((x.shape, x.tobytes()), np.tanh(x)).copy()
        return y, lambda dy: (dy * slope(y),)

    assert judge(InProcess(layer), CASE).findings == []


# -- the other arrays -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tanh", "conv2d", "cross_entropy", "batch_norm", "linear", "layer_norm", "dropout"])
def test_other_arrays_are_valid(name):
    layer = LAYERS[name]
    for edge in layer.edges:
        case = Case(name, "float32", edge.shapes, edge.configuration)
        others = other_arrays(case)
        assert [x is None for x in others] == [x is None for x in case.arrays()]
        assert not misfit(
            layer.signature.arrays,
            tuple(x if x is None else x.shape for x in others),
            layer.options | edge.configuration,
        )
        reshaped = arrays_of_other_shapes(case)
        if reshaped is not None:
            shapes = tuple(x if x is None else x.shape for x in reshaped)
            assert shapes != case.shapes
            assert not misfit(layer.signature.arrays, shapes, layer.options | edge.configuration)


def test_the_batch_grows_in_every_array_that_has_it():
    case = Case("cross_entropy", "float32", ((2, 3), (2,), (3,)), {})
    assert [x.shape for x in arrays_of_other_shapes(case)] == [(3, 3), (3,), (3,)]
    assert arrays_of_other_shapes(Case("tanh", "float32", ((),), {})) is None
    assert arrays_of_other_shapes(Case("tanh", "float32", ((2,),), {}, "zeros")) is None


def test_an_error_in_a_call_with_other_shapes_is_no_fault():
    def layer(x):
        if x.shape != (3, 4):
            raise MemoryError
        y = np.tanh(x)
        return y, lambda dy: (dy * slope(y),)

    assert judge(InProcess(layer), CASE).findings == []


def test_the_calls_of_a_question():
    calls = []

    def layer(x):
        calls.append((x.tobytes(), x.shape, x.ctypes.data))
        y = np.tanh(x)
        return y, lambda dy: (calls.append("pullback"), (dy * slope(y),))[1]

    arrays, dy, _ = drawn(CASE)
    others, reshaped = other_arrays(CASE), arrays_of_other_shapes(CASE)
    InProcess(layer).ask(Question(CASE, arrays, dy, others, reshaped))
    held = [call if call == "pullback" else call[0] for call in calls]
    x, other, wide = (array.tobytes() for (array,) in (arrays, others, reshaped))
    assert held == [other, x, other, "pullback", x, "pullback", wide, "pullback", "pullback"]
    assert calls[0][2] == calls[1][2]  # in the same memory
