"""Restate the claims of document 000 about softmax and the cross-entropies."""

from __future__ import annotations

from typing import Any

import numpy as np

from reference.claim import Claim, constant, gradient, require, value

Array = Any


def softmax_rows(x: Array) -> Array:
    """Divide e^a by the sum of its row, exactly as printed, with overflow."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


def softmax_jacobian(x: Array) -> Array:
    """Compute dS_i/da_i = (e^i sum - e^i e^i) / sum^2 = S_i (1 - S_i) and dS_i/da_j = -e^i e^j / sum^2 = -S_i S_j."""
    e = np.exp(x)
    n, total = len(x), e.sum()
    return np.array([
        [(e[i] * total - e[i] * e[i]) / total**2 if i == j else -e[i] * e[j] / total**2 for j in range(n)]
        for i in range(n)
    ])  # fmt: skip


def softmax_dx_first_column(x: Array, dy: Array) -> Array:
    """Compute the first column of dL/dA. The entries that the document does not give are masked."""
    s, dx = softmax_rows(x), np.ma.masked_all(x.shape)
    for i in range(len(x)):
        dx[i, 0] = s[i, 0] * (dy[i, 0] * (1 - s[i, 0]) - dy[i, 1] * s[i, 1] - dy[i, 2] * s[i, 2])
    return dx


def softmax_dx_second_column(x: Array, dy: Array) -> Array:
    """Compute the second column as printed: s12 (g11 s11 - g12 (1 - s12) - g13 s13); the second row starts with s21."""
    s, g, dx = softmax_rows(x), dy, np.ma.masked_all(x.shape)
    front = (s[0, 1], s[1, 0])
    for i in range(2):
        dx[i, 1] = front[i] * (g[i, 0] * s[i, 0] - g[i, 1] * (1 - s[i, 1]) - g[i, 2] * s[i, 2])
    return dx


def softmax_dx_second_column_corrected(x: Array, dy: Array) -> Array:
    """Compute s12 (-g11 s11 + g12 (1 - s12) - g13 s13), and the same for row 2."""
    s, g, dx = softmax_rows(x), dy, np.ma.masked_all(x.shape)
    for i in range(2):
        dx[i, 1] = s[i, 1] * (-g[i, 0] * s[i, 0] + g[i, 1] * (1 - s[i, 1]) - g[i, 2] * s[i, 2])
    return dx


def softmax(x: Array, *, axis: int = -1) -> tuple[Array, Any]:
    """Compute the softmax of each row, and its gradient by the document's matrix, continued to all columns.

    The printed column 1 is right. Every further column follows the printed column 2: the terms before its own term lose
    their sign, and its own term has the wrong sign.
    """
    require(
        x.ndim == 2 and axis is not True and axis in (-1, 1), "softmax along an axis other than the rows of a matrix"
    )
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
    """Compute the softmax of shifted rows, and dA = S * (G - sum over the row of G * S)."""
    require(
        x.ndim == 2 and axis is not True and axis in (-1, 1), "softmax along an axis other than the rows of a matrix"
    )
    s = stable_softmax(x)
    return s, lambda dy: (s * (dy - (dy * s).sum(-1, keepdims=True)),)


def stable_softmax(x: Array) -> Array:
    """Compute the same quotient, but subtract the largest logit of the row first."""
    require(bool(np.isfinite(x).all()), "an infinite logit")
    e = np.exp(x - x.max(-1, keepdims=True, initial=-np.inf))
    return e / e.sum(-1, keepdims=True)


def cross_entropy_of_probabilities(p: Array, targets: Array) -> Array:
    """Compute -(1/n) sum of y log a + (1 - y) log(1 - a); n is the number of entries."""
    return np.asarray(-(targets * np.log(p) + (1 - targets) * np.log(1 - p)).sum() / p.size)


def cross_entropy_of_two_rows(p: Array, targets: Array) -> Array:
    """Compute -(1/6)(log a11 + log(1 - a12) + log(1 - a13) + log(1 - a21) + log a22 + log(1 - a23))."""
    (a11, a12, a13), (a21, a22, a23) = p
    terms = [a11, 1 - a12, 1 - a13, 1 - a21, a22, 1 - a23]
    return np.asarray(-np.log(terms).sum() / 6)


def cross_entropy_dp(p: Array, targets: Array, dy: Array) -> Array:
    """Compute -1 / (n a) if y is 1, else 1 / (n (1 - a)); n is the number of entries."""
    return dy * np.where(targets == 1, -1 / (p.size * p), 1 / (p.size * (1 - p)))


def cross_entropy_dp_by_samples(p: Array, targets: Array, dy: Array) -> Array:
    """Compute the same, but with n as in 3.3, the number of samples."""
    return dy * np.where(targets == 1, -1 / (len(p) * p), 1 / (len(p) * (1 - p)))


def binary_cross_entropy(p: Array, targets: Array, *, reduction: str = "mean") -> tuple[Array, Any]:
    """Run the cross-entropy unit of 3.2. The label weights the two cases of the derivative, for labels 0 and 1."""
    require(reduction == "mean" and p.size > 0, "this reduction")
    require(bool(((p > 0) & (p < 1)).all()), "a probability of 0 or 1")
    if p.shape != targets.shape:
        raise ValueError("p and targets differ in shape")
    value = cross_entropy_of_probabilities(p, targets).astype(p.dtype)

    def pullback(dy: Array) -> tuple[Array, None]:
        if_1, if_0 = (cross_entropy_dp(p, np.full_like(p, label), dy) for label in (1, 0))
        return (targets * if_1 + (1 - targets) * if_0).astype(p.dtype), None

    return value, pullback


def sce_first_line(logits: Array, labels: Array) -> Array:
    """Compute -(1/2)(ln(e^a00 / row sum) + ln(e^a11 / row sum)), for the labels 0 and 1."""
    with np.errstate(over="ignore", invalid="ignore"):
        s = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return np.asarray(-np.log(s[np.arange(len(labels)), labels]).sum() / len(labels))


def sce_second_line(logits: Array, labels: Array) -> Array:
    """Compute (1/2)(ln s00 + ln s11)."""
    return -sce_first_line(logits, labels)


def sce_third_line(logits: Array, labels: Array) -> Array:
    """Compute -(1/2)(a00 - ln(row sum) + a11 - ln(row sum))."""
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
    """Run the SCE unit of 3.3. The value follows the third line exactly as printed."""
    require(logits.ndim == 2 and weight is None and reduction == "mean" and not label_smoothing, "this option")
    if labels.shape != logits.shape[:1]:
        raise ValueError("labels do not fit")
    require(len(labels) > 0 and bool(np.isfinite(logits).all()), "an empty batch or an infinite logit")
    require(not (labels == ignore_index).any(), "an ignored label")
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
    """Run the same unit, but subtract the largest logit of each row first."""

    def log_probabilities(a: Array) -> Array:
        shifted = a - a.max(1, keepdims=True)
        return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))

    return cross_entropy(logits, labels, weight, **options, log_probabilities=log_probabilities)


LOGITS = ({"x": (2, 3)},)
CLASSES = ({"logits": (2, 3), "labels": np.array([0, 1])},)

CLAIMS: tuple[Claim, ...] = (
    Claim(
        "000/3.1-value",
        "3.1 softmax",
        "Softmax divides the exponentials of each row by their sum. The results are positive and sum to 1.",
        layer="softmax",
        formula="S_i = e^i / sum_k e^k",
        question="y of softmax",
        says=value(softmax),
        examples=LOGITS,
    ),
    Claim(
        "000/3.1-overflow",
        "3.1 softmax",
        "A program can evaluate the formula in the form in which it is printed.",
        layer="softmax",
        formula="S_i = e^i / sum_k e^k",
        question="y of softmax",
        says=value(softmax),
        examples=({"x": np.array([[1000.0]])}, {"x": np.array([[1000.0, 0.0]])}),
        corrected=value(softmax_corrected),
        correction="Subtract the largest logit of the row first. The quotient stays the same.",
        consequence="From 89 (float32) or 710 (float64) on, the exponential is infinite and the quotient is NaN.",
        condition="no logit is so large that its exponential overflows",
        under=({"x": np.array([[700.0, 0.0]])}, {"x": (3, 4)}),
        tried=True,
    ),
    Claim(
        "000/3.1-jacobian",
        "3.1 softmax",
        "The document gives the derivatives of S_i with respect to its own logit and to another logit, in"
        " two forms each.",
        layer="softmax",
        formula="dS_i/di = (e^i sum - e^i e^i) / sum^2 = S_i (1 - S_i);  dS_i/dj = -e^i e^j / sum^2 = -S_i S_j",
        question="the Jacobian of softmax",
        says=softmax_jacobian,
        examples=({"x": (2,)}, {"x": (4,)}),
    ),
    Claim(
        "000/3.1-dA-1",
        "3.1 softmax",
        "The document gives the first column of the gradient matrix.",
        layer="softmax",
        formula="s11 (g11 (1 - s11) - g12 s12 - g13 s13)",
        question="dx of softmax",
        says=softmax_dx_first_column,
        examples=LOGITS,
    ),
    Claim(
        "000/3.1-dA-2",
        "3.1 softmax",
        "The document gives the second column of the gradient matrix.",
        layer="softmax",
        formula="s12 (g11 s11 - g12 (1 - s12) - g13 s13);  s21 (g21 s21 - g22 (1 - s22) - g23 s23)",
        question="dx of softmax",
        says=softmax_dx_second_column,
        examples=LOGITS,
        corrected=softmax_dx_second_column_corrected,
        correction="The first entry is s12 (-g11 s11 + g12 (1 - s12) - g13 s13). The entry of the second row starts "
        "with s22.",
        consequence="Two signs are wrong, and the second row has a wrong factor. In every column except the first, "
        "the network goes up instead of down.",
        tried=True,
    ),
    Claim(
        "000/3.2-value",
        "3.2 cross-entropy",
        "The loss compares probabilities with one-hot labels and averages over all entries.",
        layer="binary_cross_entropy",
        formula="L = -(1/n) sum y log a + (1 - y) log(1 - a)",
        question="y of binary_cross_entropy",
        says=cross_entropy_of_probabilities,
        examples=({"p": np.array([[0.25]]), "targets": np.array([[1.0]])}, {"p": (2, 3), "targets": np.eye(2, 3)}),
    ),
    Claim(
        "000/3.2-example",
        "3.2 cross-entropy",
        "For the probabilities 0.8, 0.1, 0.1 and the first class, the loss is -(1/3)(log 0.8 + log 0.9 + log 0.9).",
        layer="binary_cross_entropy",
        formula="-(1/3)(log 0.8 + log 0.9 + log 0.9) = 0.1446",
        question="y of binary_cross_entropy",
        says=constant(-(np.log(0.8) + np.log(0.9) + np.log(0.9)) / 3),
        examples=({"p": np.array([0.8, 0.1, 0.1]), "targets": np.array([1.0, 0.0, 0.0])},),
    ),
    Claim(
        "000/3.2-batch",
        "3.2 cross-entropy",
        "The document writes out the loss of two rows with three entries each, with a factor of one sixth.",
        layer="binary_cross_entropy",
        question="y of binary_cross_entropy",
        says=cross_entropy_of_two_rows,
        formula="-(1/6)(log a11 + log(1 - a12) + log(1 - a13) + log(1 - a21) + log a22 + log(1 - a23))",
        examples=({"p": (2, 3), "targets": np.array([[1.0, 0, 0], [0, 1, 0]])},),
    ),
    Claim(
        "000/3.2-gradient",
        "3.2 cross-entropy",
        "The document gives the derivative with respect to a probability. n is the number of entries, as in the loss.",
        layer="binary_cross_entropy",
        formula="dL/da_ij = -1 / (n a_ij) where y_ij = 1, else 1 / (n (1 - a_ij))",
        question="dp of binary_cross_entropy",
        says=cross_entropy_dp,
        examples=({"p": np.array([[0.25]]), "targets": np.array([[1.0]])}, {"p": (2, 3), "targets": np.eye(2, 3)}),
    ),
    Claim(
        "000/3.2-n",
        "3.2 cross-entropy",
        "The document does not say what n is in the derivative. In the next unit, the same letter is the "
        "number of samples, so a reader may take it for that.",
        layer="binary_cross_entropy",
        formula="dL/da_ij = -1 / (n a_ij), n the number of samples",
        question="dp of binary_cross_entropy",
        says=cross_entropy_dp_by_samples,
        examples=(
            {"p": np.array([[0.5, 0.5]]), "targets": np.array([[1.0, 0.0]])},
            {"p": (2, 3), "targets": np.eye(2, 3)},
        ),
        corrected=cross_entropy_dp,
        correction="n is the number of entries, that is, samples times classes. The one sixth of the example agrees "
        "with this.",
        consequence="Every gradient is too large by a factor of the number of classes.",
        condition="there is one class",
        under=({"p": (3, 1), "targets": np.array([[1.0], [0.0], [1.0]])},),
    ),
    Claim(
        "000/3.3-line-1",
        "3.3 softmax and cross-entropy in one",
        "The first line gives the loss of two samples with labels 0 and 1 as logarithms of quotients.",
        layer="cross_entropy",
        formula="-(1/2)(ln(e^a00 / sum_k e^a0k) + ln(e^a11 / sum_k e^a1k))",
        question="y of cross_entropy",
        says=sce_first_line,
        examples=CLASSES,
    ),
    Claim(
        "000/3.3-line-2",
        "3.3 softmax and cross-entropy in one",
        "The second line gives the same loss in terms of the probabilities.",
        layer="cross_entropy",
        formula="(1/2)(ln s00 + ln s11)",
        question="y of cross_entropy",
        says=sce_second_line,
        examples=CLASSES,
        corrected=sce_first_line,
        correction="The line must be -(1/2)(ln s00 + ln s11). The sign was lost between two lines.",
        consequence="The loss is negative, and it grows as the network gets better.",
    ),
    Claim(
        "000/3.3-line-3",
        "3.3 softmax and cross-entropy in one",
        "The third line gives the same loss as logarithms of sums.",
        layer="cross_entropy",
        formula="-(1/2)(a00 - ln sum_k e^a0k + a11 - ln sum_k e^a1k)",
        question="y of cross_entropy",
        says=sce_third_line,
        examples=CLASSES,
    ),
    Claim(
        "000/3.3-overflow",
        "3.3 softmax and cross-entropy in one",
        "A program can evaluate the last line in the form in which it is printed.",
        layer="cross_entropy",
        formula="a - ln sum_k e^a_k",
        question="y of cross_entropy",
        says=sce_third_line,
        examples=(
            {"logits": np.array([[1000.0]]), "labels": np.array([0])},
            {"logits": np.array([[1000.0, 0.0]]), "labels": np.array([0])},
        ),
        corrected=value(cross_entropy_corrected),
        correction="Subtract the largest logit of the row first.",
        consequence="From a logit of 710 on (89 in float32), the loss is infinite and the gradient is NaN.",
        condition="no logit is so large that its exponential overflows",
        under=CLASSES,
        tried=True,
    ),
    Claim(
        "000/3.3-gradient",
        "3.3 softmax and cross-entropy in one",
        "The document gives the gradient with respect to a logit.",
        layer="cross_entropy",
        formula="dL/da_ij = (s_ij - 1) / n where j = y_i, else s_ij / n",
        question="dlogits of cross_entropy",
        says=gradient(cross_entropy),
        examples=(*CLASSES, {"logits": (3, 4), "labels": np.array([3, 0, 0])}),
    ),
)
