"""The rounding bound is itself on trial: against 200-bit arithmetic, and any order of summation."""

import itertools

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from jax import lax

from oracle.cases import Case, numpy_dtype
from oracle.layers import LAYERS
from oracle.truth import Bounded, Floating, Precision, derive, drawn, evaluate
from oracle.truth.primitives import Kind
from oracle.truth.values import split_axes
from tests.oracle.ordinary import given, usual

SINGLE = Precision.of(np.float32)


class Wide:
    """200-bit arithmetic by mpmath: the truth that the bound is measured against."""

    def constant(self, value):
        value = np.asarray(value)
        if value.dtype.kind != "f":
            return value
        out = np.empty(value.shape, object)
        for i in np.ndindex(value.shape):
            out[i] = mpmath.mpf(float(value[i]))
        return out

    def apply(self, primitive, parameters, *operands):
        scalar = {
            "exp": mpmath.exp, "expm1": mpmath.expm1, "log": mpmath.log, "log1p": mpmath.log1p, "tanh": mpmath.tanh,
            "erf": mpmath.erf, "sqrt": mpmath.sqrt, "rsqrt": lambda x: 1 / mpmath.sqrt(x),
            "logistic": lambda x: 1 / (1 + mpmath.exp(-x)), "exp_neg_sq": lambda x: mpmath.exp(-x * x),
        }.get(primitive.name)  # fmt: skip
        if scalar is not None:
            return np.asarray(np.frompyfunc(scalar, 1, 1)(operands[0]), object)
        if primitive.kind is Kind.CONVERSION:
            return self.constant(np.asarray(operands[0], float)) if operands[0].dtype != object else operands[0]
        return np.asarray(primitive.value(parameters, *operands))


class AnyOrder(Floating):
    """Arithmetic of one dtype that adds up the terms of every sum in a random order.

    A half is computed in float32. A sum is added up there; its result, and that of any other operation, is rounded to the
    half or kept for the next operation, by chance.
    """

    def __init__(self, dtype, rng):
        self.half = np.dtype(dtype).itemsize == 2
        super().__init__(np.float32 if self.half else dtype)
        self.target, self.rng = dtype, rng

    def stored(self, x):
        x = np.asarray(x)
        if x.dtype.kind != "f":
            return x
        if self.half and self.rng.random() < 0.5:
            x = self.answer(x)
        return x.astype(self.dtype)

    def apply(self, primitive, parameters, *operands):
        if primitive.name == "reduce_sum":
            (x,) = operands
            axes = tuple(parameters["axes"])
            kept = [a for a in range(x.ndim) if a not in axes]
            shape = [x.shape[a] for a in kept]
            return self.summed(x.transpose(*kept, *axes).reshape(*shape, -1))
        if primitive.name == "dot_general":
            left, right, shape = split_axes(parameters, *operands)
            return self.summed(self.stored(left[:, :, None, :] * right.swapaxes(1, 2)[:, None, :, :])).reshape(shape)
        return self.stored(super().apply(primitive, parameters, *operands))

    def summed(self, terms):
        total = np.zeros(terms.shape[:-1], self.dtype)
        for i in self.rng.permutation(terms.shape[-1]):
            total = (total + terms[..., i]).astype(self.dtype)
        return self.stored(total)

    def answer(self, x):
        with np.errstate(over="ignore"):  # the bound is infinite then
            return np.asarray(x).astype(self.target) if np.asarray(x).dtype.kind == "f" else x


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("layer", LAYERS)
def test_error_in_any_order_of_summation_stays_below_the_bound(layer, dtype):
    mpmath.mp.prec = 200
    rng = np.random.default_rng(1)
    shifted = [Case(layer, dtype, c.shapes, c.configuration, "shifted") for c in usual(layer, dtype)[-1:]]
    for case, order in itertools.product(sorted(usual(layer, dtype), key=lambda c: c.size)[:6] + shifted, range(3)):
        derivation = derive(case.layer, case.shapes, case.configuration)
        wide, numbers = Wide(), Bounded(Precision.of(numpy_dtype(dtype)))
        inputs = [x if x.dtype.kind in "iub" else x.astype(np.float64) for x in given(case)]
        bounds = evaluate(derivation.jaxpr, [numbers.exactly(x) for x in inputs], numbers)
        if not all(np.isfinite(pair.value).all() for pair in bounds):
            continue  # a mean over no label at all: 0 / 0
        exact = evaluate(derivation.jaxpr, [wide.constant(x) for x in inputs], wide)
        arithmetic = AnyOrder(numpy_dtype(dtype), np.random.default_rng((order, rng.integers(1 << 30))))
        got = evaluate(derivation.jaxpr, [arithmetic.constant(x) for x in inputs], arithmetic)
        for truth, pair, value in zip(exact, bounds, map(arithmetic.answer, got), strict=True):
            for i in np.ndindex(truth.shape):
                if np.isfinite(pair.error[i]):
                    assert np.isfinite(float(value[i])), (case, i)
                    miss = abs(mpmath.mpf(float(value[i])) - truth[i])
                    assert miss <= pair.error[i], (case, i, float(miss), pair.error[i])


