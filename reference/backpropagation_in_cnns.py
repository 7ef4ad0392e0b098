"""Restate the claims of document 001, "Back-propagation in CNNs".

The document works out the gradients of pooling and convolution on examples, with the numbers that PyTorch printed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from reference.claim import Claim, LayerFunction, constant, gradient, one, require, value

Array = Any


def image(rows: Any) -> Array:
    """Return one image with one channel."""
    return np.array(rows, np.float64)[None, None]


SIXTEEN = image(np.arange(16).reshape(4, 4))
NINE = image(np.arange(9).reshape(3, 3))
KERNEL = image([[0, 1], [2, 3]])
CONVOLVED = image([[19, 25], [37, 43]])


def ring(delta: Array) -> Array:
    """Put a ring of zeros, one wide, around the last two axes."""
    return np.pad(delta, [(0, 0)] * (delta.ndim - 2) + [(1, 1), (1, 1)])


def star(a: Array, w: Array) -> Array:
    """Compute the document's *: multiply each window by the kernel and sum. The kernel is not rotated."""
    rows, columns = a.shape[-2] - w.shape[-2] + 1, a.shape[-1] - w.shape[-1] + 1
    out = np.zeros((max(rows, 0), max(columns, 0)))
    for i, j in np.ndindex(out.shape):
        out[i, j] = (a[..., i : i + w.shape[-2], j : j + w.shape[-1]] * w).sum()
    return out[None, None]


def rot180(w: Array) -> Array:
    """Rotate the last two axes by 180 degrees."""
    return w[..., ::-1, ::-1]


def error_before(x: Array, w: Array, dy: Array) -> Array:
    """Compute delta * rot180(W) with one ring of zeros, as in the example."""
    return star(ring(dy), rot180(w))


def error_before_padded(x: Array, w: Array, dy: Array) -> Array:
    """Compute delta * rot180(W); the number of rings of zeros is the size of the kernel minus one."""
    sides = [(0, 0), (0, 0), *[(n - 1, n - 1) for n in w.shape[2:]]]
    return star(np.pad(dy, sides), rot180(w))


def weight_gradient(x: Array, w: Array, dy: Array) -> Array:
    """Compute rot180(delta * a), with one ring of zeros around delta, as in the example."""
    return rot180(star(ring(dy), x))


def weight_gradient_direct(x: Array, w: Array, dy: Array) -> Array:
    """Compute a * delta, which is right for every size of kernel."""
    return star(x, dy)


def _entries(x: Array, dy: Array, places: list[Any]) -> Array:
    a = {(i + 1, j + 1): x[0, 0, i, j] for i, j in np.ndindex(3, 3)}
    d = {(i + 1, j + 1): dy[0, 0, i, j] for i, j in np.ndindex(2, 2)}
    return np.array(sum(d[p] * a[q] for p, q in places))


_LEFT = ((1, 1), (1, 2), (2, 1), (2, 2))
# The four (delta, a) pairs that the document prints for each weight.
PRINTED = {
    (1, 1): list(zip(_LEFT, ((1, 1), (1, 2), (2, 1), (2, 2)), strict=True)),
    (1, 2): list(zip(_LEFT, ((1, 2), (1, 3), (2, 2), (1, 2)), strict=True)),
    (2, 1): list(zip(_LEFT, ((2, 1), (2, 2), (3, 1), (3, 2)), strict=True)),
    (2, 2): list(zip(((1, 1), (1, 2), (3, 2), (3, 3)), ((2, 2), (2, 3), (2, 1), (2, 2)), strict=True)),
}
RIGHT = PRINTED | {
    (1, 2): list(zip(_LEFT, ((1, 2), (1, 3), (2, 2), (2, 3)), strict=True)),
    (2, 2): list(zip(_LEFT, ((2, 2), (2, 3), (3, 2), (3, 3)), strict=True)),
}


def one_weight(place: tuple[int, int], table: dict[Any, Any]) -> Any:
    """Return the printed sum for one weight. The other weights are masked."""

    def says(x: Array, w: Array, dy: Array) -> Array:
        dw = np.ma.masked_all((1, 1, 2, 2))
        dw[0, 0, place[0] - 1, place[1] - 1] = _entries(x, dy, table[place])
        return dw

    return says


