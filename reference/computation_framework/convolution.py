"""Document 000, convolution and pooling: what it claims."""

from __future__ import annotations

from typing import Any

import numpy as np

from reference.claim import Claim, constant, gradient, offered, one, value
from reference.computation_framework.normalisation import batch_norm

Array = Any


def convolve(a: Array, w: Array, b: float = 0.0, stride: int = 1) -> Array:
    """The single-channel loop: every stride-th place of the image, the window times the kernel, summed, plus b."""
    rows, columns = range(0, a.shape[0] - w.shape[0] + 1, stride), range(0, a.shape[1] - w.shape[1] + 1, stride)
    out = np.zeros((len(rows), len(columns)), a.dtype)
    for p, i in enumerate(rows):
        for q, j in enumerate(columns):
            out[p, q] = (a[i : i + w.shape[0], j : j + w.shape[1]] * w).sum() + b
    return out


def _single(x: Array, w: Array) -> tuple[Array, Array]:
    return x[0, 0], w[0, 0]


def convolution_example(x: Array, w: Array, b: Array) -> Array:
    """3 x 3 by 2 x 2, entry by entry, with the bias."""
    a, k = _single(x, w)
    return np.array([[[
        [a[i, j] * k[0, 0] + a[i, j + 1] * k[0, 1] + a[i + 1, j] * k[1, 0] + a[i + 1, j + 1] * k[1, 1] + b[0]
         for j in range(2)] for i in range(2)
    ]]])  # fmt: skip


def convolution_loop(x: Array, w: Array, b: Array) -> Array:
    """The loop as printed: the bias is not added."""
    a, k = _single(x, w)
    return convolve(a, k)[None, None]


def convolution_loop_corrected(x: Array, w: Array, b: Array) -> Array:
    """The loop with the bias."""
    a, k = _single(x, w)
    return convolve(a, k, b[0])[None, None]


def output_size(x: Array, w: Array) -> Array:
    """Ah - Wh + 1 by Aw - Ww + 1."""
    return (1, 1, x[2] - w[2] + 1, x[3] - w[3] + 1)


def weight_gradient_entries(x: Array, w: Array, dy: Array) -> Array:
    """dL/dW of the example, entry by entry."""
    a, g = x[0, 0], dy[0, 0]
    return np.array([[[
        [g[0, 0] * a[i, j] + g[0, 1] * a[i, j + 1] + g[1, 0] * a[i + 1, j] + g[1, 1] * a[i + 1, j + 1]
         for j in range(2)] for i in range(2)
    ]]])  # fmt: skip


def weight_gradient_printed(x: Array, w: Array, dy: Array) -> Array:
    """Conv2d(G, A, 0): G as the image, A as the kernel."""
    return convolve(dy[0, 0], x[0, 0])[None, None]


def weight_gradient_corrected(x: Array, w: Array, dy: Array) -> Array:
    """Conv2d(A, G, 0)."""
    return convolve(x[0, 0], dy[0, 0])[None, None]


def input_gradient_entries(x: Array, w: Array, dy: Array) -> Array:
    """dL/dA of the example, entry by entry."""
    (w00, w01), (w10, w11) = w[0, 0]
    (g00, g01), (g10, g11) = dy[0, 0]
    return np.array([[[
        [g00 * w00, g00 * w01 + g01 * w00, g01 * w01],
        [g00 * w10 + g10 * w00, g00 * w11 + g01 * w10 + g10 * w01 + g11 * w00, g01 * w11 + g11 * w01],
        [g10 * w10, g10 * w11 + g11 * w10, g11 * w11],
    ]]])  # fmt: skip


def reversed_kernel(w: Array) -> Array:
    """The kernel's elements in reverse order, in its old shape."""
    return w.ravel()[::-1].reshape(w.shape)


def padded(g: Array, w: Array) -> Array:
    """Wh - 1 rows of zeros above and below, Ww - 1 columns left and right."""
    return np.pad(g, [(n - 1, n - 1) for n in w.shape])


def input_gradient_by_convolution(x: Array, w: Array, dy: Array) -> Array:
    """Conv2d(G', reversed W, 0)."""
    k = w[0, 0]
    return convolve(padded(dy[0, 0], k), reversed_kernel(k))[None, None]


def same_padding(size: int) -> tuple[int, int]:
    """Zeros before and after: half the size each, rounded down; an even kernel has one less before."""
    half = size // 2
    return (half, half) if size % 2 else (half - 1, half)


