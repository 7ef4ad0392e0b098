"""Document 000, fully connected layers and the MLP: what it claims."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from reference.claim import Claim, offered

Array = Any


def sigmoid_of(x: Array) -> Array:
    """1 / (1 + exp(-x)), as it stands."""
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-x))


def jacobian_transposed_times(jacobian: Array, dz: Array) -> Array:
    """dz/dx_j = sum over k of dz/dy_k dy_k/dx_j, written out; jacobian[i][j] = dy_i/dx_j, m rows and n columns."""
    m, n = jacobian.shape
    return np.array([sum(dz[k] * jacobian[k, j] for k in range(m)) for j in range(n)])


def product(x: Array, w: Array) -> Array:
    """A B, 2 x 3 by 3 x 2, entry by entry."""
    (a11, a12, a13), (a21, a22, a23) = x
    (b11, b12), (b21, b22), (b31, b32) = w
    return np.array([
        [a11 * b11 + a12 * b21 + a13 * b31, a11 * b12 + a12 * b22 + a13 * b32],
        [a21 * b11 + a22 * b21 + a23 * b31, a21 * b12 + a22 * b22 + a23 * b32],
    ])  # fmt: skip


def product_dx(x: Array, w: Array, dy: Array) -> Array:
    """dL/dA = G B^T, entry by entry."""
    (b11, b12), (b21, b22), (b31, b32) = w
    (g11, g12), (g21, g22) = dy
    return np.array([
        [g11 * b11 + g12 * b12, g11 * b21 + g12 * b22, g11 * b31 + g12 * b32],
        [g21 * b11 + g22 * b12, g21 * b21 + g22 * b22, g21 * b31 + g22 * b32],
    ])  # fmt: skip


def product_dw(x: Array, w: Array, dy: Array) -> Array:
    """dL/dB = A^T G, entry by entry."""
    (a11, a12, a13), (a21, a22, a23) = x
    (g11, g12), (g21, g22) = dy
    return np.array([
        [g11 * a11 + g21 * a21, g12 * a11 + g22 * a21],
        [g11 * a12 + g21 * a22, g12 * a12 + g22 * a22],
        [g11 * a13 + g21 * a23, g12 * a13 + g22 * a23],
    ])  # fmt: skip


def affine(x: Array, w: Array, b: Array = None) -> tuple[Array, Any]:
    """A W + b with a sample a row and a neuron a column of W (2.1, 2.3)."""
    offered(x.ndim == 2, "samples that are not rows")
    if b is not None and b.shape != (w.shape[1],):
        raise ValueError("b does not fit w")
    y = x @ w if b is None else x @ w + b
    return y, lambda dy: (dy @ w.T, x.T @ dy, None if b is None else dy.sum(0))


def elementwise(x: Array, dy: Array) -> Array:
    """dL/dA = G * f'(A) for f = sigmoid, entry by entry of a 2 x 2 matrix."""
    s = sigmoid_of(x)
    d = s * (1 - s)
    return np.array([[dy[0, 0] * d[0, 0], dy[0, 1] * d[0, 1]], [dy[1, 0] * d[1, 0], dy[1, 1] * d[1, 1]]])


def sigmoid(x: Array) -> tuple[Array, Any]:
    """The non-linear unit of 1.1 and 2.4."""
    s = sigmoid_of(x)
    return s, lambda dy: (dy * s * (1 - s),)


def mlp_forward(x: Array, targets: Array, weights: Array, biases: Array) -> Array:
    """E = H_l, with A_k = b_k + H_{k-1} W_k and H_k = sigmoid(A_k)."""
    h = x
    for w, b in zip(weights, biases, strict=True):
        h = sigmoid_of(b + h @ w)
    return h


def _mlp_backward(x: Array, targets: Array, weights: Array, biases: Array, by_weight: Any, by_input: Any) -> Array:
    hs = [x]
    for w, b in zip(weights, biases, strict=True):
        hs.append(sigmoid_of(b + hs[-1] @ w))
    g = hs[-1] - targets  # of 0.5 sum (E - Y)^2
    gradients = []
    for k in range(len(weights), 0, -1):
        g = g * hs[k] * (1 - hs[k])
        gradients.append(by_weight(g, hs[k - 1]))
        g = by_input(g, weights[k - 1])
    return np.concatenate([d.ravel() for d in reversed(gradients)])


def mlp_as_printed(x: Array, targets: Array, weights: Array, biases: Array) -> Array:
    """dW_k = G H_{k-1}^T and dH_{k-1} = W_k^T G."""
    return _mlp_backward(x, targets, weights, biases, lambda g, h: g @ h.T, lambda g, w: w.T @ g)


