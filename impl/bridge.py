"""A bridge to PyTorch: any rule as a ``torch.autograd.Function`` (extra ``torch``).

JAX needs no bridge. The parameters of ``impl.nn`` are nested dicts of arrays, which JAX knows as pytrees, and so optax can
train them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from impl.rule import Rule


def torch_function(rule: Rule, **configuration: Any) -> Callable[..., Any]:
    """Turn a rule into a function of PyTorch CPU tensors whose gradient is the hand-derived one.

    The function takes the rule's arrays as tensors, shares their memory with NumPy, and computes only the gradients
    that PyTorch asks for. A rule with several outputs returns a tuple, of which only the first is differentiable.
    Raises ImportError if torch is not installed. The function raises TypeError if a tensor is not on the CPU, or has a
    dtype that NumPy lacks.

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
