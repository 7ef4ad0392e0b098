"""The mathematics of every layer, written once more from the definition, and the domain of its configurations."""

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
