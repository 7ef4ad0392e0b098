"""Right variants of the pooling layers."""

from __future__ import annotations

from functools import partial

import numpy as np

from tests.oracle.variants.sums import SUMS
from tests.oracle.variants.variant import put, variant
from tests.oracle.variants.windows import cropped, lengths, margins, padded, per_axis, places, taps


class Frame:
    """The windows of a pooling layer over x: geometry, and padding with enough places behind for every window."""

    def __init__(self, x, kernel_size, stride, padding, dilation, ceil_mode):
        rank = x.ndim - 2
        self.sizes, self.kernel = x.shape[2:], per_axis(kernel_size, rank)
        self.stride = self.kernel if stride is None else per_axis(stride, rank)
        self.dilation = per_axis(dilation, rank)
        self.around = margins(padding, self.kernel, self.dilation)
        self.output = lengths(self.sizes, self.kernel, self.stride, self.dilation, self.around, ceil_mode)
        self.more = [
            max(0, (m - 1) * s + (k - 1) * d + 1 - n - before - after)
            for n, k, s, d, m, (before, after) in zip(
                self.sizes, self.kernel, self.stride, self.dilation, self.output, self.around, strict=True
            )
        ]

    def wide(self, x, fill):
        """Return x with ``fill`` around it."""
        return padded(x, self.around, fill, self.more)

    def taps(self):
        """Yield each tap of the kernel and the slice that it sees."""
        return taps(self.kernel, self.stride, self.dilation, self.output)

    def crop(self, dx):
        """Return the part of a padded gradient that belongs to x."""
        return cropped(dx, self.around, self.sizes)

    def gathered(self, wide):
        """Return the windows (N, C, O, K) of a padded array, and their places in it."""
        index = places(self.kernel, self.stride, self.dilation, self.output, wide.shape[2:])
        return wide.reshape(*wide.shape[:2], int(np.prod(wide.shape[2:])))[..., index], index

    def scattered(self, windows, index, shape):
        """Add up what the windows give to each place of x."""
        flat = np.zeros((*shape[:2], int(np.prod(shape[2:]))), windows.dtype)
        np.add.at(flat, (..., index), windows)
        return self.crop(flat.reshape(shape))

    def counts(self, include_pad):
        """Return the number of places of each window that lie in x, and by default in its padding."""
        inside = np.zeros([n + a + b + m for n, (a, b), m in zip(self.sizes, self.around, self.more, strict=True)])
        for axis, (n, (before, after)) in enumerate(zip(self.sizes, self.around, strict=True)):
            first, last = (0, n + before + after) if include_pad else (before, before + n)
            inside[tuple(slice(first, last) if a == axis else slice(None) for a in range(inside.ndim))] += 1
        inside = (inside == inside.ndim).astype(float)
        return sum(inside[seen[1:] if len(seen) > 1 else seen] for _, seen in self.taps())


# -- the largest element -----------------------------------------------------------------------------------------------


def _first(candidates):
    """Keep the first True along the last axis."""
    return candidates & (np.cumsum(candidates, axis=-1) == 1)


def _last(candidates):
    """Keep the last True along the last axis."""
    return _first(candidates[..., ::-1])[..., ::-1]


def _shared(candidates):
    """Give every True the same share."""
    return candidates / candidates.sum(axis=-1, keepdims=True)


def _is_largest(windows, inside, largest):
    largest = largest[..., None]
    return ((windows == largest) | (np.isnan(windows) & np.isnan(largest))) & inside


