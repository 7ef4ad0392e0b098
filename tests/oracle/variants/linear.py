"""Right variants of the fully connected layers: the products, in several ways."""

from __future__ import annotations

import numpy as np

from tests.oracle.variants.sums import PRODUCTS, SUMS, strassen
from tests.oracle.variants.variant import put

NORMWISE = (
    "Strassen's method is accurate for the whole matrix only: an element has the error of the largest products, which "
    "cancel in it"
)


def linear_by(product, add=SUMS["one by one"]):
    """Make linear of a product of matrices."""

    def linear(x, w, b=None):
        rows = x.reshape(int(np.prod(x.shape[:-1])), x.shape[-1])
        y = product(rows, w.T)
        y = (y if b is None else y + b).reshape(*x.shape[:-1], len(w))

        def pullback(dy):
            d = dy.reshape(len(rows), len(w))
            return product(d, w).reshape(x.shape), product(d.T, rows), None if b is None else add(d.T)

        return y, pullback

    return linear


def affine_by(product, add=SUMS["one by one"]):
    """Make affine of a product of matrices."""

    def affine(x, w, b=None):
        rows = x.reshape(len(x), len(w))
        y = product(rows, w)

        def pullback(dy):
            return product(dy, w.T).reshape(x.shape), product(rows.T, dy), None if b is None else add(dy.T)

        return y if b is None else y + b, pullback

    return affine


def with_a_column_of_ones(x, w, b=None):
    """Take b as one more row of w."""
    rows = np.concatenate([x.reshape(len(x), len(w)), np.ones((len(x), 1), x.dtype)], axis=1)
    whole = np.concatenate([w, np.zeros((1, w.shape[1]), w.dtype) if b is None else b[None]])

    def pullback(dy):
        dx, dw = dy @ whole.T, rows.T @ dy
        return dx[:, :-1].reshape(x.shape), dw[:-1], None if b is None else dw[-1]

    return rows @ whole, pullback


for (_name, _product), _add in zip(PRODUCTS.items(), SUMS.values(), strict=True):
    put("linear", _name, linear_by(_product, _add))
    put("affine", _name, affine_by(_product, _add))
put("affine", "b is one more row of w", with_a_column_of_ones)
put(
    "linear",
    "Strassen",
    linear_by(strassen),
    NORMWISE,
    "sums of blocks overflow, or are infinity less infinity, where the product would not be",
)
