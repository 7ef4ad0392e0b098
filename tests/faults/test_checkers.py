"""The gradient checkers of the table accept every right layer, so what they refuse there is the fault."""

import pytest

from oracle.layers import LAYERS
from tests.faults import sound
from tests.faults.checkers import passes_check_grads, passes_gradcheck, usual

FEW_LAYERS = ("conv1d", "max_pool1d", "batch_norm", "cross_entropy", "affine_relu")


@pytest.mark.framework("torch")
@pytest.mark.parametrize("layer", FEW_LAYERS)
def test_the_slow_gradcheck_accepts_a_right_layer(layer):
    assert passes_gradcheck(sound(layer).function, usual(layer), fast=False)


@pytest.mark.framework("torch")
@pytest.mark.parametrize("layer", LAYERS)
def test_the_fast_gradcheck_accepts_a_right_layer(layer):
    assert passes_gradcheck(sound(layer).function, usual(layer), fast=True)


@pytest.mark.parametrize("layer", LAYERS)
def test_check_grads_accepts_a_right_layer(layer):
    assert passes_check_grads(sound(layer).function, usual(layer))


def twice_the_gradient(x):
    y, pullback = sound("tanh").function(x)
    return y, lambda dy: tuple(2 * dx for dx in pullback(dy))


def test_check_grads_refuses_a_wrong_gradient():
    assert not passes_check_grads(twice_the_gradient, usual("tanh"))


@pytest.mark.framework("torch")
@pytest.mark.parametrize("fast", [False, True])
def test_gradcheck_refuses_a_wrong_gradient(fast):
    assert not passes_gradcheck(twice_the_gradient, usual("tanh"), fast)
