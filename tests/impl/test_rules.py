"""What a user of impl sees, beyond the trial: calls, kinds of arrays, JAX's grad, soundness, memory."""

import re
import tracemalloc
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from impl import Rule
from impl import functional as F
from oracle.cases import edge_cases
from oracle.layers import LAYERS

RULES = [name for name in F.__all__ if isinstance(getattr(F, name), Rule)]


def test_every_layer_of_the_contract_has_a_rule_and_an_oracle():
    assert sorted(RULES) == sorted(LAYERS)


@pytest.mark.parametrize("name", RULES)
def test_signatures_agree_with_the_oracle(name):
    rule, layer = getattr(F, name), LAYERS[name]
    assert rule.arrays == layer.arrays
    assert rule.optional == layer.optional
    assert rule.no_gradient == layer.no_gradient
    assert dict.fromkeys(rule.required, ...) | rule.configuration == layer.options


@pytest.mark.parametrize("name", RULES)
def test_docstring_says_formula_gradients_shapes_errors_and_source(name):
    rule = getattr(F, name)
    text = rule.__doc__
    first, blank = text.splitlines()[:2]
    assert re.fullmatch(r"[A-Z][a-z]+ .*[.:]", first)
    assert not blank
    assert re.search(r"^ *(y|z|loss)(\[.*?\])* = ", text, re.MULTILINE), "the formula"
    for array in rule.arrays:
        if array not in rule.no_gradient:
            part = re.sub(r"\d$|_shortcut$", "", array)  # the blocks say dw for each of their kernels
            assert re.search(rf"\bd{part}\b", text), f"the gradient d{part}"
    for word in ("Shapes: ", "Raises ", "Source: "):
        assert len(re.findall(rf"(^ *|\. ){word}", text, re.MULTILINE)) == 1, word


def test_no_rule_asks_which_kind_of_array_it_holds():
    """impl.array is the one place that knows NumPy from JAX."""
    for path in Path(F.__file__).parent.glob("*.py"):
        assert not re.search(r"\bis_jax\b|\bimport jax|\bjnp\b|\bxp is np\b", path.read_text()), path.name


def test_entries_per_axis_may_be_any_sequence():
    x, w = np.ones((1, 1, 4, 4)), np.ones((1, 1, 2, 2))
    assert F.conv2d(x, w, stride=range(1, 3)).shape == (1, 1, 3, 2)
    assert F.conv2d(x, w, padding=(range(2), [1, 0])).shape == F.conv2d(x, w, padding=((0, 1), (1, 0))).shape
    for text in ("12", b"12"):
        with pytest.raises(TypeError, match=r"^conv2d: stride must be an int, got b?'12'$"):
            F.conv2d(x, w, stride=text)


def case_of(name, dtype="float32"):
    cases = [c for c in edge_cases(LAYERS[name], dtype) if c.values == "normal" and set(c.memory) == {"contiguous"}]
    return max((c for c in cases if not c.size[0]), key=lambda c: c.size)


