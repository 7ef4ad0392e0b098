"""The mathematics of the fully connected layers."""

from __future__ import annotations

from math import prod
from typing import Any

from jax import lax

from oracle.layers.draws import maybe, shape, size
from oracle.layers.spec import Configuration, Draw, Edge, Layer, Shapes, register


def affine(x: Any, w: Any, b: Any = None) -> Any:
    """y[n, m] = b[m] + sum over d of x[n, d] w[d, m]."""
    flat = lax.reshape(x, (x.shape[0], prod(x.shape[1:])))
    y = lax.dot_general(flat, w, (((1,), (0,)), ((), ())))
    return y if b is None else lax.add(y, lax.broadcast_in_dim(b, y.shape, (1,)))


def linear(x: Any, w: Any, b: Any = None) -> Any:
    """y[..., m] = b[m] + sum over d of x[..., d] w[m, d]."""
    y = lax.dot_general(x, w, (((x.ndim - 1,), (1,)), ((), ())))
    return y if b is None else lax.add(y, lax.broadcast_in_dim(b, y.shape, (y.ndim - 1,)))


def _affine_domain(draw: Draw) -> tuple[Shapes, Configuration]:
    x = shape(draw, 2, 5, 3)
    m = draw(size(1, 5))
    return (x, (prod(x[1:]), m), maybe(draw, (m,))), {}


def _linear_domain(draw: Draw) -> tuple[Shapes, Configuration]:
    x = (*shape(draw, 0, 3), draw(size(1, 6)))
    m = draw(size(1, 5))
    return (x, (m, x[-1]), maybe(draw, (m,))), {}


register(
    Layer(
        "affine",
        "x (N, *A); w (prod(A), M); b? (M) -> (N, M)",
        affine,
        _affine_domain,
        [
            Edge(((1, 1), (1, 1), (1,))),
            Edge(((0, 3), (3, 2), (2,))),
            Edge(((2, 3, 2, 2), (12, 4), (4,))),
            Edge(((4, 2, 3), (6, 5), None)),
            Edge(((3, 4), (4, 2), (2,))),
            Edge(((4, 2, 2), (4, 4), (4,))),  # a square w, and as many rows
            Edge(((1, 40), (40, 3), (3,)), values="shifted"),
        ],
        nan_may_spread=True,
        documents=("000: 2.1, 2.3", "003: Linear", "004: 1.3"),
    )
)
register(
    Layer(
        "linear",
        "x (*A, D); w (M, D); b? (M) -> (*A, M)",
        linear,
        _linear_domain,
        [
            Edge(((1, 1), (1, 1), (1,))),
            Edge(((3,), (2, 3), (2,))),
            Edge(((0, 3), (2, 3), (2,))),
            Edge(((2, 3, 4), (5, 4), (5,))),
            Edge(((2, 1, 3, 4), (2, 4), None)),
            Edge(((3, 4), (2, 4), (2,))),
            Edge(((3, 3), (3, 3), (3,))),  # a square w, and as many rows
        ],
        nan_may_spread=True,
        documents=("000: 2.6",),
    )
)
