"""Restate the claims of document 000 about convolution and pooling."""

from __future__ import annotations

from typing import Any

import numpy as np

from reference.claim import Claim, constant, gradient, one, require, value
from reference.computation_framework.normalisation import batch_norm

Array = Any


def convolve(a: Array, w: Array, b: float = 0.0, stride: int = 1) -> Array:
    """Run the loop for one channel: at every stride-th place, sum window times kernel and add b."""
    rows, columns = range(0, a.shape[0] - w.shape[0] + 1, stride), range(0, a.shape[1] - w.shape[1] + 1, stride)
    out = np.zeros((len(rows), len(columns)), a.dtype)
    for p, i in enumerate(rows):
        for q, j in enumerate(columns):
            out[p, q] = (a[i : i + w.shape[0], j : j + w.shape[1]] * w).sum() + b
    return out


def _single(x: Array, w: Array) -> tuple[Array, Array]:
    return x[0, 0], w[0, 0]


def convolution_example(x: Array, w: Array, b: Array) -> Array:
    """Convolve 3 x 3 with 2 x 2, entry by entry, and add the bias."""
    a, k = _single(x, w)
    return np.array([[[
        [a[i, j] * k[0, 0] + a[i, j + 1] * k[0, 1] + a[i + 1, j] * k[1, 0] + a[i + 1, j + 1] * k[1, 1] + b[0]
         for j in range(2)] for i in range(2)
    ]]])  # fmt: skip


def convolution_loop(x: Array, w: Array, b: Array) -> Array:
    """Run the loop as printed, without the bias."""
    a, k = _single(x, w)
    return convolve(a, k)[None, None]


def convolution_loop_corrected(x: Array, w: Array, b: Array) -> Array:
    """Run the loop with the bias."""
    a, k = _single(x, w)
    return convolve(a, k, b[0])[None, None]


def output_size(x: Array, w: Array) -> Array:
    """Return the shape Ah - Wh + 1 by Aw - Ww + 1."""
    return (1, 1, x[2] - w[2] + 1, x[3] - w[3] + 1)


def weight_gradient_entries(x: Array, w: Array, dy: Array) -> Array:
    """Compute dL/dW of the example, entry by entry."""
    a, g = x[0, 0], dy[0, 0]
    return np.array([[[
        [g[0, 0] * a[i, j] + g[0, 1] * a[i, j + 1] + g[1, 0] * a[i + 1, j] + g[1, 1] * a[i + 1, j + 1]
         for j in range(2)] for i in range(2)
    ]]])  # fmt: skip


def weight_gradient_printed(x: Array, w: Array, dy: Array) -> Array:
    """Compute Conv2d(G, A, 0), with G as the image and A as the kernel."""
    return convolve(dy[0, 0], x[0, 0])[None, None]


def weight_gradient_corrected(x: Array, w: Array, dy: Array) -> Array:
    """Compute Conv2d(A, G, 0)."""
    return convolve(x[0, 0], dy[0, 0])[None, None]


def input_gradient_entries(x: Array, w: Array, dy: Array) -> Array:
    """Compute dL/dA of the example, entry by entry."""
    (w00, w01), (w10, w11) = w[0, 0]
    (g00, g01), (g10, g11) = dy[0, 0]
    return np.array([[[
        [g00 * w00, g00 * w01 + g01 * w00, g01 * w01],
        [g00 * w10 + g10 * w00, g00 * w11 + g01 * w10 + g10 * w01 + g11 * w00, g01 * w11 + g11 * w01],
        [g10 * w10, g10 * w11 + g11 * w10, g11 * w11],
    ]]])  # fmt: skip


def reversed_kernel(w: Array) -> Array:
    """Put the elements of the kernel in reverse order and keep its shape."""
    return w.ravel()[::-1].reshape(w.shape)


def padded(g: Array, w: Array) -> Array:
    """Add Wh - 1 rows of zeros above and below, and Ww - 1 columns left and right."""
    return np.pad(g, [(n - 1, n - 1) for n in w.shape])


