"""Restate the claims of document 000 about fully connected layers and the MLP."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from reference.claim import Claim, require

Array = Any


def sigmoid_of(x: Array) -> Array:
    """Compute 1 / (1 + exp(-x)) exactly as printed, with overflow."""
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-x))


def jacobian_transposed_times(jacobian: Array, dz: Array) -> Array:
    """Compute dz/dx_j = sum over k of dz/dy_k dy_k/dx_j, with jacobian[i][j] = dy_i/dx_j of m rows and n columns."""
    m, n = jacobian.shape
    return np.array([sum(dz[k] * jacobian[k, j] for k in range(m)) for j in range(n)])


def product(x: Array, w: Array) -> Array:
    """Compute A B of 2 x 3 and 3 x 2, entry by entry."""
    (a11, a12, a13), (a21, a22, a23) = x
    (b11, b12), (b21, b22), (b31, b32) = w
    return np.array([
        [a11 * b11 + a12 * b21 + a13 * b31, a11 * b12 + a12 * b22 + a13 * b32],
        [a21 * b11 + a22 * b21 + a23 * b31, a21 * b12 + a22 * b22 + a23 * b32],
    ])  # fmt: skip


def product_dx(x: Array, w: Array, dy: Array) -> Array:
    """Compute dL/dA = G B^T, entry by entry."""
    (b11, b12), (b21, b22), (b31, b32) = w
    (g11, g12), (g21, g22) = dy
    return np.array([
        [g11 * b11 + g12 * b12, g11 * b21 + g12 * b22, g11 * b31 + g12 * b32],
        [g21 * b11 + g22 * b12, g21 * b21 + g22 * b22, g21 * b31 + g22 * b32],
    ])  # fmt: skip


def product_dw(x: Array, w: Array, dy: Array) -> Array:
    """Compute dL/dB = A^T G, entry by entry."""
    (a11, a12, a13), (a21, a22, a23) = x
    (g11, g12), (g21, g22) = dy
    return np.array([
        [g11 * a11 + g21 * a21, g12 * a11 + g22 * a21],
        [g11 * a12 + g21 * a22, g12 * a12 + g22 * a22],
        [g11 * a13 + g21 * a23, g12 * a13 + g22 * a23],
    ])  # fmt: skip


def affine(x: Array, w: Array, b: Array = None) -> tuple[Array, Any]:
    """Compute A W + b. Each row of A is a sample, and each column of W is a neuron (2.1, 2.3)."""
    require(x.ndim == 2, "samples that are not rows")
    if b is not None and b.shape != (w.shape[1],):
        raise ValueError("b does not fit w")
    y = x @ w if b is None else x @ w + b
    return y, lambda dy: (dy @ w.T, x.T @ dy, None if b is None else dy.sum(0))


def elementwise(x: Array, dy: Array) -> Array:
    """Compute dL/dA = G * f'(A) for f = sigmoid and a 2 x 2 matrix, entry by entry."""
    s = sigmoid_of(x)
    d = s * (1 - s)
    return np.array([[dy[0, 0] * d[0, 0], dy[0, 1] * d[0, 1]], [dy[1, 0] * d[1, 0], dy[1, 1] * d[1, 1]]])


def sigmoid(x: Array) -> tuple[Array, Any]:
    """Run the non-linear unit of 1.1 and 2.4."""
    s = sigmoid_of(x)
    return s, lambda dy: (dy * s * (1 - s),)


def mlp_forward(x: Array, targets: Array, weights: Array, biases: Array) -> Array:
    """Compute E = H_l, with A_k = b_k + H_{k-1} W_k and H_k = sigmoid(A_k)."""
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
    """Compute dW_k = G H_{k-1}^T and dH_{k-1} = W_k^T G."""
    return _mlp_backward(x, targets, weights, biases, lambda g, h: g @ h.T, lambda g, w: w.T @ g)


def mlp_corrected(x: Array, targets: Array, weights: Array, biases: Array) -> Array:
    """Compute dW_k = H_{k-1}^T G and dH_{k-1} = G W_k^T."""
    return _mlp_backward(x, targets, weights, biases, lambda g, h: h.T @ g, lambda g, w: g @ w.T)


def mlp_example(batch: int, widths: tuple[int, ...]) -> dict[str, Any]:
    """Return the shapes of an MLP with these widths, from input to output, and this size of batch."""
    pairs = list(pairwise(widths))
    return {
        "x": (batch, widths[0]),
        "targets": (batch, widths[-1]),
        "weights": [(n, m) for n, m in pairs],
        "biases": [(m,) for _, m in pairs],
    }


