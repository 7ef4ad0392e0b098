"""Restate the claims of document 000, "Implementing a deep-learning computation framework": one module per chapter.

The chapters are about a computation graph, MLP, batch normalisation, softmax and the cross-entropies, convolution and
pooling, and residual networks.
"""

from __future__ import annotations

from reference.claim import Claim, LayerFunction
from reference.computation_framework import convolution, graph, losses, mlp, normalisation, residual
from reference.computation_framework.convolution import (
    avg_pool2d,
    avg_pool2d_corrected,
    conv2d,
    max_pool2d,
    max_pool2d_corrected,
    pad,
)
from reference.computation_framework.losses import (
    binary_cross_entropy,
    cross_entropy,
    cross_entropy_corrected,
    softmax,
    softmax_corrected,
)
from reference.computation_framework.mlp import affine, linear, sigmoid
from reference.computation_framework.normalisation import batch_norm
from reference.computation_framework.residual import (
    bottleneck_block,
    bottleneck_block_corrected,
    relu,
    residual_block,
    residual_block_corrected,
)

AS_WRITTEN: dict[str, LayerFunction] = {
    "affine": affine,
    "linear": linear,
    "sigmoid": sigmoid,
    "relu": relu,
    "batch_norm": batch_norm,
    "softmax": softmax,
    "binary_cross_entropy": binary_cross_entropy,
    "cross_entropy": cross_entropy,
    "conv2d": conv2d,
    "pad": pad,
    "max_pool2d": max_pool2d,
    "avg_pool2d": avg_pool2d,
    "residual_block": residual_block,
    "bottleneck_block": bottleneck_block,
}

CORRECTED: dict[str, LayerFunction] = AS_WRITTEN | {
    "softmax": softmax_corrected,
    "cross_entropy": cross_entropy_corrected,
    "max_pool2d": max_pool2d_corrected,
    "avg_pool2d": avg_pool2d_corrected,
    "residual_block": residual_block_corrected,
    "bottleneck_block": bottleneck_block_corrected,
}

CLAIMS: tuple[Claim, ...] = tuple(
    claim for chapter in (graph, mlp, normalisation, losses, convolution, residual) for claim in chapter.CLAIMS
)
