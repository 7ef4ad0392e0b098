"""Restate the claims of document 002, "Convolutional neural networks, a summary".

Its formulas and examples were pictures, which are lost. The claims are what the text around the pictures says.
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
    """Compute max(0, x)."""
    return np.maximum(x, 0).astype(x.dtype), lambda dy: (dy * (x > 0),)


def identity(x: Array) -> tuple[Array, Any]:
    """Compute sigma(z) = z, whose derivative is 1."""
    return x + 0, lambda dy: (dy * 1,)


def windows(x: Array, w: Array, b: Array = None, *, stride: int = 1, padding: int = 0) -> Array:
    """Multiply each window by the kernel, sum over all sub-matrices, and add b."""
    wide = np.pad(x, [(0, 0), (0, 0), *[(padding, padding)] * 2])
    rows, columns = ((n - k) // stride + 1 for n, k in zip(wide.shape[2:], w.shape[2:], strict=True))
    y = np.zeros((len(x), len(w), rows, columns))
    for n, f, i, j in np.ndindex(y.shape):
        part = wide[n, :, i * stride : i * stride + w.shape[2], j * stride : j * stride + w.shape[3]]
        y[n, f, i, j] = sum((part[k] * w[f, k]).sum() for k in range(len(part))) + (0 if b is None else b[f])
    return y


def turned(w: Array) -> Array:
    """Flip the kernel upside down, then left to right."""
    return np.fliplr(np.flipud(w))


def one_ring(x: Array, w: Array, dy: Array) -> Array:
    """Convolve the error matrix, with one ring of zeros, with the rotated kernel."""
    return windows(dy, turned(w[0, 0])[None, None], padding=1)


def enough_rings(x: Array, w: Array, dy: Array) -> Array:
    """Do the same with the right number of rings: the size of the kernel minus one."""
    return windows(dy, turned(w[0, 0])[None, None], padding=w.shape[2] - 1)


def size_divided(x: Array, kernel_size: int) -> Array:
    """Return the stated shape: N becomes N / k."""
    return (*x[:2], *(n / kernel_size for n in x[2:]))


def size_divided_down(x: Array, kernel_size: int) -> Array:
    """Return the shape with N / k rounded down."""
    return (*x[:2], *(n // kernel_size for n in x[2:]))


def batch_gradient_descent(
    gradient_at: Callable[[Array], Array], start: Array, step: float, limit: int, threshold: float
) -> tuple[Array, int]:
    """Step against the gradient, at most ``limit`` times, until every parameter moves by less than the threshold."""
    parameters = np.asarray(start, np.float64)
    for count in range(1, limit + 1):
        change = step * gradient_at(parameters)
        parameters = parameters - change
        if np.abs(change).max() < threshold:
            return parameters, count
    return parameters, limit


def descent(x: Array, y: Array, step: float, limit: int, threshold: float) -> Array:
    """Minimise half the mean squared error of a linear model. Return the parameters and the number of steps."""
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
        "Convolution and pooling layers repeat. Fully connected layers and a softmax follow.",
        why_not="it describes an architecture, and the picture is lost",
    ),
    Claim(
        "002/convolution-formulas",
        "I.2 convolution",
        "The document gives a convolution as an integral, as a discrete sum, as a matrix and in two dimensions.",
        why_not="the four formulas were pictures, which are lost",
    ),
    Claim(
        "002/not-turned",
        "I.2 convolution",
        "The convolution of a CNN differs a little from the mathematical one: the kernel is not rotated.",
        layer="conv2d",
        question="y of conv2d",
        says=windows,
        examples=({"x": (1, 1, 1, 2), "w": (1, 1, 1, 2)}, {"x": (1, 1, 3, 4), "w": (1, 1, 2, 2)}),
    ),
    Claim(
        "002/rank",
        "I.2 convolution",
        "If the input is a matrix, the kernel is a matrix too. If the input is a tensor, the kernel is a tensor too.",
        layer="conv3d",
        question="shape of conv3d",
        says=constant((1, 1, 2, 2, 2)),
        examples=({"x": (1, 2, 3, 3, 3), "w": (1, 2, 2, 2, 2)},),
    ),
    Claim(
        "002/s00",
        "I.3 convolution layer",
        "A 2 x 2 kernel on a 3 x 4 input gives S00 = aw + bx + ey + fz. Then the window moves by one, and S is 2 x 3.",
        layer="conv2d",
        formula="S00 = aw + bx + ey + fz",
        question="y of conv2d",
        says=windows,
        examples=(LETTERS, {"x": (1, 1, 3, 4), "w": (1, 1, 2, 2)}),
    ),
    Claim(
        "002/five",
        "I.3 convolution layer",
        "A 3 x 3 kernel with stride 1 on a 5 x 5 input gives 3 x 3.",
        layer="conv2d",
        question="shape of conv2d",
        says=constant((1, 1, 3, 3)),
        examples=({"x": (1, 1, 5, 5), "w": (1, 1, 3, 3)},),
    ),
    Claim(
        "002/rgb",
        "I.3 convolution layer",
        "Three 5 x 5 matrices, padded to 7 x 7, and two 3 x 3 x 3 kernels with stride 2 give 3 x 3 x 2.",
        layer="conv2d",
        question="shape of conv2d",
        says=constant((1, 2, 3, 3)),
        examples=({"x": (1, 3, 5, 5), "w": (2, 3, 3, 3), "stride": 2, "padding": 1},),
    ),
    Claim(
        "002/rgb-sum",
        "I.3 convolution layer",
        "Each sub-matrix is convolved, the results are added, and then the bias is added.",
        layer="conv2d",
        question="y of conv2d",
        says=windows,
        examples=({"x": (1, 3, 5, 5), "w": (2, 3, 3, 3), "b": (2,), "stride": 2, "padding": 1},),
    ),
    Claim(
        "002/rgb-formula",
        "I.3 convolution layer",
        "The document gives s(i, j) as a sum over the n_in input matrices.",
        why_not="the formula was a picture, which is lost; the sentence that explains it is a separate claim",
    ),
    Claim(
        "002/relu-zero",
        "I.3 convolution layer",
        "After the convolution, ReLU sets every element below 0 to 0.",
        layer="relu",
        question="y of relu",
        says=lambda x: np.where(x < 0, 0, x),
        examples=({"x": (2, 2)},),
    ),
    Claim(
        "002/pool-max",
        "I.4 pooling layer",
        "Max pooling replaces each region by its largest element.",
        layer="max_pool2d",
        question="y of max_pool2d",
        says=value(largest_upsampled),
        examples=APART,
    ),
    Claim(
        "002/pool-average",
        "I.4 pooling layer",
        "Average pooling replaces each region by its average.",
        layer="avg_pool2d",
        question="y of avg_pool2d",
        says=value(average_upsampled),
        examples=APART,
    ),
    Claim(
        "002/pool-example",
        "I.4 pooling layer",
        "Pooling with 2 x 2 regions and stride 2 turns 4 x 4 into 2 x 2.",
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
        "A CNN consists of an output layer, convolutions with ReLU, poolings, fully connected layers,"
        " and the output layer with softmax.",
        question="the parts of a CNN",
        says=lambda: ("output", "convolution", "pooling", "fully connected", "output"),
        corrected=lambda: ("input", "convolution", "pooling", "fully connected", "output"),
        correction="The first layer is the input layer, as in I.1.",
        consequence="The list names the output layer twice and never names the input layer.",
    ),
    Claim(
        "002/kernels",
        "II.2 input to convolution",
        "With K kernels, the next layer has K matrices.",
        layer="conv2d",
        question="shape of conv2d",
        says=lambda x, w: (x[0], w[0], x[2] - w[2] + 1, x[3] - w[3] + 1),
        examples=({"x": (1, 3, 4, 4), "w": (1, 3, 3, 3)}, {"x": (1, 3, 4, 4), "w": (5, 3, 3, 3)}),
    ),
    Claim(
        "002/padding",
        "II.2 input to convolution",
        "P rings of zeros are put around the input, and the kernel moves by S pixels per step.",
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
        "The document gives the forward pass of a convolution as a^2 = sigma(z^2).",
        why_not="the formula was a picture, which is lost; its parts are separate claims",
    ),
    Claim(
        "002/hidden",
        "II.3 hidden to convolution",
        "M input matrices need kernels with M sub-matrices. Each sub-matrix is convolved, and the results are added.",
        layer="conv2d",
        question="y of conv2d",
        says=windows,
        examples=({"x": (1, 4, 3, 3), "w": (2, 4, 2, 2), "b": (2,)},),
    ),
    Claim(
        "002/hidden-formula",
        "II.3 hidden to convolution",
        "The document gives two forms of the forward pass.",
        why_not="the formulas were pictures, which are lost",
    ),
    Claim(
        "002/pool-size-formula",
        "II.4 hidden to pooling",
        "The document gives a formula for the size of N x N matrices after k x k pooling.",
        why_not="the formula was a picture, which is lost; the next claim is what I.4 says about the size",
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
        correction="The size is N / k, rounded down: a remainder smaller than k is left out.",
        consequence="If k does not divide N, the stated shape does not exist.",
        condition="k divides N",
        under=tuple({"x": (1, 1, n, n), "kernel_size": k} for n, k in ((2, 2), (6, 3), (3, 1))),
    ),
    Claim(
        "002/fully-connected",
        "II.5 hidden to fully connected",
        "The document gives a fully connected layer as a^l = sigma(W a^{l-1} + b).",
        why_not="the formula was a picture, which is lost",
    ),
    Claim(
        "002/forward-summary",
        "II.6 forward summary",
        "The document sums up the forward algorithm.",
        why_not="the whole section was a picture, which is lost",
    ),
    Claim(
        "002/dnn",
        "III.1 DNN back-propagation",
        "The document gives the errors of the layers of a DNN.",
        why_not="the formulas were pictures, which are lost",
    ),
    Claim(
        "002/identity",
        "III.2 idea",
        "Pooling has no activation. One may use sigma(z) = z, whose derivative is 1.",
        layer="identity",
        question="dx of identity",
        says=gradient(identity),
        examples=({"x": (2, 2)},),
    ),
    Claim(
        "002/upsample-max",
        "III.3 pooling",
        "In max pooling, each value of the error is put at the place of the largest element of its region.",
        layer="max_pool2d",
        question="dx of max_pool2d",
        says=gradient(largest_upsampled),
        examples=OVERLAPPING,
        corrected=gradient(max_pool2d_adding),
        correction="If regions overlap, the values are added.",
        consequence="If the stride is smaller than the region, values are overwritten.",
        condition="the regions do not overlap",
        under=APART,
        tried=True,
    ),
    Claim(
        "002/upsample-average",
        "III.3 pooling",
        "In average pooling, each value of the error is divided by the size of its region and put at "
        "all places of the region.",
        layer="avg_pool2d",
        question="dx of avg_pool2d",
        says=gradient(average_upsampled),
        examples=OVERLAPPING,
        corrected=gradient(avg_pool2d_adding),
        correction="If regions overlap, the shares are added.",
        consequence="If the stride is smaller than the region, shares are overwritten.",
        condition="the regions do not overlap",
        under=APART,
        tried=True,
    ),
    Claim(
        "002/upsample-example",
        "III.3 pooling",
        "The maxima of the four 2 x 2 regions are at the top left, bottom right, top right and bottom"
        " left; the values of the error go to these places.",
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
        "The document gives the error matrix of the example and its two results.",
        why_not="these were pictures, which are lost; the places of the maxima are a separate claim",
    ),
    Claim(
        "002/turning",
        "III.4 convolution: the layer before",
        "The kernel is rotated by 180 degrees: it is flipped first upside down, then left to right.",
        layer="conv2d",
        question="dx of conv2d",
        says=enough_rings,
        examples=({"x": (1, 1, 3, 3), "w": (1, 1, 2, 2)}, {"x": (1, 1, 4, 4), "w": (1, 1, 3, 3)}),
    ),
    Claim(
        "002/one-ring",
        "III.4 convolution: the layer before",
        "For this, the error matrix gets one ring of zeros.",
        layer="conv2d",
        question="dx of conv2d",
        says=one_ring,
        examples=({"x": (1, 1, 3, 3), "w": (1, 1, 3, 3)}, {"x": (1, 1, 4, 4), "w": (1, 1, 3, 3)}),
        corrected=enough_rings,
        correction="The number of rings is the size of the kernel minus one.",
        consequence="If the kernel is not 2 x 2, the sizes do not fit.",
        condition="the kernel is 2 x 2",
        under=({"x": (1, 1, 3, 3), "w": (1, 1, 2, 2)},),
    ),
    Claim(
        "002/transposed",
        "III.4 convolution: the layer before",
        "In a DNN, the matrix is only transposed.",
        layer="linear",
        question="dx of linear",
        says=lambda x, w, dy: (w.T @ dy.T).T,
        examples=({"x": (2, 3), "w": (4, 3)},),
    ),
    Claim(
        "002/delta-formulas",
        "III.4 convolution: the layer before",
        "The document gives the recursion for the errors and derives it.",
        why_not="the formulas were pictures, which are lost",
    ),
    Claim(
        "002/dw-size",
        "III.5 convolution: W and b",
        "A 4 x 4 input and a 3 x 3 kernel give a 2 x 2 output. The gradient of the weights consists of nine sums.",
        layer="conv2d",
        question="dw of conv2d",
        says=lambda x, w, dy: windows(x, dy),
        examples=({"x": (1, 1, 4, 4), "w": (1, 1, 3, 3)},),
    ),
    Claim(
        "002/dw",
        "III.5 convolution: W and b",
        "The gradient of the kernel is the convolution of the input with the error. Nothing is rotated.",
        layer="conv2d",
        question="dw of conv2d",
        says=lambda x, w, dy: windows(x, dy),
        examples=({"x": (1, 1, 2, 2), "w": (1, 1, 2, 2)}, {"x": (1, 1, 5, 4), "w": (1, 1, 2, 3)}),
    ),
    Claim(
        "002/db",
        "III.5 convolution: W and b",
        "Each element of the gradient of the bias is the sum of one sub-matrix of the error.",
        layer="conv2d",
        question="db of conv2d",
        says=lambda x, w, b, dy: dy.sum((0, 2, 3)),
        examples=({"x": (1, 2, 3, 3), "w": (3, 2, 2, 2), "b": (3,)},),
    ),
    Claim(
        "002/dw-formulas",
        "III.5 convolution: W and b",
        "The document gives the relation between z, W and b, and nine equations.",
        why_not="these were pictures, which are lost; the sentences around them are separate claims",
    ),
    Claim(
        "002/descent",
        "III.6 summary",
        "Batch gradient descent has a step size, a limit on the number of iterations, and a threshold"
        " at which it stops.",
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
        correction="K is the number of kernels, as in II.2. Their size is F.",
        consequence="The number of kernels is missing from the list of what the reader must choose.",
    ),
    Claim(
        "002/summary",
        "III.6 summary",
        "The document lists the steps of the algorithm.",
        why_not="the list was a picture, which is lost; its inputs are named in the text",
    ),
)
