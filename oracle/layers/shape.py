"""The mathematics of the layers that move elements: add, flatten, pad, and dropout with a given mask."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
from hypothesis import strategies as st
from jax import lax

from oracle.layers.draws import BATCH, option, shape, short, size
from oracle.layers.places import combine, edges, gather
from oracle.layers.spec import Configuration, Draw, Edge, Layer, Range, Refusal, Shapes, register


def add(x: Any, y: Any) -> Any:
    """x + y, both broadcast to a common shape."""
    goal = np.broadcast_shapes(x.shape, y.shape)

    def fit(v: Any) -> Any:
        kept = [a for a, n in enumerate(v.shape) if n == goal[len(goal) - v.ndim + a]]
        slim = lax.reshape(v, tuple(v.shape[a] for a in kept))
        return lax.broadcast_in_dim(slim, goal, tuple(len(goal) - v.ndim + a for a in kept))

    return lax.add(fit(x), fit(y))


def flatten(x: Any) -> Any:
    """y[n] = the elements of x[n] in order."""
    return lax.reshape(x, (x.shape[0], prod(x.shape[1:])))


def pad(x: Any, *, padding, mode="constant") -> Any:
    """y[o] = x[o - before]; outside x the elements are zeros, reflected, the nearest ones, or periodic."""
    sizes = x.shape[2:]
    axes, output = [], []
    for n, (before, after) in zip(sizes, edges(padding, sizes, (1,) * len(sizes)), strict=True):
        places = np.array([_continued(o - before, n, mode) for o in range(n + before + after)])[:, None]
        output.append(len(places))
        axes.append((places, (places >= 0) & (places < n)))
    gathered = gather(x, combine(axes, sizes)[:, 0], 0.0)
    return lax.reshape(gathered, (*x.shape[:2], *output))


def _padding_fits(call: Mapping[str, Any]) -> bool:
    """Whether no reflected or periodic padding reaches past the other end of x."""
    shorter = {"reflect": 1, "circular": 0}.get(call["mode"])
    sizes = call["x"][2:]
    padding = edges(call["padding"], sizes, (1,) * len(sizes))
    return shorter is None or all(max(ends) <= n - shorter for n, ends in zip(sizes, padding, strict=True))


def _continued(place: int, n: int, mode: str) -> int:
    if mode == "reflect":
        return -place if place < 0 else 2 * (n - 1) - place if place >= n else place
    if mode == "replicate":
        return min(max(place, 0), n - 1)
    return place % n if mode == "circular" else place


def dropout(x: Any, mask: Any, *, p=0.5) -> Any:
    """y = x mask / (1 - p)."""
    return lax.div(lax.mul(x, mask), 1.0 - p)


def _add_domain(draw: Draw) -> tuple[Shapes, Configuration]:
    goal = shape(draw, 0, 4)
    if draw(st.sampled_from([True, True, False])):
        return (goal, goal), {}

    def narrowed() -> tuple[int, ...]:
        kept = tuple(1 if draw(st.booleans()) else n for n in goal)
        return kept[draw(size(0, len(kept))) :]

    return (narrowed(), narrowed()), {}


def _flatten_domain(draw: Draw) -> tuple[Shapes, Configuration]:
    return (shape(draw, 1, 5, 3),), {}


def _pad_domain(draw: Draw) -> tuple[Shapes, Configuration]:
    rank = draw(st.sampled_from([2, 1, 3]))
    configuration: Configuration = {"padding": 1}
    option(draw, configuration, "mode", ["reflect", "replicate", "circular"])
    least = 2 if configuration.get("mode") == "reflect" else 1
    lengths = [draw(size(least, 4)) for _ in range(rank)]
    most = [n - 1 if configuration.get("mode") == "reflect" else n for n in lengths]
    if draw(st.booleans()):
        configuration["padding"] = tuple((draw(size(0, m)), draw(size(0, m))) for m in most)
    else:
        configuration["padding"] = short(draw, [draw(size(0, m)) for m in most])
    return ((draw(BATCH), draw(size(1, 2)), *lengths),), configuration


def _pad_refusals() -> list[Refusal]:
    """Return the calls to be refused because x has nothing to pad with, or too many axes.

    As in PyTorch, zeros may be put around x whatever its axes are.
    """
    too_far = [
        Refusal(
            f"{mode}, {end}",
            ((1, 1, 2),),
            {"padding": (padding,), "mode": mode},
            f"with mode {mode!r} the padding {end} reaches past the other end of x",
        )
        for mode, most in (("reflect", 1), ("circular", 2))
        for end, padding in (("before", (most + 1, 0)), ("after", (0, most + 1)))
    ]
    empty = [
        Refusal(
            f"{mode}, an empty axis padded by {padding}",
            ((1, 1, 2, 0),),
            {"padding": ((0, 0), (padding, 0)), "mode": mode},
            f"with mode {mode!r} an axis without places has nothing to copy",
        )
        for mode, paddings in (("reflect", (0, 1)), ("replicate", (0, 1)), ("circular", (1,)))
        for padding in paddings
    ]
    many = [
        Refusal(
            f"{mode}, 4 spatial axes",
            ((1, 1, 2, 2, 2, 2),),
            {"padding": 1, "mode": mode},
            f"mode {mode!r} is for 1 to 3 spatial axes, and x has 4",
        )
        for mode in ("reflect", "replicate", "circular")
    ]
    return [*too_far, *empty, *many]


def _dropout_domain(draw: Draw) -> tuple[Shapes, Configuration]:
    x = shape(draw, 0, 4)
    configuration: Configuration = {}
    option(draw, configuration, "p", [0.0, 0.1, 0.9])
    return (x, x), configuration


register(
    Layer(
        "add",
        "x (*A); y (*B) -> (*O)",
        add,
        _add_domain,
        [
            Edge(((1,), (1,))),
            Edge(((0, 2), (0, 2))),
            Edge(((2, 3, 2), (2, 3, 2))),
            Edge(((2, 1, 2, 3), (2, 1, 2, 3))),
            Edge(((2, 3, 2), (3, 1))),
            Edge(((), (2, 2))),
            Edge(((2, 1), (1, 3))),
            Edge(((2, 3), (2, 3))),
        ],
        [Refusal("broadcast", ((2, 3), (2, 4)), {}, "the shapes do not broadcast together")],
        documents=("000: 5.1",),
    )
)
register(
    Layer(
        "flatten",
        "x (N, *A) -> (N, prod(A))",
        flatten,
        _flatten_domain,
        [Edge(((1,),)), Edge(((0, 2, 2),)), Edge(((2, 3, 2, 2),)), Edge(((2, 1, 3),))],
        documents=("004: 5.1",),
    )
)
register(
    Layer(
        "pad",
        "x (N, C, *S) -> (N, C, *O)",
        pad,
        _pad_domain,
        [
            Edge(((1, 1, 1),), {"padding": 1}),
            Edge(((0, 2, 3, 3),), {"padding": 1}),
            Edge(((1, 2, 3, 2),), {"padding": ((1, 0), (0, 2))}),
            Edge(((2, 1, 3),), {"padding": 2, "mode": "reflect"}),
            Edge(((1, 1, 2, 3),), {"padding": (2, 3), "mode": "circular"}),
            Edge(((1, 1, 2, 2, 2),), {"padding": 2, "mode": "replicate"}),
            Edge(((2, 2, 3, 5),), {"padding": 1, "mode": "constant"}),
            Edge(((1, 1, 3, 4),), {"padding": ((1, 2), (3, 0)), "mode": "reflect"}),
            Edge(((1, 2, 3),), {"padding": 0}),
        ],
        _pad_refusals(),
        choices={"mode": ("constant", "reflect", "replicate", "circular")},
        ranges={"padding": Range(whole=True, axes="S", pairs=True)},  # PyTorch crops if it is negative
        where=_padding_fits,
        documents=("000: 4.3", "004: 2.1"),
    )
)
register(
    Layer(
        "dropout",
        "x (*A); mask binary (*A) -> (*A)",
        dropout,
        _dropout_domain,
        [
            Edge(((1,), (1,))),
            Edge(((0, 2), (0, 2))),
            Edge(((3, 4), (3, 4))),
            Edge(((3, 4), (3, 4)), {"p": 0.1}),
            Edge(((2, 3), (2, 3)), {"p": 0.0}),
            Edge(((2, 3, 2), (2, 3, 2))),
            Edge(((2, 1, 2, 3), (2, 1, 2, 3))),
            Edge(((), ())),
        ],
        [Refusal("column", ((3,), (3, 1)), {}, "a vector and a column would be broadcast to a matrix")],
        ranges={"p": Range(0, below=1)},
        no_gradient=("mask",),
    )
)
