"""Adapters: code of another shape as a layer, ``layer(*arrays, **configuration) -> (value, pullback)``.

Put the results under the layers' names into a module or a mapping, and that is a target:

    # target.py
    import torch.nn.functional as F
    from backproof.adapters import autograd_torch

    gelu = autograd_torch(F.gelu)

    backproof run --target target.py
"""

from oracle.targets.adapters.conventions import channels_last, renamed, transposed
from oracle.targets.adapters.cs231n import cs231n
from oracle.targets.adapters.frameworks import autograd_jax, autograd_torch
from oracle.targets.adapters.stateful import forward_backward, stateful
from oracle.targets.adapters.triton import triton

__all__ = [
    "autograd_jax",
    "autograd_torch",
    "channels_last",
    "cs231n",
    "forward_backward",
    "renamed",
    "stateful",
    "transposed",
    "triton",
]
