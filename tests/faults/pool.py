"""Faults of pooling."""

from dataclasses import replace
from math import prod

import numpy as np

from impl.functional.window import Windows, pairs
from tests.faults.planted import fault


@fault("max_pool2d", "= for += where windows overlap", "impl.functional.window.Windows.gather_back", diagnosis="with =")
def _(right, windows, parts, x):
    parts, dx = list(parts), np.zeros_like(x)
    for k, part in enumerate(parts):
        written = right(windows, [part if i == k else np.zeros_like(part) for i in range(len(parts))], x)
        dx = np.where(written != 0, written, dx)
    return dx


@fault(
    "max_pool2d",
    "every tied element receives dy",
    "impl.functional.window.Windows.gather_back",
    diagnosis="every one of several equal maxima",
)
def _(right, windows, parts, x):
    dy = sum(parts)  # each element of dy is in one part
    padded = windows.pad(x, -np.inf)
    seen = [padded[(..., *tap)] for tap in windows.taps()]
    return right(windows, [np.where(tap == np.max(seen, axis=0), dy, 0) for tap in seen], x)


@fault("max_pool2d", "the padding is 0 and can win", "impl.functional.window.Windows.pad")
def _(right, windows, x, fill):
    return right(windows, x, 0.0 if fill == -np.inf else fill)


@fault("max_pool1d", "the last place of a window is not seen", "impl.functional.window.Windows.taps")
def _(right, windows):
    taps = list(right(windows))
    return iter([*taps[:-1], taps[0]] if len(taps) > 2 else taps)  # the first is seen twice, which changes nothing


@fault(
    "max_pool2d",
    "a dilated pool reads the wrong pixels, forward and backward agree",
    "impl.functional.window.Windows.taps",
)
def _(right, windows):
    return right(replace(windows, dilation=tuple(d if d < 3 else d - 1 for d in windows.dilation)))


@fault("max_pool2d", "ceil_mode keeps a window that starts just outside", "impl.functional.window.Windows.of")
def _(right, x, kernel_size, stride, padding, dilation, ceil_mode):
    windows = right(x, kernel_size, stride, padding, dilation, ceil_mode)
    output = []
    for axis, m in enumerate(windows.output):
        n, s, before, after = (field[axis] for field in (windows.size, windows.stride, windows.before, windows.after))
        end = (m - 1) * s + windows.dilation[axis] * (windows.kernel[axis] - 1) + 1
        left_over, starts_at_the_end = end < n + before + after, m * s == n + before
        output.append(m + (ceil_mode and left_over and starts_at_the_end))
    return replace(windows, output=tuple(output))


@fault("max_pool2d", "a padding of more than half the window is accepted", "impl.functional.window.Windows.of")
def _(right, x, kernel_size, stride, padding, dilation, ceil_mode):
    try:
        return right(x, kernel_size, stride, padding, dilation, ceil_mode)
    except ValueError:
        edges = pairs(padding, x.ndim - 2)  # x is padded beforehand, which no check sees
        padded = np.pad(x, [(0, 0), (0, 0), *edges])
        before, after = zip(*edges, strict=True)
        windows = right(padded, kernel_size, stride, 0, dilation, ceil_mode)
        return replace(windows, size=x.shape[2:], before=before, after=after)


@fault("avg_pool2d", "the padding is not counted by default", "impl.functional.window.Windows.counts_with_padding")
def _(right, windows):
    return windows.counts()


@fault("avg_pool2d", "what ceil_mode adds is counted", "impl.functional.window.Windows.counts_with_padding")
def _(right, windows):
    return right(replace(windows, after=(9,) * len(windows.size)))


@fault("avg_pool1d", "dx is not divided", "impl.functional.pool.avg_pool1d.backward")
def _(right, kept, dy, wanted=None, *, kernel_size, stride=None, padding=0, ceil_mode=False, **options):
    (x,), _ = kept
    windows = Windows.of(x, kernel_size, stride, padding, 1, ceil_mode)
    return (windows.gather_back([dy] * prod(windows.kernel), x),)


@fault("global_avg_pool", "dx is divided by one side only", "impl.functional.pool.global_avg_pool.backward")
def _(right, kept, dy, wanted=None):
    (dx,) = right(kept, dy, wanted)
    return (dx * prod(dx.shape[3:]),)


@fault("global_max_pool", "dx goes to every place", "impl.functional.pool.global_max_pool.backward")
def _(right, kept, dy, wanted=None):
    (x,), _ = kept
    places = tuple(range(2, x.ndim))
    winners = (x == x.max(axis=places, keepdims=True)).sum(axis=places)
    share = (dy / winners).astype(x.dtype)
    return (share.reshape(*share.shape, *[1] * len(places)) + 0 * x,)


@fault("adaptive_avg_pool", "windows end too early", "impl.functional.pool._cells")
def _(right, n, m):
    return [slice(i * n // m, max(i * n // m + 1, (i + 1) * n // m)) for i in range(m)]
