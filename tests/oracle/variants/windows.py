"""The geometry of windows in plain NumPy, for convolution and pooling."""

from __future__ import annotations

import numpy as np


def per_axis(value, rank):
    """Return one number per axis."""
    return tuple(value) if isinstance(value, tuple | list) else (value,) * rank


def margins(padding, kernel, dilation):
    """Return (before, after) per axis."""
    if padding == "valid":
        return [(0, 0)] * len(kernel)
    if padding == "same":
        around = [(k - 1) * d for k, d in zip(kernel, dilation, strict=True)]
        return [(n // 2, n - n // 2) for n in around]
    return [p if isinstance(p, tuple | list) else (p, p) for p in per_axis(padding, len(kernel))]


def lengths(sizes, kernel, stride, dilation, around, ceil_mode=False):
    """Return how many windows there are along each axis."""
    found = []
    for n, k, s, d, (before, after) in zip(sizes, kernel, stride, dilation, around, strict=True):
        free = n + before + after - d * (k - 1) - 1
        m = -(-free // s) + 1 if ceil_mode else free // s + 1
        if ceil_mode and (m - 1) * s >= n + before:
            m -= 1
        found.append(m)
    return tuple(found)


def padded(x, around, fill=0, more=None):
    """Return x with ``fill`` around its spatial axes, and ``more`` places behind each."""
    more = more or (0,) * len(around)
    wide = [(before, after + extra) for (before, after), extra in zip(around, more, strict=True)]
    return np.pad(x, ((0, 0), (0, 0), *wide), constant_values=fill)


def cropped(x, around, sizes):
    """Return the part of a padded array that x was in."""
    return x[(..., *(slice(before, before + n) for (before, _), n in zip(around, sizes, strict=True)))]


def taps(kernel, stride, dilation, output):
    """Yield each tap of the kernel with the slice of the padded input that it sees."""
    for tap in np.ndindex(*kernel):
        steps = zip(tap, stride, dilation, output, strict=True)
        yield tap, (..., *(slice(t * d, t * d + s * (m - 1) + 1, s) for t, s, d, m in steps))


def places(kernel, stride, dilation, output, sizes):
    """Return the flat places (O, K) of every window in a padded input of these sizes."""
    rank = len(kernel)
    grid = np.zeros((*output, *kernel), int)
    for axis, (k, s, d, m, n) in enumerate(zip(kernel, stride, dilation, output, sizes, strict=True)):
        along = np.arange(m).reshape([m if i == axis else 1 for i in range(2 * rank)]) * s
        along = along + np.arange(k).reshape([k if i == rank + axis else 1 for i in range(2 * rank)]) * d
        grid = grid * n + along
    return grid.reshape(int(np.prod(output)), int(np.prod(kernel)))


def spread(x, stride):
    """Put stride - 1 zeros between the places of x."""
    sizes = [s * (n - 1) + 1 for n, s in zip(x.shape[2:], stride, strict=True)]
    wide = np.zeros((*x.shape[:2], *sizes), x.dtype)
    wide[(..., *(slice(None, None, s) for s in stride))] = x
    return wide
