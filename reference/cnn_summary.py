"""Document 002, "Convolutional neural networks, a summary": what it claims.

Its formulas and examples were pictures and are lost; here is what the text around them still says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from reference.backpropagation_in_cnns import avg_pool2d as average_upsampled
from reference.backpropagation_in_cnns import avg_pool2d_adding, max_pool2d_adding
from reference.backpropagation_in_cnns import max_pool2d as largest_upsampled
from reference.claim import Claim, LayerFunction, constant, gradient, value

Array = Any


def relu(x: Array) -> tuple[Array, Any]:
    """max(0, x)."""
    return np.maximum(x, 0).astype(x.dtype), lambda dy: (dy * (x > 0),)


def identity(x: Array) -> tuple[Array, Any]:
    """sigma(z) = z, whose derivative is 1."""
    return x + 0, lambda dy: (dy * 1,)


def windows(x: Array, w: Array, b: Array = None, *, stride: int = 1, padding: int = 0) -> Array:
    """Places of a window multiplied with the kernel's and summed, over all sub-matrices, plus b."""
    wide = np.pad(x, [(0, 0), (0, 0), *[(padding, padding)] * 2])
    rows, columns = ((n - k) // stride + 1 for n, k in zip(wide.shape[2:], w.shape[2:], strict=True))
    y = np.zeros((len(x), len(w), rows, columns))
    for n, f, i, j in np.ndindex(y.shape):
        part = wide[n, :, i * stride : i * stride + w.shape[2], j * stride : j * stride + w.shape[3]]
        y[n, f, i, j] = sum((part[k] * w[f, k]).sum() for k in range(len(part))) + (0 if b is None else b[f])
    return y


def turned(w: Array) -> Array:
    """Upside down, then left to right."""
    return np.fliplr(np.flipud(w))


def one_ring(x: Array, w: Array, dy: Array) -> Array:
    """The error matrix with one ring of zeros, under the turned kernel."""
    return windows(dy, turned(w[0, 0])[None, None], padding=1)


def enough_rings(x: Array, w: Array, dy: Array) -> Array:
    """With as many rings as the kernel's size less one."""
    return windows(dy, turned(w[0, 0])[None, None], padding=w.shape[2] - 1)


def size_divided(x: Array, kernel_size: int) -> Array:
    """Every k x k elements become one: N / k."""
    return (*x[:2], *(n / kernel_size for n in x[2:]))


def size_divided_down(x: Array, kernel_size: int) -> Array:
    """N / k, rounded down."""
    return (*x[:2], *(n // kernel_size for n in x[2:]))


def batch_gradient_descent(
    gradient_at: Callable[[Array], Array], start: Array, step: float, limit: int, threshold: float
) -> tuple[Array, int]:
    """Steps against the gradient until every parameter moves by less than the threshold, at most limit times."""
    parameters = np.asarray(start, np.float64)
    for count in range(1, limit + 1):
        change = step * gradient_at(parameters)
        parameters = parameters - change
        if np.abs(change).max() < threshold:
            return parameters, count
    return parameters, limit


def descent(x: Array, y: Array, step: float, limit: int, threshold: float) -> Array:
    """Batch gradient descent on half the mean squared error of a linear model; the parameters and the steps taken."""
    found, count = batch_gradient_descent(
        lambda w: x.T @ (x @ w - y) / len(x), np.zeros(x.shape[1]), step, limit, threshold
    )
    return np.append(found, count)


AS_WRITTEN: dict[str, LayerFunction] = {
    "relu": relu, "identity": identity, "max_pool2d": largest_upsampled, "avg_pool2d": average_upsampled,
}  # fmt: skip
CORRECTED: dict[str, LayerFunction] = AS_WRITTEN | {"max_pool2d": max_pool2d_adding, "avg_pool2d": avg_pool2d_adding}

APART = ({"x": (1, 1, 2, 2), "kernel_size": 2}, {"x": (1, 2, 4, 4), "kernel_size": 2})
OVERLAPPING = (
    *APART,
    {"x": (1, 1, 2, 3), "kernel_size": 2, "stride": 1},
    {"x": (1, 1, 4, 4), "kernel_size": 3, "stride": 1},
)
LETTERS = {"x": np.arange(1.0, 13).reshape(1, 1, 3, 4), "w": np.array([[[[1.0, 10], [100, 1000]]]])}
LINE = {"x": np.array([[1.0, 0], [1, 1], [1, 2]]), "y": np.array([1.0, 3, 5])}
_LOST = "the formula was a picture, which is lost; "

CLAIMS: tuple[Claim, ...] = (
    Claim(
        "002/relu",
        "I.1 structure",
        "The activation of a convolution layer is max(0, x).",
        layer="relu",
        formula="ReLU(x) = max(0, x)",
        question="y of relu",
        says=value(relu),
        examples=({"x": (1,)}, {"x": (2, 3)}),
    ),
    Claim(
        "002/structure",
        "I.1 structure",
        "Convolution and pooling layers repeat; fully connected layers and a softmax follow.",
        why_not="a description of an architecture; the picture is lost",
    ),
    Claim(
        "002/convolution-formulas",
        "I.2 convolution",
        "The integral, the discrete sum, the matrix and the two-dimensional form of a convolution.",
        why_not=_LOST + "four of them",
    ),
    Claim(
        "002/not-turned",
        "I.2 convolution",
        "A CNN's convolution differs a little from the mathematical one: the kernel is not turned.",
        layer="conv2d",
        question="y of conv2d",
        says=windows,
        examples=({"x": (1, 1, 1, 2), "w": (1, 1, 1, 2)}, {"x": (1, 1, 3, 4), "w": (1, 1, 2, 2)}),
    ),
    Claim(
        "002/rank",
        "I.2 convolution",
        "Where the input is a matrix so is the kernel; where it is a tensor, so is the kernel.",
        layer="conv3d",
        question="shape of conv3d",
        says=constant((1, 1, 2, 2, 2)),
        examples=({"x": (1, 2, 3, 3, 3), "w": (1, 2, 2, 2, 2)},),
    ),
    Claim(
        "002/s00",
        "I.3 convolution layer",
        "A 3 x 4 input under a 2 x 2 kernel: S00 = aw + bx + ey + fz, then the window moves by one; S is 2 x 3.",
        layer="conv2d",
        formula="S00 = aw + bx + ey + fz",
        question="y of conv2d",
        says=windows,
        examples=(LETTERS, {"x": (1, 1, 3, 4), "w": (1, 1, 2, 2)}),
    ),
    Claim(
        "002/five",
        "I.3 convolution layer",
        "A 5 x 5 input under a 3 x 3 kernel, stride 1, gives 3 x 3.",
        layer="conv2d",
        question="shape of conv2d",
        says=constant((1, 1, 3, 3)),
        examples=({"x": (1, 1, 5, 5), "w": (1, 1, 3, 3)},),
    ),
    Claim(
        "002/rgb",
        "I.3 convolution layer",
        "Three 5 x 5 matrices padded to 7 x 7, two 3 x 3 x 3 kernels, stride 2: 3 x 3 x 2.",
        layer="conv2d",
        question="shape of conv2d",
        says=constant((1, 2, 3, 3)),
        examples=({"x": (1, 3, 5, 5), "w": (2, 3, 3, 3), "stride": 2, "padding": 1},),
    ),
    Claim(
        "002/rgb-sum",
        "I.3 convolution layer",
        "The sub-matrices are convolved, the results added, and the bias on top.",
        layer="conv2d",
        question="y of conv2d",
        says=windows,
        examples=({"x": (1, 3, 5, 5), "w": (2, 3, 3, 3), "b": (2,), "stride": 2, "padding": 1},),
    ),
    Claim(
        "002/rgb-formula",
        "I.3 convolution layer",
        "s(i, j) as a sum over the n_in input matrices.",
        why_not=_LOST + "the sentence that explains it is a claim of its own",
    ),
    Claim(
        "002/relu-zero",
        "I.3 convolution layer",
        "After it ReLU makes the elements below 0 into 0.",
        layer="relu",
        question="y of relu",
        says=lambda x: np.where(x < 0, 0, x),
        examples=({"x": (2, 2)},),
    ),
    Claim(
        "002/pool-max",
        "I.4 pooling layer",
        "Each region becomes its largest element.",
        layer="max_pool2d",
        question="y of max_pool2d",
        says=value(largest_upsampled),
        examples=APART,
    ),
    Claim(
        "002/pool-average",
        "I.4 pooling layer",
        "Or its average.",
        layer="avg_pool2d",
        question="y of avg_pool2d",
        says=value(average_upsampled),
        examples=APART,
    ),
    Claim(
        "002/pool-example",
        "I.4 pooling layer",
        "2 x 2 regions with stride 2 make 2 x 2 of 4 x 4.",
        layer="max_pool2d",
        question="shape of max_pool2d",
        says=constant((1, 1, 2, 2)),
        examples=({"x": (1, 1, 4, 4), "kernel_size": 2, "stride": 2},),
    ),
    Claim(
        "002/pool-numbers",
        "I.4 pooling layer",
        "The first two maxima of the example are 6 and 8.",
        why_not="the matrix of the example was a picture, which is lost",
    ),
    Claim(
        "002/structure-again",
        "II.1 structure again",
        "A CNN consists of an output layer, convolutions with ReLU, poolings, "
        "fully connected layers, and the output layer with softmax.",
        question="the parts of a CNN",
        says=lambda: ("output", "convolution", "pooling", "fully connected", "output"),
        corrected=lambda: ("input", "convolution", "pooling", "fully connected", "output"),
        correction="The first is the input layer, as in I.1.",
        consequence="The output layer is listed twice, the input never.",
    ),
    Claim(
        "002/kernels",
        "II.2 input to convolution",
        "With K kernels the next layer has K matrices.",
        layer="conv2d",
        question="shape of conv2d",
        says=lambda x, w: (x[0], w[0], x[2] - w[2] + 1, x[3] - w[3] + 1),
        examples=({"x": (1, 3, 4, 4), "w": (1, 3, 3, 3)}, {"x": (1, 3, 4, 4), "w": (5, 3, 3, 3)}),
    ),
    Claim(
        "002/padding",
        "II.2 input to convolution",
        "P rings of zeros are put around, and the kernel moves S pixels a step.",
        layer="conv2d",
        question="y of conv2d",
        says=windows,
        examples=(
            {"x": (1, 1, 1, 1), "w": (1, 1, 1, 1), "padding": 1},
            {"x": (1, 2, 4, 4), "w": (2, 2, 3, 3), "padding": 2, "stride": 2},
        ),
    ),
    Claim(
        "002/forward-formula",
        "II.2 input to convolution",
        "a^2 = sigma(z^2) of a convolution.",
        why_not=_LOST + "its parts are claims of their own",
    ),
    Claim(
        "002/hidden",
        "II.3 hidden to convolution",
        "M input matrices need kernels of M sub-matrices, convolved one by one and added.",
        layer="conv2d",
        question="y of conv2d",
        says=windows,
        examples=({"x": (1, 4, 3, 3), "w": (2, 4, 2, 2), "b": (2,)},),
    ),
    Claim(
        "002/hidden-formula",
        "II.3 hidden to convolution",
        "The two forms of the forward pass.",
        why_not=_LOST.rstrip("; "),
    ),
    Claim(
        "002/pool-size-formula",
        "II.4 hidden to pooling",
        "N x N matrices pooled by k x k have the size ...",
        why_not=_LOST + "what I.4 says of it is the next claim",
    ),
    Claim(
        "002/pool-size",
        "II.4 hidden to pooling",
        "Every k x k elements become one, so N becomes N / k.",
        layer="max_pool2d",
        formula="N / k x N / k",
        question="shape of max_pool2d",
        says=size_divided,
        examples=({"x": (1, 1, 3, 3), "kernel_size": 2},),
        corrected=size_divided_down,
        correction="N / k rounded down: a rest smaller than k is left out.",
        consequence="For sizes that k does not divide the announced shape does not exist.",
        condition="k divides N",
        under=tuple({"x": (1, 1, n, n), "kernel_size": k} for n, k in ((2, 2), (6, 3), (3, 1))),
    ),
    Claim(
        "002/fully-connected",
        "II.5 hidden to fully connected",
        "a^l = sigma(W a^{l-1} + b).",
        why_not=_LOST.rstrip("; "),
    ),
    Claim(
        "002/forward-summary",
        "II.6 forward summary",
        "The forward algorithm.",
        why_not="the whole section was a picture, which is lost",
    ),
    Claim(
        "002/dnn",
        "III.1 DNN back-propagation",
        "The errors of a DNN's layers.",
        why_not="the formulas were pictures, which are lost",
    ),
    Claim(
        "002/identity",
        "III.2 idea",
        "Pooling has no activation; it may be given sigma(z) = z, whose derivative is 1.",
        layer="identity",
        question="dx of identity",
        says=gradient(identity),
        examples=({"x": (2, 2)},),
    ),
    Claim(
        "002/upsample-max",
        "III.3 pooling",
        "Max: each value of the error is put where its region's largest element was.",
        layer="max_pool2d",
        question="dx of max_pool2d",
        says=gradient(largest_upsampled),
        examples=OVERLAPPING,
        corrected=gradient(max_pool2d_adding),
        correction="Where regions overlap the values are added.",
        consequence="With a stride below the region's size, values are overwritten.",
        condition="the regions do not overlap",
        under=APART,
        tried=True,
    ),
    Claim(
        "002/upsample-average",
        "III.3 pooling",
        "Average: each value, divided by the region's size, is put at all its places.",
        layer="avg_pool2d",
        question="dx of avg_pool2d",
        says=gradient(average_upsampled),
        examples=OVERLAPPING,
        corrected=gradient(avg_pool2d_adding),
        correction="Where regions overlap the shares are added.",
        consequence="With a stride below the region's size, shares are overwritten.",
        condition="the regions do not overlap",
        under=APART,
        tried=True,
    ),
    Claim(
        "002/upsample-example",
        "III.3 pooling",
        "Maxima top left, bottom right, top right, bottom left of four 2 x 2 regions.",
        layer="max_pool2d",
        question="dx of max_pool2d",
        says=lambda x, kernel_size, dy: np.array(
            [
                [
                    [
                        [dy[0, 0, 0, 0], 0, 0, 0],
                        [0, 0, 0, dy[0, 0, 0, 1]],
                        [0, dy[0, 0, 1, 0], 0, 0],
                        [0, 0, dy[0, 0, 1, 1], 0],
                    ]
                ]
            ]
        ),
        examples=({"x": np.array([[[[9.0, 0, 0, 0], [0, 0, 0, 9], [0, 9, 0, 0], [0, 0, 9, 0]]]]), "kernel_size": 2},),
    ),
    Claim(
        "002/upsample-numbers",
        "III.3 pooling",
        "The example's error matrix and its two results.",
        why_not="pictures, which are lost; the places of the maxima are a claim of their own",
    ),
    Claim(
        "002/turning",
        "III.4 convolution: the layer before",
        "The kernel is turned by 180 degrees: upside down once, then left to right.",
        layer="conv2d",
        question="dx of conv2d",
        says=enough_rings,
        examples=({"x": (1, 1, 3, 3), "w": (1, 1, 2, 2)}, {"x": (1, 1, 4, 4), "w": (1, 1, 3, 3)}),
    ),
    Claim(
        "002/one-ring",
        "III.4 convolution: the layer before",
        "For this the error matrix gets one ring of zeros.",
        layer="conv2d",
        question="dx of conv2d",
        says=one_ring,
        examples=({"x": (1, 1, 3, 3), "w": (1, 1, 3, 3)}, {"x": (1, 1, 4, 4), "w": (1, 1, 3, 3)}),
        corrected=enough_rings,
        correction="As many rings as the kernel's size less one.",
        consequence="With another kernel than 2 x 2 the sizes do not come out.",
        condition="the kernel is 2 x 2",
        under=({"x": (1, 1, 3, 3), "w": (1, 1, 2, 2)},),
    ),
    Claim(
        "002/transposed",
        "III.4 convolution: the layer before",
        "In a DNN it is only the matrix that is transposed.",
        layer="linear",
        question="dx of linear",
        says=lambda x, w, dy: (w.T @ dy.T).T,
        examples=({"x": (2, 3), "w": (4, 3)},),
    ),
    Claim(
        "002/delta-formulas",
        "III.4 convolution: the layer before",
        "The recursion and its derivation.",
        why_not="pictures, which are lost",
    ),
    Claim(
        "002/dw-size",
        "III.5 convolution: W and b",
        "A 4 x 4 input and a 3 x 3 kernel give a 2 x 2 output; the weight gradient is nine sums.",
        layer="conv2d",
        question="dw of conv2d",
        says=lambda x, w, dy: windows(x, dy),
        examples=({"x": (1, 1, 4, 4), "w": (1, 1, 3, 3)},),
    ),
    Claim(
        "002/dw",
        "III.5 convolution: W and b",
        "The gradient of the kernel is the input under the error, nothing turned.",
        layer="conv2d",
        question="dw of conv2d",
        says=lambda x, w, dy: windows(x, dy),
        examples=({"x": (1, 1, 2, 2), "w": (1, 1, 2, 2)}, {"x": (1, 1, 5, 4), "w": (1, 1, 2, 3)}),
    ),
    Claim(
        "002/db",
        "III.5 convolution: W and b",
        "The bias' gradient sums each sub-matrix of the error.",
        layer="conv2d",
        question="db of conv2d",
        says=lambda x, w, b, dy: dy.sum((0, 2, 3)),
        examples=({"x": (1, 2, 3, 3), "w": (3, 2, 2, 2), "b": (3,)},),
    ),
    Claim(
        "002/dw-formulas",
        "III.5 convolution: W and b",
        "The relation of z, W and b and the nine equations.",
        why_not="pictures, which are lost; the sentences around them are claims of their own",
    ),
    Claim(
        "002/descent",
        "III.6 summary",
        "Batch gradient descent with a step, a limit of iterations and a threshold at which it stops.",
        question="batch gradient descent on a line",
        says=descent,
        examples=(
            LINE | {"step": 0.1, "limit": 3, "threshold": 1e-9},
            LINE | {"step": 0.3, "limit": 500, "threshold": 1e-6},
        ),
    ),
    Claim(
        "002/k",
        "III.6 summary",
        "K is the size of a convolution kernel.",
        question="what K counts",
        says=lambda: "the size of a kernel",
        corrected=lambda: "the number of kernels",
        correction="K is the number of kernels, as in II.2; their size is F.",
        consequence="The number of kernels is missing from the list of what must be chosen.",
    ),
    Claim(
        "002/summary",
        "III.6 summary",
        "The steps of the algorithm.",
        why_not="a picture, which is lost; its inputs are named in the text",
    ),
)