def linear_value(x: Array, w: Array, b: Array) -> Array:
    """Compute the optimised linear unit for 3 samples with 2 features and 4 rows of weights, entry by entry."""
    return np.array([[x[i, 0] * w[j, 0] + x[i, 1] * w[j, 1] + b[j] for j in range(4)] for i in range(3)])


def linear_dx(x: Array, w: Array, b: Array, dy: Array) -> Array:
    """Compute G W, entry by entry."""
    g = dy
    return np.array([
        [g[i, 0] * w[0, j] + g[i, 1] * w[1, j] + g[i, 2] * w[2, j] + g[i, 3] * w[3, j] for j in range(2)]
        for i in range(3)
    ])  # fmt: skip


def linear_dw(x: Array, w: Array, b: Array, dy: Array) -> Array:
    """Compute G^T A, entry by entry."""
    g = dy
    return np.array([[g[0, i] * x[0, j] + g[1, i] * x[1, j] + g[2, i] * x[2, j] for j in range(2)] for i in range(4)])


def linear_db(x: Array, w: Array, b: Array, dy: Array) -> Array:
    """Compute the column sums of G, entry by entry."""
    return np.array([dy[0, j] + dy[1, j] + dy[2, j] for j in range(4)])


def linear(x: Array, w: Array, b: Array = None) -> tuple[Array, Any]:
    """Run the optimised linear unit (2.6), in which w has one row per output."""
    require(x.ndim == 2, "samples that are not rows")
    if b is not None and b.shape != (w.shape[0],):
        raise ValueError("b does not fit w")
    y = x @ w.T if b is None else x @ w.T + b
    return y, lambda dy: (dy @ w, dy.T @ x, None if b is None else dy.sum(0))


PRODUCT = ({"x": (2, 3), "w": (3, 2)},)