LONG = {
    "layer_norm": ((2, 1025), (1025,), (1025,)),
    "rms_norm": ((2, 1025), (1025,)),
    "batch_norm": ((1025, 2), (2,), (2,), None, None),
    "softmax": ((2, 1025),),
    "log_softmax": ((2, 1025),),
    "linear": ((2, 1025), (2, 1025), (2,)),
}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("layer", LONG)
def test_a_half_is_bounded_at_the_length_of_a_kernel_and_a_constant_lies_outside(layer, dtype):
    for seed in range(3):
        case = Case(layer, dtype, LONG[layer], seed=seed)
        derivation, truth = derive(layer, case.shapes, {}), drawn(case).truth
        arithmetic = AnyOrder(numpy_dtype(dtype), np.random.default_rng(seed))
        got = evaluate(derivation.jaxpr, [arithmetic.constant(x.astype(np.float64)) for x in given(case)], arithmetic)
        for name, value in zip(derivation.names, map(arithmetic.answer, got), strict=True):
            pair = truth.pairs[name]
            assert np.isfinite(pair.error).all(), name
            assert (np.abs(value.astype(np.float64) - pair.value) <= pair.error).all(), name
            assert (np.abs(7 - pair.value) > pair.error).any() or name == "dgamma", name  # a sum of 1,025 rounded terms


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_sum_that_is_added_up_in_the_half_lies_outside(dtype):
    """Of ones, such a sum stays at 1 / u; the bound is one rounding to the half, and the additions in float32."""
    n = round(2 / Precision.of(numpy_dtype(dtype)).unit_roundoff)
    with jax.enable_x64(True):
        jaxpr = jax.make_jaxpr(jnp.sum)(np.ones(n))
    numbers = Bounded(Precision.of(numpy_dtype(dtype)), integers_exact=False)
    (pair,) = evaluate(jaxpr, [numbers.exactly(np.ones(n))], numbers)
    total = np.ones((), numpy_dtype(dtype))
    for _ in range(n - 1):
        total = total + np.ones((), numpy_dtype(dtype))
    assert float(total) == n / 2
    assert abs(float(total) - n) > 100 * pair.error
    u = numbers.precision.unit_roundoff
    assert pair.error == pytest.approx(u * n + SINGLE.unit_roundoff * n * n, rel=0.01)


@pytest.mark.parametrize("layer", ["conv2d", "linear", "affine", "conv_transpose2d", "add", "pad"])
def test_integers_demand_bitwise_equality(layer):
    last = usual(layer)[-1]
    case = Case(layer, "float32", last.shapes, last.configuration, values="integers")
    for name, pair in drawn(case)[2].pairs.items():
        assert not pair.error.any(), name


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


@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "float16"])
def test_a_subnormal_input_may_be_read_as_zero_if_it_is_subnormal_in_what_is_computed_in(dtype):
    """XLA converts bfloat16 to float32, and flushes there; a subnormal float16 is a normal float32."""
    closed = jax.make_jaxpr(lambda x: x * 300.0)(jax.ShapeDtypeStruct((2,), np.float32))
    numbers = Bounded(Precision.of(numpy_dtype(dtype)))
    x = numbers.precision.smallest_normal * np.array([0.5, 2])
    (pair,) = evaluate(closed, [numbers.exactly(x)], numbers)
    assert list(np.abs(0 - pair.value) <= pair.error) == [dtype != "float16", False]


def test_the_sign_is_undecided_at_the_kink_and_within_the_error_of_it():
    """The derivative of |x| is a sign: at 0 any number from -1 to 1 is a subgradient."""
    numbers = Bounded(SINGLE)
    sign = jax.make_jaxpr(lambda x, y: lax.sign(x * 3.0 - y))(*[jax.ShapeDtypeStruct((4,), np.float32)] * 2)
    x = np.array([2.0, 0.0, -2.0, np.float32(0.1)])
    y = np.array([0.0, 0.0, 0.0, np.float32(0.1) * np.float32(3)])
    (pair,) = evaluate(sign, [numbers.exactly(x), numbers.exactly(y)], numbers)
    assert list(pair.value[:3]) == [1, 0, -1]
    assert list(pair.error) == pytest.approx([0, 1, 0, 2])
    assert numbers.undecided == 2


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


def test_terms_beyond_float64_may_overflow_though_their_sum_is_finite():
    numbers = Bounded(Precision.of(np.float64))
    with jax.enable_x64(True):
        jaxpr = jax.make_jaxpr(lambda x, w: x @ w)(np.ones(3), np.ones(3))
    x, w = np.array([1e308, 1e308, 1.0]), np.array([3.0, -3.0, 1.0])
    (y,) = evaluate(jaxpr, [numbers.exactly(x), numbers.exactly(w)], numbers)
    assert (float(y.value), float(y.error), numbers.may_overflow) == (1.0, np.inf, True)
