"""Right variants of convolution and its transpose."""

from __future__ import annotations

from functools import partial

import numpy as np

from tests.oracle.variants.variant import put
from tests.oracle.variants.windows import cropped, lengths, margins, padded, per_axis, places, spread, taps

# Every method computes the convolution of a padded x (N, G, C, *S) with w (G, F, C, *K), groups and channels apart, and
# its two gradients. Padding, groups and the bias are added around it by ``convolution``.


def flat(x, axes):
    """Make one axis of all axes after the first ``axes``."""
    return x.reshape(*x.shape[:axes], int(np.prod(x.shape[axes:])))


class ShiftedSlices:
    """Adds up one product per tap of the kernel."""

    def forward(self, x, w, stride, dilation, output):
        """Compute y."""
        y = np.zeros((*x.shape[:2], w.shape[1], *output), x.dtype)
        for tap, seen in taps(w.shape[3:], stride, dilation, output):
            y += np.einsum("ngc...,gfc->ngf...", x[seen], w[(..., *tap)])
        return y

    def backward(self, x, w, dy, stride, dilation):
        """Compute dx and dw."""
        dx, dw = np.zeros_like(x), np.zeros_like(w)
        for tap, seen in taps(w.shape[3:], stride, dilation, dy.shape[3:]):
            dx[seen] += np.einsum("ngf...,gfc->ngc...", dy, w[(..., *tap)])
            dw[(..., *tap)] = np.einsum("ngfo,ngco->gfc", flat(dy, 3), flat(x[seen], 3))
        return dx, dw


class Im2col:
    """Writes the windows into the columns of a matrix, and back with ``np.add.at``."""

    def _columns(self, x, w, stride, dilation, output):
        index = places(w.shape[3:], stride, dilation, output, x.shape[3:])
        columns = flat(x, 3)[..., index.T]  # (N, G, C, K, O)
        return index, columns.reshape(*x.shape[:2], x.shape[2] * index.shape[1], len(index))

    def forward(self, x, w, stride, dilation, output):
        """Compute y."""
        _, columns = self._columns(x, w, stride, dilation, output)
        return (flat(w, 2) @ columns).reshape(*x.shape[:2], w.shape[1], *output)

    def backward(self, x, w, dy, stride, dilation):
        """Compute dx and dw."""
        index, columns = self._columns(x, w, stride, dilation, dy.shape[3:])
        d = flat(dy, 3)
        dcolumns = (flat(w, 2).swapaxes(1, 2) @ d).reshape(*x.shape[:3], *index.T.shape)
        dx = np.zeros((*x.shape[:3], int(np.prod(x.shape[3:]))), x.dtype)
        np.add.at(dx, (..., index.T), dcolumns)
        return dx.reshape(x.shape), (d @ columns.swapaxes(2, 3)).sum(axis=0).reshape(w.shape)


class Direct:
    """Goes over the places of the output."""

    def _windows(self, w, stride, dilation, output):
        for place in np.ndindex(*output):
            parts = zip(place, stride, dilation, w.shape[3:], strict=True)
            yield (..., *place), (..., *(slice(o * s, o * s + d * (k - 1) + 1, d) for o, s, d, k in parts))

    def forward(self, x, w, stride, dilation, output):
        """Compute y."""
        y = np.zeros((*x.shape[:2], w.shape[1], *output), x.dtype)
        for place, window in self._windows(w, stride, dilation, output):
            patch = flat(x[window], 2)
            y[place] = np.einsum("ngk,gfk->ngf", patch, flat(w, 2))
        return y

    def backward(self, x, w, dy, stride, dilation):
        """Compute dx and dw."""
        dx, dw = np.zeros_like(x), np.zeros_like(w)
        for place, window in self._windows(w, stride, dilation, dy.shape[3:]):
            dx[window] += np.einsum("ngf,gfc...->ngc...", dy[place], w)
            dw += np.einsum("ngf,ngc...->gfc...", dy[place], x[window])
        return dx, dw


class ZeroInsertion(ShiftedSlices):
    """Computes every place and keeps one in ``stride``; dx is a convolution of dy, with zeros between, and the flipped w."""

    def forward(self, x, w, stride, dilation, output):
        """Compute y."""
        ones = (1,) * len(stride)
        all_places = lengths(x.shape[3:], w.shape[3:], ones, dilation, [(0, 0)] * len(ones))
        every = super().forward(x, w, ones, dilation, all_places)
        return every[(..., *(slice(0, s * (m - 1) + 1, s) for s, m in zip(stride, output, strict=True)))]

    def backward(self, x, w, dy, stride, dilation):
        """Compute dx and dw."""
        ones = (1,) * len(stride)
        n, groups, filters, *_ = dy.shape
        wide = spread(dy.reshape(n, groups * filters, *dy.shape[3:]), stride)
        reach = [d * (k - 1) for d, k in zip(dilation, w.shape[3:], strict=True)]
        behind = [m - s for m, s in zip(x.shape[3:], wide.shape[2:], strict=True)]
        wide = padded(wide, list(zip(reach, behind, strict=True)))
        wide = wide.reshape(n, groups, filters, *wide.shape[2:])
        flipped = np.flip(w, tuple(range(3, w.ndim))).swapaxes(1, 2)
        dx = super().forward(wide, flipped, ones, dilation, x.shape[3:])
        return dx, super().backward(x, w, dy, stride, dilation)[1]


