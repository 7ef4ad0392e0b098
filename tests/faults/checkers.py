"""Put a layer before the gradient checkers that people use, with their defaults, on one usual shape per layer.

The pullback is wrapped as ``torch.autograd.Function`` and as ``jax.custom_vjp``. Both compute in float64: PyTorch's
documentation asks for it, and in float32 ``check_grads`` refuses some layers that are right. It has no default for the
order, which is 1 here, and checks the reverse mode only, since a custom pullback has no other.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.test_util import check_grads
from jax.tree_util import Partial

from oracle.cases import Case
from oracle.layers import LAYERS
from oracle.targets.ask import LayerFunction

IMAGE, ROWS, C = (2, 3, 8, 8), (4, 6, 5), (6,)
_CONV: Any = {
    1: ((2, 3, 8), (4, 3, 3), (4,)),
    2: (IMAGE, (4, 3, 3, 3), (4,)),
    3: ((2, 3, 4, 4, 4), (4, 3, 3, 3, 3), (4,)),
}
_POOLED = {1: (2, 3, 8), 2: IMAGE, 3: (2, 3, 4, 4, 4)}
_TRANSPOSED = {d: (x, (3, 4, *w[2:]), b) for d, (x, w, b) in _CONV.items()}
_TRANSPOSED[3] = ((2, 2, 3, 3, 3), (2, 3, 3, 3, 3), (3,))  # the slow gradcheck calls the pullback for each element of y

USUAL: dict[str, tuple[Any, dict[str, Any]]] = {
    **{f"conv{d}d": (shapes, {"padding": 1}) for d, shapes in _CONV.items()},
    **{f"conv_transpose{d}d": (shapes, {"stride": 2}) for d, shapes in _TRANSPOSED.items()},
    **{f"{kind}_pool{d}d": ((shape,), {"kernel_size": 2}) for d, shape in _POOLED.items() for kind in ("max", "avg")},
    "global_avg_pool": ((IMAGE,), {}),
    "global_max_pool": ((IMAGE,), {}),
    "adaptive_avg_pool": ((IMAGE,), {"output_size": 4}),
    "affine": (((4, 3, 2), (6, 5), (5,)), {}),
    "linear": (((4, 6), (5, 6), (5,)), {}),
    "affine_relu": (((4, 3, 2), (6, 5), (5,)), {}),
    "batch_norm": ((ROWS, C, C, C, C), {}),
    "layer_norm": ((ROWS, (5,), (5,)), {}),
    "rms_norm": ((ROWS, (5,)), {}),
    "group_norm": ((ROWS, C, C), {"groups": 2}),
    "instance_norm": ((ROWS, C, C), {}),
    "cross_entropy": (((4, 5), (4,), None), {}),
    "binary_cross_entropy": (((4, 5), (4, 5)), {}),
    "mse_loss": (((4, 5), (4, 5)), {}),
    "l2_penalty": (((4, 5),), {}),
    "add": (((4, 5), (5,)), {}),
    "flatten": ((IMAGE,), {}),
    "pad": ((IMAGE,), {"padding": 1}),
    "dropout": (((4, 5), (4, 5)), {}),
    "conv_relu_pool": (_CONV[2], {"padding": 1}),
    "conv_bn_relu": ((IMAGE, (4, 3, 3, 3), None, *[(4,)] * 4), {"padding": 1}),
    "residual_block": ((IMAGE, *[(3, 3, 3, 3)] * 2, *[(3,)] * 4, *[None] * 3, *[(3,)] * 4, None, None), {}),
    "bottleneck_block": (
        ((2, 8, 6, 6), (3, 8, 1, 1), (3, 3, 3, 3), (8, 3, 1, 1))
        + ((3,),) * 4 + ((8,),) * 2 + (None,) * 3 + ((3,),) * 4 + ((8,),) * 2 + (None,) * 2,
        {},
    ),
}  # fmt: skip


def usual(layer: str) -> Case:
    """Return the usual case of a layer; an elementwise layer gets a small matrix."""
    shapes, configuration = USUAL.get(layer, (((4, 5),), {}))
    return Case(layer, "float64", shapes, configuration)


def passes_gradcheck(function: LayerFunction, case: Case, fast: bool) -> bool:
    """Whether ``torch.autograd.gradcheck`` accepts a layer on the arrays of a case."""
    import torch

    arrays, wanted = case.arrays(), _differentiable(case)

    class Layer(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *chosen: Any) -> Any:
            value, ctx.pullback = _call(function, case, arrays, wanted, [x.detach().numpy() for x in chosen])
            return torch.from_numpy(np.array(value))

        @staticmethod
        def backward(ctx: Any, *dy: Any) -> Any:
            cotangents = ctx.pullback(dy[0].numpy().copy())
            return tuple(torch.from_numpy(np.array(cotangents[i])) for i in wanted)

    inputs = tuple(torch.from_numpy(np.array(arrays[i])).requires_grad_() for i in wanted)
    return _accepts(lambda: torch.autograd.gradcheck(Layer.apply, inputs, fast_mode=fast))


def passes_check_grads(function: LayerFunction, case: Case) -> bool:
    """Whether ``jax.test_util.check_grads`` accepts a layer on the arrays of a case."""
    arrays, wanted = case.arrays(), _differentiable(case)
    inputs = tuple(np.array(arrays[i]) for i in wanted)

    def forward(*chosen: Any) -> tuple[Any, Any]:
        value, pullback = _call(function, case, arrays, wanted, chosen)
        return jnp.array(value), Partial(pullback)

    def backward(pullback: Any, dy: Any) -> tuple[Any, ...]:
        cotangents = pullback(np.array(dy))
        return tuple(jnp.array(cotangents[i]) for i in wanted)

    # Nothing is traced here: outside jit, JAX calls these functions with numbers.
    wrapped = jax.custom_vjp(lambda *chosen: forward(*chosen)[0])
    wrapped.defvjp(forward, backward)
    with jax.enable_x64(True):
        return _accepts(lambda: check_grads(wrapped, inputs, order=1, modes=["rev"]))


CHECKERS: dict[str, Callable[[LayerFunction, Case], bool]] = {
    "`gradcheck`, slow": partial(passes_gradcheck, fast=False),
    "`gradcheck`, fast": partial(passes_gradcheck, fast=True),
    "`check_grads`": passes_check_grads,
}


def _differentiable(case: Case) -> list[int]:
    layer = LAYERS[case.layer]
    named = enumerate(zip(layer.arrays, case.shapes, strict=True))
    return [i for i, (name, shape) in named if shape is not None and name not in layer.no_gradient]


def _call(function: LayerFunction, case: Case, arrays: Any, wanted: list[int], chosen: Any) -> tuple[Any, Any]:
    """Call the layer with some of the arrays replaced; return the differentiable output and the pullback."""
    given = list(arrays)
    for i, x in zip(wanted, chosen, strict=True):
        given[i] = np.array(x)
    value, pullback = function(*given, **case.configuration)
    return (value[0] if isinstance(value, tuple) else value), pullback


def _accepts(check: Callable[[], Any]) -> bool:
    """Whether a check raises nothing: an error of the layer itself is seen as well as a wrong number, a warning is not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            check()
        except Exception:
            return False
    return True