def mlp_corrected(x: Array, targets: Array, weights: Array, biases: Array) -> Array:
    """dW_k = H_{k-1}^T G and dH_{k-1} = G W_k^T."""
    return _mlp_backward(x, targets, weights, biases, lambda g, h: h.T @ g, lambda g, w: g @ w.T)


def mlp_example(batch: int, widths: tuple[int, ...]) -> dict[str, Any]:
    """Shapes of an MLP: a batch, and its widths from the input to the output."""
    pairs = list(pairwise(widths))
    return {
        "x": (batch, widths[0]),
        "targets": (batch, widths[-1]),
        "weights": [(n, m) for n, m in pairs],
        "biases": [(m,) for _, m in pairs],
    }


def linear_value(x: Array, w: Array, b: Array) -> Array:
    """The optimised linear unit: 3 samples of 2 features, 4 rows of weights; entry by entry."""
    return np.array([[x[i, 0] * w[j, 0] + x[i, 1] * w[j, 1] + b[j] for j in range(4)] for i in range(3)])


def linear_dx(x: Array, w: Array, b: Array, dy: Array) -> Array:
    """G W, entry by entry."""
    g = dy
    return np.array([
        [g[i, 0] * w[0, j] + g[i, 1] * w[1, j] + g[i, 2] * w[2, j] + g[i, 3] * w[3, j] for j in range(2)]
        for i in range(3)
    ])  # fmt: skip


def linear_dw(x: Array, w: Array, b: Array, dy: Array) -> Array:
    """G^T A, entry by entry."""
    g = dy
    return np.array([[g[0, i] * x[0, j] + g[1, i] * x[1, j] + g[2, i] * x[2, j] for j in range(2)] for i in range(4)])


def linear_db(x: Array, w: Array, b: Array, dy: Array) -> Array:
    """The column sums of G, entry by entry."""
    return np.array([dy[0, j] + dy[1, j] + dy[2, j] for j in range(4)])


def linear(x: Array, w: Array, b: Array = None) -> tuple[Array, Any]:
    """The optimised linear unit (2.6): a row of w for each output."""
    offered(x.ndim == 2, "samples that are not rows")
    if b is not None and b.shape != (w.shape[0],):
        raise ValueError("b does not fit w")
    y = x @ w.T if b is None else x @ w.T + b
    return y, lambda dy: (dy @ w, dy.T @ x, None if b is None else dy.sum(0))


PRODUCT = ({"x": (2, 3), "w": (3, 2)},)

