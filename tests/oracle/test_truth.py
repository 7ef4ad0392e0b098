"""The oracle is itself on trial: interpreter against XLA, vjp against jvp, rationals, and the bound against mpmath."""

import itertools

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from jax import lax

from oracle.cases.case import Case, edge_cases, numpy_dtype
from oracle.judge.judge import drawn, truth_of
from oracle.layers import LAYERS
from oracle.truth import Bounded, Exact, Floating, Precision, Uninterpretable, derive, evaluate
from oracle.truth.autodiff import flat_function

SINGLE = Precision.of(np.float32)


def usual(layer, dtype="float64"):
    """The layer's edges with ordinary values and at least one element."""
    cases = [c for c in edge_cases(LAYERS[layer], dtype) if c.values == "normal" and c.memory == "contiguous"]
    cases = [c for c in cases if not any(shape is not None and 0 in shape for shape in c.shapes)]
    assert cases, f"no ordinary edge of {layer}"
    return cases


def given(case):
    arrays, dy, _ = drawn(case)
    return [x for x in (*arrays, dy) if x is not None]


@pytest.mark.parametrize("layer", LAYERS)
def test_interpreter_agrees_with_xla(layer):
    for case in usual(layer)[:5]:
        derivation = derive(case.layer, case.shapes, case.configuration)
        ours = evaluate(derivation.jaxpr, given(case), Floating())
        with jax.enable_x64(True):
            theirs = jax.jit(jax.extend.core.jaxpr_as_fun(derivation.jaxpr))(*given(case))
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("layer", LAYERS)
def test_interpreter_agrees_with_the_accelerator(layer, accelerator):
    case = usual(layer, "float32")[-1]
    derivation = derive(case.layer, case.shapes, case.configuration)
    with jax.enable_x64(True), jax.default_device(accelerator), jax.default_matmul_precision("highest"):
        theirs = jax.jit(jax.extend.core.jaxpr_as_fun(derivation.jaxpr))(
            *(np.asarray(x, np.float64) for x in given(case))
        )
    for a, b in zip(evaluate(derivation.jaxpr, given(case), Floating()), theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


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


RATIONAL = ["conv1d", "conv2d", "conv3d", "conv_transpose2d", "affine", "linear", "avg_pool2d", "pad",
            "add", "flatten", "mse_loss", "l2_penalty", "global_avg_pool", "adaptive_avg_pool", "relu", "dropout"]  # fmt: skip


@pytest.mark.parametrize("layer", RATIONAL)
def test_exact_rationals_agree_with_float64(layer):
    case = usual(layer)[-1]
    derivation = derive(case.layer, case.shapes, case.configuration)
    numbers = Exact()
    exact = evaluate(derivation.jaxpr, [numbers.constant(np.asarray(x)) for x in given(case)], numbers)
    for a, b in zip(exact, evaluate(derivation.jaxpr, given(case), Floating()), strict=True):
        np.testing.assert_allclose(np.asarray(a, float), b, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("layer", ["conv2d", "linear", "affine", "conv_transpose2d", "add", "pad"])
def test_integers_demand_bitwise_equality(layer):
    last = usual(layer)[-1]
    case = Case(layer, "float32", last.shapes, last.configuration, values="integers")
    for name, pair in drawn(case)[2].pairs.items():
        assert not pair.error.any(), name


def test_rationals_refuse_what_is_irrational_by_name():
    case = usual("sigmoid")[-1]
    numbers = Exact()
    arguments = [numbers.constant(x) for x in given(case)]
    with pytest.raises(Uninterpretable, match="logistic"):
        evaluate(derive("sigmoid", case.shapes, {}).jaxpr, arguments, numbers)


def test_unknown_primitive_is_named():
    closed = jax.make_jaxpr(lax.lgamma)(jax.ShapeDtypeStruct((2,), np.float32))
    with pytest.raises(Uninterpretable, match="lgamma"):
        evaluate(closed, [np.ones(2)], Floating())


def test_primitive_without_error_rule_is_named(monkeypatch):
    from oracle.truth import interpreter

    monkeypatch.setitem(interpreter.VALUES, "lgamma", lambda p, x: x)
    closed = jax.make_jaxpr(lax.lgamma)(jax.ShapeDtypeStruct((2,), np.float32))
    numbers = Bounded(SINGLE)
    with pytest.raises(Uninterpretable, match="rounding analysis has no rule for the primitive 'lgamma'"):
        evaluate(closed, [numbers.exactly(np.ones(2))], numbers)


# -- the bound, against 200-bit arithmetic ----------------------------------------------------------------------------


class Wide:
    """200-bit arithmetic by mpmath, for the interpreter: the truth that the bound is measured against."""

    def constant(self, value):
        value = np.asarray(value)
        if value.dtype.kind != "f":
            return value
        out = np.empty(value.shape, object)
        for i in np.ndindex(value.shape):
            out[i] = mpmath.mpf(float(value[i]))
        return out

    def apply(self, primitive, parameters, *operands):
        from oracle.truth.interpreter import VALUES

        scalar = {
            "exp": mpmath.exp, "expm1": mpmath.expm1, "log": mpmath.log, "log1p": mpmath.log1p, "tanh": mpmath.tanh,
            "erf": mpmath.erf, "sqrt": mpmath.sqrt, "rsqrt": lambda x: 1 / mpmath.sqrt(x),
            "logistic": lambda x: 1 / (1 + mpmath.exp(-x)), "exp_neg_sq": lambda x: mpmath.exp(-x * x),
        }.get(primitive)  # fmt: skip
        if scalar is not None:
            return np.asarray(np.frompyfunc(scalar, 1, 1)(operands[0]), object)
        if primitive == "convert_element_type":
            return self.constant(np.asarray(operands[0], float)) if operands[0].dtype != object else operands[0]
        return np.asarray(VALUES[primitive](parameters, *operands))


class AnyOrder(Floating):
    """Arithmetic of one dtype, with the terms of every sum in an order of its own."""

    def __init__(self, dtype, rng):
        super().__init__(dtype)
        self.rng = rng

    def apply(self, primitive, parameters, *operands):
        if primitive == "reduce_sum":
            (x,) = operands
            axes = tuple(parameters["axes"])
            kept = [a for a in range(x.ndim) if a not in axes]
            shape = [x.shape[a] for a in kept]
            return self.summed(x.transpose(*kept, *axes).reshape(*shape, -1))
        if primitive == "dot_general":
            from oracle.truth.interpreter import split_axes

            left, right, shape = split_axes(parameters, *operands)
            products = (left[:, :, None, :] * right.swapaxes(1, 2)[:, None, :, :]).astype(self.dtype)
            return self.summed(products).reshape(shape)
        result = super().apply(primitive, parameters, *operands)
        return result.astype(self.dtype) if result.dtype.kind == "f" else result

    def summed(self, terms):
        total = np.zeros(terms.shape[:-1], self.dtype)
        for i in self.rng.permutation(terms.shape[-1]):
            total = (total + terms[..., i]).astype(self.dtype)
        return total


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("layer", LAYERS)
def test_error_in_any_order_of_summation_stays_below_the_bound(layer, dtype):
    mpmath.mp.prec = 200
    rng = np.random.default_rng(1)
    shifted = [Case(layer, dtype, c.shapes, c.configuration, "shifted") for c in usual(layer, dtype)[-1:]]
    for case, order in itertools.product(sorted(usual(layer, dtype), key=lambda c: c.size)[:6] + shifted, range(3)):
        derivation = derive(case.layer, case.shapes, case.configuration)
        wide, numbers = Wide(), Bounded(Precision.of(numpy_dtype(dtype)))
        bounds = evaluate(derivation.jaxpr, [numbers.exactly(x) for x in given(case)], numbers)
        if not all(np.isfinite(pair.value).all() for pair in bounds):
            continue  # a mean over no label at all: 0 / 0
        exact = evaluate(derivation.jaxpr, [wide.constant(x) for x in given(case)], wide)
        arithmetic = AnyOrder(numpy_dtype(dtype), np.random.default_rng((order, rng.integers(1 << 30))))
        got = evaluate(derivation.jaxpr, given(case), arithmetic)
        for truth, pair, value in zip(exact, bounds, got, strict=True):
            for i in np.ndindex(truth.shape):
                if np.isfinite(pair.error[i]):
                    assert np.isfinite(value[i]), (case, i)
                    miss = abs(mpmath.mpf(float(value[i])) - truth[i])
                    assert miss <= pair.error[i], (case, i, float(miss), pair.error[i])


def test_undecided_comparisons_are_counted_and_either_branch_is_within_the_bound():
    closed = jax.make_jaxpr(lambda x, y: lax.select(lax.lt(x * 3.0, y), x, -x))(
        *[jax.ShapeDtypeStruct((), np.float32)] * 2
    )
    numbers = Bounded(SINGLE)
    x = np.float32(0.1)
    (pair,) = evaluate(closed, [numbers.exactly(np.asarray(v)) for v in (x, x * np.float32(3))], numbers)
    assert numbers.undecided == 1
    assert pair.error >= 2 * x - 1e-6


def test_overflow_is_allowed_where_the_truth_leaves_the_range():
    closed = jax.make_jaxpr(lambda x: x * x)(jax.ShapeDtypeStruct((2,), np.float32))
    numbers = Bounded(SINGLE)
    (pair,) = evaluate(closed, [numbers.exactly(np.array([1e30, 1e10]))], numbers)
    assert np.isinf(pair.error[0])
    assert np.isfinite(pair.error[1])


def test_extended_precision_erf():
    mpmath.mp.prec = 200
    x = np.linspace(-8, 8, 101).astype(np.longdouble)
    (got,) = evaluate(jax.make_jaxpr(lax.erf)(jax.ShapeDtypeStruct(x.shape, np.float32)), [x], Floating(np.longdouble))
    for a, b in zip(x, got, strict=True):
        assert abs(mpmath.erf(mpmath.mpf(float(a))) - mpmath.mpf(float(b))) <= 2e-16
    assert np.isnan(
        evaluate(
            jax.make_jaxpr(lax.erf)(jax.ShapeDtypeStruct((1,), np.float32)),
            [np.full(1, np.nan, np.longdouble)],
            Floating(np.longdouble),
        )[0][0]
    )


def test_a_sum_of_sums_is_bounded_as_one_sum_in_any_order():
    """A convolution's dx is a scatter of products; added up one after the other its terms round more often."""

    def function(x, w):
        return jnp.sum(x @ w) + x[0, 0]

    x, w = np.array([[1 / 3, 2 / 3]]), np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]])
    with jax.enable_x64(True):
        jaxpr = jax.make_jaxpr(function)(x, w)
    numbers = Bounded(SINGLE)
    (y,) = evaluate(jaxpr, [numbers.exactly(x), numbers.exactly(w)], numbers)
    terms = (x.T * w).sum() + x[0, 0]
    u = SINGLE.unit_roundoff
    assert y.error == pytest.approx(6 * u * terms + u * (x.T * w).sum(), rel=1e-6)
