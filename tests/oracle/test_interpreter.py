"""The interpreter is itself on trial: against XLA, in exact rationals and in extended precision."""

import jax
import mpmath
import numpy as np
import pytest
from jax import lax

from oracle.layers import LAYERS
from oracle.truth import Exact, Floating, Uninterpretable, derive, evaluate
from tests.oracle.ordinary import given, usual


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


@pytest.mark.parametrize("numbers", [Floating(), Exact()], ids=["floating", "exact"])
def test_a_conversion_of_real_numbers_to_integers_is_refused(numbers):
    """It would go on with the fractions: a wrong truth without a word."""
    closed = jax.make_jaxpr(lambda x: x.astype(int) + 1)(np.array([2.75]))
    with pytest.raises(Uninterpretable, match=r"convert_element_type.*int"):
        evaluate(closed, [numbers.constant(np.array([2.75]))], numbers)
