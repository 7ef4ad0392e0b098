"""A convolution and its transpose in NumPy, in one form that a slip can change.

Both are a sum over an image, windows of it, and a kernel:

    T = sum of image[n, c, place(o, k)] w[f, c, k] windows[n, f, o].

The image is x of a convolution and dy of its transpose. y, dx and dw are the derivatives of T.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oracle.slips import windows
from oracle.slips.slip import Circumstances
from oracle.slips.windows import Axes

CONVOLUTIONS = ("conv1d", "conv2d", "conv3d")
TRANSPOSES = ("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")


@dataclass(frozen=True)
class Sum:
    """A convolution: its arrays, its windows, and which channels and filters each group has.

    w is (F, C/groups, *K), or (C, F/groups, *K) for the transpose; ``channels`` and ``filters`` (groups, per group) are
    those of the image and of the windows.
    """

    x: np.ndarray
    w: np.ndarray
    b: np.ndarray | None
    dy: np.ndarray
    transposed: bool
    axes: Axes
    index: np.ndarray
    channels: np.ndarray
    filters: np.ndarray

    @property
    def sizes(self) -> tuple[int, ...]:
        """The sizes of the image."""
        return tuple(axis.n for axis in self.axes)

    @property
    def counts(self) -> tuple[int, ...]:
        """How many windows there are along each axis."""
        return tuple(axis.m for axis in self.axes)

    @property
    def image(self) -> np.ndarray:
        """The array that the windows lie in, of those that the gradient of w is made of."""
        return self.dy if self.transposed else self.x

    @property
    def windowed(self) -> np.ndarray:
        """The other one, with an element per window."""
        return self.x if self.transposed else self.dy

    @property
    def kernel(self) -> np.ndarray:
        """W in the shape (groups, filters, channels, taps)."""
        return self.w.reshape(*self.w.shape[:2], -1)[self.filters]

    def parts(self, windowed: np.ndarray) -> np.ndarray:
        """Return what each tap of each window adds to the image: (N, groups, channels, windows, taps)."""
        flat = windowed.reshape(*windowed.shape[:2], -1)[:, self.filters]
        return np.einsum("ngfo,gfck->ngcok", flat, self.kernel)

    def seen(self, image: np.ndarray) -> np.ndarray:
        """Return what each tap of each window sees: (N, groups, channels, windows, taps)."""
        return windows.gather(image, self.index, 0.0)[:, self.channels]

    def answer(self, output: str) -> np.ndarray:
        """Compute y, dx or dw."""
        if output == "dw":
            return self.weight_gradient()
        moved = self.x if output == "y" else self.dy
        total = self.correlated(moved) if (output == "y") != self.transposed else self.spread(moved)
        return total if output == "dx" else self.with_bias(total)

    def correlated(self, image: np.ndarray) -> np.ndarray:
        """Sum over the windows of an image."""
        total = np.einsum("ngcok,gfck->ngfo", self.seen(image), self.kernel)
        result = np.zeros((len(image), len(self.w), total.shape[-1]))
        for g, filters in enumerate(self.filters):
            np.add.at(result.swapaxes(0, 1), filters, total[:, g].swapaxes(0, 1))
        return result.reshape(*result.shape[:2], *self.counts)

    def spread(self, windowed: np.ndarray) -> np.ndarray:
        """Add the windows up in the image."""
        return windows.scatter(self.by_channel(self.parts(windowed)), self.index, self.sizes)

    def by_channel(self, parts: np.ndarray) -> np.ndarray:
        """Sum what the groups add to each channel of the image: (N, C, windows, taps)."""
        result = np.zeros((len(parts), self.channels.size, *parts.shape[3:]))
        for g, channels in enumerate(self.channels):
            np.add.at(result.swapaxes(0, 1), channels, parts[:, g].swapaxes(0, 1))
        return result

    def weight_gradient(self) -> np.ndarray:
        """Correlate the windows of the image with the other array."""
        flat = self.windowed.reshape(*self.windowed.shape[:2], -1)[:, self.filters]
        result = np.zeros((*self.w.shape[:2], self.index.shape[1]))
        result[self.filters] = np.einsum("ngcok,ngfo->gfck", self.seen(self.image), flat)
        return result.reshape(self.w.shape)

    def with_bias(self, y: np.ndarray) -> np.ndarray:
        """Add the bias to y."""
        return y if self.b is None else y + along_filters(self.b, y.ndim)


def along_filters(b: np.ndarray, rank: int) -> np.ndarray:
    """Return b in a shape that broadcasts along the filters."""
    return b.reshape(-1, *[1] * (rank - 2))


def sum_of(at: Circumstances) -> Sum:
    """Return the convolution of a case, without a slip."""
    x, w, b = (at.array(name) for name in ("x", "w", "b"))
    assert x is not None and w is not None
    transposed, groups, dy = at.case.layer in TRANSPOSES, at.option("groups"), at.dy.astype(np.float64)
    large, count = (dy, x) if transposed else (x, dy)
    axes = windows.axes_of(
        large.shape[2:], w.shape[2:], count.shape[2:], at.option("stride"), at.option("padding"), at.option("dilation")
    )
    return sum_over(x, w, b, dy, axes, groups, transposed=transposed)


def sum_over(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray | None,
    dy: np.ndarray,
    axes: Axes,
    groups: int,
    *,
    transposed: bool = False,
) -> Sum:
    """Return the convolution of arrays over windows."""
    image, windowed = (dy, x) if transposed else (x, dy)
    channels, filters = (np.arange(side.shape[1]).reshape(groups, -1) for side in (image, windowed))
    return Sum(x, w, b, dy, transposed, axes, windows.index_of(axes), channels, filters)
