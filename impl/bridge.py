"""Bridges: any rule as a ``torch.autograd.Function`` (extra ``torch``).

Parameters of ``impl.nn`` need no bridge to JAX: nested dicts of arrays are pytrees, so that optax drives them as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from impl.rule import Rule


def torch_function(rule: Rule, **configuration: Any) -> Callable[..., Any]:
    """The rule as a function of PyTorch CPU tensors whose gradient is the hand-derived one.

    Tensors are shared with NumPy, not copied; a rule with several outputs gives a tuple, of which the first alone is
    differentiable. Raises ImportError without torch, TypeError for a tensor that is not on the CPU or of a dtype that
    NumPy lacks.

    >>> function = torch_function(functional.relu)  # doctest: +SKIP
    """
    import torch

    def to_numpy(tensor: Any, name: str) -> Any:
        if tensor is None:
            return None
        if not isinstance(tensor, torch.Tensor) or tensor.device.type != "cpu" or tensor.dtype is torch.bfloat16:
            got = f"{tensor.dtype} on {tensor.device}" if isinstance(tensor, torch.Tensor) else type(tensor).__name__
            raise TypeError(f"{rule.name}: {name} must be a CPU tensor of a dtype that NumPy has, got {got}")
        return tensor.detach().numpy()

    def to_torch(array: Any) -> Any:
        return None if array is None else torch.from_numpy(np.asarray(array))

    class Hand(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(context: Any, *tensors: Any) -> Any:
            arrays = [to_numpy(t, name) for t, name in zip(tensors, rule.arrays, strict=False)]
            value, context.back = rule.vjp(*arrays, **configuration)
            if not isinstance(value, tuple):
                return to_torch(value)
            outputs = tuple(map(to_torch, value))
            context.mark_non_differentiable(*(y for y in outputs[1:] if y is not None))
            return outputs

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(context: Any, dy: Any, *others: Any) -> Any:
            wanted = [name for name, needed in zip(rule.arrays, context.needs_input_grad, strict=False) if needed]
            cotangents = context.back(dy.detach().numpy(), wanted=wanted)
            return tuple(map(to_torch, cotangents[: len(context.needs_input_grad)]))

    return Hand.apply  # type: ignore[no-any-return]
