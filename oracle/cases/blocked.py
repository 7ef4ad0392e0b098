"""Shapes beyond a block of code, of axes whose lengths do not follow from the signature: windows, and what is broadcast.

Code that turns a convolution into a product of matrices copies out what each window sees, as much at a time as fits into
a cache: a few samples, or a few rows of one. The arrays of the other cases are so small that there is one block only, and
nothing would be known of the second. Here the windows fill more than 4 MiB in float32 as well. The arrays are small
nevertheless, because the kernels are large.
"""

from __future__ import annotations

from oracle.layers import Edge

BLOCKED: dict[str, tuple[Edge, ...]] = {
    "conv1d": (Edge(((3, 64, 160), (1, 64, 66), (1,))),),
    "conv2d": (
        Edge(((4, 52, 16, 16), (1, 52, 8, 8), (1,))),  # blocks of samples
        Edge(((8, 16, 8, 64), (1, 16, 8, 32), (1,))),  # blocks of samples whose output has one row
        Edge(((1, 128, 24, 16), (1, 128, 8, 8), None)),  # blocks of the rows of one sample
        Edge(((1, 125, 9, 64), (1, 125, 8, 32), None)),  # one row is more than a block
    ),
    "conv3d": (Edge(((4, 33, 8, 8, 8), (1, 33, 4, 4, 4), (1,))),),
    "conv_transpose1d": (Edge(((3, 1, 95), (1, 64, 66), (64,))),),
    "conv_transpose2d": (Edge(((4, 1, 9, 9), (1, 52, 8, 8), (52,))),),
    "conv_transpose3d": (Edge(((4, 1, 5, 5, 5), (1, 33, 4, 4, 4), (33,))),),
    "add": (Edge(((257, 33), (33,))), Edge(((33, 1), (33, 1025)))),
}