def input_gradient_by_convolution(x: Array, w: Array, dy: Array) -> Array:
    """Compute Conv2d(G', reversed W, 0)."""
    k = w[0, 0]
    return convolve(padded(dy[0, 0], k), reversed_kernel(k))[None, None]


def same_padding(size: int) -> tuple[int, int]:
    """Return the zeros before and after: half the size each, rounded down. An even kernel has one zero less before."""
    half = size // 2
    return (half, half) if size % 2 else (half - 1, half)


def size_after_same_padding(x: Array, w: Array, **configuration: Any) -> Array:
    """Return the shape that the document states: the size of the input."""
    return (x[0], w[0], x[2], x[3])


def channels_summed(x: Array, w: Array, b: Array) -> Array:
    """Compute A^k: the sum over channels of A_c convolved with K_kc, plus one bias per kernel."""
    return np.array([
        [sum(convolve(image[c], kernel[c]) for c in range(len(kernel))) + b[k] for k, kernel in enumerate(w)]
        for image in x
    ])  # fmt: skip


def spread_out(g: Array, a: tuple[int, ...], w: tuple[int, ...], stride: int) -> Array:
    """Spread G over Ah - Wh + 1 by Aw - Ww + 1 zeros: its elements go to every stride-th place from (0, 0) on."""
    spread = np.zeros((a[0] - w[0] + 1, a[1] - w[1] + 1), g.dtype)
    spread[::stride, ::stride] = g
    return spread


def kernel_gradient_loop(a: Array, g: Array, size: tuple[int, ...], stride: int) -> Array:
    """Compute dW by the printed loop: G moves over A from (i, j) in steps of the stride."""
    dw = np.zeros(size, a.dtype)
    for i in range(size[0]):
        for j in range(size[1]):
            total, index = 0.0, 0
            for di in range(0, g.shape[0] * stride, stride):
                for dj in range(0, g.shape[1] * stride, stride):
                    total = total + g.ravel()[index] * a[i + di, j + dj]
                    index += 1
            dw[i, j] += total
    return dw


def kernel_gradient(a: Array, g: Array, size: tuple[int, ...], stride: int) -> Array:
    """Compute dW in the other way: Conv2d(A, G', 0)."""
    return convolve(a, spread_out(g, a.shape, size, stride))


def image_gradient(g: Array, w: Array, shape: tuple[int, ...], stride: int) -> Array:
    """Compute dA: spread G out, pad it, and convolve it with the reversed kernel."""
    return convolve(padded(spread_out(g, shape, w.shape, stride), w), reversed_kernel(w))


def images_dx(x: Array, w: Array, dy: Array, stride: int = 1) -> Array:
    """Compute G x W, in which each product is the gradient of one image and each sum is a sum of maps."""
    return np.array([
        [sum(image_gradient(g[f], w[f, c], x.shape[2:], stride) for f in range(len(w))) for c in range(x.shape[1])]
        for g in dy
    ]).reshape(x.shape)  # fmt: skip


def images_dw(x: Array, w: Array, dy: Array, stride: int = 1, images: int | None = None) -> Array:
    """Compute G^T x I, in which each product is the gradient of one kernel, over the first ``images`` or all."""
    count = len(x) if images is None else images
    zero = np.zeros(w.shape[2:], x.dtype)
    return np.array([
        [sum((kernel_gradient(x[n, c], dy[n, f], w.shape[2:], stride) for n in range(count)), zero)
         for c in range(w.shape[1])] for f in range(len(w))
    ]).reshape(w.shape)  # fmt: skip


