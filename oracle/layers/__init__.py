"""The signature, the mathematics and the domain of every layer, written from the definition and not from ``impl``."""

from oracle.layers import activation, block, conv, linear, loss, norm, pool, shape
from oracle.layers.spec import LAYERS, Edge, Layer, Refusal

__all__ = [
    "LAYERS",
    "Edge",
    "Layer",
    "Refusal",
    "activation",
    "block",
    "conv",
    "linear",
    "loss",
    "norm",
    "pool",
    "shape",
]
