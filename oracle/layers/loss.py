"""The mathematics of the losses and the weight penalty."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from hypothesis import strategies as st
from jax import lax

from oracle.layers.draws import BATCH, maybe, option, shape, size
from oracle.layers.spec import Configuration, Draw, Edge, Layer, Range, Refusal, Shapes, register


def _reduce(losses: Any, reduction: str) -> Any:
    if reduction == "none":
        return losses
    total = lax.reduce_sum(losses, tuple(range(losses.ndim)))
    return total if reduction == "sum" else lax.div(total, float(prod(losses.shape)))


def cross_entropy(
    logits: Any, labels: Any, weight: Any = None, *, reduction="mean", ignore_index=-100, label_smoothing=0.0
) -> Any:
    """loss = -((1 - s) weight[label] log p[label] + (s / K) sum over k of weight[k] log p[k]), p = softmax(logits).

    "mean" divides the sum by the sum of the weights of the labels. Ignored labels do not count.
    """
    classes = logits.shape[1]
    kept = (0, *range(2, logits.ndim))

    def back(v: Any) -> Any:
        return lax.broadcast_in_dim(v, logits.shape, kept)

    shifted = lax.sub(logits, back(lax.stop_gradient(lax.reduce_max(logits, (1,)))))
    log_p = lax.sub(shifted, back(lax.log(lax.reduce_sum(lax.exp(shifted), (1,)))))
    weights = lax.full_like(logits, 1.0) if weight is None else lax.broadcast_in_dim(weight, logits.shape, (1,))
    counted = back(lax.ne(labels, np.asarray(ignore_index, labels.dtype)))
    chosen = lax.eq(back(labels), lax.broadcasted_iota(labels.dtype, logits.shape, 1))
    chosen = lax.bitwise_and(chosen, counted)
    nothing = lax.full_like(logits, 0.0)
    weighted = lax.mul(weights, log_p)
    terms = lax.select(chosen, weighted, nothing)
    if label_smoothing:
        spread = lax.select(counted, weighted, nothing)
        terms = lax.add(lax.mul(terms, 1 - label_smoothing), lax.mul(spread, label_smoothing / classes))
    losses = lax.neg(lax.reduce_sum(terms, (1,)))
    if reduction == "none":
        return losses
    total = lax.reduce_sum(losses, tuple(range(losses.ndim)))
    if reduction == "sum":
        return total
    return lax.div(total, lax.reduce_sum(lax.select(chosen, weights, nothing), tuple(range(logits.ndim))))


def binary_cross_entropy(p: Any, targets: Any, *, reduction="mean") -> Any:
    """loss = -(t log p + (1 - t) log(1 - p)). A term with the factor 0 is 0, also where its logarithm is infinite."""
    one = lax.full_like(p, 1.0)
    happens = lax.select(lax.eq(targets, 0.0), one, p)
    fails = lax.select(lax.eq(targets, 1.0), lax.full_like(p, 0.0), p)
    yes = lax.mul(targets, lax.log(happens))
    no = lax.mul(lax.sub(1.0, targets), lax.log1p(lax.neg(fails)))
    return _reduce(lax.neg(lax.add(yes, no)), reduction)


def mse_loss(prediction: Any, target: Any, *, reduction="mean") -> Any:
    """loss = (prediction - target)^2."""
    difference = lax.sub(prediction, target)
    return _reduce(lax.mul(difference, difference), reduction)


def l2_penalty(w: Any, *, weight=1.0) -> Any:
    """y = (weight / 2) times the sum of w w."""
    return lax.mul(lax.reduce_sum(lax.mul(w, w), tuple(range(w.ndim))), 0.5 * weight)


def _cross_entropy_domain(draw: Draw) -> tuple[Shapes, Configuration]:
    rank = draw(st.sampled_from([2, 3, 4, 5]))
    n, classes = draw(BATCH), draw(size(1, 5))
    places = tuple(draw(size(1, 3)) for _ in range(rank - 2))
    configuration: Configuration = {}
    option(draw, configuration, "reduction", ["sum", "none"])
    option(draw, configuration, "ignore_index", [0, 1, -100])
    option(draw, configuration, "label_smoothing", [0.1, 1.0, 0.0])
    return ((n, classes, *places), (n, *places), maybe(draw, (classes,))), configuration


def _pair_domain(draw: Draw) -> tuple[Shapes, Configuration]:
    x = shape(draw, 0, 4)
    configuration: Configuration = {}
    option(draw, configuration, "reduction", ["sum", "none"])
    return (x, x), configuration


def _penalty_domain(draw: Draw) -> tuple[Shapes, Configuration]:
    configuration: Configuration = {}
    option(draw, configuration, "weight", [0.01, 0.0, 3.0])
    return (shape(draw, 0, 4),), configuration


def _pair_edges() -> list[Edge]:
    shapes = [(1,), (), (0, 3), (2, 3), (2, 2, 3), (2, 1, 2, 3)]
    return [
        *(Edge((s, s)) for s in shapes),
        *(Edge(((3, 2), (3, 2)), {"reduction": reduction}) for reduction in ("sum", "none", "mean")),
    ]


_LOGITS = ("large", "extreme", "shifted", "negative", "ties", "nan", "infinite", "minus_infinite")
_PAIR_REFUSALS = [
    Refusal("column", ((3,), (3, 1)), {}, "a vector and a column would be broadcast to a matrix"),
    Refusal("single", ((3,), ()), {}, "a vector and a single number would be broadcast"),
]
_REDUCTION = {"reduction": ("mean", "sum", "none")}

register(
    Layer(
        "cross_entropy",
        "logits (N, K, *S); labels int 0..K (N, *S); weight? positive (K) -> (*L)",
        cross_entropy,
        _cross_entropy_domain,
        [
            Edge(((1, 1), (1,), None)),
            Edge(((0, 3), (0,), None), {"reduction": "sum"}),
            Edge(((3, 4), (3,), None)),
            Edge(((3, 4), (3,), (4,))),
            Edge(((2, 3, 2), (2, 2), (3,))),
            Edge(((4, 3), (4,), (3,)), {"ignore_index": 1}),
            Edge(((2, 3, 2), (2, 2), (3,)), {"label_smoothing": 0.1}),
            Edge(((2, 3, 2, 2), (2, 2, 2), None), {"reduction": "none"}),
            Edge(((2, 3, 2), (2, 2), (3,)), {"reduction": "sum", "label_smoothing": 0.1, "ignore_index": 0}),
            Edge(((6, 3), (6,), None), {"ignore_index": -100}),
            Edge(((5, 3), (5,), (3,)), {"reduction": "sum", "ignore_index": -100}),
            Edge(((3, 4), (3,), (4,)), {"label_smoothing": 1.0}),
            Edge(((3, 4), (3,), None), {"label_smoothing": 0.0, "reduction": "mean"}),
            Edge(((3, 1), (3,), None), {"reduction": "none"}),
            *(Edge(((3, 4), (3,), None), values=values) for values in _LOGITS),
            Edge(((3, 4), (3,), None), {"reduction": "sum"}, "large"),
        ],
        [Refusal("column", ((3, 4), (3, 1), None), {}, "the labels are a column, not a vector")],
        choices=_REDUCTION,
        ranges={"ignore_index": Range(whole=True), "label_smoothing": Range(0, 1)},
        no_gradient=("labels", "weight"),
        documents=("000: 3.3", "004: 5.3"),
    )
)
register(
    Layer(
        "binary_cross_entropy",
        "p probability (*A); targets fraction (*A) -> (*L)",
        binary_cross_entropy,
        _pair_domain,
        [
            *_pair_edges(),
            *(Edge(((4, 3), (4, 3)), {"reduction": r}, "ties") for r in ("mean", "none")),
            Edge(((4, 3), (4, 3)), {"reduction": "none"}, "tiny"),
        ],
        _PAIR_REFUSALS,
        choices=_REDUCTION,
        no_gradient=("targets",),
        documents=("000: 3.2",),
    )
)
register(
    Layer(
        "mse_loss",
        "prediction (*A); target (*A) -> (*L)",
        mse_loss,
        _pair_domain,
        _pair_edges(),
        _PAIR_REFUSALS,
        choices=_REDUCTION,
        documents=("003: MSE",),
    )
)
register(
    Layer(
        "l2_penalty",
        "w (*A) -> ()",
        l2_penalty,
        _penalty_domain,
        [
            Edge(((),)),
            Edge(((1,),)),
            Edge(((0, 2),)),
            Edge(((3, 2),)),
            Edge(((3, 2),), {"weight": 0.01}),
            Edge(((3, 2),), {"weight": 0.0}),
            Edge(((2, 2, 2, 2),)),
        ],
        ranges={"weight": Range()},
        documents=("004: 5.3.2",),
    )
)