def one_input(place: tuple[int, int]) -> Any:
    """Return the printed sum for a11 or a22. The other inputs are masked."""

    def says(x: Array, w: Array, dy: Array) -> Array:
        (w11, w12), (w21, w22) = w[0, 0]
        (d11, d12), (d21, d22) = dy[0, 0]
        dx = np.ma.masked_all((1, 1, 3, 3))
        dx[0, 0, place[0] - 1, place[1] - 1] = (
            d11 * w11 if place == (1, 1) else d11 * w22 + d12 * w21 + d21 * w12 + d22 * w11
        )
        return dx

    return says


def windows_written(x: Array, w: Array) -> Array:
    """Compute z11 to z22 of the example, entry by entry."""
    a, k = x[0, 0], w[0, 0]
    return image([
        [a[i, j] * k[0, 0] + a[i, j + 1] * k[0, 1] + a[i + 1, j] * k[1, 0] + a[i + 1, j + 1] * k[1, 1] for j in (0, 1)]
        for i in (0, 1)
    ])  # fmt: skip


def convolution_layer(x: Array, w: Array, b: Array = None, **options: Any) -> tuple[Array, Any]:
    """Compute a * W + b for one image, one channel and one kernel, and its gradients by the document's formulas."""
    require(x.ndim == 4 and x.shape[:2] == (1, 1) and w.shape[:2] == (1, 1), "more than one image, channel or kernel")
    plain = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
    require(all(one(v) in (plain[k], "valid") for k, v in options.items()), "stride, padding or dilation")
    if b is not None and b.shape != (1,):
        raise ValueError("b does not fit")
    if any(n < k for n, k in zip(x.shape[2:], w.shape[2:], strict=True)):
        raise ValueError("the kernel is larger than the image")
    y = star(x, w) if b is None else star(x, w) + b[0]

    def pullback(dy: Array) -> tuple[Array, ...]:
        db = None if b is None else np.array([dy.sum()]).astype(x.dtype)
        return error_before_padded(x, w, dy).astype(x.dtype), weight_gradient_direct(x, w, dy).astype(x.dtype), db

    return y.astype(x.dtype), pullback


