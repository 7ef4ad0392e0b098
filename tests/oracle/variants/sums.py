"""Sums over the last axis, and products of matrices, each in several ways."""

from __future__ import annotations

import numpy as np


def plain(terms):
    """Add in NumPy's own order."""
    return terms.sum(axis=-1)


def one_by_one(terms):
    """Add from left to right."""
    total = np.zeros(terms.shape[:-1], terms.dtype)
    for i in range(terms.shape[-1]):
        total = total + terms[..., i]
    return total


def from_the_end(terms):
    """Add from right to left."""
    return one_by_one(terms[..., ::-1])


def pairwise(terms):
    """Add the two halves, each in the same way."""
    n = terms.shape[-1]
    if n <= 1:
        return one_by_one(terms)
    return pairwise(terms[..., : n // 2]) + pairwise(terms[..., n // 2 :])


def strided(terms):
    """Add in four accumulators, as vector units do, and then these."""
    return one_by_one(np.stack([one_by_one(terms[..., lane::4]) for lane in range(4)], axis=-1))


def in_blocks(terms):
    """Add blocks of 32 and then their sums."""
    blocks = range(0, max(1, terms.shape[-1]), 32)
    return one_by_one(np.stack([one_by_one(terms[..., start : start + 32]) for start in blocks], axis=-1))


def compensated(terms):
    """Add as Kahan, Babuska and Neumaier do; what is not finite needs no compensation."""
    total, lost = np.zeros(terms.shape[:-1], terms.dtype), np.zeros(terms.shape[:-1], terms.dtype)
    for i in range(terms.shape[-1]):
        term = terms[..., i]
        new = total + term
        rest = np.where(np.abs(total) >= np.abs(term), (total - new) + term, (term - new) + total)
        lost = lost + np.where(np.isfinite(new), rest, 0)
        total = new
    return np.where(np.isfinite(total), total + lost, total)


def doubled(terms):
    """Add in twice the precision and round once."""
    return terms.astype(np.longdouble).sum(axis=-1).astype(terms.dtype)


def by_product(terms):
    """Multiply with a vector of ones."""
    return terms @ np.ones(terms.shape[-1], terms.dtype)


SUMS = {
    "one by one": one_by_one,
    "from the end": from_the_end,
    "pairwise": pairwise,
    "four accumulators": strided,
    "blocks of 32": in_blocks,
    "compensated": compensated,
    "in twice the precision": doubled,
    "a product with ones": by_product,
}


# -- products: a (M, D) times b (D, N) ---------------------------------------------------------------------------------


def by_einsum(a, b):
    """Leave everything to einsum."""
    return np.einsum("md,dn->mn", a, b)


def outer_products(a, b):
    """Add the outer products of the columns and the rows."""
    y = np.zeros((len(a), b.shape[1]), a.dtype)
    for d in range(len(b)):
        y += a[:, d, None] * b[d]
    return y


def by_rows(a, b):
    """Multiply one row of a at a time."""
    return np.stack([row @ b for row in a]) if len(a) else np.zeros((0, b.shape[1]), a.dtype)


def in_tiles(a, b):
    """Multiply tiles of 16 and add them up."""
    y = np.zeros((len(a), b.shape[1]), a.dtype)
    for d in range(0, len(b), 16):
        for n in range(0, b.shape[1], 16):
            y[:, n : n + 16] += a[:, d : d + 16] @ b[d : d + 16, n : n + 16]
    return y


def split_in_depth(a, b):
    """Multiply the even and the odd terms by themselves, as a kernel does that splits the depth."""
    return a[:, ::2] @ b[::2] + a[:, 1::2] @ b[1::2]


def compensated_product(a, b):
    """Add the terms with compensation, one output column at a time."""
    columns = [compensated(a * column) for column in b.T]
    return np.stack(columns, axis=-1) if columns else np.zeros((len(a), 0), a.dtype)


def pairwise_product(a, b):
    """Add the terms pairwise, one output column at a time."""
    columns = [pairwise(a * column) for column in b.T]
    return np.stack(columns, axis=-1) if columns else np.zeros((len(a), 0), a.dtype)


def doubled_product(a, b):
    """Multiply in twice the precision and round once."""
    wide = np.float64 if a.dtype == np.float32 else np.longdouble
    return (a.astype(wide) @ b.astype(wide)).astype(a.dtype)


PRODUCTS = {
    "einsum": by_einsum,
    "outer products": outer_products,
    "row by row": by_rows,
    "tiles of 16": in_tiles,
    "split in depth": split_in_depth,
    "compensated sums": compensated_product,
    "pairwise sums": pairwise_product,
    "twice the precision": doubled_product,
}


def strassen(a, b):
    """Multiply halves with seven products in place of eight (Strassen, one level); sizes are made even with zeros."""
    (m, depth), n = a.shape, b.shape[1]
    if min(m, depth, n) < 2:
        return a @ b
    a, b = np.pad(a, ((0, m % 2), (0, depth % 2))), np.pad(b, ((0, depth % 2), (0, n % 2)))
    i, k, j = a.shape[0] // 2, a.shape[1] // 2, b.shape[1] // 2
    a11, a12, a21, a22 = a[:i, :k], a[:i, k:], a[i:, :k], a[i:, k:]
    b11, b12, b21, b22 = b[:k, :j], b[:k, j:], b[k:, :j], b[k:, j:]
    p1, p2, p3, p4 = (a11 + a22) @ (b11 + b22), (a21 + a22) @ b11, a11 @ (b12 - b22), a22 @ (b21 - b11)
    p5, p6, p7 = (a11 + a12) @ b22, (a21 - a11) @ (b11 + b12), (a12 - a22) @ (b21 + b22)
    rows = np.hstack([p1 + p4 - p5 + p7, p3 + p5]), np.hstack([p2 + p4, p1 - p2 + p3 + p6])
    return np.vstack(rows)[:m, :n]
