"""Document 000, "Implementing a deep-learning computation framework": what it claims.

A computation graph, MLP, batch normalisation, softmax and the cross-entropies, convolution, pooling, residual networks.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from reference.claim import Claim, LayerFunction, constant, gradient, offered, one, value

Array = Any


def sigmoid_of(x: Array) -> Array:
    """1 / (1 + exp(-x)), as it stands."""
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-x))


# -- 1 the computation graph ------------------------------------------------------------------------------------------

# Node: its parents. 1 and 2 are inputs, 3 to 7 sigmoid neurons, 8 is the loss 0.5 (x - E)^2.
PARENTS: dict[int, tuple[int, ...]] = {
    1: (), 2: (), 3: (1, 2), 4: (1, 2), 5: (3, 4), 6: (3, 4), 7: (5, 6), 8: (7,),
}  # fmt: skip


def graph_forward(inputs: Array, weights: Array, biases: Array, target: float) -> Array:
    """The result array, nodes 1 to 8; weights[i - 3] are those of node i, in the order of its parents."""
    results = dict(zip((1, 2), inputs, strict=True))
    for i in range(3, 8):
        x = np.array([results[p] for p in PARENTS[i]])
        results[i] = sigmoid_of(biases[i - 3] + (weights[i - 3] * x).sum())
    results[8] = 0.5 * (results[7] - target) ** 2
    return np.array([results[i] for i in range(1, 9)])


def graph_backward(inputs: Array, weights: Array, biases: Array, target: float) -> Array:
    """The gradient array: cleared, 1 at the loss, then every node adds to each of its parents, last node first."""
    results = graph_forward(inputs, weights, biases, target)
    grad = np.zeros(9)
    grad[8] = 1
    for i in range(8, 2, -1):
        for position, parent in enumerate(PARENTS[i]):
            x = np.array([results[p - 1] for p in PARENTS[i]])
            if i == 8:
                derivative = x[0] - target
            else:
                s = sigmoid_of(biases[i - 3] + (weights[i - 3] * x).sum())
                derivative = s * (1 - s) * weights[i - 3][position]
            grad[parent] += grad[i] * derivative
    return grad[1:]


def gradient_of_node_4(inputs: Array, weights: Array, biases: Array, target: float) -> Array:
    """grad[5] sigmoid'(a5) w_52 + grad[6] sigmoid'(a6) w_62, the second weights of nodes 5 and 6."""
    out = graph_forward(inputs, weights, biases, target)
    grad = graph_backward(inputs, weights, biases, target)
    total = 0.0
    for i in (5, 6):
        s = sigmoid_of(out[2] * weights[i - 3][0] + out[3] * weights[i - 3][1] + biases[i - 3])
        total = total + grad[i - 1] * s * (1 - s) * weights[i - 3][1]
    return np.array(total)


def weight_named_by_the_derivative(inputs: Array, weights: Array, biases: Array, target: float) -> Array:
    """The derivative of node 5 by its parent 4 as the gradient function is called: w_ip with p the parent's number."""
    out = graph_forward(inputs, weights, biases, target)
    w_5 = {1: weights[2][0], 2: weights[2][1]}  # the forward formula numbers the weights by the place in the input
    p = 4
    s = sigmoid_of(biases[2] + w_5[1] * out[2] + w_5[2] * out[3])
    return np.array(s * (1 - s) * w_5[p])


def weight_by_place(inputs: Array, weights: Array, biases: Array, target: float) -> Array:
    """The same with the parent's place among the parents."""
    out = graph_forward(inputs, weights, biases, target)
    s = sigmoid_of(biases[2] + weights[2][0] * out[2] + weights[2][1] * out[3])
    return np.array(s * (1 - s) * weights[2][PARENTS[5].index(4)])


def graph_weight_gradients(inputs: Array, weights: Array, biases: Array, target: float) -> Array:
    """dL/dw of each node from its own gradient and inputs alone, after the sweep."""
    out = graph_forward(inputs, weights, biases, target)
    grad = graph_backward(inputs, weights, biases, target)
    rows = []
    for i in range(3, 8):
        x = np.array([out[p - 1] for p in PARENTS[i]])
        rows.append(grad[i - 1] * out[i - 1] * (1 - out[i - 1]) * x)
    return np.array(rows)


GRAPH = (
    {"inputs": (2,), "weights": (5, 2), "biases": (5,), "target": 1.0},
    {"inputs": (2,), "weights": (5, 2), "biases": (5,), "target": -0.5},
)


# -- 2 fully connected ------------------------------------------------------------------------------------------------


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


# -- 2.7 batch normalisation ------------------------------------------------------------------------------------------


def rows_normalised(a: Array, gamma: Array, beta: Array, eps: float) -> tuple[Array, Array, Array]:
    """y, m and std (a variance) of a matrix whose columns are neurons."""
    n = len(a)
    m = a.sum(0) / n
    std = ((a - m) ** 2).sum(0) / n
    return gamma * ((a - m) / np.sqrt(std + eps)) + beta, m, std


def by_std(a: Array, gamma: Array, dy: Array, eps: float) -> Array:
    """dL/dstd_j = -gamma_j / 2 (std_j + eps)^(-3/2) sum over i of g_ij (a_ij - m_j)."""
    _, m, std = rows_normalised(a, gamma, 0.0, eps)
    return -gamma / 2 * (std + eps) ** -1.5 * (dy * (a - m)).sum(0)


def by_mean_first_line(a: Array, gamma: Array, dy: Array, eps: float) -> Array:
    """dL/dm_j by the quotient rule, std_j depending on m_j."""
    n = len(a)
    _, m, std = rows_normalised(a, gamma, 0.0, eps)
    root = np.sqrt(std + eps)
    std_by_mean = -2 * (a - m).sum(0) / n
    return (dy * gamma * (-root - (a - m) * 0.5 / root * std_by_mean) / (std + eps)).sum(0)


def by_mean(a: Array, gamma: Array, dy: Array, eps: float) -> Array:
    """dL/dm_j = -gamma_j / sqrt(std_j + eps) sum g_ij - dL/dstd_j (1/n) sum of 2 (a_ij - m_j)."""
    _, m, std = rows_normalised(a, gamma, 0.0, eps)
    return -gamma / np.sqrt(std + eps) * dy.sum(0) - by_std(a, gamma, dy, eps) / len(a) * (2 * (a - m)).sum(0)


def batch_norm_dx_first_line(x: Array, gamma: Array, beta: Array, dy: Array, eps: float = 1e-5) -> Array:
    """dL/da_ij as a sum over i of terms that all stand at the same i."""
    n = len(x)
    _, m, std = rows_normalised(x, gamma, beta, eps)
    root, c = np.sqrt(std + eps), x - m
    terms = dy * gamma * ((1 - 1 / n) * root - c * 0.5 / root * (2 / n) * c * (1 - 1 / n)) / (std + eps)
    return np.broadcast_to(terms.sum(0), x.shape)


