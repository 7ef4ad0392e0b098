"""The layers as rules: ``y = layer(x, ...)`` and ``y, pullback = layer.vjp(x, ...)``.

The docstring of each rule has its formula, its derived gradient, its shapes, what it refuses, its source, and an example.
The examples assume these two lines:

>>> import numpy as np
>>> from impl import functional as F
"""

from impl.functional.activation import (
    elu,
    gelu,
    identity,
    leaky_relu,
    log_softmax,
    relu,
    sigmoid,
    silu,
    softmax,
    softplus,
    tanh,
)
from impl.functional.block import affine_relu, bottleneck_block, conv_bn_relu, conv_relu_pool, residual_block
from impl.functional.conv import conv1d, conv2d, conv3d, conv_transpose1d, conv_transpose2d, conv_transpose3d
from impl.functional.dropout import dropout
from impl.functional.linear import affine, linear
from impl.functional.loss import binary_cross_entropy, cross_entropy, l2_penalty, mse_loss
from impl.functional.norm import batch_norm, group_norm, instance_norm, layer_norm, rms_norm
from impl.functional.pool import (
    adaptive_avg_pool,
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    global_avg_pool,
    global_max_pool,
    max_pool1d,
    max_pool2d,
    max_pool3d,
)
from impl.functional.shape import add, flatten, pad

__all__ = [
    "adaptive_avg_pool",
    "add",
    "affine",
    "affine_relu",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "batch_norm",
    "binary_cross_entropy",
    "bottleneck_block",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_bn_relu",
    "conv_relu_pool",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "cross_entropy",
    "dropout",
    "elu",
    "flatten",
    "gelu",
    "global_avg_pool",
    "global_max_pool",
    "group_norm",
    "identity",
    "instance_norm",
    "l2_penalty",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "mse_loss",
    "pad",
    "relu",
    "residual_block",
    "rms_norm",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "tanh",
]