def size_after_same_padding(x: Array, w: Array, **configuration: Any) -> Array:
    """The claim that input and output have the same size."""
    return (x[0], w[0], x[2], x[3])


def channels_summed(x: Array, w: Array, b: Array) -> Array:
    """A^k = sum over channels of A_c convolved with K_kc, plus one bias a kernel."""
    return np.array([
        [sum(convolve(image[c], kernel[c]) for c in range(len(kernel))) + b[k] for k, kernel in enumerate(w)]
        for image in x
    ])  # fmt: skip


def dispersed(g: Array, a: tuple[int, ...], w: tuple[int, ...], stride: int) -> Array:
    """G' of Ah - Wh + 1 by Aw - Ww + 1 zeros, G at every stride-th place from (0, 0) on."""
    spread = np.zeros((a[0] - w[0] + 1, a[1] - w[1] + 1), g.dtype)
    spread[::stride, ::stride] = g
    return spread


def kernel_gradient_loop(a: Array, g: Array, size: tuple[int, ...], stride: int) -> Array:
    """dW by the printed loop: G runs over A from (i, j) in steps of the stride."""
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
    """dW by the other route: Conv2d(A, G', 0)."""
    return convolve(a, dispersed(g, a.shape, size, stride))


def image_gradient(g: Array, w: Array, shape: tuple[int, ...], stride: int) -> Array:
    """dA: G dispersed, padded, convolved with the reversed kernel."""
    return convolve(padded(dispersed(g, shape, w.shape, stride), w), reversed_kernel(w))


def images_dx(x: Array, w: Array, dy: Array, stride: int = 1) -> Array:
    """G x W, where a product of a gradient map and a kernel is the gradient of one image, a sum one of maps."""
    return np.array([
        [sum(image_gradient(g[f], w[f, c], x.shape[2:], stride) for f in range(len(w))) for c in range(x.shape[1])]
        for g in dy
    ]).reshape(x.shape)  # fmt: skip


def images_dw(x: Array, w: Array, dy: Array, stride: int = 1, images: int | None = None) -> Array:
    """G^T x I, where a product is the gradient of one kernel; over the first images, or all."""
    count = len(x) if images is None else images
    zero = np.zeros(w.shape[2:], x.dtype)
    return np.array([
        [sum((kernel_gradient(x[n, c], dy[n, f], w.shape[2:], stride) for n in range(count)), zero)
         for c in range(w.shape[1])] for f in range(len(w))
    ]).reshape(w.shape)  # fmt: skip