def batch_norm_dx_first_line_corrected(x: Array, gamma: Array, beta: Array, dy: Array, eps: float = 1e-5) -> Array:
    """The sum over k of g_kj gamma_j ((d_ik - 1/n) root - (a_kj - m)(1/2) root^-1 (2/n)(a_ij - m)) / root^2."""
    n = len(x)
    _, m, std = rows_normalised(x, gamma, beta, eps)
    root, c = np.sqrt(std + eps), x - m
    dx = np.zeros_like(x)
    for i in range(n):
        for k in range(n):
            dx[i] += dy[k] * gamma * (((i == k) - 1 / n) * root - c[k] * 0.5 / root * (2 / n) * c[i]) / (std + eps)
    return dx


def batch_norm(
    x: Array,
    gamma: Array = None,
    beta: Array = None,
    running_mean: Array = None,
    running_var: Array = None,
    *,
    training: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> tuple[Array, Any]:
    """Over the samples of a feature (2.7) or over all pixels of a channel (4.9); the final lines of the gradients."""
    offered(training and running_mean is None and running_var is None, "running statistics")
    channels = x.shape[1]
    if x.size <= channels and x.size:
        raise ValueError("one value a channel")
    for name, p in (("gamma", gamma), ("beta", beta)):
        if p is not None and p.shape != (channels,):
            raise ValueError(f"{name} does not fit")

    def rows(v: Array) -> Array:
        return np.moveaxis(v, 1, -1).reshape(-1, channels)

    def images(v: Array) -> Array:
        return np.moveaxis(v.reshape(*np.moveaxis(x, 1, -1).shape), -1, 1)

    offered(x.size > 0, "empty batch")
    a, scale = rows(x), np.ones(channels, x.dtype) if gamma is None else gamma
    shift = np.zeros(channels, x.dtype) if beta is None else beta
    y, m, std = rows_normalised(a, scale, shift, eps)
    n = len(a)

    def pullback(dy: Array) -> tuple[Array, ...]:
        g = rows(dy)
        d_std, d_m = by_std(a, scale, g, eps), by_mean(a, scale, g, eps)
        da = d_m / n + 2 * (a - m) / n * d_std + g * scale / np.sqrt(std + eps)
        d_gamma = (g * (a - m) / np.sqrt(std + eps)).sum(0)
        return (
            images(da).astype(x.dtype),
            None if gamma is None else d_gamma.astype(x.dtype),
            None if beta is None else g.sum(0),
            None,
            None,
        )

    return images(y).astype(x.dtype), pullback


def normalised_moments(x: Array) -> Array:
    """Mean, variance and fourth moment of what normalisation leaves, as of a standard normal distribution."""
    return np.array([0.0, 1.0, 3.0])


def moments_left(x: Array) -> Array:
    """Mean 0 and variance 1; the fourth moment is the input's own."""
    c = x - x.mean()
    return np.array([0.0, 1.0, (c**4).mean() / (c**2).mean() ** 2])


# -- 3 losses ---------------------------------------------------------------------------------------------------------


def softmax_rows(x: Array) -> Array:
    """e^a over its row's sum, as it stands."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


def softmax_jacobian(x: Array) -> Array:
    """dS_i/da_i = (e^i sum - e^i e^i) / sum^2 = S_i (1 - S_i); dS_i/da_j = -e^i e^j / sum^2 = -S_i S_j."""
    e = np.exp(x)
    n, total = len(x), e.sum()
    return np.array([
        [(e[i] * total - e[i] * e[i]) / total**2 if i == j else -e[i] * e[j] / total**2 for j in range(n)]
        for i in range(n)
    ])  # fmt: skip


def softmax_dx_first_column(x: Array, dy: Array) -> Array:
    """The first column of dL/dA; what nothing is said of is masked."""
    s, dx = softmax_rows(x), np.ma.masked_all(x.shape)
    for i in range(len(x)):
        dx[i, 0] = s[i, 0] * (dy[i, 0] * (1 - s[i, 0]) - dy[i, 1] * s[i, 1] - dy[i, 2] * s[i, 2])
    return dx


def softmax_dx_second_column(x: Array, dy: Array) -> Array:
    """The second column, first row: s12 (g11 s11 - g12 (1 - s12) - g13 s13); second row: with s21 in front."""
    s, g, dx = softmax_rows(x), dy, np.ma.masked_all(x.shape)
    front = (s[0, 1], s[1, 0])
    for i in range(2):
        dx[i, 1] = front[i] * (g[i, 0] * s[i, 0] - g[i, 1] * (1 - s[i, 1]) - g[i, 2] * s[i, 2])
    return dx


def softmax_dx_second_column_corrected(x: Array, dy: Array) -> Array:
    """s12 (-g11 s11 + g12 (1 - s12) - g13 s13), and the same with row 2."""
    s, g, dx = softmax_rows(x), dy, np.ma.masked_all(x.shape)
    for i in range(2):
        dx[i, 1] = s[i, 1] * (-g[i, 0] * s[i, 0] + g[i, 1] * (1 - s[i, 1]) - g[i, 2] * s[i, 2])
    return dx


def softmax(x: Array, *, axis: int = -1) -> tuple[Array, Any]:
    """The rows' softmax, its gradient by the document's matrix, continued to as many columns as there are.

    Column 1 is printed right; every further column follows the printed second one: the terms before its own lose their
    sign, its own has the wrong one.
    """
    offered(x.ndim == 2 and axis in (-1, 1), "softmax along another axis than the rows of a matrix")
    s = softmax_rows(x)

    def pullback(dy: Array) -> tuple[Array]:
        dx = np.zeros_like(x)
        for j in range(x.shape[1]):
            front = s[:, j].copy()
            if j and len(x) > 1:
                front[1] = s[1, 0]
            total = dy[:, j] * (1 - s[:, j]) * (1 if j == 0 else -1)
            for k in range(x.shape[1]):
                if k != j:
                    total = total + dy[:, k] * s[:, k] * (1 if k < j else -1)
            dx[:, j] = front * total
        return (dx,)

    return s, pullback


def softmax_corrected(x: Array, *, axis: int = -1) -> tuple[Array, Any]:
    """Shifted by the row's largest; dA = S * (G - sum over the row of G * S)."""
    offered(x.ndim == 2 and axis in (-1, 1), "softmax along another axis than the rows of a matrix")
    s = stable_softmax(x)
    return s, lambda dy: (s * (dy - (dy * s).sum(-1, keepdims=True)),)


def stable_softmax(x: Array) -> Array:
    """The same quotient with the largest logit of the row taken off first."""
    offered(bool(np.isfinite(x).all()), "infinite logit")
    e = np.exp(x - x.max(-1, keepdims=True, initial=-np.inf))
    return e / e.sum(-1, keepdims=True)


def cross_entropy_of_probabilities(p: Array, targets: Array) -> Array:
    """-(1/n) sum of y log a + (1 - y) log(1 - a), n the number of entries."""
    return np.asarray(-(targets * np.log(p) + (1 - targets) * np.log(1 - p)).sum() / p.size)


def cross_entropy_of_two_rows(p: Array, targets: Array) -> Array:
    """The batch example: -(1/6)(log a11 + log(1 - a12) + log(1 - a13) + log(1 - a21) + log a22 + log(1 - a23))."""
    (a11, a12, a13), (a21, a22, a23) = p
    terms = [a11, 1 - a12, 1 - a13, 1 - a21, a22, 1 - a23]
    return np.asarray(-np.log(terms).sum() / 6)


def cross_entropy_dp(p: Array, targets: Array, dy: Array) -> Array:
    """-1 / (n a) where y is 1, else 1 / (n (1 - a)); n the number of entries."""
    return dy * np.where(targets == 1, -1 / (p.size * p), 1 / (p.size * (1 - p)))


def cross_entropy_dp_by_samples(p: Array, targets: Array, dy: Array) -> Array:
    """The same with n read as in 3.3, the number of samples."""
    return dy * np.where(targets == 1, -1 / (len(p) * p), 1 / (len(p) * (1 - p)))


def binary_cross_entropy(p: Array, targets: Array, *, reduction: str = "mean") -> tuple[Array, Any]:
    """The cross-entropy unit of 3.2; the derivative's two cases, for labels 0 and 1, weighted by the label."""
    offered(reduction == "mean" and p.size > 0, "other reduction")
    offered(bool(((p > 0) & (p < 1)).all()), "probability of 0 or 1")
    if p.shape != targets.shape:
        raise ValueError("p and targets differ in shape")
    value = cross_entropy_of_probabilities(p, targets).astype(p.dtype)

    def pullback(dy: Array) -> tuple[Array, Array]:
        by_targets = -dy * (np.log(p) - np.log1p(-p)) / p.size  # the document: "not needed"
        where_1, where_0 = (cross_entropy_dp(p, np.full_like(p, label), dy) for label in (1, 0))
        return (targets * where_1 + (1 - targets) * where_0).astype(p.dtype), by_targets.astype(p.dtype)

    return value, pullback


def sce_first_line(logits: Array, labels: Array) -> Array:
    """-(1/2)(ln(e^a00 / row sum) + ln(e^a11 / row sum)), for labels 0 and 1."""
    with np.errstate(over="ignore", invalid="ignore"):
        s = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return np.asarray(-np.log(s[np.arange(len(labels)), labels]).sum() / len(labels))


def sce_second_line(logits: Array, labels: Array) -> Array:
    """(1/2)(ln s00 + ln s11)."""
    return -sce_first_line(logits, labels)


def sce_third_line(logits: Array, labels: Array) -> Array:
    """-(1/2)(a00 - ln(row sum) + a11 - ln(row sum))."""
    with np.errstate(over="ignore"):
        terms = logits[np.arange(len(labels)), labels] - np.log(np.exp(logits).sum(1))
    return np.asarray(-terms.sum() / len(labels))


def cross_entropy(
    logits: Array,
    labels: Array,
    weight: Array = None,
    *,
    reduction: str = "mean",
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    log_probabilities: Any = None,
) -> tuple[Array, Any]:
    """The SCE unit of 3.3; its value by the third line, as it stands."""
    offered(logits.ndim == 2 and weight is None and reduction == "mean" and not label_smoothing, "such option")
    if labels.shape != logits.shape[:1]:
        raise ValueError("labels do not fit")
    offered(len(labels) > 0 and bool(np.isfinite(logits).all()), "empty batch or infinite logit")
    offered(not (labels == ignore_index).any(), "ignored label")
    n, rows = len(labels), np.arange(len(labels))
    with np.errstate(over="ignore", invalid="ignore"):
        if log_probabilities is None:
            log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
            s = softmax_rows(logits)
        else:
            log_p = log_probabilities(logits)
            s = stable_softmax(logits)

    def pullback(dy: Array) -> tuple[Array, None, None]:
        d = s.copy()
        d[rows, labels] -= 1
        return (dy * d / n).astype(logits.dtype), None, None

    return np.asarray(-log_p[rows, labels].sum() / n).astype(logits.dtype), pullback


def cross_entropy_corrected(logits: Array, labels: Array, weight: Array = None, **options: Any) -> tuple[Array, Any]:
    """The same, each row shifted by its largest logit."""

    def log_probabilities(a: Array) -> Array:
        shifted = a - a.max(1, keepdims=True)
        return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))

    return cross_entropy(logits, labels, weight, **options, log_probabilities=log_probabilities)


