"""The mathematics of the activations.

A function with a kink is a ``select`` on ``x <= 0``. At the kink the two sides of the comparison are equal, and the
rounding analysis accepts every value between the derivatives of the two branches, which is the subdifferential.
"""

from __future__ import annotations

from collections.abc import Callable
from math import pi, sqrt
from typing import Any

from hypothesis import strategies as st
from jax import lax

from oracle.layers.draws import option, shape
from oracle.layers.spec import Configuration, Draw, Edge, Layer, Range, Refusal, Shapes, register


def _below(x: Any) -> Any:
    """Return x if x <= 0, else 0, with derivative 1, so that the branch that is not taken stays finite."""
    return lax.sub(x, lax.stop_gradient(lax.max(x, 0.0)))


def identity(x: Any) -> Any:
    """y = x."""
    return x


def relu(x: Any) -> Any:
    """y = 0 if x <= 0, else x."""
    return lax.select(lax.le(x, 0.0), lax.full_like(x, 0.0), x)


def leaky_relu(x: Any, *, negative_slope=0.01) -> Any:
    """y = negative_slope x if x <= 0, else x."""
    return lax.select(lax.le(x, 0.0), lax.mul(x, float(negative_slope)), x)


def elu(x: Any, *, alpha=1.0) -> Any:
    """y = alpha (exp(x) - 1) if x <= 0, else x."""
    return lax.select(lax.le(x, 0.0), lax.mul(lax.expm1(_below(x)), float(alpha)), x)


def gelu(x: Any, *, approximate="none") -> Any:
    """y = x (1 + erf(x / sqrt 2)) / 2, or x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2.

    Both are written as they were published. For x far below 0 the sum cancels, and its bound there is that of x u.
    """
    if approximate == "none":
        inner = lax.erf(lax.mul(x, sqrt(0.5)))
    else:
        cube = lax.mul(lax.mul(lax.mul(x, x), x), 0.044715)
        inner = lax.tanh(lax.mul(lax.add(x, cube), sqrt(2 / pi)))
    return lax.mul(lax.mul(x, 0.5), lax.add(inner, 1.0))


def silu(x: Any) -> Any:
    """y = x / (1 + exp(-x))."""
    return lax.mul(x, lax.logistic(x))


def sigmoid(x: Any) -> Any:
    """y = 1 / (1 + exp(-x))."""
    return lax.logistic(x)


def tanh(x: Any) -> Any:
    """y = tanh(x)."""
    return lax.tanh(x)


def softplus(x: Any) -> Any:
    """y = log1p(exp(x)) if x <= 0, else x + log1p(exp(-x))."""
    below = lax.log1p(lax.exp(_below(x)))
    above = lax.add(x, lax.log1p(lax.exp(_below(lax.neg(x)))))
    return lax.select(lax.le(x, 0.0), below, above)


def _shifted(x: Any, axis: int) -> tuple[Any, Any]:
    """Return x minus its maximum along the axis, and a function that repeats a reduced array along that axis."""
    axis %= x.ndim
    kept = tuple(a for a in range(x.ndim) if a != axis)

    def back(v: Any) -> Any:
        return lax.broadcast_in_dim(v, x.shape, kept)

    largest = lax.stop_gradient(lax.reduce_max(x, (axis,)))
    return lax.sub(x, back(largest)), back


def softmax(x: Any, *, axis=-1) -> Any:
    """y = exp(x - max) / sum of exp(x - max) along the axis."""
    shifted, back = _shifted(x, axis)
    e = lax.exp(shifted)
    return lax.div(e, back(lax.reduce_sum(e, (axis % x.ndim,))))


def log_softmax(x: Any, *, axis=-1) -> Any:
    """y = x - max - log of the sum of exp(x - max) along the axis."""
    shifted, back = _shifted(x, axis)
    return lax.sub(shifted, back(lax.log(lax.reduce_sum(lax.exp(shifted), (axis % x.ndim,)))))


def _elementwise(name: str = "", others: tuple[Any, ...] = ()) -> Callable[[Draw], tuple[Shapes, Configuration]]:
    def domain(draw: Draw) -> tuple[Shapes, Configuration]:
        configuration: Configuration = {}
        if name:
            option(draw, configuration, name, list(others))
        return (shape(draw, 0, 5),), configuration

    return domain


def _along_axis(draw: Draw) -> tuple[Shapes, Configuration]:
    x = shape(draw, 1, 5)
    axis = draw(st.sampled_from([None, *range(-len(x), len(x))]))
    if (axis is not None and x[axis] == 0) or (axis is None and x[-1] == 0):
        x = (1, *x[1:])  # an empty axis has no maximum
    return (x,), ({} if axis is None else {"axis": axis})


_ODD = ("ties", "zeros", "integers", "nan", "infinite", "tiny", "large", "extreme")
_EDGES = [
    Edge(((1,),)),
    Edge(((0, 3),)),
    Edge(((),)),
    Edge(((3, 4),)),
    Edge(((2, 3, 2),)),
    Edge(((2, 1, 2, 3),)),
    Edge(((2, 2, 1, 2, 2),)),
]
_KINK = [Edge(((4, 5),), values=values) for values in _ODD]

for _function, _name, _others, _documents in (
    (identity, "", (), ("002: III.2",)),
    (relu, "", (), ("000: 5.1", "002: I.1")),
    (leaky_relu, "negative_slope", (0.2, 0.0, 1.5), ()),
    (elu, "alpha", (0.5, 2.0), ()),
    (gelu, "approximate", ("tanh", "none"), ()),
    (silu, "", (), ()),
    (sigmoid, "", (), ("000: 1.1", "003: Sigmoid")),
    (tanh, "", (), ("003: Tanh",)),
    (softplus, "", (), ()),
):
    _more = [Edge(((3, 4),), {_name: value}, values) for value in _others for values in ("normal", "extreme")]
    register(
        Layer(
            _function.__name__,
            "x (*A) -> (*A)",
            _function,
            _elementwise(_name, _others),
            _EDGES + _KINK + _more,
            choices={"approximate": ("none", "tanh")} if _name == "approximate" else {},
            ranges={_name: Range()} if _name in ("negative_slope", "alpha") else {},
            documents=_documents,
        )
    )

_LOGITS = ("large", "extreme", "ties", "shifted", "negative", "nan", "infinite", "minus_infinite")

for _function, _documents in ((softmax, ("000: 3.1", "004: 5.1")), (log_softmax, ("000: 3.3",))):
    register(
        Layer(
            _function.__name__,
            "x (*A) -> (*A)",
            _function,
            _along_axis,
            [
                Edge(((1,),)),
                Edge(((1, 1),)),
                Edge(((0, 3),)),
                Edge(((2, 3, 4),), {"axis": 1}),
                Edge(((3, 4),), {"axis": 0}),
                Edge(((2, 1, 3, 2),), {"axis": 2}),
                Edge(((2, 2, 3, 2, 2),), {"axis": -3}),
                Edge(((3, 4),)),
                Edge(((3, 4),), {"axis": -1}),
                *(Edge(((3, 5),), values=values) for values in _LOGITS),
            ],
            [
                Refusal("axis: 2", ((2, 3),), {"axis": 2}, "x has 2 axes, so there is no axis 2"),
                Refusal("axis: -3", ((2, 3),), {"axis": -3}, "x has 2 axes, so there is no axis -3"),
            ],
            ranges={"axis": Range(whole=True)},
            documents=_documents,
        )
    )
