"""Whether a gradient of a maximum over windows is a valid subgradient where elements tie."""

from __future__ import annotations

from math import prod

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_matrix

from oracle.cases import Arrays, Case, numpy_dtype
from oracle.layers import LAYERS
from oracle.truth import Precision


def is_another_subgradient(name: str, got: np.ndarray, case: Case, arrays: Arrays, dy: np.ndarray | None) -> bool:
    """Whether an answer is the gradient of a maximum over windows by x, and a valid one, though not that of the truth."""
    layer, x = LAYERS[case.layer], arrays[0]
    if name != "d" + layer.arrays[0] or layer.ties is None or x is None or dy is None:
        return False
    windows = layer.ties(case.configuration, case.shapes)
    return is_subgradient(got, x, dy, windows, Precision.of(numpy_dtype(case.dtype)))


def is_subgradient(dx: np.ndarray, x: np.ndarray, dy: np.ndarray, windows: np.ndarray, precision: Precision) -> bool:
    """Whether dx = sum over windows of dy * (a convex combination of the window's largest elements), within rounding.

    x, dx (N, C, *S); dy (N, C, *O); windows (prod O, taps) holds flat spatial places, prod S meaning none. Each channel
    of each sample is a linear program of its own: weights of at least 0, summing to 1 over the ties of a window.
    A place that a window with NaN, or with nothing above minus infinity, sees is not judged.
    """
    places, rows = prod(x.shape[2:]), prod(x.shape[:2])
    flat_x, flat_dx = x.reshape(rows, places).astype(np.float64), dx.reshape(rows, places).astype(np.float64)
    flat_dy = dy.reshape(rows, len(windows)).astype(np.float64)
    return all(_feasible(flat_dx[i], flat_x[i], flat_dy[i], windows, precision) for i in range(rows))


def _feasible(dx: np.ndarray, x: np.ndarray, dy: np.ndarray, windows: np.ndarray, precision: Precision) -> bool:
    seen = np.append(x, -np.inf)[windows]  # (windows, taps)
    inside = windows < len(x)
    judged = np.ones(len(x), bool)
    largest = seen.max(axis=1, keepdims=True)
    unclear = np.isnan(largest[:, 0]) | np.isneginf(largest[:, 0])
    judged[windows[unclear][inside[unclear]]] = False
    subnormal = precision.smallest_normal * (np.abs(largest) < precision.smallest_normal)
    with np.errstate(invalid="ignore"):  # infinity less infinity
        tied = inside & ((seen == largest) | (largest - seen <= subnormal)) & ~unclear[:, None]

    window, tap = np.nonzero(tied)
    place = windows[window, tap]
    size = np.zeros(len(x))
    np.add.at(size, place, np.abs(dy[window]))
    room = (windows.shape[1] + 2) * precision.unit_roundoff * size + precision.smallest_normal
    if not np.isfinite(dx[judged]).all():
        return False
    alone = tied.sum(axis=1)[window] == 1  # a window without ties has no choice
    fixed = np.zeros(len(x))
    np.add.at(fixed, place[alone], dy[window[alone]])
    rest = dx - fixed
    free = ~alone
    if not free.any():
        return bool(np.all(np.abs(rest[judged]) <= room[judged]))

    window, place = window[free], place[free]
    reached = np.zeros(len(x), bool)
    reached[place] = True
    if np.any(np.abs(rest[judged & ~reached]) > room[judged & ~reached]):
        return False
    names, which = np.unique(window, return_inverse=True)
    here = judged[place]
    columns = np.arange(len(window))
    one = coo_matrix((np.ones(len(window)), (which, columns)), shape=(len(names), len(window)))
    share = coo_matrix((dy[window][here], (place[here], columns[here])), shape=(len(x), len(window))).tocsr()
    kept = np.flatnonzero(judged & reached)
    upper = np.concatenate([rest[kept] + room[kept], room[kept] - rest[kept]])
    both = np.concatenate([share[kept].toarray(), -share[kept].toarray()])
    result = linprog(np.zeros(len(window)), both, upper, one, np.ones(len(names)), bounds=(0, 1), method="highs")
    return result.status == 0