# -- 4 convolution and pooling ----------------------------------------------------------------------------------------


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


# -- 5 residual networks ----------------------------------------------------------------------------------------------


def relu(x: Array) -> tuple[Array, Any]:
    """max(x, 0)."""
    return np.maximum(x, 0).astype(x.dtype), lambda dy: (dy * (x > 0),)


def residual_unit(x: Array, w1: Array, w2: Array) -> Array:
    """relu(A2 relu(A1 x) + x), a sample a row."""
    return np.maximum(np.maximum(x @ w1, 0) @ w2 + x, 0)


def residual_unit_dx(x: Array, w1: Array, w2: Array, dy: Array) -> Array:
    """What the layers above send, gated, plus what comes through the block."""
    inside = x @ w1
    gated = dy * (np.maximum(inside, 0) @ w2 + x > 0)
    return gated + (gated @ w2.T * (inside > 0)) @ w1.T


def gate_by_the_block(x: Array, w1: Array, w2: Array) -> Array:
    """Where the upper layer sends a gradient: where the output of A2 is positive."""
    return (np.maximum(x @ w1, 0) @ w2 > 0).astype(float)


def gate_by_the_sum(x: Array, w1: Array, w2: Array) -> Array:
    """Where the sum of A2 and the bypass is positive."""
    return (np.maximum(x @ w1, 0) @ w2 + x > 0).astype(float)