CLAIMS: tuple[Claim, ...] = (
    Claim(
        "000/2.1-forward",
        "2.1 MLP forward",
        "Each row is a sample, and each column holds the weights of a neuron. The network is H_k = f(b_k "
        "+ H_{k-1} W_k), and the bias is added to every row.",
        formula="A_k = b_k + H_{k-1} W_k, H_k = f(A_k), E = H_l",
        question="the output of an MLP",
        says=mlp_forward,
        examples=(mlp_example(1, (1, 1)), mlp_example(2, (3, 4, 2))),
    ),
    Claim(
        "000/2.1-shape",
        "2.1 MLP forward",
        "A_k has one row for each sample and one column for each neuron of layer k.",
        layer="affine",
        question="shape of affine",
        says=lambda x, w: (x[0], w[1]),
        examples=({"x": (1, 2), "w": (2, 3)}, {"x": (5, 4), "w": (4, 1)}),
    ),
    Claim(
        "000/2.2-chain",
        "2.2 derivative with respect to a vector",
        "The rows of the Jacobian are numbered by y and its columns by x. The gradient with respect to x "
        "is the transposed Jacobian times the gradient with respect to y.",
        formula="dz/dx = (dy/dx)^T dz/dy = (sum_k dz/dy_k dy_k/dx_j)_j",
        question="the gradient through a Jacobian",
        says=jacobian_transposed_times,
        examples=({"jacobian": (2, 1), "dz": (2,)}, {"jacobian": (3, 4), "dz": (3,)}),
    ),
    Claim(
        "000/2.3-product",
        "2.3 linear unit",
        "The document writes out the product of a 2 x 3 and a 3 x 2 matrix, entry by entry.",
        layer="affine",
        formula="C = A B",
        question="y of affine",
        says=product,
        examples=PRODUCT,
    ),
    Claim(
        "000/2.3-dA",
        "2.3 linear unit",
        "The gradient with respect to the left factor, entry by entry, is G times B transposed.",
        layer="affine",
        formula="dL/dA = G B^T",
        question="dx of affine",
        says=product_dx,
        examples=PRODUCT,
    ),
    Claim(
        "000/2.3-dB",
        "2.3 linear unit",
        "The gradient with respect to the right factor, entry by entry, is A transposed times G.",
        layer="affine",
        formula="dL/dB = A^T G",
        question="dw of affine",
        says=product_dw,
        examples=PRODUCT,
    ),
    Claim(
        "000/2.3-db",
        "2.3 linear unit",
        "The gradient of the bias is the sum of the rows: (g11 + g21, g12 + g22, g13 + g23).",
        layer="affine",
        formula="dL/db = (g11 + g21, g12 + g22, g13 + g23)",
        question="db of affine",
        says=lambda x, w, b, dy: dy[0] + dy[1],
        examples=({"x": (2, 1), "w": (1, 3), "b": (3,)},),
    ),
    Claim(
        "000/2.3-row-sum",
        "2.3 linear unit",
        "The gradient of the bias is the row sum of G.",
        layer="affine",
        formula="dL/db = row sum of G",
        question="db of affine",
        says=lambda x, w, b, dy: dy.sum(axis=1),
        examples=({"x": (2, 1), "w": (1, 1), "b": (1,)}, {"x": (2, 1), "w": (1, 3), "b": (3,)}),
        corrected=lambda x, w, b, dy: dy.sum(axis=0),
        correction="The gradient is the column sums: for each column, the sum over the samples. The matrix beside it"
        " has these sums, and section 2.6 calls the same thing the column sum.",
        consequence="A reader who sums along each row gets one number per sample instead of one per neuron.",
        condition="G is 1 x 1",
        under=({"x": (1, 1), "w": (1, 1), "b": (1,)},),
    ),
    Claim(
        "000/2.4-elementwise",
        "2.4 non-linear unit",
        "The gradient with respect to the input of an elementwise function is the elementwise product of G and f'(A).",
        layer="sigmoid",
        formula="dL/dA = G * f'(A)",
        question="dx of sigmoid",
        says=elementwise,
        examples=({"x": (2, 2)},),
    ),
    Claim(
        "000/2.5-gradients",
        "2.5 MLP gradients",
        "In the backward pass of an MLP, dW_k is G times H_{k-1} transposed. The gradient that is passed "
        "on is W_k transposed times G.",
        layer="affine",
        formula="dW_k = G H_{k-1}^T;  G <- W_k^T G",
        question="the weight gradients of an MLP",
        says=mlp_as_printed,
        examples=(mlp_example(1, (2, 1)), mlp_example(2, (1, 1)), mlp_example(2, (2, 2, 2)), mlp_example(3, (3, 4, 2))),
        corrected=mlp_corrected,
        correction="dW_k = H_{k-1}^T G and G <- G W_k^T, because each sample is a row, as in 2.1 and 2.3. The "
        "printed order is right if each sample is a column.",
        consequence="The shapes do not fit. If all widths equal the size of the batch, the shapes fit, but the "
        "gradients are wrong.",
        condition="there is one sample and every layer has one neuron",
        under=(mlp_example(1, (1, 1)), mlp_example(1, (1, 1, 1))),
    ),
    Claim(
        "000/2.6-value",
        "2.6 optimised linear unit",
        "The document writes out the unit with one row of weights per output, entry by entry.",
        layer="linear",
        formula="h_ij = a_i0 w_j0 + a_i1 w_j1 + b_j",
        question="y of linear",
        says=linear_value,
        examples=({"x": (3, 2), "w": (4, 2), "b": (4,)},),
    ),
    Claim(
        "000/2.6-shape",
        "2.6 optimised linear unit",
        "The weights have one row for each output and one column for each input.",
        layer="linear",
        question="shape of linear",
        says=lambda x, w: (x[0], w[0]),
        examples=({"x": (1, 2), "w": (3, 2)}, {"x": (3, 2), "w": (4, 2)}),
    ),
    Claim(
        "000/2.6-dA",
        "2.6 optimised linear unit",
        "The gradient with respect to the input, entry by entry, is G W.",
        layer="linear",
        formula="dL/dA = G W",
        question="dx of linear",
        says=linear_dx,
        examples=({"x": (3, 2), "w": (4, 2), "b": (4,)},),
    ),
    Claim(
        "000/2.6-dW",
        "2.6 optimised linear unit",
        "The gradient with respect to the weights, entry by entry, is G transposed times A.",
        layer="linear",
        formula="dL/dW = G^T A",
        question="dw of linear",
        says=linear_dw,
        examples=({"x": (3, 2), "w": (4, 2), "b": (4,)},),
    ),
    Claim(
        "000/2.6-db",
        "2.6 optimised linear unit",
        "The gradient of the bias is the column sum of G.",
        layer="linear",
        formula="dL/db = column sums of G",
        question="db of linear",
        says=linear_db,
        examples=({"x": (3, 2), "w": (4, 2), "b": (4,)},),
    ),
)
