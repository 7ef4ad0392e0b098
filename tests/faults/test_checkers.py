"""The gradient checkers of the table accept right layers, so what they refuse there is the fault."""

import pytest

from tests.faults import sound
from tests.faults.checkers import passes_check_grads, passes_gradcheck

FEW_LAYERS = ("conv1d", "max_pool1d", "batch_norm", "cross_entropy", "affine_relu")


@pytest.mark.framework("torch")
@pytest.mark.parametrize("layer", FEW_LAYERS)
@pytest.mark.parametrize("fast", [False, True])
def test_gradcheck_accepts_a_right_layer(layer, fast):
    assert passes_gradcheck(sound(layer).function, layer, fast)


@pytest.mark.parametrize("layer", FEW_LAYERS)
def test_check_grads_accepts_a_right_layer(layer):
    assert passes_check_grads(sound(layer).function, layer)


def test_a_wrong_gradient_is_refused():
    def tanh(x):
        y, pullback = sound("tanh").function(x)
        return y, lambda dy: tuple(2 * dx for dx in pullback(dy))

    assert not passes_check_grads(tanh, "tanh")