def _conv_bn(x: Array, w: Array, norm: tuple[Array, Array], stride: int, eps: float) -> tuple[Array, Any]:
    """Convolution of the kernel's own padding, and its normalisation; the pullback gives dx, dw, dgamma, dbeta."""
    a, conv_back = conv2d(x, w, stride=stride, padding=(w.shape[-1] - 1) // 2)
    y, norm_back = batch_norm(a, *norm, eps=eps)

    def pullback(dy: Array) -> tuple[Array, ...]:
        da, dgamma, dbeta, _, _ = norm_back(dy)
        dx, dw, _ = conv_back(da)
        return dx, dw, dgamma, dbeta

    return y, pullback


def _block(
    x: Array, kernels: list[Array], norms: list[Any], shortcut: Any, strides: list[int], eps: float, overwritten: bool
) -> tuple[Array, Any]:
    """Convolutions with normalisation, ReLU between, plus the shortcut, ReLU; ``shortcut`` is (w, gamma, beta)."""
    out = x
    parts: list[Any] = []
    gates: list[Array] = []
    for i, (w, norm, s) in enumerate(zip(kernels, norms, strides, strict=True)):
        out, back = _conv_bn(out, w, norm, s, eps)
        parts.append(back)
        if i < len(kernels) - 1:
            gates.append(out > 0)
            out = np.maximum(out, 0)
    by, by_back = x, None
    if shortcut[0] is not None:
        by, by_back = _conv_bn(x, shortcut[0], shortcut[1:], max(strides), eps)
        out = by if overwritten else out
    if out.shape != by.shape:
        raise ValueError("the block and its shortcut differ in shape")
    total = out + by

    def pullback(dy: Array) -> Any:
        g = dy * (total > 0)
        lost = overwritten and by_back is not None
        d = g * (not lost)
        found: list[Any] = []
        for i in reversed(range(len(parts))):
            d = d * gates[i] if i < len(gates) else d
            d, *rest = parts[i](d)
            found.insert(0, rest)
        d_by, projected = g, [None] * 3
        if by_back is not None:
            d_by, *projected = by_back(2 * g if lost else g)
        return d + d_by, found, projected

    return np.maximum(total, 0), pullback


def _residual_layer(count: int, overwritten: bool) -> LayerFunction:
    """A block as a layer: x, the kernels, their gamma and beta, the shortcut's, then running statistics (none here)."""

    def layer(
        x: Array, *arrays: Array, stride: Any = 1, training: bool = True, momentum: float = 0.1, eps: float = 1e-5
    ) -> tuple[Array, Any]:
        arrays += (None,) * (5 * count + 5 - len(arrays))
        running = arrays[3 * count + 3 :]
        offered(training and all(r is None for r in running), "running statistics")
        offered(x.size > 0 and isinstance(one(stride), int), "empty batch or stride by axis")
        kernels, flat = list(arrays[:count]), arrays[count : 3 * count]
        norms = [(flat[2 * i], flat[2 * i + 1]) for i in range(count)]
        strides = [one(stride) if k.shape[-1] == 3 else 1 for k in kernels]
        strides[1:] = [s if count == 3 else 1 for s in strides[1:]]
        y, back = _block(x, kernels, norms, arrays[3 * count : 3 * count + 3], strides, eps, overwritten)

        def pullback(dy: Array) -> tuple[Array, ...]:
            dx, parts, projected = back(dy)
            norms_back = [d for _, dgamma, dbeta in parts for d in (dgamma, dbeta)]
            return (dx, *(dw for dw, _, _ in parts), *norms_back, *projected, *[None] * len(running))

        return y, pullback

    return layer


def _plain_block(layer: LayerFunction) -> Any:
    """The value of a block without gamma and beta: x, its kernels, and the shortcut's."""

    def says(x: Array, w1: Array, w2: Array, w3: Array = None, shortcut: Array = None, stride: int = 1) -> Array:
        kernels = [w1, w2] if w3 is None else [w1, w2, w3]
        return layer(x, *kernels, *[None] * (2 * len(kernels)), shortcut, stride=stride)[0]

    return says


residual_block, residual_block_corrected = _residual_layer(2, True), _residual_layer(2, False)
bottleneck_block, bottleneck_block_corrected = _residual_layer(3, True), _residual_layer(3, False)


def block_size(x: Array, w: Array, stride: int, padding: int) -> Array:
    """h / stride by w / stride."""
    return (x[0], w[0], x[2] / stride, x[3] / stride)


def block_size_corrected(x: Array, w: Array, stride: int, padding: int) -> Array:
    """h / stride rounded up."""
    return (x[0], w[0], -(-x[2] // stride), -(-x[3] // stride))


# What the document's calls build: kernels' depth, the stages' depths, and whether the first stage changes the size.
RECIPES: dict[int, tuple[str, tuple[int, ...], int]] = {
    34: ("basic", (3, 4, 6, 3), 2),
    50: ("bottleneck", (3, 4, 6, 3), 2),
    101: ("bottleneck", (3, 4, 23, 3), 2),
    152: ("bottleneck", (3, 8, 56, 3), 2),
}


def weighted_layers(layers: int) -> int:
    """Convolutions on the main path and the two ends, as the number in a network's name counts them."""
    kind, depths, _ = RECIPES[layers]
    return (2 if kind == "basic" else 3) * sum(depths) + 2


def stage_depths(layers: int) -> Array:
    """Blocks a stage."""
    return tuple(RECIPES[layers][1])


def parameters(layers: int, depths: tuple[int, ...] | None = None, first_stride: int | None = None) -> int:
    """Trainable numbers of a recipe with a 7 x 7 entry of 64 kernels on RGB and 1000 classes."""
    kind, own_depths, own_stride = RECIPES[layers]
    expansion, channels = (1, 64) if kind == "basic" else (4, 64)
    total = 3 * 64 * 49 + 2 * 64
    for stage, depth in enumerate(own_depths if depths is None else depths):
        stride = 2 if stage else own_stride if first_stride is None else first_stride
        narrow, wide = 64 * 2**stage, 64 * 2**stage * expansion
        for block in range(depth):
            shapes = (
                [(channels, wide, 9), (wide, wide, 9)]
                if kind == "basic"
                else [(channels, narrow, 1), (narrow, narrow, 9), (narrow, wide, 1)]
            )
            if channels != wide or (stride != 1 and block == 0):
                shapes.append((channels, wide, 1))
            total += sum(n * m * area + 2 * m for n, m, area in shapes)
            channels = wide
    return total + channels * 1000 + 1000


def blocks_of_34_layers(**given: Any) -> Any:
    """The call for 34 layers leaves out the argument that the function's signature requires."""

    def res_net_blocks(x, inchannel, outchannel, stride, depth, knum):
        return depth

    arguments: dict[str, int] = {"inchannel": 64, "outchannel": 64, "stride": 2, "depth": 3}
    return res_net_blocks(0, **arguments)


def head(**given: Any) -> Any:
    """The last layer is called without the network's output."""

    def mlp(x, infeature, outfeature):
        return outfeature

    arguments: dict[str, int] = {"infeature": 512, "outfeature": 10}
    return mlp(**arguments)


def multiplications_saved(**given: Any) -> Array:
    """Multiplications a pixel at 256 channels: 1x1 to 64, 3x3, 1x1 back; against two 3x3 on all."""
    bottleneck = 256 * 64 + 64 * 64 * 9 + 64 * 256
    return np.array(bottleneck < 2 * 256 * 256 * 9, float)


def average_moves(x: Array, **configuration: Any) -> Array:
    """Whether a shift within a window shows in the average: the document says it keeps the sensitivity."""
    return np.array(1.0)


AS_WRITTEN: dict[str, LayerFunction] = {
    "affine": affine,
    "linear": linear,
    "sigmoid": sigmoid,
    "relu": relu,
    "batch_norm": batch_norm,
    "softmax": softmax,
    "binary_cross_entropy": binary_cross_entropy,
    "cross_entropy": cross_entropy,
    "conv2d": conv2d,
    "pad": pad,
    "max_pool2d": max_pool2d,
    "avg_pool2d": avg_pool2d,
    "residual_block": residual_block,
    "bottleneck_block": bottleneck_block,
}

CORRECTED: dict[str, LayerFunction] = AS_WRITTEN | {
    "softmax": softmax_corrected,
    "cross_entropy": cross_entropy_corrected,
    "max_pool2d": max_pool2d_corrected,
    "avg_pool2d": avg_pool2d_corrected,
    "residual_block": residual_block_corrected,
    "bottleneck_block": bottleneck_block_corrected,
}

PRODUCT = ({"x": (2, 3), "w": (3, 2)},)
ROWS_AFFINE = (
    {"x": (2, 1), "gamma": (1,), "beta": (1,)},
    {"x": (3, 2), "gamma": (2,), "beta": (2,)},
    {"x": (4, 3), "gamma": (3,), "beta": (3,), "eps": 0.5},
)
PARTS = (
    {"a": (3, 2), "gamma": (2,), "dy": (3, 2), "eps": 1e-5},
    {"a": (4, 1), "gamma": (1,), "dy": (4, 1), "eps": 0.5},
)
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
LOGITS = ({"x": (2, 3)},)
CLASSES = ({"logits": (2, 3), "labels": np.array([0, 1])},)
RESIDUAL = ({"x": (1, 1), "w1": (1, 1), "w2": (1, 1)}, {"x": (2, 3), "w1": (3, 4), "w2": (4, 3)})
BLOCK = {"x": (2, 2, 4, 4), "w1": (3, 2, 3, 3), "w2": (3, 3, 3, 3), "shortcut": (3, 2, 1, 1), "stride": 2}
DEEP_BLOCK = {
    "x": (2, 4, 4, 4), "w1": (2, 4, 1, 1), "w2": (2, 2, 3, 3), "w3": (6, 2, 1, 1), "shortcut": (6, 4, 1, 1), "stride": 2,
}  # fmt: skip

_TEXT = "a statement of purpose, nothing that a computation could decide"

CLAIMS: tuple[Claim, ...] = (
    Claim(
        "000/1.1-order",
        "1.1 forward and gradients",
        "In the eight-node network every parent has a smaller number than its children, so the numbers are an order of "
        "computation.",
        question="an order of computation",
        says=lambda parents: list(range(1, 9)),
        examples=({"parents": PARENTS},),
    ),
    Claim(
        "000/1.1-forward",
        "1.1 forward and gradients",
        "One sweep from node 3 to node 8 fills the result array: sigmoid neurons, then half the squared difference.",
        formula="Fun(i, x) = sigmoid(b_i + sum_j w_ij x_j), i in 3..7;  Fun(8, x) = 0.5 (x - E)^2",
        question="the results of the eight-node graph",
        says=graph_forward,
        examples=GRAPH,
    ),
    Claim(
        "000/1.1-backward",
        "1.1 forward and gradients",
        "With the gradients cleared and 1 at the loss, one sweep back that adds to each parent gives the derivative of "
        "the loss by every node's output.",
        formula="grad[p] += grad[i] dcFun(i, x, p)",
        question="the gradients of the eight-node graph",
        says=graph_backward,
        examples=GRAPH,
    ),
    Claim(
        "000/1.1-node4",
        "1.1 forward and gradients",
        "The gradient of node 4 is the sum over its children 5 and 6 of their gradient times their slope times their "
        "second weight.",
        formula="grad[4] = grad[5] sigmoid'(a5) w_52 + grad[6] sigmoid'(a6) w_62",
        question="the gradient of node 4",
        says=gradient_of_node_4,
        examples=GRAPH,
    ),
    Claim(
        "000/1.1-weight-index",
        "1.1 forward and gradients",
        "The derivative of a node by its parent p is its slope times w_ip, where p is the parent's number, as the sweep "
        "passes it.",
        formula="dcFun(i, x, p) = sigmoid'(b_i + sum_j w_ij x_j) w_ip",
        question="the derivative of node 5 by node 4",
        says=weight_named_by_the_derivative,
        examples=GRAPH,
        corrected=weight_by_place,
        correction="w_ij counts j by the place in the node's input vector (the example writes w_52 for parent 4 of node "
        "5), so p must be translated into the parent's place among the parents.",
        consequence="Node 5 has two weights; asked for its weight number 4 a program stops, or reads past the end.",
    ),
    Claim(
        "000/1.2-inside",
        "1.2 parameter update",
        "A node's parameter gradient follows from the node alone, once its output's gradient is known.",
        formula="dL/dA_W = dL/dA_out dA_out/dA_W",
        question="the weight gradients of the eight-node graph",
        says=graph_weight_gradients,
        examples=GRAPH,
    ),
    Claim(
        "000/1.2-node",
        "1.2 parameter update",
        "A parameter that is an input node of its own gets its gradient from the same sweep as any other parent.",
        layer="affine",
        question="dw of affine",
        says=gradient(affine, 1),
        examples=({"x": (1, 1), "w": (1, 1)}, *PRODUCT),
    ),
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
    Claim(
        "000/2.7-value",
        "2.7 batch normalisation",
        "Each column less its mean, over the root of its mean squared deviation plus eps, times gamma, plus beta.",
        layer="batch_norm",
        formula="m = (1/n) sum x_i, std = (1/n) sum (x_i - m)^2, y_i = gamma (x_i - m) / sqrt(std + eps) + beta",
        question="y of batch_norm",
        says=value(batch_norm),
        examples=ROWS_AFFINE,
    ),
    Claim(
        "000/2.7-std",
        "2.7 batch normalisation",
        "The quantity std is the root of the mean squared deviation (the text's word), by which the values are divided.",
        formula="std = (1/n) sum (x_i - m)^2",
        question="the standard deviation of a column",
        says=lambda x: np.asarray(((x - x.mean()) ** 2).mean()),
        examples=({"x": np.array([0.0, 4.0])}, {"x": (3,)}),
        corrected=lambda x: np.sqrt(((x - x.mean()) ** 2).mean()),
        correction="It is the variance; its root is the standard deviation. The formulas use it rightly, under the wrong "
        "name.",
        consequence="Who reads std as a standard deviation divides by its root: the variance of the result is not 1.",
        condition="the variance is 0 or 1",
        under=({"x": np.array([0.0, 2.0])}, {"x": np.array([3.0, 3.0])}),
    ),
    Claim(
        "000/2.7-normal",
        "2.7 batch normalisation",
        "Dividing by the deviation forces the values into a standard normal distribution.",
        question="mean, variance and fourth moment after normalisation",
        says=normalised_moments,
        examples=({"x": np.array([-1.0, 1.0])}, {"x": np.array([0.0, 0.0, 3.0])}),
        corrected=moments_left,
        correction="They get mean 0 and variance 1; the shape of their distribution stays what it was.",
        consequence="Two-valued data stays two-valued; nothing that needs normality may be concluded.",
    ),
    Claim(
        "000/2.7-bias",
        "2.7 batch normalisation",
        "The linear layer before needs no bias: it changes nothing.",
        layer="batch_norm",
        question="y of batch_norm",
        says=lambda x: value(batch_norm)(x=x + np.arange(1.0, 1 + x.shape[1])),
        examples=({"x": (2, 1)}, {"x": (3, 2)}),
    ),
    Claim(
        "000/2.7-eps",
        "2.7 batch normalisation",
        "eps = 1e-5 keeps the division finite where all values are equal.",
        layer="batch_norm",
        question="y of batch_norm",
        says=value(batch_norm),
        examples=({"x": np.full((3, 1), 2.0)},),
    ),
    Claim(
        "000/2.7-dstd",
        "2.7 batch normalisation",
        "The gradient by std.",
        layer="batch_norm",
        formula="dL/dstd_j = -(gamma_j / 2) (std_j + eps)^(-3/2) sum_i g_ij (a_ij - m_j)",
        question="the gradient of batch normalisation by its variance",
        says=by_std,
        examples=PARTS,
    ),
    Claim(
        "000/2.7-dm-1",
        "2.7 batch normalisation",
        "The gradient by the mean, by the quotient rule with std depending on m.",
        layer="batch_norm",
        formula="dL/dm_j = sum_i g_ij gamma_j (-sqrt(std_j + eps) - (a_ij - m_j)(1/2)(std_j + eps)^(-1/2) dstd_j/dm_j) / (std_j + eps)",
        question="the gradient of batch normalisation by its mean",
        says=by_mean_first_line,
        examples=PARTS,
    ),
    Claim(
        "000/2.7-dm-2",
        "2.7 batch normalisation",
        "The same in its second form.",
        layer="batch_norm",
        formula="dL/dm_j = -gamma_j / sqrt(std_j + eps) sum_i g_ij - dL/dstd_j (1/n) sum_i 2 (a_ij - m_j)",
        question="the gradient of batch normalisation by its mean",
        says=by_mean,
        examples=PARTS,
    ),
    Claim(
        "000/2.7-da-1",
        "2.7 batch normalisation",
        "The gradient by a_ij, first line: a sum over i of terms whose a_ij is the one that is differentiated by.",
        layer="batch_norm",
        formula="dL/da_ij = sum_i g_ij gamma_j ((1 - 1/n) sqrt(std_j + eps) - (a_ij - m_j)(1/2)(std_j + eps)^(-1/2) (2/n)(a_ij - m_j)(1 - 1/n)) / (std_j + eps)",
        question="dx of batch_norm",
        says=batch_norm_dx_first_line,
        examples=ROWS_AFFINE,
        corrected=batch_norm_dx_first_line_corrected,
        correction="The sum runs over another index k: (d_ik - 1/n) in place of (1 - 1/n), (a_kj - m_j) for the first "
        "difference, and dstd_j/da_ij = (2/n)(a_ij - m_j) without the factor (1 - 1/n).",
        consequence="All entries of a column get the same gradient. The second line, which does not follow from it, is "
        "right.",
    ),
    Claim(
        "000/2.7-da-2",
        "2.7 batch normalisation",
        "The gradient by a_ij, second line.",
        layer="batch_norm",
        formula="dL/da_ij = (1/n) dL/dm_j + (2 (a_ij - m_j) / n) dL/dstd_j + g_ij gamma_j / sqrt(std_j + eps)",
        question="dx of batch_norm",
        says=gradient(batch_norm),
        examples=ROWS_AFFINE,
    ),
    Claim(
        "000/2.7-dgamma",
        "2.7 batch normalisation",
        "The gradient by gamma.",
        layer="batch_norm",
        formula="dL/dgamma_j = sum_i g_ij a'_ij",
        question="dgamma of batch_norm",
        says=gradient(batch_norm, 1),
        examples=ROWS_AFFINE,
    ),
    Claim(
        "000/2.7-dbeta",
        "2.7 batch normalisation",
        "The gradient by beta.",
        layer="batch_norm",
        formula="dL/dbeta_j = sum_i g_ij",
        question="dbeta of batch_norm",
        says=gradient(batch_norm, 2),
        examples=ROWS_AFFINE,
    ),
    Claim(
        "000/3.1-value",
        "3.1 softmax",
        "Each row's exponentials over their sum: positive, and 1 in all.",
        layer="softmax",
        formula="S_i = e^i / sum_k e^k",
        question="y of softmax",
        says=value(softmax),
        examples=LOGITS,
    ),
    Claim(
        "000/3.1-overflow",
        "3.1 softmax",
        "The formula can be evaluated as it stands.",
        layer="softmax",
        formula="S_i = e^i / sum_k e^k",
        question="y of softmax",
        says=value(softmax),
        examples=({"x": np.array([[1000.0]])}, {"x": np.array([[1000.0, 0.0]])}),
        corrected=value(softmax_corrected),
        correction="Take the row's largest logit off first: the quotient is the same.",
        consequence="From 89 (float32) or 710 (float64) on the exponential is infinite and the quotient NaN.",
        condition="no logit is so large",
        under=({"x": np.array([[700.0, 0.0]])}, {"x": (3, 4)}),
        tried=True,
    ),
    Claim(
        "000/3.1-jacobian",
        "3.1 softmax",
        "The derivatives of S_i by its own and by another logit, with their quotients.",
        layer="softmax",
        formula="dS_i/di = (e^i sum - e^i e^i) / sum^2 = S_i (1 - S_i);  dS_i/dj = -e^i e^j / sum^2 = -S_i S_j",
        question="the Jacobian of softmax",
        says=softmax_jacobian,
        examples=({"x": (2,)}, {"x": (4,)}),
    ),
    Claim(
        "000/3.1-dA-1",
        "3.1 softmax",
        "The first column of the gradient matrix.",
        layer="softmax",
        formula="s11 (g11 (1 - s11) - g12 s12 - g13 s13)",
        question="dx of softmax",
        says=softmax_dx_first_column,
        examples=LOGITS,
    ),
    Claim(
        "000/3.1-dA-2",
        "3.1 softmax",
        "The second column of the gradient matrix.",
        layer="softmax",
        formula="s12 (g11 s11 - g12 (1 - s12) - g13 s13);  s21 (g21 s21 - g22 (1 - s22) - g23 s23)",
        question="dx of softmax",
        says=softmax_dx_second_column,
        examples=LOGITS,
        corrected=softmax_dx_second_column_corrected,
        correction="s12 (-g11 s11 + g12 (1 - s12) - g13 s13), and s22 in front of the second row's.",
        consequence="Two signs are turned and the second row has a wrong factor: the network climbs where it should "
        "descend in every column but the first.",
        tried=True,
    ),
    Claim(
        "000/3.2-value",
        "3.2 cross-entropy",
        "Probabilities against one-hot labels, averaged over all entries.",
        layer="binary_cross_entropy",
        formula="L = -(1/n) sum y log a + (1 - y) log(1 - a)",
        question="y of binary_cross_entropy",
        says=cross_entropy_of_probabilities,
        examples=({"p": np.array([[0.25]]), "targets": np.array([[1.0]])}, {"p": (2, 3), "targets": np.eye(2, 3)}),
    ),
    Claim(
        "000/3.2-example",
        "3.2 cross-entropy",
        "For probabilities 0.8, 0.1, 0.1 and the first class the loss is -(1/3)(log 0.8 + log 0.9 + log 0.9).",
        layer="binary_cross_entropy",
        formula="-(1/3)(log 0.8 + log 0.9 + log 0.9) = 0.1446",
        question="y of binary_cross_entropy",
        says=constant(-(np.log(0.8) + np.log(0.9) + np.log(0.9)) / 3),
        examples=({"p": np.array([0.8, 0.1, 0.1]), "targets": np.array([1.0, 0.0, 0.0])},),
    ),
    Claim(
        "000/3.2-batch",
        "3.2 cross-entropy",
        "Two rows of three, written out with a factor of one sixth.",
        layer="binary_cross_entropy",
        question="y of binary_cross_entropy",
        says=cross_entropy_of_two_rows,
        formula="-(1/6)(log a11 + log(1 - a12) + log(1 - a13) + log(1 - a21) + log a22 + log(1 - a23))",
        examples=({"p": (2, 3), "targets": np.array([[1.0, 0, 0], [0, 1, 0]])},),
    ),
    Claim(
        "000/3.2-gradient",
        "3.2 cross-entropy",
        "The derivative by a probability, n counting the entries as in the loss.",
        layer="binary_cross_entropy",
        formula="dL/da_ij = -1 / (n a_ij) where y_ij = 1, else 1 / (n (1 - a_ij))",
        question="dp of binary_cross_entropy",
        says=cross_entropy_dp,
        examples=({"p": np.array([[0.25]]), "targets": np.array([[1.0]])}, {"p": (2, 3), "targets": np.eye(2, 3)}),
    ),
    Claim(
        "000/3.2-n",
        "3.2 cross-entropy",
        "n in the derivative is not said; in the next unit the same letter counts the samples, and so it may be read.",
        layer="binary_cross_entropy",
        formula="dL/da_ij = -1 / (n a_ij), n the number of samples",
        question="dp of binary_cross_entropy",
        says=cross_entropy_dp_by_samples,
        examples=(
            {"p": np.array([[0.5, 0.5]]), "targets": np.array([[1.0, 0.0]])},
            {"p": (2, 3), "targets": np.eye(2, 3)},
        ),
        corrected=cross_entropy_dp,
        correction="n is the number of entries, samples times classes, as in the example's one sixth.",
        consequence="Every gradient is too large by the number of classes.",
        condition="there is one class",
        under=({"p": (3, 1), "targets": np.array([[1.0], [0.0], [1.0]])},),
    ),
    Claim(
        "000/3.3-line-1",
        "3.3 softmax and cross-entropy in one",
        "The loss of two samples, labels 0 and 1, as logarithms of quotients.",
        layer="cross_entropy",
        formula="-(1/2)(ln(e^a00 / sum_k e^a0k) + ln(e^a11 / sum_k e^a1k))",
        question="y of cross_entropy",
        says=sce_first_line,
        examples=CLASSES,
    ),
    Claim(
        "000/3.3-line-2",
        "3.3 softmax and cross-entropy in one",
        "The same by the probabilities.",
        layer="cross_entropy",
        formula="(1/2)(ln s00 + ln s11)",
        question="y of cross_entropy",
        says=sce_second_line,
        examples=CLASSES,
        corrected=sce_first_line,
        correction="-(1/2)(ln s00 + ln s11): the sign was lost between two lines.",
        consequence="The loss is negative, and the better the network the larger.",
    ),
    Claim(
        "000/3.3-line-3",
        "3.3 softmax and cross-entropy in one",
        "The same by logarithms of sums.",
        layer="cross_entropy",
        formula="-(1/2)(a00 - ln sum_k e^a0k + a11 - ln sum_k e^a1k)",
        question="y of cross_entropy",
        says=sce_third_line,
        examples=CLASSES,
    ),
    Claim(
        "000/3.3-overflow",
        "3.3 softmax and cross-entropy in one",
        "The last line can be evaluated as it stands.",
        layer="cross_entropy",
        formula="a - ln sum_k e^a_k",
        question="y of cross_entropy",
        says=sce_third_line,
        examples=(
            {"logits": np.array([[1000.0]]), "labels": np.array([0])},
            {"logits": np.array([[1000.0, 0.0]]), "labels": np.array([0])},
        ),
        corrected=value(cross_entropy_corrected),
        correction="Take the row's largest logit off first.",
        consequence="The loss is infinite and the gradient NaN from a logit of 710 on (89 in float32).",
        condition="no logit is so large",
        under=CLASSES,
        tried=True,
    ),
    Claim(
        "000/3.3-gradient",
        "3.3 softmax and cross-entropy in one",
        "The gradient by a logit.",
        layer="cross_entropy",
        formula="dL/da_ij = (s_ij - 1) / n where j = y_i, else s_ij / n",
        question="dlogits of cross_entropy",
        says=gradient(cross_entropy),
        examples=(*CLASSES, {"logits": (3, 4), "labels": np.array([3, 0, 0])}),
    ),
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
    Claim(
        "000/5.0-purpose",
        "5 deep residual networks",
        "Very deep networks lose what lower layers need of higher ones.",
        why_not=_TEXT,
    ),
    Claim(
        "000/5.1-unit",
        "5.1 residual unit",
        "The unit is relu(A2 relu(A1 x) + x).",
        formula="y = relu(A2 relu(A1 x) + x)",
        question="the residual unit",
        says=residual_unit,
        examples=RESIDUAL,
    ),
    Claim(
        "000/5.1-gradient",
        "5.1 residual unit",
        "The gradient to X is what the layers above send plus what comes through the block.",
        question="the gradient of the residual unit",
        says=residual_unit_dx,
        examples=tuple(e | {"dy": e["x"]} for e in RESIDUAL),
    ),
    Claim(
        "000/5.1-gate",
        "5.1 residual unit",
        "The last ReLU hands the gradient on only where the output of A2 is positive.",
        question="where the residual unit hands on a gradient",
        says=gate_by_the_block,
        examples=({"x": np.array([[2.0]]), "w1": np.array([[1.0]]), "w2": np.array([[-0.5]])}, RESIDUAL[1]),
        corrected=gate_by_the_sum,
        correction="Where A2's output plus X is positive: the bypass is added before the ReLU.",
        consequence="Neurons are taken for dead that the bypass keeps alive.",
        condition="X is 0",
        under=({"x": np.zeros((1, 1)), "w1": np.ones((1, 1)), "w2": np.ones((1, 1))},),
    ),
    Claim(
        "000/5.1-identity",
        "5.1 residual unit",
        "A plain block approximates H(X) = X with difficulty; H(X) - X is nearer to the origin.",
        why_not="a heuristic about training, not a computation",
    ),
    Claim(
        "000/5.2-basic",
        "5.2 residual convolution unit",
        "The block for up to 34 layers adds its two convolutions to the shortcut's convolution.",
        layer="residual_block",
        formula="sc_out = out = BatchNorm2d(sc_out); out = Add(out, sc_out)",
        question="the basic residual block",
        says=_plain_block(residual_block),
        examples=(
            {"x": (2, 1, 1, 1), "w1": (2, 1, 3, 3), "w2": (2, 2, 3, 3), "shortcut": (2, 1, 1, 1)},
            BLOCK,
        ),
        corrected=_plain_block(residual_block_corrected),
        correction="sc_out = BatchNorm2d(sc_out): without the assignment to out.",
        consequence="The convolutions are thrown away; the block is twice its shortcut.",
        condition="the shapes agree and there is no shortcut convolution",
        under=({"x": (2, 2, 3, 3), "w1": (2, 2, 3, 3), "w2": (2, 2, 3, 3)},),
        tried=True,
    ),
    Claim(
        "000/5.2-bottleneck",
        "5.2 residual convolution unit",
        "The block for deeper networks: 1 x 1 down, 3 x 3, 1 x 1 up.",
        layer="bottleneck_block",
        formula="sc_out = out = BatchNorm2d(sc_out); out = Add(out, sc_out)",
        question="the bottleneck residual block",
        says=_plain_block(bottleneck_block),
        examples=(
            {"x": (2, 1, 1, 1), "w1": (1, 1, 1, 1), "w2": (1, 1, 3, 3), "w3": (2, 1, 1, 1), "shortcut": (2, 1, 1, 1)},
            DEEP_BLOCK,
        ),
        corrected=_plain_block(bottleneck_block_corrected),
        correction="sc_out = BatchNorm2d(sc_out): without the assignment to out.",
        consequence="The convolutions are thrown away; the block is twice its shortcut.",
        condition="the shapes agree and there is no shortcut convolution",
        under=({"x": (2, 4, 3, 3), "w1": (2, 4, 1, 1), "w2": (2, 2, 3, 3), "w3": (4, 2, 1, 1)},),
        tried=True,
    ),
    Claim(
        "000/5.2-size",
        "5.2 residual convolution unit",
        "A block's output is h / stride by w / stride.",
        layer="conv2d",
        formula="(batch, outchannel, h / stride, w / stride)",
        question="shape of conv2d",
        says=block_size,
        examples=({"x": (1, 1, 3, 3), "w": (1, 1, 3, 3), "stride": 2, "padding": 1},),
        corrected=block_size_corrected,
        correction="h / stride rounded up.",
        consequence="Shapes of odd images are announced too small.",
        condition="the stride divides h and w",
        under=tuple(
            {"x": (1, 1, n, n), "w": (1, 1, 3, 3), "stride": s, "padding": 1} for n, s in ((4, 2), (3, 1), (6, 3))
        ),
    ),
    Claim(
        "000/5.2-cheaper",
        "5.2 residual convolution unit",
        "Fewer kernels in the middle save computation.",
        question="fewer multiplications in a bottleneck of 256 channels",
        says=multiplications_saved,
    ),
    *(
        Claim(
            f"000/5.3-layers-{n}",
            "5.3 deep residual networks",
            f"The recipe for {n} layers has {n} of them.",
            question="the number of weighted layers",
            says=weighted_layers,
            examples=({"layers": n},),
        )
        for n in (34, 50, 101)
    ),
    Claim(
        "000/5.3-layers-152",
        "5.3 deep residual networks",
        "The recipe for 152 layers has 152 of them.",
        formula="depths 3, 8, 56, 3",
        question="the number of weighted layers",
        says=weighted_layers,
        examples=({"layers": 152},),
        corrected=lambda layers: 3 * (3 + 8 + 36 + 3) + 2,
        correction="Depths 3, 8, 36, 3.",
        consequence="The network has 212 layers, and no published weights fit.",
    ),
    *(
        Claim(
            f"000/5.3-depths-{n}",
            "5.3 deep residual networks",
            f"The stages of the published {n}-layer network have these depths.",
            formula=str(RECIPES[n][1]),
            question="the published depths",
            says=stage_depths,
            examples=({"layers": n},),
        )
        for n in (34, 50, 101)
    ),
    Claim(
        "000/5.3-depths-152",
        "5.3 deep residual networks",
        "The stages of the published 152-layer network have these depths.",
        formula="3, 8, 56, 3",
        question="the published depths",
        says=stage_depths,
        examples=({"layers": 152},),
        corrected=lambda layers: (3, 8, 36, 3),
        correction="3, 8, 36, 3.",
        consequence="Twenty blocks too many in the third stage.",
    ),
    Claim(
        "000/5.3-parameters-34",
        "5.3 deep residual networks",
        "The 34-layer recipe is the official design: with 64 entry "
        "kernels and 1000 classes it has the published number of parameters.",
        question="the published number of parameters",
        says=parameters,
        examples=({"layers": 34},),
        corrected=lambda layers: parameters(layers, first_stride=1),
        correction="The first stage has stride 1 (the official design pools before it): 21,797,672.",
        consequence="stride = 2 in the first stage adds a shortcut convolution of 4,224 parameters and halves the maps.",
    ),
    Claim(
        "000/5.3-parameters-50",
        "5.3 deep residual networks",
        "The 50-layer recipe has the published number of parameters.",
        formula="25,557,032",
        question="the published number of parameters",
        says=parameters,
        examples=({"layers": 50},),
    ),
    Claim(
        "000/5.3-parameters-101",
        "5.3 deep residual networks",
        "The 101-layer recipe has the published number of parameters.",
        formula="44,549,160",
        question="the published number of parameters",
        says=parameters,
        examples=({"layers": 101},),
    ),
    Claim(
        "000/5.3-first-stride",
        "5.3 deep residual networks",
        "In the official designs the first stage has stride 2.",
        question="the published stride of the first stage",
        says=lambda layers: RECIPES[layers][2],
        examples=({"layers": 34}, {"layers": 50}, {"layers": 101}, {"layers": 152}),
        corrected=lambda layers: 1,
        correction="Stride 1; a 3 x 3 max pooling of stride 2 before it halves the maps.",
        consequence="The recipe has no pooling, and its stages see other sizes than the paper's.",
    ),
    Claim(
        "000/5.3-widths",
        "5.3 deep residual networks",
        "Where the maps are halved the number of kernels is doubled: 64, 128, 256, 512.",
        question="the published widths",
        says=lambda: tuple(64 * 2**stage for stage in range(4)),
    ),
    Claim(
        "000/5.3-knum",
        "5.3 deep residual networks",
        "The 34-layer recipe calls the block function as it is defined.",
        question="the call goes through",
        says=blocks_of_34_layers,
        corrected=lambda **given: 3,
        correction="A second form of the block function without knum, which builds the basic block.",
        consequence="The call lacks an argument; given one, it builds bottlenecks.",
    ),
    Claim(
        "000/5.3-head",
        "5.3 deep residual networks",
        "The last layer takes the pooled maps.",
        question="the call goes through",
        says=head,
        corrected=lambda **given: 10,
        correction="out = MLP(out, infeature = 512, outfeature = classes).",
        consequence="The network's output is not connected to anything.",
    ),
)