def max_by_windows(take, share, x, *, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """Gather the windows, take the largest of each, and give dy to a share of those that are as large."""
    frame = Frame(x, kernel_size, stride, padding, dilation, ceil_mode)
    windows, index = frame.gathered(frame.wide(x, -np.inf))
    inside, _ = frame.gathered(frame.wide(np.ones((1, 1, *x.shape[2:]), bool), False))
    y = take(windows)

    def pullback(dy):
        shares = share(_is_largest(windows, inside, y)).astype(x.dtype)
        given = np.where(shares > 0, shares * dy.reshape(y.shape)[..., None], 0).astype(x.dtype)
        return (frame.scattered(given, index, (*x.shape[:2], *frame.wide(x[:1, :1] if x.size else x, 0).shape[2:])),)

    return y.reshape(*x.shape[:2], *frame.output), pullback


def max_by_slices(x, *, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """Go over the taps and remember the largest so far and its tap; a later one must be larger."""
    frame = Frame(x, kernel_size, stride, padding, dilation, ceil_mode)
    wide, inside = frame.wide(x, -np.inf), frame.wide(np.ones(x.shape, bool), False)
    best = winner = None
    for tap, (_, seen) in enumerate(frame.taps()):
        if best is None:
            best, winner, have = wide[seen].copy(), np.full(wide[seen].shape, tap), inside[seen].copy()
            continue
        better = inside[seen] & (~have | (wide[seen] > best) | (np.isnan(wide[seen]) & ~np.isnan(best)))
        best, winner, have = np.where(better, wide[seen], best), np.where(better, tap, winner), have | inside[seen]

    def pullback(dy):
        dx = np.zeros_like(wide)
        for tap, (_, seen) in enumerate(frame.taps()):
            dx[seen] += np.where(winner == tap, dy, 0)
        return (frame.crop(dx),)

    return best, pullback


MAXIMA = {
    "the first of the largest": partial(max_by_windows, lambda w: w.max(axis=-1), _first),
    "the last of the largest, by sorting": partial(max_by_windows, lambda w: np.sort(w, axis=-1)[..., -1], _last),
    "shared among the largest": partial(max_by_windows, lambda w: w.max(axis=-1), _shared),
    "argmax": partial(
        max_by_windows, lambda w: np.take_along_axis(w, w.argmax(axis=-1)[..., None], -1)[..., 0], _first
    ),
    "shifted slices": max_by_slices,
}
for _layer in ("max_pool1d", "max_pool2d", "max_pool3d"):
    for _name, _function in MAXIMA.items():
        put(_layer, _name, _function)


# -- the mean ----------------------------------------------------------------------------------------------------------


def _plain(x, frame):
    return sum(frame.wide(x, 0)[seen] for _, seen in frame.taps())


def _windows(add, x, frame):
    return add(frame.gathered(frame.wide(x, 0))[0]).reshape(*x.shape[:2], *frame.output)


def _axis_by_axis(x, frame):
    total = frame.wide(x, 0)
    for axis, (k, s, d, m) in enumerate(zip(frame.kernel, frame.stride, frame.dilation, frame.output, strict=True)):
        behind = (slice(None),) * (len(frame.kernel) - axis - 1)
        total = sum(total[(..., slice(t * d, t * d + s * (m - 1) + 1, s), *behind)] for t in range(k))
    return total


def _cumulative(x, frame):
    if not np.isfinite(x).all():  # one NaN would reach all that follow
        return _axis_by_axis(x, frame)
    total = frame.wide(x, 0)
    for axis, (k, s, m) in enumerate(zip(frame.kernel, frame.stride, frame.output, strict=True)):
        along = 2 + axis
        running = np.concatenate(
            [np.zeros_like(np.take(total, [0], along)), np.cumsum(total, axis=along, dtype=x.dtype)], axis=along
        )
        starts = np.arange(m) * s
        total = np.take(running, starts + k, along) - np.take(running, starts, along)
    return total


def _mean_by(add, x, *, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    frame = Frame(x, kernel_size, stride, padding, 1, ceil_mode)
    counts = frame.counts(count_include_pad).astype(x.dtype)
    y = add(x, frame) / counts

    def pullback(dy):
        dx = frame.wide(np.zeros_like(x), 0)
        given = dy / counts
        for _, seen in frame.taps():
            dx[seen] += given
        return (frame.crop(dx),)

    return y, pullback


MEANS = {
    "shifted slices": (_plain,),
    "windows, pairwise": (partial(_windows, SUMS["pairwise"]),),
    "windows, compensated": (partial(_windows, SUMS["compensated"]),),
    "windows, a product with ones": (partial(_windows, SUMS["a product with ones"]),),
    "axis by axis": (_axis_by_axis,),
    "differences of cumulative sums": (
        _cumulative,
        "a window is the difference of two sums over everything before it, so it has their error",
        "the sum over everything before a window may overflow",
    ),
}
for _layer in ("avg_pool1d", "avg_pool2d", "avg_pool3d"):
    for _name, (_add, *_explained) in MEANS.items():
        put(_layer, _name, partial(_mean_by, _add), *_explained)


# -- all places, and adaptive ------------------------------------------------------------------------------------------


def _global_mean(add, x):
    rows = x.reshape(*x.shape[:2], int(np.prod(x.shape[2:])))
    count = rows.shape[-1]

    def pullback(dy):
        return (np.broadcast_to((dy / count)[..., None], rows.shape).reshape(x.shape).copy(),)

    return add(rows) / x.dtype.type(count), pullback


for _name, _add in SUMS.items():
    put("global_avg_pool", _name, partial(_global_mean, _add))


@variant("global_avg_pool", "each term divided first")
def mean_of_quotients(x):
    """Divide before adding."""
    count = int(np.prod(x.shape[2:]))
    weights = np.full(x.shape[2:], 1 / count, x.dtype)

    def pullback(dy):
        return (dy.reshape(*dy.shape, *[1] * (x.ndim - 2)) * weights,)

    return (x * weights).sum(axis=tuple(range(2, x.ndim))), pullback


def _global_max(share, x):
    rows = x.reshape(*x.shape[:2], int(np.prod(x.shape[2:])))
    y = rows.max(axis=-1)

    def pullback(dy):
        shares = share(_is_largest(rows, True, y))
        return (np.where(shares > 0, shares * dy[..., None], 0).astype(x.dtype).reshape(x.shape),)

    return y, pullback


for _name, _share in (("the first", _first), ("the last", _last), ("shared", _shared)):
    put("global_max_pool", _name, partial(_global_max, _share))


@variant("global_max_pool", "one by one")
def running_maximum(x):
    """Compare one place after the other."""
    rows = x.reshape(*x.shape[:2], int(np.prod(x.shape[2:])))
    best, winner = rows[..., 0].copy(), np.zeros(rows.shape[:2], int)
    for i in range(1, rows.shape[-1]):
        better = (rows[..., i] > best) | (np.isnan(rows[..., i]) & ~np.isnan(best))
        best, winner = np.where(better, rows[..., i], best), np.where(better, i, winner)

    def pullback(dy):
        dx = np.zeros_like(rows)
        np.put_along_axis(dx, winner[..., None], dy[..., None], axis=-1)
        return (dx.reshape(x.shape),)

    return best, pullback


def _adaptive_windows(sizes, output_size):
    output = per_axis(output_size, len(sizes))
    for place in np.ndindex(*output):
        bounds = zip(place, sizes, output, strict=True)
        yield place, tuple(slice(o * n // m, -(-(o + 1) * n // m)) for o, n, m in bounds)


def _adaptive(add, x, *, output_size):
    output = per_axis(output_size, x.ndim - 2)
    y = np.empty((*x.shape[:2], *output), x.dtype)
    for place, window in _adaptive_windows(x.shape[2:], output):
        part = x[(..., *window)]
        count = int(np.prod(part.shape[2:]))
        y[(..., *place)] = add(part.reshape(*part.shape[:2], count)) / x.dtype.type(count)

    def pullback(dy):
        dx = np.zeros_like(x)
        for place, window in _adaptive_windows(x.shape[2:], output):
            count = int(np.prod(dx[(0, 0, *window)].shape)) if x.size else 1
            dx[(..., *window)] += (dy[(..., *place)] / x.dtype.type(count)).reshape(*x.shape[:2], *[1] * (x.ndim - 2))
        return (dx,)

    return y, pullback


for _name, _add in SUMS.items():
    put("adaptive_avg_pool", _name, partial(_adaptive, _add))
