"""The multi-layer perceptron."""

from __future__ import annotations

from itertools import pairwise

from impl import nn

ACTIVATIONS = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}


def mlp(widths: list[int], activation: str = "relu", init: str = "kaiming") -> nn.Sequential:
    """Build affine layers of the given widths (inputs first, classes last) with an activation between them.

    x has shape (N, *S) with widths[0] numbers per sample, y (N, widths[-1]). Raises ValueError for fewer than two
    widths, a width below 1, and an unknown activation. Source: document 000, section 2.1.

    >>> mlp([3, 4, 2]).parameter_count()
    26
    """
    if len(widths) < 2 or min(widths) < 1:
        raise ValueError(f"mlp: widths must name at least inputs and outputs, each at least 1, got {widths}")
    if activation not in ACTIVATIONS:
        raise ValueError(f"mlp: activation must be one of {', '.join(ACTIVATIONS)}, got {activation!r}")
    modules: dict[str, nn.Module] = {}
    for i, (inputs, outputs) in enumerate(pairwise(widths), start=1):
        modules[f"affine{i}"] = nn.Affine(inputs, outputs, init=init)
        if i < len(widths) - 1:
            modules[f"{activation}{i}"] = ACTIVATIONS[activation]()
    return nn.Sequential(**modules)