CLAIMS: tuple[Claim, ...] = (
    Claim(
        "000/2.1-forward",
        "2.1 MLP forward",
        "With a sample a row and a neuron's weights a column, the network is H_k = f(b_k + H_{k-1} W_k), the bias added to "
        "every row.",
        formula="A_k = b_k + H_{k-1} W_k, H_k = f(A_k), E = H_l",
        question="the output of an MLP",
        says=mlp_forward,
        examples=(mlp_example(1, (1, 1)), mlp_example(2, (3, 4, 2))),
    ),
    Claim(
        "000/2.1-shape",
        "2.1 MLP forward",
        "A_k has a row for each sample and a column for each neuron of layer k.",
        layer="affine",
        question="shape of affine",
        says=lambda x, w: (x[0], w[1]),
        examples=({"x": (1, 2), "w": (2, 3)}, {"x": (5, 4), "w": (4, 1)}),
    ),
    Claim(
        "000/2.2-chain",
        "2.2 derivative by a vector",
        "With the Jacobian's rows numbered by y and its columns by x, the gradient by x is the transposed Jacobian times "
        "the gradient by y.",
        formula="dz/dx = (dy/dx)^T dz/dy = (sum_k dz/dy_k dy_k/dx_j)_j",
        question="the gradient through a Jacobian",
        says=jacobian_transposed_times,
        examples=({"jacobian": (2, 1), "dz": (2,)}, {"jacobian": (3, 4), "dz": (3,)}),
    ),
    Claim(
        "000/2.3-product",
        "2.3 linear unit",
        "The product of a 2 x 3 and a 3 x 2 matrix, entry by entry.",
        layer="affine",
        formula="C = A B",
        question="y of affine",
        says=product,
        examples=PRODUCT,
    ),
    Claim(
        "000/2.3-dA",
        "2.3 linear unit",
        "The gradient by the left factor, entry by entry, is G times B transposed.",
        layer="affine",
        formula="dL/dA = G B^T",
        question="dx of affine",
        says=product_dx,
        examples=PRODUCT,
    ),
    Claim(
        "000/2.3-dB",
        "2.3 linear unit",
        "The gradient by the right factor, entry by entry, is A transposed times G.",
        layer="affine",
        formula="dL/dB = A^T G",
        question="dw of affine",
        says=product_dw,
        examples=PRODUCT,
    ),
    Claim(
        "000/2.3-db",
        "2.3 linear unit",
        "The bias' gradient is (g11 + g21, g12 + g22, g13 + g23): the rows added up.",
        layer="affine",
        formula="dL/db = (g11 + g21, g12 + g22, g13 + g23)",
        question="db of affine",
        says=lambda x, w, b, dy: dy[0] + dy[1],
        examples=({"x": (2, 1), "w": (1, 3), "b": (3,)},),
    ),
    Claim(
        "000/2.3-row-sum",
        "2.3 linear unit",
        "The bias' gradient is the row sum of G.",
        layer="affine",
        formula="dL/db = row sum of G",
        question="db of affine",
        says=lambda x, w, b, dy: dy.sum(axis=1),
        examples=({"x": (2, 1), "w": (1, 1), "b": (1,)}, {"x": (2, 1), "w": (1, 3), "b": (3,)}),
        corrected=lambda x, w, b, dy: dy.sum(axis=0),
        correction="The column sums: one sum over the samples for each column. The matrix beside it has them, and "
        "section 2.6 calls the same thing the column sum.",
        consequence="Who sums along each row gets one number a sample in place of one a neuron.",
        condition="G is 1 x 1",
        under=({"x": (1, 1), "w": (1, 1), "b": (1,)},),
    ),
    Claim(
        "000/2.4-elementwise",
        "2.4 non-linear unit",
        "The gradient by the input of an elementwise function is the elementwise product of G and f'(A).",
        layer="sigmoid",
        formula="dL/dA = G * f'(A)",
        question="dx of sigmoid",
        says=elementwise,
        examples=({"x": (2, 2)},),
    ),
    Claim(
        "000/2.5-gradients",
        "2.5 MLP gradients",
        "Going back through an MLP, dW_k is G times H_{k-1} transposed and the gradient handed on is W_k transposed times "
        "G.",
        layer="affine",
        formula="dW_k = G H_{k-1}^T;  G <- W_k^T G",
        question="the weight gradients of an MLP",
        says=mlp_as_printed,
        examples=(mlp_example(1, (2, 1)), mlp_example(2, (1, 1)), mlp_example(2, (2, 2, 2)), mlp_example(3, (3, 4, 2))),
        corrected=mlp_corrected,
        correction="dW_k = H_{k-1}^T G and G <- G W_k^T: with a sample a row, as 2.1 and 2.3 have it. The printed order "
        "belongs to samples in columns.",
        consequence="The shapes do not meet; where all widths equal the batch they do, and the gradients are wrong.",
        condition="one sample and one neuron a layer",
        under=(mlp_example(1, (1, 1)), mlp_example(1, (1, 1, 1))),
    ),
    Claim(
        "000/2.6-value",
        "2.6 optimised linear unit",
        "The unit with one row of weights an output, entry by entry.",
        layer="linear",
        formula="h_ij = a_i0 w_j0 + a_i1 w_j1 + b_j",
        question="y of linear",
        says=linear_value,
        examples=({"x": (3, 2), "w": (4, 2), "b": (4,)},),
    ),
    Claim(
        "000/2.6-shape",
        "2.6 optimised linear unit",
        "The weights have as many rows as there are outputs and as many columns as there are inputs.",
        layer="linear",
        question="shape of linear",
        says=lambda x, w: (x[0], w[0]),
        examples=({"x": (1, 2), "w": (3, 2)}, {"x": (3, 2), "w": (4, 2)}),
    ),
    Claim(
        "000/2.6-dA",
        "2.6 optimised linear unit",
        "The gradient by the input, entry by entry, is G W.",
        layer="linear",
        formula="dL/dA = G W",
        question="dx of linear",
        says=linear_dx,
        examples=({"x": (3, 2), "w": (4, 2), "b": (4,)},),
    ),
    Claim(
        "000/2.6-dW",
        "2.6 optimised linear unit",
        "The gradient by the weights, entry by entry, is G transposed times A.",
        layer="linear",
        formula="dL/dW = G^T A",
        question="dw of linear",
        says=linear_dw,
        examples=({"x": (3, 2), "w": (4, 2), "b": (4,)},),
    ),
    Claim(
        "000/2.6-db",
        "2.6 optimised linear unit",
        "The bias' gradient is the column sum of G.",
        layer="linear",
        formula="dL/db = column sums of G",
        question="db of linear",
        says=linear_db,
        examples=({"x": (3, 2), "w": (4, 2), "b": (4,)},),
    ),
)
