"""The grade: error in units of the usual error. It tells two right answers apart, and is about 1 for ordinary ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oracle.cases import Case
from oracle.layers import LAYERS
from oracle.truth import Precision, Usual, derive, drawn, evaluate, grade, usual_error
from oracle.truth.autodiff import flat_function
from tests.oracle.ordinary import given, usual
from tests.oracle.test_rounding import AnyOrder


def by_numpy(case, derivation):
    """Evaluate the jaxpr in NumPy, with the sums in a random order."""
    return evaluate(derivation.jaxpr, given(case), AnyOrder(case.dtype, np.random.default_rng(0)))


def by_jax(case, derivation):
    """Evaluate the layer and its vjp by XLA in float32."""
    function, places, wanted = flat_function(LAYERS[case.layer], case.shapes, case.configuration)
    *inputs, dy = map(jnp.asarray, given(case))

    def of_wanted(*chosen):
        full = list(inputs)
        for i, x in zip(wanted, chosen, strict=True):
            full[places.index(i)] = x
        return function(*full)

    y, pullback, others = jax.vjp(of_wanted, *(inputs[places.index(i)] for i in wanted), has_aux=True)
    return [y, *others, *pullback(dy)]


EXACT = {"identity", "relu", "flatten", "pad", "global_max_pool"} | {f"max_pool{n}d" for n in (1, 2, 3)}
OF_JAX = ("gelu", "softmax", "conv2d", "linear", "batch_norm", "layer_norm", "cross_entropy", "avg_pool2d")


@pytest.mark.parametrize(
    ("layer", "implementation"), [*((name, by_numpy) for name in LAYERS), *((name, by_jax) for name in OF_JAX)]
)
def test_an_ordinary_implementation_has_a_grade_of_order_1(layer, implementation):
    case = max(usual(layer, "float32"), key=lambda c: c.size)
    arrays, dy, truth = drawn(case)
    errors, derivation = usual_error(case, arrays, dy), derive(case.layer, case.shapes, case.configuration)
    assert tuple(errors) == derivation.names == (*truth.outputs, *truth.gradients)
    results = dict(zip(derivation.names, implementation(case, derivation), strict=True))
    grades = [grade(np.asarray(y), truth.pairs[name].value, errors[name]) for name, y in results.items()]
    assert max(grades) < 4
    assert max(grades) == 0 if layer in EXACT else max(grades) > 0.05


def one_after_the_other(x):
    total = np.zeros(x.shape[:-1], np.float32)
    for i in range(x.shape[-1]):
        total = total + x[..., i]
    return total[..., None]


def pairwise(x):
    while x.shape[-1] > 1:
        x = np.concatenate([x, np.zeros_like(x[..., : x.shape[-1] % 2])], -1)
        x = x[..., ::2] + x[..., 1::2]
    return x


def compensated(x):
    total, lost = np.zeros(x.shape[:-1], np.float32), np.zeros(x.shape[:-1], np.float32)
    for i in range(x.shape[-1]):
        term = x[..., i] - lost
        new = total + term
        total, lost = new, (new - total) - term
    return total[..., None]


def squared_error(add, prediction, target):
    difference = prediction - target
    return add((difference * difference).reshape(1, -1)).reshape(())


def layer_norm(add, x, gamma, beta):
    n = np.float32(x.shape[-1])
    centred = x - add(x) / n
    return centred / np.sqrt(add(centred * centred) / n + np.float32(1e-5)) * gamma + beta


@pytest.mark.parametrize(
    ("implementation", "case"),
    [
        (squared_error, Case("mse_loss", "float32", ((1, 1000), (1, 1000)), {"reduction": "sum"})),
        (layer_norm, Case("layer_norm", "float32", ((32, 1000), (1000,), (1000,)), values="large")),
    ],
    ids=["mse_loss", "layer_norm"],
)
def test_a_thousand_terms_one_after_the_other_are_graded_apart_from_better_sums(implementation, case):
    arrays, dy, truth = drawn(case)
    pair, errors = truth.pairs["y"], usual_error(case, arrays, dy)["y"]
    grades = []
    for add in (one_after_the_other, pairwise, compensated):
        y = implementation(add, *arrays)
        assert y.dtype == np.float32
        assert (np.abs(y - pair.value) <= pair.error).all()
        grades.append(grade(y, pair.value, errors))
    naive, *better = grades
    assert all(naive > 2 * g for g in better), grades
    assert all(g < 2 for g in better), grades


def test_independent_errors_combine_by_their_squares():
    """Four terms carry one rounding each, and three additions round the root of the sum of their squares."""
    x, u = np.array([3.0, 4.0, 12.0, 84.0]) / 7, 2.0**-24
    with jax.enable_x64(True):
        jaxpr = jax.make_jaxpr(lambda x: (x * x[::-1]).sum())(x)
    numbers = Usual(Precision.of(np.float32), integers_exact=False)
    (pair,) = evaluate(jaxpr, [numbers.exactly(x)], numbers)
    squares = ((x * x[::-1]) ** 2).sum()
    assert pair.error == pytest.approx(u * np.sqrt(squares + 3 * squares), rel=1e-6)


def test_the_usual_error_lies_below_the_bound():
    for layer in LAYERS:
        case = usual(layer, "float32")[-1]
        arrays, dy, truth = drawn(case)
        for name, error in usual_error(case, arrays, dy).items():
            assert (error <= truth.pairs[name].error * (1 + 1e-9)).all(), (layer, name)


def test_the_largest_error_of_a_graded_element_counts():
    inf, nan = np.inf, np.nan
    truth, usually = np.array([1.0, 2.0, inf, 4.0, nan, 0.0]), np.array([0.1, 0.1, 0.1, inf, 0.1, 0.0])
    assert grade(np.array([1.05, 2.3, 7.0, 9.0, 1.0, 0.0], np.float32), truth, usually) == pytest.approx(3, rel=1e-5)
    assert grade(np.array([1.0, nan, inf, 4.0, nan, 0.0]), truth, usually) == inf
    assert grade(np.array([1.0, 2.0, inf, 4.0, nan, 1e-9]), truth, usually) == inf
    assert grade(np.zeros(0), np.zeros(0), np.zeros(0)) == 0
