"""Slips of the fully connected layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from oracle.slips.slip import NOTHING, Answers, Circumstances, slip

BOTH = ("affine", "linear")


@dataclass(frozen=True)
class Product:
    """The parts of y = rows @ m + b, the same for both layers."""

    at: Circumstances
    x: np.ndarray
    rows: np.ndarray  # x with one row per output row
    m: np.ndarray  # w, with the features of x along the first axis
    b: np.ndarray | None
    dy: np.ndarray  # with one row per output row
    transposed: bool  # whether w is m transposed

    def answers(self, **parts: np.ndarray) -> Answers:
        """Bring y, dx and dw into their own shapes; dw is given as the gradient of m."""
        shaped = {}
        for name, v in parts.items():
            if name in self.at.truth.pairs:
                turned = v.T if name == "dw" and self.transposed else v
                shaped[name] = np.asarray(turned.reshape(self.at.truth.pairs[name].value.shape), np.float64)
        return shaped

    def again(self, rows: np.ndarray, m: np.ndarray, dy: np.ndarray) -> Answers:
        """Return the three products for other factors."""
        return self.answers(y=rows @ m + (0.0 if self.b is None else self.b), dx=dy @ m.T, dw=rows.T @ dy)


def product(at: Circumstances) -> Product:
    """Return the parts."""
    x, w, b = at.array("x"), at.array("w"), at.array("b")
    assert x is not None and w is not None
    transposed = at.case.layer == "linear"
    m = w.T if transposed else w
    rows = x.reshape(int(at.dy.size / m.shape[1]), m.shape[0])
    return Product(at, x, rows, m, b, at.dy.astype(np.float64).reshape(-1, m.shape[1]), transposed)


def _slip(sentence: str, f: Callable[[Product], Answers], *layers: str, resembles: str = "") -> None:
    @slip(sentence, *(layers or BOTH), resembles=resembles)
    def _one(at: Circumstances) -> Answers:
        return f(product(at))


# -- w the wrong way round --------------------------------------------------------------------------------------------


def _if_square(f: Callable[[Product], Answers]) -> Callable[[Product], Answers]:
    return lambda q: f(q) if q.m.shape[0] == q.m.shape[1] else NOTHING


_slip(
    "w is used transposed, which only a square w allows",
    _if_square(lambda q: {**q.again(q.rows, q.m.T, q.dy), **q.answers(dw=q.dy.T @ q.rows)}),
)
_slip(
    "dx uses w the same way round as y does, which only a square w allows",
    _if_square(lambda q: q.answers(dx=q.dy @ q.m)),
)
_slip("dw is transposed, which only a square w allows", _if_square(lambda q: q.answers(dw=q.dy.T @ q.rows)))
_slip(
    "dw is computed from y: x was overwritten, which only a square w allows",
    _if_square(lambda q: q.answers(dw=(q.rows @ q.m + (0.0 if q.b is None else q.b)).T @ q.dy)),
)


# -- the bias ---------------------------------------------------------------------------------------------------------


def _bias(sentence: str, f: Callable[[Product, np.ndarray], np.ndarray | None]) -> None:
    """Add something else to the product."""

    def answers(q: Product) -> Answers:
        added = None if q.b is None else f(q, q.b)
        return NOTHING if added is None else q.answers(y=q.rows @ q.m + added)

    _slip(sentence, answers)


def _first_row(q: Product, b: np.ndarray) -> np.ndarray:
    added = np.zeros(q.dy.shape)
    added[:1] = b
    return added


_bias("b is added twice", lambda q, b: 2 * b)
_bias("b is subtracted", lambda q, b: -b)
_bias("b is added to the first row only", _first_row)
_bias("the first entry of b is added everywhere", lambda q, b: b[:1])
_bias("b is added once per feature of x: every sum starts from it", lambda q, b: q.rows.shape[1] * b)
_bias("the entries of b are added in reverse", lambda q, b: b[::-1])
_bias("b is multiplied, not added", lambda q, b: (q.rows @ q.m) * (b - 1))
_bias(
    "b is added per row, not per column, if the numbers agree",
    lambda q, b: b[:, None] if b.size == q.rows.shape[0] else None,
)


@slip("db sums over the columns, not over the rows, if the numbers agree", *BOTH)
def _db_columns(at: Circumstances) -> Answers:
    q = product(at)
    return q.answers(db=q.dy.sum(1)) if q.dy.shape[0] == q.dy.shape[1] else NOTHING


# -- sums over the rows -----------------------------------------------------------------------------------------------


def _last(q: Product) -> Product:
    """Return the product of the last row only."""
    return Product(q.at, q.x, q.rows[-1:], q.m, q.b, q.dy[-1:], q.transposed)


_slip("dw is overwritten by each row; it must be added to", lambda q: q.answers(dw=_last(q).rows.T @ _last(q).dy))
_slip("db is overwritten by each row; it must be added to", lambda q: q.answers(db=_last(q).dy.sum(0)))
_slip("dw is a mean over the rows", lambda q: q.answers(dw=q.rows.T @ q.dy / max(1, len(q.rows))), "linear")
_slip("db is a mean over the rows", lambda q: q.answers(db=q.dy.sum(0) / max(1, len(q.rows))), "linear")
_slip(
    "dw is the product of the sums of x and of dy over the rows",
    lambda q: q.answers(dw=np.outer(q.rows.sum(0), q.dy.sum(0))),
)
_slip("dw pairs each row of x with another row of dy", lambda q: q.answers(dw=np.roll(q.rows, 1, 0).T @ q.dy))
_slip("dw uses the sign of x", lambda q: q.answers(dw=np.sign(q.rows).T @ q.dy))
_slip(
    "dx uses the sum of dy over the rows for each row",
    lambda q: q.answers(dx=np.broadcast_to(q.dy.sum(0), q.dy.shape) @ q.m.T),
)


def _inner_rows(name: str) -> None:
    """Keep the last batch of the rows, and sum over the axis before the features only."""

    def answers(q: Product) -> Answers:
        if q.x.ndim < 3 or not q.rows.size:
            return NOTHING
        inner = q.x.shape[-2]
        rows, dy = q.rows[-inner:], q.dy[-inner:]
        return q.answers(dw=rows.T @ dy) if name == "dw" else q.answers(db=dy.sum(0))

    _slip(f"{name} sums over one leading axis only, and the last of the others is kept", answers, "linear")


for _name in ("dw", "db"):
    _inner_rows(_name)


# -- the products themselves ------------------------------------------------------------------------------------------


def _rounded(x: np.ndarray, bits: int) -> np.ndarray:
    """Round to a number of significant bits."""
    fraction, exponent = np.frexp(x)
    return np.ldexp(np.round(fraction * 2.0**bits) / 2.0**bits, exponent)


def _reduced(sentence: str, bits: int, resembles: str = "") -> None:
    @slip(sentence, *BOTH, resembles=resembles)
    def _one(at: Circumstances) -> Answers:
        q = product(at)
        if at.case.dtype != "float32":
            return NOTHING
        return q.again(_rounded(q.rows, bits), _rounded(q.m, bits), _rounded(q.dy, bits))


_reduced("the factors are rounded to TF32 before they are multiplied", 11, "pytorch/pytorch #53635")
_reduced("the factors are rounded to bfloat16 before they are multiplied", 8)


# -- the order in which affine flattens x -----------------------------------------------------------------------------


def _flattened(sentence: str, order: Callable[[np.ndarray], np.ndarray]) -> None:
    """Flatten x in another order: ``order`` is given the numbers of x's elements, and returns them as rows."""

    def answers(q: Product) -> Answers:
        if not q.x.size:
            return NOTHING
        places = order(np.arange(q.x.size).reshape(q.x.shape)).reshape(q.rows.shape)
        rows = q.x.ravel()[places]
        dx = np.empty(q.x.size)
        dx[places.ravel()] = (q.dy @ q.m.T).ravel()
        return q.answers(y=rows @ q.m + (0.0 if q.b is None else q.b), dx=dx, dw=rows.T @ q.dy)

    _slip(sentence, answers, "affine")


_flattened(
    "x is flattened with its first feature axis fastest (column by column)",
    lambda x: x.transpose(0, *range(x.ndim - 1, 0, -1)),
)
_flattened("x is flattened with its channels last", lambda x: np.moveaxis(x, 1, -1))
_flattened("x is flattened with the batch as its fastest axis", lambda x: x.reshape(-1, x.shape[0]).T)
_flattened("x is flattened with the batch reversed", lambda x: x[::-1])
_flattened("x is flattened with its features reversed", lambda x: np.flip(x, tuple(range(1, x.ndim))))
