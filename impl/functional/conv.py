"""Convolution (cross-correlation) and its transpose over 1, 2 and 3 spatial axes.

Three formulas carry all six rules. With s the stride, d the dilation, p the padding before, for one sample and one axis:

    y[f, o]  = sum over c, k of w[f, c, k] x[c, o s + k d - p]          conv
    dx[c, i] = sum over f, k of w[f, c, k] dy[f, o], where o s + k d - p = i    conv_dx
    dw[f, c, k] = sum over o of dy[f, o] x[c, o s + k d - p]            conv_dw

``conv_dx`` is again a correlation, of dy with s - 1 zeros put between its elements and padded, with the kernel flipped and
its channel axes exchanged; ``conv_dw`` is the correlation of x with dy as a kernel that is dilated by s, where samples
play the part of channels. The transposed convolution is ``conv_dx`` used as a forward.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from impl.array import Array, Padding, correlate, correlate_kernel
from impl.functional.checks import integer, per_axis, shaped, spatial
from impl.functional.window import resolve_padding
from impl.rule import Rule, refuse, rule


def conv(x: Array, w: Array, stride: Any, padding: Padding, dilation: Any, groups: int) -> Array:
    """The correlation of x (N, C, *S) with w (F, C/groups, *K)."""
    return correlate(x, w, stride=stride, padding=padding, dilation=dilation, groups=groups)


def conv_dx(dy: Array, w: Array, size: Any, stride: Any, padding: Padding, dilation: Any, groups: int) -> Array:
    """The transpose of ``conv`` in x, whose spatial size is given: dy dilated and padded, the kernel flipped."""
    filters, per_group, *kernel = w.shape
    flipped = np.s_[(..., *[np.s_[::-1]] * len(kernel))]
    exchanged = w.reshape(groups, filters // groups, per_group, *kernel).swapaxes(1, 2)
    exchanged = exchanged.reshape(groups * per_group, filters // groups, *kernel)[flipped]
    edges = []
    for n, m, k, s, d, (before, _) in zip(size, dy.shape[2:], kernel, stride, dilation, padding, strict=True):
        reach = d * (k - 1)
        edges.append((reach - before, n + before - ((m - 1) * s + 1)))
    ones = (1,) * len(kernel)
    return correlate(dy, exchanged, stride=ones, padding=edges, dilation=dilation, spacing=stride, groups=groups)


def conv_dw(x: Array, dy: Array, kernel: Any, stride: Any, padding: Padding, dilation: Any, groups: int) -> Array:
    """The transpose of ``conv`` in w: x correlated with dy, stride and dilation exchanged, samples as channels."""
    return correlate_kernel(x, dy, kernel, stride=stride, padding=padding, dilation=dilation, groups=groups)


def _conv(rank: int) -> Rule:
    def forward(
        x: Array, w: Array, b: Array | None = None, *, stride=1, padding=0, dilation=1, groups=1
    ) -> tuple[Array, Any]:
        stride, edges, dilation = _geometry(x, w, b, rank, stride, padding, dilation, groups, transposed=False)
        for n, k, d, (before, after) in zip(x.shape[2:], w.shape[2:], dilation, edges, strict=True):
            if n + before + after < d * (k - 1) + 1:
                refuse(f"the kernel reaches over {d * (k - 1) + 1} but the padded x has only {n + before + after}")
        y = conv(x, w, stride, edges, dilation, groups)
        return (y if b is None else y + b.reshape(-1, *[1] * rank)), (x, w)

    forward.__doc__ = f"""{rank}-D convolution in the sense of neural networks: cross-correlation, channels first.

    y[n, f, o] = b[f] + sum over c, k of w[f, c, k] x[n, c, o * stride + k * dilation - padding]

    dx: dy with stride - 1 zeros between its elements, padded, correlated with the flipped kernel.
    dw: x correlated with dy dilated by the stride.  db: the sum of dy over all but its channels.

    Shapes: x (N, C, *S) with {rank} spatial axes; w (F, C/groups, *K); b (F), optional; y (N, F, *O) with
    O = (S + before + after - dilation * (K - 1) - 1) // stride + 1.
    Raises ValueError where shapes or options do not fit, TypeError for an option of the wrong type.
    Source: document 000, sections 4.1 to 4.7; document 001; document 002; document 004, section 2.
    """
    layer = rule(forward, name=f"conv{rank}d")

    @layer.pullback
    def _(residuals: Any, dy: Array, *, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
        x, w = residuals
        stride, edges, dilation = _geometry(x, w, None, rank, stride, padding, dilation, groups, transposed=False)
        return (
            lambda: conv_dx(dy, w, x.shape[2:], stride, edges, dilation, groups),
            lambda: conv_dw(x, dy, w.shape[2:], stride, edges, dilation, groups),
            lambda: dy.sum(axis=(0, *range(2, 2 + rank))),
        )

    return layer


def _conv_transpose(rank: int) -> Rule:
    def forward(
        x: Array, w: Array, b: Array | None = None, *, stride=1, padding=0, output_padding=0, dilation=1, groups=1
    ) -> tuple[Array, Any]:
        stride, edges, dilation = _geometry(x, w, b, rank, stride, padding, dilation, groups, transposed=True)
        extra = per_axis("output_padding", output_padding, rank, 0)
        size = []
        for n, k, s, d, (before, after), e in zip(
            x.shape[2:], w.shape[2:], stride, dilation, edges, extra, strict=True
        ):
            if e >= max(s, d):
                refuse(f"output_padding must be smaller than stride or dilation, got {e} with {s} and {d}")
            size.append((n - 1) * s + d * (k - 1) + 1 + e - before - after)
            if n < 1 or size[-1] < 1:
                refuse(f"x of size {n} with this padding gives an output of size {size[-1]}; it must be at least 1")
        y = conv_dx(x, w, size, stride, edges, dilation, groups)
        return (y if b is None else y + b.reshape(-1, *[1] * rank)), (x, w)

    forward.__doc__ = f"""{rank}-D transposed convolution: the transpose, in x, of ``conv{rank}d`` with the same w.

    y[n, f, o] = b[f] + sum over c, i, k with i * stride + k * dilation - padding = o of w[c, f, k] x[n, c, i]

    Its forward is conv{rank}d's dx, so its dx is conv{rank}d's forward: dx = dy correlated with w;
    dw: dy correlated with x dilated by the stride.  db: the sum of dy over all but its channels.

    Shapes: x (N, C, *S) with {rank} spatial axes; w (C, F/groups, *K); b (F), optional; y (N, F, *O) with
    O = (S - 1) * stride - before - after + dilation * (K - 1) + 1 + output_padding.
    Raises ValueError where shapes or options do not fit, TypeError for an option of the wrong type.
    Source: document 000, section 4.7, read as a forward; Dumoulin and Visin, arXiv:1603.07285, section 4.
    """
    layer = rule(forward, name=f"conv_transpose{rank}d")

    @layer.pullback
    def _(residuals: Any, dy: Array, *, stride: Any, padding: Any, dilation: Any, groups: int) -> tuple[Array, ...]:
        x, w = residuals
        stride, edges, dilation = _geometry(x, w, None, rank, stride, padding, dilation, groups, transposed=True)
        size = x.shape[2:]
        dx = conv(dy, w, stride, edges, dilation, groups)[(..., *(slice(n) for n in size))]
        dw = conv_dw(dy, x, w.shape[2:], stride, edges, dilation, groups)
        return dx, dw, dy.sum(axis=(0, *range(2, 2 + rank)))

    return layer


def _geometry(
    x: Array,
    w: Array,
    b: Array | None,
    rank: int,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
    transposed: bool,
) -> tuple[tuple[int, ...], list[tuple[int, int]], tuple[int, ...]]:
    """Check what conv and its transpose share; stride, padding and dilation with one entry an axis."""
    spatial(x, rank)
    if w.ndim != rank + 2:
        refuse(f"w must have {rank + 2} axes, got shape {tuple(w.shape)}")
    groups = integer("groups", groups, 1)
    kernel = w.shape[2:]
    if prod(w.shape) == 0:
        refuse(f"w must not be empty, got shape {tuple(w.shape)}")
    if transposed:
        if x.shape[1] != w.shape[0]:
            refuse(f"x has {x.shape[1]} channels but w expects w.shape[0] = {w.shape[0]}")
        if x.shape[1] % groups:
            refuse(f"x has {x.shape[1]} channels, which groups = {groups} does not divide")
        filters = w.shape[1] * groups
    else:
        if x.shape[1] != groups * w.shape[1]:
            refuse(f"x has {x.shape[1]} channels but w expects groups * w.shape[1] = {groups * w.shape[1]}")
        if w.shape[0] % groups:
            refuse(f"w has {w.shape[0]} filters, which groups = {groups} does not divide")
        filters = w.shape[0]
    shaped("b", b, (filters,), f"w with {filters} filters")
    stride = per_axis("stride", stride, rank, 1)
    dilation = per_axis("dilation", dilation, rank, 1)
    return stride, resolve_padding(padding, kernel, stride, dilation), dilation


conv1d, conv2d, conv3d = map(_conv, (1, 2, 3))
conv_transpose1d, conv_transpose2d, conv_transpose3d = map(_conv_transpose, (1, 2, 3))
