"""The derivative of a layer, and the table of primitives that its truth is computed with."""

import inspect

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from jax import lax
from scipy import special

from oracle.layers import LAYERS
from oracle.truth import (
    Bounded,
    Exact,
    Floating,
    Pair,
    Precision,
    Uninterpretable,
    derive,
    drawn,
    errors,
    evaluate,
    truth_of,
)
from oracle.truth.autodiff import flat_function
from oracle.truth.primitives import PRIMITIVES, ROWS, Kind, Primitive
from oracle.truth.values import of
from tests.oracle.ordinary import given, usual

SINGLE = Precision.of(np.float32)


@pytest.mark.parametrize("layer", LAYERS)
def test_vjp_agrees_with_jvp(layer):
    """<dy, J v> = <J^T dy, v> for a random direction v."""
    case = usual(layer)[-1]
    function, places, wanted = flat_function(LAYERS[layer], case.shapes, case.configuration)
    *inputs, dy = given(case)
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        chosen = [inputs[places.index(i)] for i in wanted]
        directions = [rng.standard_normal(x.shape) for x in chosen]

        def of_wanted(*xs):
            full = list(inputs)
            for i, x in zip(wanted, xs, strict=True):
                full[places.index(i)] = x
            return function(*full)[0]

        _, tangent = jax.jvp(of_wanted, tuple(map(jnp.asarray, chosen)), tuple(map(jnp.asarray, directions)))
        left = float(jnp.vdot(dy, tangent))
    pairs = truth_of(case, *drawn(case)[:2]).pairs
    right = sum(
        float(np.vdot(np.asarray(pairs["d" + LAYERS[layer].arrays[i]].value, np.float64), v))
        for i, v in zip(wanted, directions, strict=True)
    )
    assert left == pytest.approx(right, rel=1e-10, abs=1e-12)


@pytest.mark.parametrize(
    ("layer", "divides"),
    [
        ("conv2d", False),
        ("linear", False),
        ("relu", False),
        ("batch_norm", True),
        ("global_avg_pool", True),
        ("tanh", True),
    ],
)
def test_integers_may_round_only_if_a_layer_divides_or_calls_a_library_function(layer, divides):
    case = usual(layer)[-1]
    assert derive(layer, case.shapes, case.configuration).divides == divides


# -- the table of primitives ------------------------------------------------------------------------------------------

COMPUTED = [row for row in ROWS if row.kind in (Kind.ELEMENTWISE, Kind.FUNCTION)]
NO_ERROR_RULE = {Kind.STRUCTURE, Kind.COUNT, Kind.SUM}


def named(row):
    return row.name


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_a_row_is_complete_for_its_kind(row):
    assert callable(row.value)
    assert callable(row.error) or row.kind in NO_ERROR_RULE
    assert callable(row.terms) or row.kind is not Kind.SUM
    assert (row.ulps > 0) == (row.kind is Kind.FUNCTION)
    assert row.error is None or row.kind not in NO_ERROR_RULE
    assert row.moved is None or row.kind is Kind.STRUCTURE


def test_no_two_rows_share_a_name():
    assert len(PRIMITIVES) == sum(1 + len(row.aliases) for row in ROWS)


def arity(row):
    """A rule takes the rounding, the parameters and the value before its operands."""
    return len(inspect.signature(row.error).parameters) - 3


@pytest.mark.parametrize("row", COMPUTED, ids=named)
def test_a_library_function_is_refused_by_exact_and_the_others_stay_rational(row):
    numbers = Exact()
    operands = [numbers.constant(np.array([1 / 3, -0.5])) for _ in range(arity(row))]
    if row.kind is Kind.FUNCTION:
        with pytest.raises(Uninterpretable, match=f"'{row.name}'"):
            numbers.apply(row, {}, *operands)
    else:
        result = numbers.apply(row, {"y": -3}, *operands)
        assert result.dtype == object and not any(isinstance(v, float) for v in result)


