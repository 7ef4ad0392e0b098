"""One shape per layer from real networks: a layer of a ResNet, a VGG network, a transformer or a language model."""

from __future__ import annotations

from typing import Any

from oracle.layers import Edge

_TOKENS = (8, 512, 768)
_IMAGE = (8, 64, 56, 56)
_VIDEO = (2, 16, 8, 28, 28)
_SOUND = (8, 64, 3136)
_C = (64,)
_BLOCK: Any = ((2, 64, 56, 56), (64, 64, 3, 3), (64, 64, 3, 3), *[_C] * 4, None, None, None, *[_C] * 4, None, None)
_BOTTLENECK: Any = (
    (2, 256, 28, 28),
    *((64, 256, 1, 1), (64, 64, 3, 3), (256, 64, 1, 1)),
    *(_C, _C, _C, _C, (256,), (256,)),
    *(None, None, None),
    *(_C, _C, _C, _C, (256,), (256,)),
    *(None, None),
)

LARGE: dict[str, Edge] = {
    **dict.fromkeys(
        ("identity", "relu", "leaky_relu", "elu", "gelu", "silu", "sigmoid", "tanh", "softplus"), Edge((_TOKENS,))
    ),
    "softmax": Edge(((4, 8, 197, 197),)),
    "log_softmax": Edge(((64, 32000),)),
    "conv1d": Edge((_SOUND, (64, 64, 3), _C), {"padding": 1}),
    "conv2d": Edge((_IMAGE, (64, 64, 3, 3), _C), {"padding": 1}),
    "conv3d": Edge((_VIDEO, (16, 16, 3, 3, 3), (16,)), {"padding": 1}),
    "conv_transpose1d": Edge(((8, 64, 784), (64, 32, 4), (32,)), {"stride": 2, "padding": 1}),
    "conv_transpose2d": Edge(((8, 64, 28, 28), (64, 32, 4, 4), (32,)), {"stride": 2, "padding": 1}),
    "conv_transpose3d": Edge(((2, 16, 4, 14, 14), (16, 8, 2, 2, 2), (8,)), {"stride": 2}),
    "affine": Edge(((32, 256, 6, 6), (9216, 512), (512,))),
    "linear": Edge((_TOKENS, (768, 768), (768,))),
    "affine_relu": Edge(((32, 256, 6, 6), (9216, 512), (512,))),
    "conv_relu_pool": Edge(((4, 16, 56, 56), (32, 16, 3, 3), (32,)), {"padding": 1}),
    "conv_bn_relu": Edge(((4, 32, 56, 56), (32, 32, 3, 3), None, *[(32,)] * 4), {"padding": 1}),
    "residual_block": Edge(_BLOCK),
    "bottleneck_block": Edge(_BOTTLENECK),
    "batch_norm": Edge((_IMAGE, _C, _C, _C, _C)),
    "layer_norm": Edge((_TOKENS, (768,), (768,))),
    "rms_norm": Edge((_TOKENS, (768,))),
    "group_norm": Edge((_IMAGE, _C, _C), {"groups": 32}),
    "instance_norm": Edge((_IMAGE, _C, _C)),
    "cross_entropy": Edge(((128, 32000), (128,), None)),
    "binary_cross_entropy": Edge(((256, 1000), (256, 1000))),
    "mse_loss": Edge(((8, 3, 128, 128), (8, 3, 128, 128))),
    "l2_penalty": Edge(((768, 3072),)),
    "max_pool1d": Edge((_SOUND,), {"kernel_size": 3, "stride": 2, "padding": 1}),
    "max_pool2d": Edge((_IMAGE,), {"kernel_size": 3, "stride": 2, "padding": 1}),
    "max_pool3d": Edge((_VIDEO,), {"kernel_size": 3, "stride": 2, "padding": 1}),
    "avg_pool1d": Edge((_SOUND,), {"kernel_size": 2}),
    "avg_pool2d": Edge((_IMAGE,), {"kernel_size": 2}),
    "avg_pool3d": Edge((_VIDEO,), {"kernel_size": 2}),
    "global_avg_pool": Edge(((8, 512, 7, 7),)),
    "global_max_pool": Edge(((8, 512, 7, 7),)),
    "adaptive_avg_pool": Edge(((8, 256, 13, 13),), {"output_size": 6}),
    "add": Edge((_IMAGE, _IMAGE)),
    "flatten": Edge(((32, 256, 6, 6),)),
    "pad": Edge((_IMAGE,), {"padding": 1}),
    "dropout": Edge((_TOKENS, _TOKENS)),
}
