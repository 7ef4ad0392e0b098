"""Adapters: code of another shape as a target. See ``oracle.targets.adapters``."""

from oracle.adapters import (
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