def conv2d(
    x: Array, w: Array, b: Array = None, *, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> tuple[Array, Any]:
    """Convolve many channels and images with padding and stride (4.1 to 4.7). The gradients are convolutions too."""
    stride, padding = one(stride), one(padding)
    require(isinstance(stride, int) and stride > 0, "a stride per axis")
    require(one(dilation) == 1 and groups == 1, "dilation or groups")
    require(isinstance(padding, int) or (padding == "same" and stride == 1), "this padding")
    require(x.size > 0, "an empty batch")
    if x.shape[1] != w.shape[1] or (b is not None and b.shape != (len(w),)):
        raise ValueError("channels or biases do not fit")
    sides = [same_padding(k) if padding == "same" else (padding, padding) for k in w.shape[2:]]
    wide = np.pad(x, [(0, 0), (0, 0), *sides])
    if any(n < k for n, k in zip(wide.shape[2:], w.shape[2:], strict=True)):
        raise ValueError("the kernel is larger than the image")
    y = np.array([
        [sum(convolve(image[c], kernel[c], stride=stride) for c in range(len(kernel))) for kernel in w]
        for image in wide
    ])  # fmt: skip
    y = y if b is None else y + b[:, None, None]

    def pullback(dy: Array) -> tuple[Array, ...]:
        inside = tuple(slice(before, n - after) for (before, after), n in zip(sides, wide.shape[2:], strict=True))
        dx = images_dx(wide, w, dy, stride)[(slice(None), slice(None), *inside)]
        return dx, images_dw(wide, w, dy, stride), None if b is None else dy.sum((0, 2, 3))

    return y, pullback


def pad(x: Array, *, padding: Any, mode: str = "constant") -> tuple[Array, Any]:
    """Put zeros around an image. The padded places pass on no gradient (4.3)."""
    padding = one(padding) if x.ndim == 4 else padding
    require(mode == "constant" and isinstance(padding, int), "this padding")
    widths = [(0, 0), (0, 0), *[(padding, padding)] * (x.ndim - 2)]
    inside = (slice(None), slice(None), *[slice(padding, padding + n) for n in x.shape[2:]])
    return np.pad(x, widths), lambda dy: (dy[inside],)


def pooled_size(size: int, kernel_size: int, stride: int) -> int:
    """Compute (A - K + 1) / stride, rounded up."""
    places = size - kernel_size + 1
    return places // stride if places % stride == 0 else places // stride + 1


def _window_and_stride(x: Array, kernel_size: Any, stride: Any) -> tuple[int, int]:
    kernel_size = one(kernel_size)
    stride = kernel_size if stride is None else one(stride)
    require(isinstance(kernel_size, int) and isinstance(stride, int) and stride > 0, "this window")
    if min(x.shape[2:]) < kernel_size:
        raise ValueError("the window is larger than the image")
    return kernel_size, stride


def _max_pool2d(x: Array, kernel_size: int, stride: int, first: int) -> tuple[Array, Any]:
    sizes = [pooled_size(n, kernel_size, stride) for n in x.shape[2:]]
    y, places = np.zeros((*x.shape[:2], *sizes), x.dtype), {}
    for n, c, p, q in np.ndindex(y.shape):
        i, j = p * stride, q * stride
        at_i, at_j, largest = i, j, x[n, c, i, j]
        for pi in range(i + first, i + kernel_size):
            for pj in range(j + first, j + kernel_size):
                if x[n, c, pi, pj] > largest:
                    at_i, at_j, largest = pi, pj, x[n, c, pi, pj]
        places[n, c, p, q] = (n, c, at_i, at_j)
        y[n, c, p, q] = largest

    def pullback(dy: Array) -> tuple[Array]:
        dx = np.zeros_like(x)
        for place, where in places.items():
            dx[where] += dy[place]
        return (dx,)

    return y, pullback


def max_pool2d(
    x: Array, *, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> tuple[Array, Any]:
    """Run the printed loop: in a window, the search starts one row below and one column right of the corner."""
    require(one(padding) == 0 and one(dilation) == 1 and not ceil_mode, "padding, dilation or ceil_mode")
    require(not np.isnan(x).any(), "NaN")
    k, s = _window_and_stride(x, kernel_size, stride)
    return _max_pool2d(x, k, s, first=1)


def max_pool2d_corrected(
    x: Array, *, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> tuple[Array, Any]:
    """Run the loop with a search that starts at the corner of the window."""
    require(one(padding) == 0 and one(dilation) == 1 and not ceil_mode, "padding, dilation or ceil_mode")
    require(not np.isnan(x).any(), "NaN")
    k, s = _window_and_stride(x, kernel_size, stride)
    return _max_pool2d(x, k, s, first=0)


def _avg_pool2d(x: Array, kernel_size: int, stride: int, from_the_edge: bool) -> tuple[Array, Any]:
    sizes = [pooled_size(n, kernel_size, stride) for n in x.shape[2:]]
    y = np.zeros((*x.shape[:2], *sizes), x.dtype)
    for n, c, p, q in np.ndindex(y.shape):
        i, j = p * stride, q * stride
        y[n, c, p, q] = x[n, c, i : i + kernel_size, j : j + kernel_size].sum() / (kernel_size * kernel_size)

    def pullback(dy: Array) -> tuple[Array]:
        dx = np.zeros_like(x)
        for n, c, p, q in np.ndindex(y.shape):
            i, j = p * stride, q * stride
            left = 0 if from_the_edge else j
            dx[n, c, i : i + kernel_size, left : j + kernel_size] += dy[n, c, p, q] / (kernel_size * kernel_size)
        return (dx,)

    return y, pullback


def avg_pool2d(
    x: Array,
    *,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> tuple[Array, Any]:
    """Run the printed loops: in the backward pass, the columns of a window start at 0."""
    require(one(padding) == 0 and not ceil_mode, "padding or ceil_mode")
    k, s = _window_and_stride(x, kernel_size, stride)
    return _avg_pool2d(x, k, s, from_the_edge=True)


def avg_pool2d_corrected(
    x: Array,
    *,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> tuple[Array, Any]:
    """Run the loops with columns that start at the left of the window."""
    require(one(padding) == 0 and not ceil_mode, "padding or ceil_mode")
    k, s = _window_and_stride(x, kernel_size, stride)
    return _avg_pool2d(x, k, s, from_the_edge=False)


def average_moves(x: Array, **configuration: Any) -> Array:
    """Say yes (1.0): the document says that a shift inside a window changes the average."""
    return np.array(1.0)


ONE_IMAGE = ({"x": (1, 1, 3, 3), "w": (1, 1, 2, 2)},)
ONE_IMAGE_BIAS = ({"x": (1, 1, 3, 3), "w": (1, 1, 2, 2), "b": (1,)},)
STRIDED = tuple(
    {"x": (1, 1, *a), "w": (1, 1, *k), "stride": s}
    for a, k, s in (((3, 3), (2, 2), 1), ((4, 5), (2, 2), 2), ((6, 5), (3, 2), 2), ((7, 7), (2, 3), 3))
)
THREE_IMAGES = ({"x": (3, 3, 3, 3), "w": (2, 3, 2, 2)},)
FOUR_IMAGES = ({"x": (4, 3, 3, 3), "w": (2, 3, 2, 2)},)
POOLS = tuple(
    {"x": (1, 1, *n), "kernel_size": k, "stride": s}
    for n, k, s in (((2, 2), 2, 2), ((4, 4), 2, 2), ((3, 3), 2, 1), ((5, 4), 3, 2), ((5, 5), 2, 3))
)

CLAIMS: tuple[Claim, ...] = (
    Claim(
        "000/4.1-example",
        "4.1 single-channel convolution",
        "The document convolves a 3 x 3 image with a 2 x 2 kernel and a bias, entry by entry.",
        layer="conv2d",
        question="y of conv2d",
        says=convolution_example,
        examples=ONE_IMAGE_BIAS,
    ),
    Claim(
        "000/4.1-size",
        "4.1 single-channel convolution",
        "The output has Ah - Wh + 1 rows and Aw - Ww + 1 columns.",
        layer="conv2d",
        formula="(Ah - Wh + 1) x (Aw - Ww + 1)",
        question="shape of conv2d",
        says=output_size,
        examples=({"x": (1, 1, 1, 1), "w": (1, 1, 1, 1)}, {"x": (1, 1, 5, 7), "w": (1, 1, 2, 4)}),
    ),
    Claim(
        "000/4.1-loop",
        "4.1 single-channel convolution",
        "The printed loop computes this convolution.",
        layer="conv2d",
        question="y of conv2d",
        says=convolution_loop,
        examples=({"x": (1, 1, 1, 1), "w": (1, 1, 1, 1), "b": (1,)}, *ONE_IMAGE_BIAS),
        corrected=convolution_loop_corrected,
        correction="The line must be Out[i][j] = sum + b.",
        consequence="The loop never adds the bias, which is in the formula above it.",
        condition="the bias is 0",
        under=({"x": (1, 1, 3, 3), "w": (1, 1, 2, 2), "b": np.zeros(1)},),
    ),
    Claim(
        "000/4.2-dW",
        "4.2 its gradients",
        "The document gives the gradient with respect to the kernel, entry by entry.",
        layer="conv2d",
        question="dw of conv2d",
        says=weight_gradient_entries,
        examples=ONE_IMAGE,
    ),
    Claim(
        "000/4.2-dW-conv",
        "4.2 its gradients",
        "This gradient is a convolution with G as the image and A as the kernel.",
        layer="conv2d",
        formula="dL/dW = Conv2d(G, A, 0)",
        question="dw of conv2d",
        says=weight_gradient_printed,
        examples=({"x": (1, 1, 2, 1), "w": (1, 1, 2, 1)}, *ONE_IMAGE),
        corrected=weight_gradient_corrected,
        correction="It is Conv2d(A, G, 0): in the document's own definition, the image comes first (4.7 has it this "
        "way).",
        consequence="A is larger than G, so it fits nowhere, and the result is empty.",
        condition="A and G have the same size (the kernel is 1 x 1)",
        under=({"x": (1, 1, 2, 2), "w": (1, 1, 1, 1)},),
    ),
    Claim(
        "000/4.2-dA",
        "4.2 its gradients",
        "The document gives the gradient with respect to the image, entry by entry.",
        layer="conv2d",
        question="dx of conv2d",
        says=input_gradient_entries,
        examples=ONE_IMAGE,
    ),
    Claim(
        "000/4.2-dA-conv",
        "4.2 its gradients",
        "G is padded on every side by the size of the kernel minus one. Its convolution with the elements"
        " of the kernel in reverse order is this gradient.",
        layer="conv2d",
        formula="dL/dA = Conv2d(G', reversed W, 0)",
        question="dx of conv2d",
        says=input_gradient_by_convolution,
        examples=(*ONE_IMAGE, {"x": (1, 1, 4, 3), "w": (1, 1, 3, 2)}),
    ),
    Claim(
        "000/4.2-size",
        "4.2 its gradients",
        "The padded G has Aw + Ww - 1 columns, so that Aw = G'w - Ww + 1.",
        layer="conv2d",
        formula="G'w = Aw - Ww + 1 + 2 (Ww - 1) = Aw + Ww - 1",
        question="dx of conv2d",
        says=input_gradient_by_convolution,
        examples=({"x": (1, 1, 2, 5), "w": (1, 1, 1, 3)},),
    ),
    Claim(
        "000/4.2-db",
        "4.2 its gradients",
        "The gradient of the bias is the sum of the elements of G.",
        layer="conv2d",
        formula="dL/db = sum of G",
        question="db of conv2d",
        says=lambda x, w, b, dy: np.array([dy.sum()]),
        examples=ONE_IMAGE_BIAS,
    ),
    Claim(
        "000/4.3-odd",
        "4.3 padding",
        "For an odd kernel, padding both sides by half its size, rounded down, keeps the size of the image.",
        layer="conv2d",
        question="shape of conv2d",
        says=size_after_same_padding,
        examples=tuple({"x": (1, 1, 4, 5), "w": (1, 1, k, k), "padding": (same_padding(k),) * 2} for k in (1, 3, 5)),
    ),
    Claim(
        "000/4.3-even",
        "4.3 padding",
        "For an even kernel, padding the left by half its size minus one and the right by half its size "
        "keeps the size of the image.",
        layer="conv2d",
        question="shape of conv2d",
        says=size_after_same_padding,
        examples=tuple({"x": (1, 1, 4, 5), "w": (1, 1, k, k), "padding": (same_padding(k),) * 2} for k in (2, 4)),
    ),
    Claim(
        "000/4.3-gradient",
        "4.3 padding",
        "In the backward pass, the padded places pass on no gradient.",
        layer="pad",
        question="dx of pad",
        says=gradient(pad),
        examples=({"x": (1, 1, 2), "padding": 1}, {"x": (1, 2, 2, 3), "padding": 2}),
    ),
    Claim(
        "000/4.4-shape",
        "4.4 many channels and images",
        "100 images of 2 channels and 4 x 4 pixels with 6 kernels of 3 x 3 give 100 x 6 x 2 x 2.",
        layer="conv2d",
        question="shape of conv2d",
        says=constant((100, 6, 2, 2)),
        examples=({"x": (100, 2, 4, 4), "w": (6, 2, 3, 3), "b": (6,)},),
    ),
    Claim(
        "000/4.4-value",
        "4.4 many channels and images",
        "Each channel of a kernel is convolved with the same channel of the image, the maps are added, "
        "and one bias per kernel is added.",
        layer="conv2d",
        question="y of conv2d",
        says=channels_summed,
        examples=({"x": (2, 3, 3, 3), "w": (2, 3, 2, 2), "b": (2,)},),
    ),
    Claim(
        "000/4.4-padding",
        "4.4 many channels and images",
        "In total, 2 floor(Wh / 2) rows and 2 floor(Ww / 2) columns of zeros keep the shape of the image.",
        layer="conv2d",
        formula="2 Whfh and 2 Whfw zeros",
        question="shape of conv2d",
        says=size_after_same_padding,
        examples=tuple({"x": (1, 1, 4, 4), "w": (1, 1, k, k), "padding": k // 2} for k in (2, 3, 4)),
        corrected=lambda x, w, padding: (
            x[0],
            w[0],
            *(n + 2 * padding - k + 1 for n, k in zip(x[2:], w[2:], strict=True)),
        ),
        correction="The right numbers are Wh - 1 rows and Ww - 1 columns. Section 4.3 itself distributes them over "
        "the sides.",
        consequence="With an even kernel, the output is larger than the input by one in each direction.",
        condition="the kernel is odd",
        under=tuple({"x": (1, 1, 4, 4), "w": (1, 1, k, k), "padding": k // 2} for k in (1, 3, 5)),
    ),
    Claim(
        "000/4.5-dI",
        "4.5 their gradients",
        "The gradient with respect to the images is the product of the matrices G and W. In this product,"
        " a multiplication means the gradient of one image, and an addition means the sum of maps.",
        layer="conv2d",
        formula="G x W",
        question="dx of conv2d",
        says=images_dx,
        examples=THREE_IMAGES,
    ),
    Claim(
        "000/4.5-dW",
        "4.5 their gradients",
        "In the same sense, the gradient with respect to the kernels is G^T times I. It sums over the three images.",
        layer="conv2d",
        formula="G^T x I",
        question="dw of conv2d",
        says=images_dw,
        examples=THREE_IMAGES,
    ),
    Claim(
        "000/4.5-db",
        "4.5 their gradients",
        "The gradient of a bias is the sum of all elements of the maps in one column of G.",
        layer="conv2d",
        question="db of conv2d",
        says=lambda x, w, b, dy: np.array([dy[:, f].sum() for f in range(len(w))]),
        examples=({"x": (3, 3, 3, 3), "w": (2, 3, 2, 2), "b": (2,)},),
    ),
    Claim(
        "000/4.5-four",
        "4.5 their gradients",
        "For the four images of the example, the sums over images have the three printed terms.",
        layer="conv2d",
        formula="G_00 I_00 + G_10 I_10 + G_20 I_20",
        question="dw of conv2d",
        says=lambda x, w, dy: images_dw(x, w, dy, images=3),
        examples=({"x": (4, 1, 1, 1), "w": (1, 1, 1, 1)}, *FOUR_IMAGES),
        corrected=images_dw,
        correction="I, H and G have four rows in the example, so the sums need a fourth term, G_30 I_30.",
        consequence="The kernels learn nothing from the last image of the batch.",
        condition="there are three images",
        under=THREE_IMAGES,
    ),
    Claim(
        "000/4.6-size",
        "4.6 stride",
        "The size of the output is A - W + 1 divided by the stride, rounded up.",
        layer="conv2d",
        formula="ceil((A - W + 1) / stride)",
        question="shape of conv2d",
        says=lambda x, w, stride: (1, 1, *(pooled_size(n, k, stride) for n, k in zip(x[2:], w[2:], strict=True))),
        examples=STRIDED,
    ),
    Claim(
        "000/4.6-loop",
        "4.6 stride",
        "The strided loop computes the convolution without a bias.",
        layer="conv2d",
        question="y of conv2d",
        says=lambda x, w, stride: convolve(x[0, 0], w[0, 0], stride=stride)[None, None],
        examples=STRIDED,
    ),
    Claim(
        "000/4.7-dW-loop",
        "4.7 its gradients",
        "A loop moves G over A in steps of the stride. It computes the gradient with respect to the "
        "kernel, and it stays inside A.",
        layer="conv2d",
        question="dw of conv2d",
        says=lambda x, w, stride, dy: kernel_gradient_loop(x[0, 0], dy[0, 0], w.shape[2:], stride)[None, None],
        examples=STRIDED,
    ),
    Claim(
        "000/4.7-dW-conv",
        "4.7 its gradients",
        "The elements of G are spread over a matrix of A - W + 1 zeros. The convolution of A with this "
        "matrix gives the same gradient.",
        layer="conv2d",
        question="dw of conv2d",
        says=images_dw,
        examples=STRIDED,
    ),
    Claim(
        "000/4.7-dA",
        "4.7 its gradients",
        "G is spread in this way and padded by the size of the kernel minus one. Its convolution with the"
        " reversed kernel is the gradient with respect to the image.",
        layer="conv2d",
        question="dx of conv2d",
        says=images_dx,
        examples=STRIDED,
    ),
    Claim(
        "000/4.7-db",
        "4.7 its gradients",
        "The gradient of the bias is still the sum of G.",
        layer="conv2d",
        question="db of conv2d",
        says=lambda x, w, b, stride, dy: np.array([dy.sum()]),
        examples=tuple(e | {"b": (1,)} for e in STRIDED),
    ),
    Claim(
        "000/4.8-size",
        "4.8 pooling",
        "The size of the output is A - K + 1 divided by the stride, rounded up.",
        layer="max_pool2d",
        formula="ceil((A - K + 1) / stride)",
        question="shape of max_pool2d",
        says=lambda x, kernel_size, stride: (1, 1, *(pooled_size(n, kernel_size, stride) for n in x[2:])),
        examples=POOLS,
    ),
    Claim(
        "000/4.8-max",
        "4.8 pooling",
        "The printed loop finds the largest element of each window.",
        layer="max_pool2d",
        formula="for (pi = i + 1 ...) for (pj = j + 1 ...)",
        question="y of max_pool2d",
        says=value(max_pool2d),
        examples=POOLS,
        corrected=value(max_pool2d_corrected),
        correction="Both inner loops must start at the corner of the window: pi = i, pj = j.",
        consequence="The loop never looks at the other elements of the first row and the first column of the window.",
        condition="the windows are 1 x 1",
        under=({"x": (1, 1, 3, 3), "kernel_size": 1, "stride": 1},),
        tried=True,
    ),
    Claim(
        "000/4.8-max-gradient",
        "4.8 pooling",
        "Each gradient is added at the place that was recorded for its window.",
        layer="max_pool2d",
        question="dx of max_pool2d",
        says=gradient(max_pool2d),
        examples=POOLS,
        corrected=gradient(max_pool2d_corrected),
        correction="The addition is right, also for windows that overlap. The places are wrong: they come from the "
        "wrong search above.",
        consequence="The gradient goes to an element that is not the largest.",
        condition="the windows are 1 x 1",
        under=({"x": (1, 1, 3, 3), "kernel_size": 1, "stride": 1},),
        tried=True,
    ),
    Claim(
        "000/4.8-avg",
        "4.8 pooling",
        "The printed loop computes the mean of each window.",
        layer="avg_pool2d",
        question="y of avg_pool2d",
        says=value(avg_pool2d),
        examples=POOLS,
    ),
    Claim(
        "000/4.8-avg-gradient",
        "4.8 pooling",
        "In the backward pass, the places of a window share its gradient equally.",
        layer="avg_pool2d",
        formula="for (pj = 0; pj < j + kernel_size; pj++)",
        question="dx of avg_pool2d",
        says=gradient(avg_pool2d),
        examples=POOLS,
        corrected=gradient(avg_pool2d_corrected),
        correction="pj must start at j.",
        consequence="Every window also adds its share to all columns on its left.",
        condition="there is one window per row",
        under=({"x": (1, 1, 4, 2), "kernel_size": 2, "stride": 2},),
        tried=True,
    ),
    Claim(
        "000/4.8-semicolon",
        "4.8 pooling",
        "The loop of the average is C that compiles.",
        layer="avg_pool2d",
        question="C statements end in a semicolon",
        says=lambda: ("sum=0;", "sum+=A[pi][pj]"),
        corrected=lambda: ("sum=0;", "sum+=A[pi][pj];"),
        correction="The addition needs a semicolon at its end.",
        consequence="The compiler stops there.",
    ),
    Claim(
        "000/4.8-freed",
        "4.8 pooling",
        "The pass frees what it allocates. The average allocates two index arrays, and it neither uses nor frees them.",
        layer="avg_pool2d",
        question="allocated and not freed",
        says=lambda: ("Out_Max_Y", "Out_Max_X"),
        corrected=lambda: (),
        correction="The average needs no places, so the two arrays must be removed.",
        consequence="Every forward pass of average pooling leaks two arrays.",
    ),
    Claim(
        "000/4.8-average-moves",
        "4.8 pooling",
        "Average pooling keeps the sensitivity to a shift.",
        layer="avg_pool2d",
        question="whether a shift inside a window changes the average",
        says=average_moves,
        examples=({"x": np.array([[1.0, 0.0]])}, {"x": np.array([[2.0, 0.0], [0.0, 0.0]])}),
        corrected=lambda x: np.array(0.0),
        correction="Average pooling lowers the sensitivity too. All places in a window have the same weight, so a "
        "shift inside the window does not change the mean.",
        consequence="A reader chooses average pooling for a task in which the position matters, and the position is "
        "lost.",
    ),
    Claim(
        "000/4.9-value",
        "4.9 convolution and batch normalisation",
        "After a convolution, there is one normalisation per kernel. It covers all pixels of this channel"
        " in all images.",
        layer="batch_norm",
        question="y of batch_norm",
        says=value(batch_norm),
        examples=({"x": (3, 2, 2, 2)}, {"x": (3, 2, 2, 2), "gamma": (2,), "beta": (2,)}),
    ),
    Claim(
        "000/4.9-gradient",
        "4.9 convolution and batch normalisation",
        "Its gradients are the earlier ones, over that set of pixels.",
        layer="batch_norm",
        question="dx of batch_norm",
        says=gradient(batch_norm),
        examples=({"x": (3, 2, 2, 2)}, {"x": (3, 2, 2, 2), "gamma": (2,), "beta": (2,)}),
    ),
)
