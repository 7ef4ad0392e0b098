"""One shape per layer from real networks: a layer of a ResNet, a VGG network, a transformer or a language model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from oracle.cases.case import Case
from oracle.layers import LAYERS, Edge
from oracle.layers.signature import Array, Size

MOST_ELEMENTS = 150_000  # of a case that is not large

_TOKENS = (8, 512, 768)
_IMAGE = (8, 64, 56, 56)
_VIDEO = (32, 16, 4, 14, 14)
_SOUND = (8, 64, 3136)
_C = (64,)
_D = (512,)
_BLOCK: Any = ((2, 512, 7, 7), (512, 512, 3, 3), (512, 512, 3, 3), *[_D] * 4, None, None, None, *[_D] * 4, None, None)
_BOTTLENECK: Any = (
    (2, 2048, 7, 7),
    *((512, 2048, 1, 1), (512, 512, 3, 3), (2048, 512, 1, 1)),
    *(_D, _D, _D, _D, (2048,), (2048,)),
    *(None, None, None),
    *(_D, _D, _D, _D, (2048,), (2048,)),
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
    "conv_transpose2d": Edge(((32, 64, 14, 14), (64, 32, 4, 4), (32,)), {"stride": 2, "padding": 1}),
    "conv_transpose3d": Edge(((32, 32, 4, 7, 7), (32, 16, 2, 2, 2), (16,)), {"stride": 2}),
    "affine": Edge(((32, 256, 6, 6), (9216, 512), (512,))),
    "linear": Edge((_TOKENS, (768, 768), (768,))),
    "affine_relu": Edge(((32, 256, 6, 6), (9216, 512), (512,))),
    "conv_relu_pool": Edge(((16, 16, 32, 32), (32, 16, 3, 3), (32,)), {"padding": 1}),
    "conv_bn_relu": Edge(((8, 512, 7, 7), (2048, 512, 1, 1), None, *[(2048,)] * 4)),
    "residual_block": Edge(_BLOCK),
    "bottleneck_block": Edge(_BOTTLENECK),
    "batch_norm": Edge((_IMAGE, _C, _C, _C, _C)),
    "layer_norm": Edge((_TOKENS, (768,), (768,))),
    "rms_norm": Edge((_TOKENS, (768,))),
    "group_norm": Edge((_IMAGE, _C, _C), {"groups": 32}),
    "instance_norm": Edge((_IMAGE, _C, _C)),
    "cross_entropy": Edge(((128, 32000), (128,), None), {"reduction": "sum"}),
    "binary_cross_entropy": Edge(((256, 1000), (256, 1000)), {"reduction": "sum"}),
    "mse_loss": Edge(((8, 3, 128, 128), (8, 3, 128, 128)), {"reduction": "sum"}),
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

# The symbols whose first axis may be cut, because the layer computes each piece by itself; by default that of the samples.
_CUT: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("residual_block", "bottleneck_block", "l2_penalty"), ()),
    **dict.fromkeys(("affine", "affine_relu"), ("M",)),
    "batch_norm": ("C",),
    "conv_bn_relu": ("F",),
    "add": ("A", "B", "O"),
}


class Cut(NamedTuple):
    """Along which axis each array and each output may be cut, None if it stays whole, and the length of that axis."""

    arrays: tuple[int | None, ...]
    outputs: tuple[int | None, ...]
    length: int

    def results(self, case: Case, gradients: Sequence[str]) -> list[int | None]:
        """Return the axis of each output that the case has, and of each of these gradients."""
        by_array = dict(zip(LAYERS[case.layer].arrays, self.arrays, strict=True))
        return [*self.outputs, *(by_array[name] for name in gradients)]


def is_large(case: Case) -> bool:
    """Whether a case has so many elements that its memory matters."""
    return case.elements > MOST_ELEMENTS


def cut_of(case: Case) -> Cut | None:
    """Return how a large case may be cut into parts; None if its layer needs all samples at once, or the case is small."""
    known = LARGE.get(case.layer)
    if known is None or not is_large(case) or case.configuration != known.configuration:
        return None
    signature = LAYERS[case.layer].signature
    names = _CUT.get(case.layer) or (() if case.layer in _CUT else _first_symbol(signature.arrays[0]))
    arrays = tuple(_axis(array, names) for array in signature.arrays)
    lengths = {s[axis] for s, axis in zip(case.shapes, arrays, strict=True) if s is not None and axis is not None}
    alike = all(
        (a is None and b is None) or (a is not None and b is not None and len(a) == len(b))
        for a, b in zip(case.shapes, known.shapes, strict=True)
    )
    if not alike or len(lengths) != 1:
        return None
    return Cut(arrays, tuple(_axis(output, names) for output in signature.outputs), lengths.pop())


def _first_symbol(array: Array) -> tuple[str, ...]:
    first = array.axes[0]
    return (str(first) if isinstance(first, Size) else first.name,)


def _axis(array: Array, names: Sequence[str]) -> int | None:
    """Return the axis of a symbol; behind axes of any number there is none that can be told."""
    for axis, part in enumerate(array.axes):
        if (str(part) if isinstance(part, Size) else part.name) in names:
            return axis
        if not isinstance(part, Size):
            return None
    return None