@pytest.mark.parametrize("name", RULES)
def test_jax_grad_uses_the_hand_derived_pullback(name, monkeypatch):
    rule, case = getattr(F, name), case_of(name)
    arrays = [None if a is None else jnp.asarray(a) for a in case.arrays()]
    wanted = [i for i, a in enumerate(arrays) if a is not None and name and rule.arrays[i] not in rule.no_gradient]
    value, pullback = rule.vjp(*arrays, **case.configuration)
    first = value[0] if isinstance(value, tuple) else value
    expected = pullback(jnp.ones_like(first))
    calls = []
    original = rule._backward
    monkeypatch.setattr(rule, "_backward", lambda *args: calls.append(1) or original(*args))

    def loss(*chosen):
        full = list(arrays)
        for i, x in zip(wanted, chosen, strict=True):
            full[i] = x
        y = rule(*full, **case.configuration)
        return (y[0] if isinstance(y, tuple) else y).sum()

    gradients = jax.jit(jax.grad(loss, tuple(range(len(wanted)))))(*(arrays[i] for i in wanted))
    assert calls, "the derivative did not go through the rule's own pullback"
    for i, g in zip(wanted, gradients, strict=True):
        np.testing.assert_allclose(g, expected[i], rtol=2e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("kind", ["numpy", "jax"])
@pytest.mark.parametrize("name", RULES)
def test_kind_and_dtype_are_those_of_the_input(name, kind, dtype):
    case = case_of(name, dtype)
    with jax.enable_x64(dtype == "float64"):
        put = jnp.asarray if kind == "jax" else lambda a: a
        given = {i: put(a) for i, a in enumerate(case.arrays()) if a is not None}

        def computed(given):
            arrays = [given.get(i) for i in range(len(case.shapes))]
            value, pullback = getattr(F, name).vjp(*arrays, **case.configuration)
            first = value[0] if isinstance(value, tuple) else value
            return [first, *pullback(put(np.ones(first.shape, arrays[0].dtype)))]

        # On JAX one dtype is computed, and the others are only traced: compiling every operation would take a minute.
        traced = kind == "jax" and dtype != "float32"
        results = jax.eval_shape(computed, given) if traced else computed(given)
        expected = jax.ShapeDtypeStruct if traced else np.ndarray if kind == "numpy" else jax.Array
        for result in results:
            if result is not None:
                assert isinstance(result, expected)
                assert result.dtype == given[0].dtype


def test_arrays_without_gradient_and_arrays_not_given_get_none():
    x = np.ones((4, 2))
    _, pullback = F.batch_norm.vjp(x, None, np.zeros(2), np.zeros(2), np.ones(2))
    dx, dgamma, dbeta, dmean, dvar = pullback(x)
    assert dgamma is None and dmean is None and dvar is None
    assert dx.shape == x.shape and dbeta.shape == (2,)
    _, pullback = F.cross_entropy.vjp(x, np.array([0, 1, 0, 1]))
    assert pullback(np.asarray(1.0))[1:] == (None, None)


def test_pullback_twice_and_its_arguments_unchanged():
    x, w = np.random.default_rng(0).standard_normal((2, 1, 2, 5, 5))[:, 0], np.ones((3, 2, 2, 2))
    x = np.ascontiguousarray(x)
    y, pullback = F.conv2d.vjp(x, w)
    dy = np.ones_like(y)
    first, second = pullback(dy), pullback(dy)
    assert all(np.array_equal(a, b) for a, b in zip(first[:2], second[:2], strict=True))
    assert (dy == 1).all()


@pytest.mark.parametrize("kind", [np.asarray, jnp.asarray])
def test_softmax_and_cross_entropy_with_logits_of_ten_thousand(kind):
    x = kind(np.array([[1e4, -1e4, 0.0]], np.float32))
    assert np.array_equal(F.softmax(x), [[1, 0, 0]])
    assert np.array_equal(F.log_softmax(x), [[0, -2e4, -1e4]])
    loss, pullback = F.cross_entropy.vjp(x, kind(np.array([1])))
    assert loss == 2e4
    assert np.array_equal(pullback(kind(np.float32(1.0).reshape(())))[0], [[1, -1, 0]])


@pytest.mark.parametrize("kind", [np.asarray, jnp.asarray])
def test_normalisation_with_a_mean_of_ten_thousand_and_a_spread_of_a_hundredth(kind):
    x = (1e4 + 1e-2 * np.random.default_rng(0).standard_normal((64, 2))).astype(np.float32)
    wide = x.astype(np.float64)
    expected = (wide - wide.mean(0)) / np.sqrt(wide.var(0) + 1e-5)
    np.testing.assert_allclose(F.batch_norm(kind(x))[0], expected, atol=1e-4)
    expected = (wide.T - wide.T.mean(1, keepdims=True)) / np.sqrt(wide.T.var(1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(F.layer_norm(kind(np.ascontiguousarray(x.T))), expected, atol=1e-4)


def test_one_element_zero_variance_and_empty_batch():
    y, pullback = F.layer_norm.vjp(np.array([[3.0]]), np.array([2.0]), np.array([1.0]))
    dx, dgamma, dbeta = pullback(np.array([[5.0]]))
    assert (y, dx, dgamma, dbeta) == (1, 0, 0, 5)
    (y, _, _), pullback = F.batch_norm.vjp(np.full((4, 1), 7.0))
    assert not y.any() and np.array_equal(pullback(np.ones((4, 1)))[0], np.zeros((4, 1)))
    y, pullback = F.conv2d.vjp(np.zeros((0, 2, 4, 4)), np.ones((3, 2, 2, 2)), np.ones(3))
    dx, dw, db = pullback(y)
    assert y.shape == (0, 3, 3, 3) and dx.shape == (0, 2, 4, 4) and not dw.any() and not db.any()


def test_empty_batch_leaves_the_running_statistics_alone():
    mean, var = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    y, new_mean, new_var = F.batch_norm(np.zeros((0, 2)), None, None, mean, var)
    assert y.shape == (0, 2) and np.array_equal(new_mean, mean) and np.array_equal(new_var, var)


def test_binary_cross_entropy_at_the_ends_of_the_interval():
    loss, pullback = F.binary_cross_entropy.vjp(np.array([1.0, 0.0]), np.array([1.0, 0.0]), reduction="none")
    assert np.array_equal(loss, [0, 0])
    assert np.array_equal(pullback(np.ones(2))[0], [-1, 1])
    assert F.binary_cross_entropy(np.array([0.0]), np.array([1.0])) == np.inf


def test_a_window_of_minus_infinity_sends_its_gradient_into_x():
    x = np.full((1, 1, 2), -np.inf)
    y, pullback = F.max_pool1d.vjp(x, kernel_size=2, stride=1, padding=1)
    assert pullback(np.ones_like(y))[0].sum() == 3


def test_sums_of_the_documents():
    """The worked numbers of document 001: convolution 2x2 over 3x3, and both poolings over 4x4."""
    x, w = np.arange(9.0).reshape(1, 1, 3, 3), np.arange(4.0).reshape(1, 1, 2, 2)
    y, pullback = F.conv2d.vjp(x, w, np.zeros(1))
    dx, dw, db = pullback(y)
    assert np.array_equal(y[0, 0], [[19, 25], [37, 43]])
    assert np.array_equal(dx[0, 0], [[0, 19, 25], [38, 144, 118], [74, 197, 129]])
    assert np.array_equal(dw[0, 0], [[308, 432], [680, 804]])
    assert db == 124
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    y, pullback = F.avg_pool2d.vjp(x, kernel_size=2)
    assert np.array_equal(y[0, 0], [[2.5, 4.5], [10.5, 12.5]])
    assert pullback(y)[0][0, 0, 0, 0] == 0.625


def test_numpy_convolution_never_holds_the_whole_unfolded_batch():
    x, w = np.zeros((32, 64, 32, 32), np.float32), np.zeros((64, 64, 3, 3), np.float32)
    unfolded = x.nbytes * 9
    y, pullback = F.conv2d.vjp(x, w, padding=1)
    for action in (lambda: F.conv2d(x, w, padding=1), lambda: pullback(y)):
        tracemalloc.start()
        action()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < unfolded / 2, (peak, unfolded)


def test_float16_sums_in_float32():
    x = np.full((1, 4096), 1.0, np.float16)
    w = np.full((1, 4096), 1.0, np.float16)
    assert F.linear(x, w) == 4096  # in float16, 2048 + 1 = 2048


@pytest.mark.parametrize("name", RULES)
def test_runs_on_the_accelerator(name, accelerator):
    case = case_of(name)
    arrays = [None if a is None else jax.device_put(a, accelerator) for a in case.arrays()]
    value = getattr(F, name)(*arrays, **case.configuration)
    first = value[0] if isinstance(value, tuple) else value
    assert first.devices() == {accelerator}
