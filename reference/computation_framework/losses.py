"""Document 000, softmax and the cross-entropies: what it claims."""

from __future__ import annotations

from typing import Any

import numpy as np

from reference.claim import Claim, constant, gradient, offered, value

Array = Any


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


LOGITS = ({"x": (2, 3)},)
CLASSES = ({"logits": (2, 3), "labels": np.array([0, 1])},)

CLAIMS: tuple[Claim, ...] = (
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
)