def _pool(x: Array, kernel_size: Any, stride: Any, forward: Any, share: Any, adding: bool) -> tuple[Array, Any]:
    kernel_size = one(kernel_size)
    stride = kernel_size if stride is None else one(stride)
    require(isinstance(kernel_size, int) and isinstance(stride, int) and stride > 0, "a window or stride per axis")
    if min(x.shape[2:]) < kernel_size:
        raise ValueError("the window is larger than the image")
    require(not np.isnan(x).any(), "NaN")
    y = np.zeros((*x.shape[:2], *((n - kernel_size) // stride + 1 for n in x.shape[2:])), x.dtype)

    def window(n: int, c: int, i: int, j: int) -> tuple[Any, ...]:
        return n, c, slice(i * stride, i * stride + kernel_size), slice(j * stride, j * stride + kernel_size)

    for place in np.ndindex(y.shape):
        y[place] = forward(x[window(*place)])

    def pullback(dy: Array) -> tuple[Array]:
        dx = np.zeros_like(x)
        for place in np.ndindex(y.shape):
            where, what = share(x[window(*place)], dy[place])
            part = dx[window(*place)]
            part[where] = part[where] + what if adding else what
        return (dx,)

    return y, pullback


def _at_the_largest(window: Array, g: Any) -> tuple[Any, Any]:
    return np.unravel_index(np.argmax(window), window.shape), g


def _equally(window: Array, g: Any) -> tuple[Any, Any]:
    return ..., g / window.size


def max_pool2d(
    x: Array,
    *,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    adding: bool = False,
) -> tuple[Array, Any]:
    """Pool by maximum. The pullback writes the gradient of a window at the place of its largest element."""
    require(one(padding) == 0 and one(dilation) == 1 and not ceil_mode, "padding or dilation")
    return _pool(x, kernel_size, stride, np.max, _at_the_largest, adding)


def avg_pool2d(
    x: Array,
    *,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    adding: bool = False,
) -> tuple[Array, Any]:
    """Pool by average. The pullback writes the gradient of a window, divided by its size, at all of its places."""
    require(one(padding) == 0 and not ceil_mode, "padding")
    return _pool(x, kernel_size, stride, np.mean, _equally, adding)


def max_pool2d_adding(x: Array, **configuration: Any) -> tuple[Array, Any]:
    """Pool by maximum. The pullback adds the gradients of windows that overlap."""
    return max_pool2d(x, **configuration, adding=True)


def avg_pool2d_adding(x: Array, **configuration: Any) -> tuple[Array, Any]:
    """Pool by average. The pullback adds the shares of windows that overlap."""
    return avg_pool2d(x, **configuration, adding=True)


def chain(weights: Array, x: float) -> Array:
    """Compute dz/dw_i = dz/da_{i+1} da_{i+1}/dw_i for scalar layers a_{i+1} = tanh(w_i a_i); z is the last output."""
    a = [x]
    for w in weights:
        a.append(np.tanh(w * a[-1]))
    dz, gradients = 1.0, []
    for i in reversed(range(len(weights))):
        slope = 1 - a[i + 1] ** 2
        gradients.append(dz * slope * a[i])
        dz = dz * slope * weights[i]
    return np.array(gradients[::-1])


def lost(**given: Any) -> Array:
    """Say yes (1.0): part of the gradient is lost in the backward pass."""
    return np.array(1.0)


AS_WRITTEN: dict[str, LayerFunction] = {
    "conv2d": convolution_layer, "max_pool2d": max_pool2d, "avg_pool2d": avg_pool2d,
}  # fmt: skip
CORRECTED: dict[str, LayerFunction] = AS_WRITTEN | {"max_pool2d": max_pool2d_adding, "avg_pool2d": avg_pool2d_adding}

DELTA = image([[1, 2], [3, 4]])
TOP_LEFT = image([[9, 0, 9, 0], [0, 0, 0, 0], [9, 0, 9, 0], [0, 0, 0, 0]])
APART = ({"x": (1, 1, 2, 2), "kernel_size": 2, "stride": 2}, {"x": (1, 1, 5, 5), "kernel_size": 2, "stride": 2})
OVERLAPPING = (
    *APART,
    {"x": (1, 1, 2, 3), "kernel_size": 2, "stride": 1},
    {"x": (1, 1, 4, 4), "kernel_size": 3, "stride": 1},
)
SMALL = ({"x": (1, 1, 3, 3), "w": (1, 1, 2, 2)},)
OTHER_KERNELS = ({"x": (1, 1, 3, 3), "w": (1, 1, 3, 3)}, {"x": (1, 1, 4, 4), "w": (1, 1, 3, 3)})
PLACED_AVERAGE = image([[0.25, 0.25, 0.5, 0.5]] * 2 + [[0.75, 0.75, 1, 1]] * 2)

CLAIMS: tuple[Claim, ...] = (
    Claim(
        "001/dnn-chain",
        "DNN",
        "The gradient of a layer's weight is the gradient at the layer's output times the derivative "
        "of that output with respect to the weight. This is repeated from the last layer to the "
        "first.",
        formula="dz/dw_i = dz/da_{i+1} da_{i+1}/dw_i",
        question="the gradients of a chain of tanh layers",
        says=chain,
        examples=({"weights": (1,), "x": 0.5}, {"weights": (3,), "x": 0.5}),
    ),
    Claim(
        "001/dnn-updating",
        "DNN",
        "Training algorithms differ mainly in how they update the weights.",
        why_not="it is a remark about algorithms in general",
    ),
    Claim(
        "001/new-layers",
        "what a CNN adds",
        "For both new kinds of layer, it is enough to find the derivative of the output with respect to the weights.",
        why_not="it is a remark; the same text says that pooling has no weights, and it finds the derivative "
        "with respect to the input",
    ),
    Claim(
        "001/pool-lost",
        "the gradient of pooling",
        "The forward pass loses data, so the backward pass loses part of the gradient.",
        layer="max_pool2d",
        question="whether the pullback of a pooling loses a part of the gradient",
        says=lost,
        examples=({"x": (1, 1, 2, 2), "kernel_size": 2}, {"x": (1, 1, 4, 4), "kernel_size": 2}),
        corrected=lambda **given: np.array(0.0),
        correction="All of the gradient arrives. Max pooling sends it to one place in each window, and average "
        "pooling shares it out; the sum does not change.",
        consequence="A reader scales the gradient, or looks for a loss that does not exist.",
    ),
    Claim(
        "001/pool-max",
        "pooling: theory",
        "In max pooling, each gradient is put at the place of the largest element of its window. All "
        "other places get 0.",
        layer="max_pool2d",
        question="dx of max_pool2d",
        says=gradient(max_pool2d),
        examples=OVERLAPPING,
        corrected=gradient(max_pool2d_adding),
        correction="If windows overlap, one element can be the largest of several windows. Then its gradients "
        "are added.",
        consequence="If the stride is smaller than the window, only the gradient of the last window remains. The "
        "others are overwritten.",
        condition="the windows do not overlap",
        under=APART,
        tried=True,
    ),
    Claim(
        "001/pool-average",
        "pooling: theory",
        "In average pooling, each gradient is divided by the size of its window and put at all places of that window.",
        layer="avg_pool2d",
        question="dx of avg_pool2d",
        says=gradient(avg_pool2d),
        examples=OVERLAPPING,
        corrected=gradient(avg_pool2d_adding),
        correction="If windows overlap, the shares are added.",
        consequence="If the stride is smaller than the window, only the share of the last window remains. The "
        "others are overwritten.",
        condition="the windows do not overlap",
        under=APART,
        tried=True,
    ),
    Claim(
        "001/pool-restored",
        "pooling: theory",
        "First, the 2 x 2 gradient is restored to 4 x 4, with 1 2 3 4 in the middle. Each number lies"
        " in its own window.",
        layer="avg_pool2d",
        formula="[0 0 0 0; 0 1 2 0; 0 3 4 0; 0 0 0 0]",
        question="the sums of a gradient's windows",
        says=lambda dy: ring(dy),
        examples=({"dy": DELTA},),
    ),
    Claim(
        "001/pool-max-example",
        "pooling: theory",
        "If every maximum is at the top left, [1 2; 3 4] becomes [1 0 2 0; 0 0 0 0; 3 0 4 0; 0 0 0 0].",
        layer="max_pool2d",
        question="dx of max_pool2d",
        says=constant(image([[1, 0, 2, 0], [0] * 4, [3, 0, 4, 0], [0] * 4]).tolist()),
        examples=({"x": TOP_LEFT, "kernel_size": 2, "dy": DELTA},),
    ),
    Claim(
        "001/pool-average-example",
        "pooling: theory",
        "In average pooling, each number of [1 2; 3 4] becomes four quarters of itself.",
        layer="avg_pool2d",
        question="dx of avg_pool2d",
        says=constant(PLACED_AVERAGE.tolist()),
        examples=({"x": TOP_LEFT, "kernel_size": 2, "dy": DELTA},),
    ),
    Claim(
        "001/max-printed",
        "pooling: max",
        "MaxPool2d(2) of 0 to 15 gives 5 7 13 15.",
        layer="max_pool2d",
        question="y of max_pool2d",
        says=constant(image([[5, 7], [13, 15]]).tolist()),
        examples=({"x": SIXTEEN, "kernel_size": 2},),
    ),
    Claim(
        "001/max-gradient-printed",
        "pooling: max",
        "If the result is used as the gradient of the output, the gradient of the input has 5 7 13 15"
        " at the places of the maxima.",
        layer="max_pool2d",
        question="dx of max_pool2d",
        says=constant(image([[0] * 4, [0, 5, 0, 7], [0] * 4, [0, 13, 0, 15]]).tolist()),
        examples=({"x": SIXTEEN, "kernel_size": 2, "dy": image([[5, 7], [13, 15]])},),
    ),
    Claim(
        "001/average-printed",
        "pooling: average",
        "AvgPool2d(2) of 0 to 15 gives 2.5 4.5 10.5 12.5.",
        layer="avg_pool2d",
        question="y of avg_pool2d",
        says=constant(image([[2.5, 4.5], [10.5, 12.5]]).tolist()),
        examples=({"x": SIXTEEN, "kernel_size": 2},),
    ),
    Claim(
        "001/average-gradient-printed",
        "pooling: average",
        "If the result is used as the gradient of the output, the gradient of the input is 0.625 "
        "1.125 2.625 3.125, each four times.",
        layer="avg_pool2d",
        question="dx of avg_pool2d",
        says=constant(image([[0.625, 0.625, 1.125, 1.125]] * 2 + [[2.625, 2.625, 3.125, 3.125]] * 2).tolist()),
        examples=({"x": SIXTEEN, "kernel_size": 2, "dy": image([[2.5, 4.5], [10.5, 12.5]])},),
    ),
    Claim(
        "001/runs",
        "pooling: max",
        "The listings run. They set requires_grad on integers from arange.",
        why_not="the listings need PyTorch 0.3, in which arange returned floats; today it returns integers, "
        "which cannot require a gradient (the printed results are separate claims)",
    ),
    Claim(
        "001/forward",
        "convolution: dx",
        "The layer is a^l = sigma(a^{l-1} * W + b). The operation * moves the kernel over the image "
        "and does not rotate it.",
        layer="conv2d",
        question="y of conv2d",
        says=value(convolution_layer),
        examples=({"x": (1, 1, 3, 3), "w": (1, 1, 2, 2), "b": (1,)},),
    ),
    Claim(
        "001/delta",
        "convolution: dx",
        "The error of the layer before is delta * rot180(W) times sigma', and delta gets one ring of "
        "zeros, as in the example.",
        layer="conv2d",
        formula="delta^{l-1} = delta^l * rot180(W^l) . sigma'(z^{l-1})",
        question="dx of conv2d",
        says=error_before,
        examples=(*SMALL, *OTHER_KERNELS),
        corrected=error_before_padded,
        correction="The number of rings of zeros is the size of the kernel minus one. One ring is right for a 2 "
        "x 2 kernel.",
        consequence="With a 3 x 3 kernel, the result is two places too small in each direction.",
        condition="the kernel is 2 x 2",
        under=(*SMALL, {"x": (1, 1, 5, 4), "w": (1, 1, 2, 2)}),
    ),
    Claim(
        "001/a11",
        "convolution: dx",
        "Only z11 depends on a11.",
        layer="conv2d",
        formula="da11 = delta11 w11",
        question="dx of conv2d",
        says=one_input((1, 1)),
        examples=SMALL,
    ),
    Claim(
        "001/a22",
        "convolution: dx",
        "All four z depend on a22.",
        layer="conv2d",
        formula="da22 = delta11 w22 + delta12 w21 + delta21 w12 + delta22 w11",
        question="dx of conv2d",
        says=one_input((2, 2)),
        examples=SMALL,
    ),
    Claim(
        "001/matrix",
        "convolution: dx",
        "If the kernel [w22 w21; w12 w11] moves over delta with its ring of zeros, the result has all nine gradients.",
        layer="conv2d",
        question="dx of conv2d",
        says=error_before,
        examples=SMALL,
    ),
    Claim(
        "001/forward-printed",
        "convolution: dx",
        "The image 0 to 8 with the kernel 0 to 3 gives 19 25 37 43.",
        layer="conv2d",
        question="y of conv2d",
        says=constant(CONVOLVED.tolist()),
        examples=({"x": NINE, "w": KERNEL, "b": np.zeros(1)},),
    ),
    Claim(
        "001/dx-printed",
        "convolution: dx",
        "If the result is used as the gradient of the output, the gradient of the image is 0 19 25, "
        "38 144 118, 74 197 129.",
        layer="conv2d",
        question="dx of conv2d",
        says=constant(image([[0, 19, 25], [38, 144, 118], [74, 197, 129]]).tolist()),
        examples=({"x": NINE, "w": KERNEL, "b": np.zeros(1), "dy": CONVOLVED},),
    ),
    Claim(
        "001/dx-equation",
        "convolution: dx",
        "The kernel [3 2; 1 0] over [19 25; 37 43] with its ring of zeros gives the same numbers.",
        layer="conv2d",
        question="dx of conv2d",
        says=lambda x, w, b, dy: star(ring(image([[19, 25], [37, 43]])), image([[3, 2], [1, 0]])),
        examples=({"x": NINE, "w": KERNEL, "b": np.zeros(1), "dy": CONVOLVED},),
    ),
    Claim(
        "001/dw",
        "convolution: dw",
        "The gradient of the weights is rot180(delta * a), and delta gets one ring of zeros, as in the example.",
        layer="conv2d",
        formula="dJ/dW = rot180(delta^l * a^{l-1})",
        question="dw of conv2d",
        says=weight_gradient,
        examples=(*SMALL, *OTHER_KERNELS),
        corrected=weight_gradient_direct,
        correction="a * delta is right for every size and needs neither zeros nor rotation. One ring of zeros is"
        " right only for a 2 x 2 kernel.",
        consequence="With a kernel of another size, the result has the wrong size.",
        condition="the kernel is 2 x 2",
        under=(*SMALL, {"x": (1, 1, 5, 4), "w": (1, 1, 2, 2)}),
    ),
    Claim(
        "001/z",
        "convolution: dw",
        "The document writes out z11 to z22.",
        layer="conv2d",
        question="y of conv2d",
        says=windows_written,
        examples=SMALL,
    ),
    Claim(
        "001/dw11",
        "convolution: dw",
        "The document writes out the gradient of w11.",
        layer="conv2d",
        formula="delta11 a11 + delta12 a12 + delta21 a21 + delta22 a22",
        question="dw of conv2d",
        says=one_weight((1, 1), PRINTED),
        examples=SMALL,
    ),
    Claim(
        "001/dw12",
        "convolution: dw",
        "The document writes out the gradient of w12.",
        layer="conv2d",
        formula="delta11 a12 + delta12 a13 + delta21 a22 + delta22 a12",
        question="dw of conv2d",
        says=one_weight((1, 2), PRINTED),
        examples=SMALL,
        corrected=one_weight((1, 2), RIGHT),
        correction="The last term is delta22 a23.",
        consequence="The gradient of w12 has a wrong term.",
    ),
    Claim(
        "001/dw21",
        "convolution: dw",
        "The document writes out the gradient of w21.",
        layer="conv2d",
        formula="delta11 a21 + delta12 a22 + delta21 a31 + delta22 a32",
        question="dw of conv2d",
        says=one_weight((2, 1), PRINTED),
        examples=SMALL,
    ),
    Claim(
        "001/dw22",
        "convolution: dw",
        "The document writes out the gradient of w22.",
        layer="conv2d",
        formula="delta11 a22 + delta12 a23 + delta32 a21 + delta33 a22",
        question="dw of conv2d",
        says=one_weight((2, 2), PRINTED),
        examples=SMALL,
        corrected=one_weight((2, 2), RIGHT),
        correction="The last two terms are delta21 a32 + delta22 a33. The document swapped the indices.",
        consequence="delta is 2 x 2, so delta32 and delta33 do not exist.",
    ),
    Claim(
        "001/dw-matrix",
        "convolution: dw",
        "If a moves as the kernel over delta with its ring of zeros, the result is [dw22 dw21; dw12 dw11].",
        layer="conv2d",
        question="dw of conv2d",
        says=weight_gradient,
        examples=SMALL,
    ),
    Claim(
        "001/dw-printed",
        "convolution: dw",
        "If the result is used as the gradient of the output, the gradient of the kernel is 308 432 680 804.",
        layer="conv2d",
        question="dw of conv2d",
        says=constant(image([[308, 432], [680, 804]]).tolist()),
        examples=({"x": NINE, "w": KERNEL, "b": np.zeros(1), "dy": CONVOLVED},),
    ),
    Claim(
        "001/dw-equation",
        "convolution: dw",
        "The image 0 to 8 as the kernel over [19 25; 37 43] with its ring of zeros gives 804 680 432 "
        "308. These are the same numbers, rotated by 180 degrees.",
        layer="conv2d",
        question="dw of conv2d",
        says=lambda x, w, b, dy: rot180(image([[804, 680], [432, 308]])),
        examples=({"x": NINE, "w": KERNEL, "b": np.zeros(1), "dy": CONVOLVED},),
    ),
    Claim(
        "001/db",
        "bias",
        "The gradient of the bias is the sum of delta.",
        layer="conv2d",
        formula="dJ/db = sum_uv delta_uv",
        question="db of conv2d",
        says=lambda x, w, b, dy: np.array([dy.sum()]),
        examples=({"x": (1, 1, 3, 3), "w": (1, 1, 2, 2), "b": (1,)},),
    ),
    Claim(
        "001/db-printed",
        "bias",
        "If the result is used as the gradient of the output, the gradient of the bias is 124 = 19 + 25 + 37 + 43.",
        layer="conv2d",
        question="db of conv2d",
        says=constant([124.0]),
        examples=({"x": NINE, "w": KERNEL, "b": np.zeros(1), "dy": CONVOLVED},),
    ),
)