@pytest.mark.parametrize("row", COMPUTED, ids=named)
def test_the_error_of_a_result_covers_operands_moved_by_their_errors(row):
    rng, numbers = np.random.default_rng(0), Bounded(SINGLE, integers_exact=False)
    parameters = {"y": -2} if row.name == "integer_pow" else {}
    for sign in (1, -1):
        values = [sign * rng.uniform(0.1, 2, 200) for _ in range(arity(row))]
        sizes = [np.abs(x) * rng.choice([0, 1e-6, 1e-3], 200) for x in values]
        with np.errstate(invalid="ignore"):
            pair = numbers.apply(row, parameters, *map(Pair, values, sizes))
            moved = [x + e * rng.choice([-1, 1, 0.3], 200) for x, e in zip(values, sizes, strict=True)]
            result = row.value(parameters, *moved)
        finite = np.isfinite(pair.value)
        assert finite.all() or (sign < 0 and row.name in ("log", "log1p", "sqrt", "rsqrt"))
        assert (np.abs(result - pair.value)[finite] <= pair.error[finite]).all()
        assert (pair.error[finite] < 1).all()


@pytest.mark.parametrize("row", [row for row in ROWS if row.kind is Kind.FUNCTION], ids=named)
def test_a_library_function_may_be_off_by_its_ulps_even_if_its_operand_is_exact(row):
    numbers = Bounded(SINGLE)
    pair = numbers.apply(row, {}, numbers.exactly(np.array([0.3, 1.7])))
    allowance = 2 * row.ulps * SINGLE.unit_roundoff * np.abs(pair.value)
    assert (pair.error >= allowance).all()
    assert (pair.error <= 3 * allowance).all()


@pytest.mark.parametrize("row", [row for row in ROWS if row.kind is Kind.COMPARISON], ids=named)
def test_a_comparison_is_undecided_only_within_the_errors(row):
    numbers = Bounded(SINGLE)
    a = Pair(np.ones(3), np.full(3, 1e-8))
    pair = numbers.apply(row, {}, a, numbers.exactly(np.array([1.0, 1.5, 1.0 + 1e-9])))
    assert list(pair.error) == [True, False, True]
    assert numbers.undecided == (0 if row.name in ("eq", "ne") else 2)


def lgamma_moves(x, e, v):
    """For x > 0 the derivative of lgamma increases, so that it is steepest at one of the ends."""
    return e * np.maximum(np.abs(special.digamma(x - e)), np.abs(special.digamma(x + e)))


LGAMMA = Primitive("lgamma", Kind.FUNCTION, of(special.gammaln), errors.function(lgamma_moves), ulps=4)


def test_a_row_is_all_that_a_new_primitive_needs(monkeypatch):
    closed = jax.make_jaxpr(lambda x: lax.lgamma(x * x))(jax.ShapeDtypeStruct((50,), np.float32))
    x = np.linspace(0.5, 5, 50).astype(np.float32)
    numbers = Bounded(SINGLE)
    with pytest.raises(Uninterpretable, match="lgamma"):
        evaluate(closed, [numbers.exactly(x)], numbers)

    monkeypatch.setitem(PRIMITIVES, "lgamma", LGAMMA)
    (pair,) = evaluate(closed, [numbers.exactly(x)], numbers)
    (value,) = evaluate(closed, [x.astype(np.float64)], Floating())
    in_single = special.gammaln(x * x)
    assert in_single.dtype == np.float32
    for i, y in enumerate(x):
        truth = mpmath.loggamma(mpmath.mpf(float(y)) ** 2)
        assert value[i] == pair.value[i] == pytest.approx(float(truth), rel=1e-12, abs=1e-12)
        assert abs(float(in_single[i]) - float(truth)) <= pair.error[i] < 1e-4
    assert (in_single != value).any()
    with pytest.raises(Uninterpretable, match="lgamma"):
        evaluate(closed, [Exact().constant(x)], Exact())


def test_a_primitive_without_an_error_rule_is_named(monkeypatch):
    monkeypatch.setitem(PRIMITIVES, "lgamma", Primitive("lgamma", Kind.FUNCTION, of(special.gammaln), ulps=4))
    closed = jax.make_jaxpr(lax.lgamma)(jax.ShapeDtypeStruct((2,), np.float32))
    numbers = Bounded(SINGLE)
    with pytest.raises(Uninterpretable, match="lgamma"):
        evaluate(closed, [numbers.exactly(np.ones(2))], numbers)
