"""Initialisers: the weights before the first training step."""

from __future__ import annotations

from math import prod, sqrt
from typing import Any

import numpy as np


def fan_in_out(shape: tuple[int, ...], transposed: bool) -> tuple[int, int]:
    """Count the inputs and the outputs of one unit of w.

    w has shape (out, in, *kernel), or (in, out) if ``transposed``.
    """
    out, inputs = (shape[1], shape[0]) if transposed else (shape[0], shape[1])
    return inputs * prod(shape[2:]), out * prod(shape[2:])


def initial(
    name: str, scale: float, shape: tuple[int, ...], rng: np.random.Generator, dtype: Any, transposed: bool
) -> np.ndarray:
    """Draw weights of a shape by the name of an initialiser.

    ``gaussian`` has the standard deviation ``scale`` (document 004, section 5.2), ``xavier`` sqrt(2 / (in + out))
    (Glorot and Bengio, 2010), ``kaiming`` sqrt(2 / in) (He et al., arXiv:1502.01852). ``uniform`` lies between
    -1 / sqrt(in) and 1 / sqrt(in), like PyTorch's layers. ``zeros`` and ``ones`` are what they say.
    Raises ValueError for another name.
    """
    inputs, outputs = fan_in_out(shape, transposed)
    deviations = {"gaussian": scale, "xavier": sqrt(2 / (inputs + outputs)), "kaiming": sqrt(2 / inputs)}
    if name in deviations:
        w = rng.standard_normal(shape) * deviations[name]
    elif name == "uniform":
        w = rng.uniform(-1, 1, shape) / sqrt(inputs)
    elif name in ("zeros", "ones"):
        w = np.full(shape, float(name == "ones"))
    else:
        raise ValueError(f"init must be gaussian, xavier, kaiming, uniform, zeros or ones, got {name!r}")
    return w.astype(dtype)