class Fourier:
    """Multiplies Fourier transforms, in the given precision."""

    def __init__(self, wider):
        self.wider = wider

    def _transform(self, x, sizes):
        dtype = np.promote_types(x.dtype, np.float64) if self.wider else x.dtype
        return np.fft.rfftn(x.astype(dtype), sizes, axes=tuple(range(3, x.ndim)))

    def _back(self, f, like, sizes):
        axes = tuple(range(3, like.ndim))
        return np.fft.irfftn(f, sizes, axes=axes)[(..., *(slice(0, n) for n in like.shape[3:]))].astype(like.dtype)

    def _wide(self, v, step):
        return spread(v.reshape(-1, v.shape[2], *v.shape[3:]), step).reshape(
            *v.shape[:3], *(s * (n - 1) + 1 for n, s in zip(v.shape[3:], step, strict=True))
        )

    def _even(self, x):
        return [n + n % 2 for n in x.shape[3:]]

    def forward(self, x, w, stride, dilation, output):
        """Compute y."""
        if not x.size:
            return np.zeros((*x.shape[:2], w.shape[1], *output), x.dtype)
        sizes = self._even(x)
        product = np.einsum(
            "ngc...,gfc...->ngf...", self._transform(x, sizes), self._transform(self._wide(w, dilation), sizes).conj()
        )
        every = self._back(product, np.empty((1, 1, 1, *x.shape[3:]), x.dtype), sizes)
        return every[(..., *(slice(0, s * (m - 1) + 1, s) for s, m in zip(stride, output, strict=True)))]

    def backward(self, x, w, dy, stride, dilation):
        """Compute dx and dw."""
        if not x.size:
            return np.zeros_like(x), np.zeros_like(w)
        sizes = self._even(x)
        kernel = self._transform(self._wide(w, dilation), sizes)
        image, back = self._transform(x, sizes), self._transform(self._wide(dy, stride), sizes)
        dx = self._back(np.einsum("ngf...,gfc...->ngc...", back, kernel), x, sizes)
        every = self._back(np.einsum("ngf...,ngc...->gfc...", back.conj(), image), x, sizes)
        return dx, every[(..., *(slice(0, d * (k - 1) + 1, d) for d, k in zip(dilation, w.shape[3:], strict=True)))]


def convolution(method, x, w, b=None, *, stride=1, padding=0, dilation=1, groups=1):
    """Compute a convolution by a method."""
    kernel, rank = w.shape[2:], w.ndim - 2
    stride, dilation = per_axis(stride, rank), per_axis(dilation, rank)
    around = margins(padding, kernel, dilation)
    output = lengths(x.shape[2:], kernel, stride, dilation, around)
    wide = padded(x, around)
    apart = wide.reshape(len(x), groups, x.shape[1] // groups, *wide.shape[2:])
    grouped = w.reshape(groups, len(w) // groups, *w.shape[1:])
    y = method.forward(apart, grouped, stride, dilation, output).reshape(len(x), len(w), *output)

    def pullback(dy):
        d = dy.reshape(len(x), groups, len(w) // groups, *output)
        dx, dw = method.backward(apart, grouped, d, stride, dilation)
        dx = cropped(dx.reshape(wide.shape), around, x.shape[2:])
        return dx, dw.reshape(w.shape), None if b is None else dy.sum(axis=(0, *range(2, dy.ndim)))

    return y if b is None else y + b.reshape(-1, *[1] * rank), pullback


def transposed_convolution(method, x, w, b=None, *, stride=1, padding=0, output_padding=0, dilation=1, groups=1):
    """Compute a transposed convolution: what convolution, by a method, does with dy."""
    kernel, rank = w.shape[2:], w.ndim - 2
    stride, dilation, extra = (per_axis(v, rank) for v in (stride, dilation, output_padding))
    around = margins(padding, kernel, dilation)
    filters = groups * w.shape[1]
    sizes = [
        s * (n - 1) - before - after + d * (k - 1) + 1 + e
        for n, k, s, d, (before, after), e in zip(x.shape[2:], kernel, stride, dilation, around, extra, strict=True)
    ]
    wide = [n + before + after for n, (before, after) in zip(sizes, around, strict=True)]
    blank = np.zeros((len(x), groups, filters // groups, *wide), x.dtype)
    apart = x.reshape(len(x), groups, x.shape[1] // groups, *x.shape[2:])
    grouped = w.reshape(groups, len(w) // groups, *w.shape[1:])
    whole = method.backward(blank, grouped, apart, stride, dilation)[0].reshape(len(x), filters, *wide)
    y = cropped(whole, around, sizes)

    def pullback(dy):
        d = padded(dy, around).reshape(blank.shape)
        dx = method.forward(d, grouped, stride, dilation, x.shape[2:]).reshape(x.shape)
        dw = method.backward(d, grouped, apart, stride, dilation)[1]
        return dx, dw.reshape(w.shape), None if b is None else dy.sum(axis=(0, *range(2, dy.ndim)))

    return y if b is None else y + b.reshape(-1, *[1] * rank), pullback


SPREADS = (
    "a Fourier transform spreads the rounding of the largest element over all of them, so an element that is small, or "
    "that sees only zeros, has the error of the largest"
)
ALL_TOGETHER = "what is not finite, or overflows in a sum over all elements, reaches every element"
METHODS = {
    "shifted slices": (ShiftedSlices(),),
    "im2col": (Im2col(),),
    "place by place": (Direct(),),
    "zeros inserted": (ZeroInsertion(),),
    "Fourier transforms": (Fourier(wider=False), SPREADS, ALL_TOGETHER),
    "Fourier transforms in float64": (Fourier(wider=True), SPREADS, ALL_TOGETHER),
}

for _layer in ("conv1d", "conv2d", "conv3d"):
    for _name, (_method, *_explained) in METHODS.items():
        put(_layer, _name, partial(convolution, _method), *_explained)
for _layer in ("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"):
    for _name, (_method, *_explained) in METHODS.items():
        put(_layer, _name, partial(transposed_convolution, _method), *_explained)
