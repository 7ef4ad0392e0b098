"""Whether a gradient of a maximum over windows is a valid subgradient where elements tie."""

from __future__ import annotations

from math import prod

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_matrix

from oracle.cases import Arrays, Case, numpy_dtype
from oracle.layers import LAYERS
from oracle.truth import Precision

MOST_AT_ONCE = 1 << 18  # elements of windows that are looked at together


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
    many = max(1, MOST_AT_ONCE // max(1, windows.size))
    return all(
        _feasible(flat_dx[some], flat_x[some], flat_dy[some], windows, precision)
        for some in (slice(start, start + many) for start in range(0, rows, many))
    )


def _feasible(dx: np.ndarray, x: np.ndarray, dy: np.ndarray, windows: np.ndarray, precision: Precision) -> bool:
    """Look at some channels at once: dx, x (rows, places), dy (rows, windows)."""
    rows, places = x.shape
    inside = windows < places
    seen = np.append(x, np.full((rows, 1), -np.inf), axis=1)[:, windows]  # (rows, windows, taps)
    largest = seen.max(axis=2, keepdims=True, initial=-np.inf)
    unclear = np.isnan(largest) | np.isneginf(largest)
    subnormal = precision.smallest_normal * (np.abs(largest) < precision.smallest_normal)
    with np.errstate(invalid="ignore"):  # infinity less infinity
        tied = inside & ((seen == largest) | (largest - seen <= subnormal)) & ~unclear
    free = tied.sum(axis=2, keepdims=True) > 1  # a window without ties has no choice

    def added(taps: np.ndarray, cotangents: np.ndarray) -> np.ndarray:
        """Add a cotangent per window to the places of its taps."""
        row, window, tap = np.nonzero(taps)
        index = row * places + windows[window, tap]
        return np.bincount(index, cotangents[row, window], rows * places).reshape(rows, places)

    judged = added(unclear & inside, np.ones(dy.shape)) == 0
    room = (windows.shape[1] + 2) * precision.unit_roundoff * added(tied, np.abs(dy)) + precision.smallest_normal
    if not np.isfinite(dx[judged]).all():
        return False
    rest = dx - added(tied & ~free, dy)
    least, most = added(tied & free, np.minimum(dy, 0)), added(tied & free, np.maximum(dy, 0))
    with np.errstate(invalid="ignore"):  # what is not judged may be NaN
        if np.any(judged & ((rest < least - room) | (rest > most + room))):
            return False
    return all(
        _shared(rest[i], dy[i], windows, tied[i] & free[i], judged[i], room[i])
        for i in np.flatnonzero(free.any(axis=(1, 2)))
    )


def _shared(
    rest: np.ndarray, dy: np.ndarray, windows: np.ndarray, tied: np.ndarray, judged: np.ndarray, room: np.ndarray
) -> bool:
    """Whether the windows of one channel that have ties can share their cotangents so that ``rest`` is the sum."""
    window, tap = np.nonzero(tied)
    place = windows[window, tap]
    reached = np.zeros(len(rest), bool)
    reached[place] = True
    names, which = np.unique(window, return_inverse=True)
    here = judged[place]
    columns = np.arange(len(window))
    one = coo_matrix((np.ones(len(window)), (which, columns)), shape=(len(names), len(window)))
    share = coo_matrix((dy[window][here], (place[here], columns[here])), shape=(len(rest), len(window))).tocsr()
    kept = np.flatnonzero(judged & reached)
    upper = np.concatenate([rest[kept] + room[kept], room[kept] - rest[kept]])
    both = np.concatenate([share[kept].toarray(), -share[kept].toarray()])
    result = linprog(np.zeros(len(window)), both, upper, one, np.ones(len(names)), bounds=(0, 1), method="highs")
    return bool(result.status == 0)
