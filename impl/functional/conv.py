"""Convolution (cross-correlation) and its transpose over 1, 2 and 3 spatial axes.

Three formulas carry all six rules. With s the stride, d the dilation, p the padding before, for one sample and one axis:

    y[f, o]     = sum over c, k of w[f, c, k] x[c, o s + k d - p]                     conv
    dx[c, i]    = sum over f, o, k with o s + k d - p = i of w[f, c, k] dy[f, o]      conv_dx
    dw[f, c, k] = sum over o of dy[f, o] x[c, o s + k d - p]                          conv_dw

``conv_dx`` is again a correlation: dy gets s - 1 zeros between its elements and is padded, the kernel is flipped and its
channel axes are exchanged. ``conv_dw`` is the correlation of x with dy as a kernel that is dilated by s; samples play the
part of channels. The transposed convolution is ``conv_dx`` used as a forward.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from impl.array import Array, Padding, correlate, correlate_kernel
from impl.functional.checks import PaddingOption, PerAxis, integer, per_axis, shaped, spatial
from impl.functional.window import resolve_padding
from impl.rule import Ranked, refuse

Ints = Sequence[int]


def conv(x: Array, w: Array, stride: Ints, padding: Padding, dilation: Ints, groups: int) -> Any:
    """Correlate x (N, C, *S) with w (F, C/groups, *K)."""
    return correlate(x, w, stride=stride, padding=padding, dilation=dilation, groups=groups)


def conv_dx(dy: Array, w: Array, size: Ints, stride: Ints, padding: Padding, dilation: Ints, groups: int) -> Any:
    """Apply the transpose of ``conv`` in x, whose spatial size is given: dy dilated and padded, the kernel flipped."""
    filters, per_group, *kernel = w.shape
    flipped = np.s_[(..., *[np.s_[::-1]] * len(kernel))]
    # (F, C/groups, *K) to (groups, C/groups, F/groups, *K) to (C, F/groups, *K)
    exchanged = w.reshape(groups, filters // groups, per_group, *kernel).swapaxes(1, 2)
    exchanged = exchanged.reshape(groups * per_group, filters // groups, *kernel)[flipped]
    edges = []
    for n, m, k, s, d, (before, _) in zip(size, dy.shape[2:], kernel, stride, dilation, padding, strict=True):
        reach = d * (k - 1)
        edges.append((reach - before, n + before - ((m - 1) * s + 1)))
    ones = (1,) * len(kernel)
    return correlate(dy, exchanged, stride=ones, padding=edges, dilation=dilation, spacing=stride, groups=groups)


def conv_dw(x: Array, dy: Array, kernel: Ints, stride: Ints, padding: Padding, dilation: Ints, groups: int) -> Any:
    """Apply the transpose of ``conv`` in w: correlate x with dy, stride and dilation exchanged, samples as channels."""
    return correlate_kernel(x, dy, kernel, stride=stride, padding=padding, dilation=dilation, groups=groups)


@Ranked
def _conv(
    rank: int,
    x: Array,
    w: Array,
    b: Array | None = None,
    /,
    *,
    stride: PerAxis = 1,
    padding: PaddingOption = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> tuple[Array, Any]:
    """Convolve in the sense of neural networks over {rank} spatial axes: cross-correlation, channels first.

    y[n, f, o] = b[f] + sum over c, k of w[f, c, k] x[n, c, o * stride + k * dilation - padding]

    dx: dy with stride - 1 zeros between its elements, padded, correlated with the flipped kernel.
    dw: x correlated with dy dilated by the stride.  db: the sum of dy over all axes but its channels.

    Shapes: x (N, C, *S) with {rank} spatial axes; w (F, C/groups, *K); b (F), optional; y (N, F, *O) with
    O = (S + before + after - dilation * (K - 1) - 1) // stride + 1.
    Raises ValueError if shapes or options do not fit, TypeError for an option of the wrong type.
    Source: document 000, sections 4.1 to 4.7; document 001; document 002; document 004, section 2.

    >>> x = np.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 1, {ones}4)
    >>> w = np.array([1.0, 10.0]).reshape(1, 1, {ones}2)
    >>> y, pullback = F.conv{rank}d.vjp(x, w, np.array([100.0]))
    >>> y.ravel()
    array([121., 132., 143.])
    >>> [d.ravel() for d in pullback(np.ones_like(y))]
    [array([ 1., 11., 11., 10.]), array([6., 9.]), array([3.])]
    """
    strides, edges, dilations = _geometry(x, w, b, rank, stride, padding, dilation, groups, transposed=False)
    for n, k, d, (before, after) in zip(x.shape[2:], w.shape[2:], dilations, edges, strict=True):
        if n + before + after < d * (k - 1) + 1:
            refuse(f"the kernel reaches over {d * (k - 1) + 1} but the padded x has only {n + before + after}")
    y = conv(x, w, strides, edges, dilations, groups)
    return (y if b is None else y + b.reshape(-1, *[1] * rank)), (x, w)


@_conv.pullback
def _(
    rank: int, residuals: Any, dy: Array, *, stride: PerAxis, padding: PaddingOption, dilation: PerAxis, groups: int
) -> Any:
    x, w = residuals
    strides, edges, dilations = _geometry(x, w, None, rank, stride, padding, dilation, groups, transposed=False)
    return (
        lambda: conv_dx(dy, w, x.shape[2:], strides, edges, dilations, groups),
        lambda: conv_dw(x, dy, w.shape[2:], strides, edges, dilations, groups),
        lambda: dy.sum(axis=(0, *range(2, 2 + rank))),
    )


@Ranked
def _conv_transpose(
    rank: int,
    x: Array,
    w: Array,
    b: Array | None = None,
    /,
    *,
    stride: PerAxis = 1,
    padding: PaddingOption = 0,
    output_padding: PerAxis = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> tuple[Array, Any]:
    """Apply the transpose, in x, of ``conv{rank}d`` with the same w: a transposed convolution over {rank} spatial axes.

    y[n, f, o] = b[f] + sum over c, i, k with i * stride + k * dilation - padding = o of w[c, f, k] x[n, c, i]

    Its forward is the dx of conv{rank}d, so its dx is the forward of conv{rank}d: dx = dy correlated with w;
    dw: dy correlated with x dilated by the stride.  db: the sum of dy over all axes but its channels.

    Shapes: x (N, C, *S) with {rank} spatial axes; w (C, F/groups, *K); b (F), optional; y (N, F, *O) with
    O = (S - 1) * stride - before - after + dilation * (K - 1) + 1 + output_padding.
    Raises ValueError if shapes or options do not fit, TypeError for an option of the wrong type.
    Source: document 000, section 4.7, read as a forward; Dumoulin and Visin, arXiv:1603.07285, section 4.

    >>> x = np.array([1.0, 2.0, 3.0]).reshape(1, 1, {ones}3)
    >>> w = np.array([1.0, 10.0]).reshape(1, 1, {ones}2)
    >>> y, pullback = F.conv_transpose{rank}d.vjp(x, w, np.array([100.0]))
    >>> y.ravel()
    array([101., 112., 123., 130.])
    >>> [d.ravel() for d in pullback(np.ones_like(y))]
    [array([11., 11., 11.]), array([6., 6.]), array([4.])]
    """
    strides, edges, dilations = _geometry(x, w, b, rank, stride, padding, dilation, groups, transposed=True)
    extra = per_axis("output_padding", output_padding, rank, 0)
    size = []
    for n, k, s, d, (before, after), e in zip(x.shape[2:], w.shape[2:], strides, dilations, edges, extra, strict=True):
        if e >= max(s, d):
            refuse(f"output_padding must be smaller than stride or dilation, got {e} with {s} and {d}")
        size.append((n - 1) * s + d * (k - 1) + 1 + e - before - after)
        if n < 1 or size[-1] < 1:
            refuse(f"x of size {n} with this padding leads to an output of size {size[-1]}; it must be at least 1")
    y = conv_dx(x, w, size, strides, edges, dilations, groups)
    return (y if b is None else y + b.reshape(-1, *[1] * rank)), (x, w)


@_conv_transpose.pullback
def _(
    rank: int, residuals: Any, dy: Array, *, stride: PerAxis, padding: PaddingOption, dilation: PerAxis, groups: int
) -> tuple[Array, ...]:
    x, w = residuals
    strides, edges, dilations = _geometry(x, w, None, rank, stride, padding, dilation, groups, transposed=True)
    size = x.shape[2:]
    dx = conv(dy, w, strides, edges, dilations, groups)[(..., *(slice(n) for n in size))]
    dw = conv_dw(dy, x, w.shape[2:], strides, edges, dilations, groups)
    return dx, dw, dy.sum(axis=(0, *range(2, 2 + rank)))


def _geometry(
    x: Array,
    w: Array,
    b: Array | None,
    rank: int,
    stride: PerAxis,
    padding: PaddingOption,
    dilation: PerAxis,
    groups: int,
    transposed: bool,
) -> tuple[tuple[int, ...], list[tuple[int, int]], tuple[int, ...]]:
    """Check what conv and its transpose share; return stride, padding and dilation with one entry per axis."""
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
    strides = per_axis("stride", stride, rank, 1)
    dilations = per_axis("dilation", dilation, rank, 1)
    return strides, resolve_padding(padding, kernel, strides, dilations), dilations


conv1d, conv2d, conv3d = _conv.rules
conv_transpose1d, conv_transpose2d, conv_transpose3d = _conv_transpose.rules
