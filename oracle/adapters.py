"""The public name of ``oracle.targets.adapters``: code of another shape as a target."""

from oracle.targets.adapters import (
    autograd_jax,
    autograd_torch,
    channels_last,
    cs231n,
    forward_backward,
    renamed,
    stateful,
    transposed,
)

__all__ = [
    "autograd_jax",
    "autograd_torch",
    "channels_last",
    "cs231n",
    "forward_backward",
    "renamed",
    "stateful",
    "transposed",
]