def conv2d(
    x: Array, w: Array, b: Array = None, *, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> tuple[Array, Any]:
    """Convolution of many channels and images with padding and stride (4.1 to 4.7), its gradients by convolution."""
    stride, padding = one(stride), one(padding)
    offered(isinstance(stride, int) and stride > 0, "stride by axis")
    offered(one(dilation) == 1 and groups == 1, "dilation or groups")
    offered(isinstance(padding, int) or (padding == "same" and stride == 1), "such padding")
    offered(x.size > 0, "empty batch")
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
    """Zeros around an image; "the places that were padded hand on no gradient" (4.3)."""
    padding = one(padding)
    offered(mode == "constant" and isinstance(padding, int), "such padding")
    widths = [(0, 0), (0, 0), *[(padding, padding)] * (x.ndim - 2)]
    inside = (slice(None), slice(None), *[slice(padding, padding + n) for n in x.shape[2:]])
    return np.pad(x, widths), lambda dy: (dy[inside],)


def pooled_size(size: int, kernel_size: int, stride: int) -> int:
    """(A - K + 1) / stride, rounded up."""
    places = size - kernel_size + 1
    return places // stride if places % stride == 0 else places // stride + 1


def _pool_places(x: Array, kernel_size: Any, stride: Any, other: bool) -> tuple[int, int]:
    kernel_size = one(kernel_size)
    stride = kernel_size if stride is None else one(stride)
    offered(other and isinstance(kernel_size, int) and isinstance(stride, int) and stride > 0, "such window")
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
    """The printed loop: inside a window the search starts one row down and one column right of the corner."""
    k, s = _pool_places(x, kernel_size, stride, one(padding) == 0 and one(dilation) == 1 and not ceil_mode)
    offered(not np.isnan(x).any(), "NaN")
    return _max_pool2d(x, k, s, first=1)


def max_pool2d_corrected(
    x: Array, *, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> tuple[Array, Any]:
    """The search starts at the corner itself."""
    k, s = _pool_places(x, kernel_size, stride, one(padding) == 0 and one(dilation) == 1 and not ceil_mode)
    offered(not np.isnan(x).any(), "NaN")
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
    """The printed loops: going back, the columns of a window are counted from 0."""
    k, s = _pool_places(x, kernel_size, stride, one(padding) == 0 and not ceil_mode)
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
    """The columns of a window are counted from its own left."""
    k, s = _pool_places(x, kernel_size, stride, one(padding) == 0 and not ceil_mode)
    return _avg_pool2d(x, k, s, from_the_edge=False)


def average_moves(x: Array, **configuration: Any) -> Array:
    """Whether a shift within a window shows in the average: the document says it keeps the sensitivity."""
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
        "A 3 x 3 image and a 2 x 2 kernel with a bias, entry by entry.",
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
        "The loop computes this convolution.",
        layer="conv2d",
        question="y of conv2d",
        says=convolution_loop,
        examples=({"x": (1, 1, 1, 1), "w": (1, 1, 1, 1), "b": (1,)}, *ONE_IMAGE_BIAS),
        corrected=convolution_loop_corrected,
        correction="Out[i][j] = sum + b.",
        consequence="The bias of the formula above it is never added.",
        condition="the bias is 0",
        under=({"x": (1, 1, 3, 3), "w": (1, 1, 2, 2), "b": np.zeros(1)},),
    ),
    Claim(
        "000/4.2-dW",
        "4.2 its gradients",
        "The gradient by the kernel, entry by entry.",
        layer="conv2d",
        question="dw of conv2d",
        says=weight_gradient_entries,
        examples=ONE_IMAGE,
    ),
    Claim(
        "000/4.2-dW-conv",
        "4.2 its gradients",
        "This is the convolution of G, as the image, with A, as the kernel.",
        layer="conv2d",
        formula="dL/dW = Conv2d(G, A, 0)",
        question="dw of conv2d",
        says=weight_gradient_printed,
        examples=({"x": (1, 1, 2, 1), "w": (1, 1, 2, 1)}, *ONE_IMAGE),
        corrected=weight_gradient_corrected,
        correction="Conv2d(A, G, 0): by the document's own definition the image comes first (4.7 has it so).",
        consequence="A is larger than G: there is no place where it fits, and the result is empty.",
        condition="A and G have one size (a 1 x 1 kernel)",
        under=({"x": (1, 1, 2, 2), "w": (1, 1, 1, 1)},),
    ),
    Claim(
        "000/4.2-dA",
        "4.2 its gradients",
        "The gradient by the image, entry by entry.",
        layer="conv2d",
        question="dx of conv2d",
        says=input_gradient_entries,
        examples=ONE_IMAGE,
    ),
    Claim(
        "000/4.2-dA-conv",
        "4.2 its gradients",
        "This is G, padded by the kernel's size less one on every side, convolved with the kernel's elements in reverse "
        "order.",
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
        "The bias' gradient is the sum of the elements of G.",
        layer="conv2d",
        formula="dL/db = sum of G",
        question="db of conv2d",
        says=lambda x, w, b, dy: np.array([dy.sum()]),
        examples=ONE_IMAGE_BIAS,
    ),
    Claim(
        "000/4.3-odd",
        "4.3 padding",
        "An odd kernel: half its size, rounded down, on both sides keeps the image's size.",
        layer="conv2d",
        question="shape of conv2d",
        says=size_after_same_padding,
        examples=tuple({"x": (1, 1, 4, 5), "w": (1, 1, k, k), "padding": (same_padding(k),) * 2} for k in (1, 3, 5)),
    ),
    Claim(
        "000/4.3-even",
        "4.3 padding",
        "An even kernel: half its size less one on the left, half on the right does too.",
        layer="conv2d",
        question="shape of conv2d",
        says=size_after_same_padding,
        examples=tuple({"x": (1, 1, 4, 5), "w": (1, 1, k, k), "padding": (same_padding(k),) * 2} for k in (2, 4)),
    ),
    Claim(
        "000/4.3-gradient",
        "4.3 padding",
        "Going back, the places that were padded hand on no gradient.",
        layer="pad",
        question="dx of pad",
        says=gradient(pad),
        examples=({"x": (1, 1, 2), "padding": 1}, {"x": (1, 2, 2, 3), "padding": 2}),
    ),
    Claim(
        "000/4.4-shape",
        "4.4 many channels and images",
        "100 images of 2 channels and 4 x 4 under 6 kernels of 3 x 3 give 100 x 6 x 2 x 2.",
        layer="conv2d",
        question="shape of conv2d",
        says=constant((100, 6, 2, 2)),
        examples=({"x": (100, 2, 4, 4), "w": (6, 2, 3, 3), "b": (6,)},),
    ),
    Claim(
        "000/4.4-value",
        "4.4 many channels and images",
        "A kernel's channels are convolved with the image's, the maps added, and one bias a kernel on top.",
        layer="conv2d",
        question="y of conv2d",
        says=channels_summed,
        examples=({"x": (2, 3, 3, 3), "w": (2, 3, 2, 2), "b": (2,)},),
    ),
    Claim(
        "000/4.4-padding",
        "4.4 many channels and images",
        "To keep the image's shape, 2 floor(Wh / 2) rows and 2 floor(Ww / 2) columns of zeros are added in all.",
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
        correction="Wh - 1 rows and Ww - 1 columns, which 4.3 itself distributes over the sides.",
        consequence="With an even kernel the output is one larger than the input in each direction.",
        condition="the kernel is odd",
        under=tuple({"x": (1, 1, 4, 4), "w": (1, 1, k, k), "padding": k // 2} for k in (1, 3, 5)),
    ),
    Claim(
        "000/4.5-dI",
        "4.5 their gradients",
        "The gradient by the images is the product of the matrices G and W, with the gradient of one image for a product "
        "and the sum of maps for a sum.",
        layer="conv2d",
        formula="G x W",
        question="dx of conv2d",
        says=images_dx,
        examples=THREE_IMAGES,
    ),
    Claim(
        "000/4.5-dW",
        "4.5 their gradients",
        "The gradient by the kernels is, in the same sense, G^T times I, three images being summed.",
        layer="conv2d",
        formula="G^T x I",
        question="dw of conv2d",
        says=images_dw,
        examples=THREE_IMAGES,
    ),
    Claim(
        "000/4.5-db",
        "4.5 their gradients",
        "The gradient by the biases is the sum of all elements of the maps of a column of G.",
        layer="conv2d",
        question="db of conv2d",
        says=lambda x, w, b, dy: np.array([dy[:, f].sum() for f in range(len(w))]),
        examples=({"x": (3, 3, 3, 3), "w": (2, 3, 2, 2), "b": (2,)},),
    ),
    Claim(
        "000/4.5-four",
        "4.5 their gradients",
        "For the example's four images the sums over images have the three terms that are printed.",
        layer="conv2d",
        formula="G_00 I_00 + G_10 I_10 + G_20 I_20",
        question="dw of conv2d",
        says=lambda x, w, dy: images_dw(x, w, dy, images=3),
        examples=({"x": (4, 1, 1, 1), "w": (1, 1, 1, 1)}, *FOUR_IMAGES),
        corrected=images_dw,
        correction="I, H and G have four rows in the example: the sums need a fourth term, G_30 I_30.",
        consequence="The last image of the batch teaches the kernels nothing.",
        condition="there are three images",
        under=THREE_IMAGES,
    ),
    Claim(
        "000/4.6-size",
        "4.6 stride",
        "The output's size is A - W + 1 over the stride, rounded up.",
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
        "The loop that runs G over A in steps of the stride gives the gradient by the kernel, and stays inside A.",
        layer="conv2d",
        question="dw of conv2d",
        says=lambda x, w, stride, dy: kernel_gradient_loop(x[0, 0], dy[0, 0], w.shape[2:], stride)[None, None],
        examples=STRIDED,
    ),
    Claim(
        "000/4.7-dW-conv",
        "4.7 its gradients",
        "So does the convolution of A with G dispersed over (A - W + 1) zeros.",
        layer="conv2d",
        question="dw of conv2d",
        says=images_dw,
        examples=STRIDED,
    ),
    Claim(
        "000/4.7-dA",
        "4.7 its gradients",
        "G dispersed, padded by the kernel's size less one, and convolved with the "
        "reversed kernel is the gradient by the image.",
        layer="conv2d",
        question="dx of conv2d",
        says=images_dx,
        examples=STRIDED,
    ),
    Claim(
        "000/4.7-db",
        "4.7 its gradients",
        "The bias' gradient is still the sum of G.",
        layer="conv2d",
        question="db of conv2d",
        says=lambda x, w, b, stride, dy: np.array([dy.sum()]),
        examples=tuple(e | {"b": (1,)} for e in STRIDED),
    ),
    Claim(
        "000/4.8-size",
        "4.8 pooling",
        "The output's size is A - K + 1 over the stride, rounded up.",
        layer="max_pool2d",
        formula="ceil((A - K + 1) / stride)",
        question="shape of max_pool2d",
        says=lambda x, kernel_size, stride: (1, 1, *(pooled_size(n, kernel_size, stride) for n in x[2:])),
        examples=POOLS,
    ),
    Claim(
        "000/4.8-max",
        "4.8 pooling",
        "The loop finds the largest element of each window.",
        layer="max_pool2d",
        formula="for (pi = i + 1 ...) for (pj = j + 1 ...)",
        question="y of max_pool2d",
        says=value(max_pool2d),
        examples=POOLS,
        corrected=value(max_pool2d_corrected),
        correction="Both inner loops start at the window's corner: pi = i, pj = j.",
        consequence="The rest of the window's first row and first column is never looked at.",
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
        correction="The adding is right, at overlaps too; the places are those of the wrong search above.",
        consequence="The gradient goes to an element that is not the largest.",
        condition="the windows are 1 x 1",
        under=({"x": (1, 1, 3, 3), "kernel_size": 1, "stride": 1},),
        tried=True,
    ),
    Claim(
        "000/4.8-avg",
        "4.8 pooling",
        "The loop gives the mean of each window.",
        layer="avg_pool2d",
        question="y of avg_pool2d",
        says=value(avg_pool2d),
        examples=POOLS,
    ),
    Claim(
        "000/4.8-avg-gradient",
        "4.8 pooling",
        "Going back, each gradient is shared equally by the places of its window.",
        layer="avg_pool2d",
        formula="for (pj = 0; pj < j + kernel_size; pj++)",
        question="dx of avg_pool2d",
        says=gradient(avg_pool2d),
        examples=POOLS,
        corrected=gradient(avg_pool2d_corrected),
        correction="pj starts at j.",
        consequence="Every window hands its share to all columns left of it too.",
        condition="there is one window a row",
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
        correction="A semicolon after the addition.",
        consequence="The compiler stops there.",
    ),
    Claim(
        "000/4.8-freed",
        "4.8 pooling",
        "What a pass allocates is freed: of the average's two index arrays neither is used or freed.",
        layer="avg_pool2d",
        question="allocated and not freed",
        says=lambda: ("Out_Max_Y", "Out_Max_X"),
        corrected=lambda: (),
        correction="The average needs no places: leave the two arrays out.",
        consequence="Every forward pass of an average leaks two arrays.",
    ),
    Claim(
        "000/4.8-average-moves",
        "4.8 pooling",
        "Average pooling keeps the sensitivity to a shift.",
        layer="avg_pool2d",
        question="whether a shift within a window shows in the average",
        says=average_moves,
        examples=({"x": np.array([[1.0, 0.0]])}, {"x": np.array([[2.0, 0.0], [0.0, 0.0]])}),
        corrected=lambda x: np.array(0.0),
        correction="It lowers it too: within a window the places have equal weight, and a shift there leaves the mean as "
        "it was.",
        consequence="Average pooling is chosen where the position matters, and loses it.",
    ),
    Claim(
        "000/4.9-value",
        "4.9 convolution and batch normalisation",
        "After a convolution there is one normalisation a kernel, over all pixels of that channel in all images.",
        layer="batch_norm",
        question="y of batch_norm",
        says=value(batch_norm),
        examples=({"x": (3, 2, 2, 2)}, {"x": (3, 2, 2, 2), "gamma": (2,), "beta": (2,)}),
    ),
    Claim(
        "000/4.9-gradient",
        "4.9 convolution and batch normalisation",
        "Its gradients are the earlier ones over that set.",
        layer="batch_norm",
        question="dx of batch_norm",
        says=gradient(batch_norm),
        examples=({"x": (3, 2, 2, 2)}, {"x": (3, 2, 2, 2), "gamma": (2,), "beta": (2,)}),
    ),
)
