"""Pooling in NumPy, in a form that a slip can change, and two ways to put a change into the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from oracle.layers.places import combine, per_axis
from oracle.slips import windows
from oracle.slips.slip import NOTHING, Answers, Circumstances, slip
from oracle.slips.windows import Axes, Axis

EACH = ("y", "dx")


@dataclass(frozen=True)
class Pooling:
    """A pooling: its arrays, its windows, and by how much each window's sum is divided (None for a maximum)."""

    x: np.ndarray
    dy: np.ndarray
    axes: Axes
    index: np.ndarray
    counts: np.ndarray | None

    @property
    def sizes(self) -> tuple[int, ...]:
        """The sizes of x."""
        return self.x.shape[2:]

    @property
    def flat_dy(self) -> np.ndarray:
        """Dy with one axis for the windows."""
        return self.dy.reshape(*self.dy.shape[:2], -1)

    def seen(self, fill: float) -> np.ndarray:
        """Return what each window sees."""
        return windows.gather(self.x, self.index, fill)

    def answer(self, output: str) -> np.ndarray:
        """Compute y or dx."""
        if output == "dx":
            return windows.scatter(self.parts(), self.index, self.sizes)
        y = self.seen(-np.inf).max(axis=3) if self.counts is None else self.seen(0.0).sum(axis=3) / self.counts
        return self.shaped(y)

    def shaped(self, y: np.ndarray) -> np.ndarray:
        """Give y (N, C, windows) the shape of the value."""
        return y.reshape(self.dy.shape)

    def parts(self) -> np.ndarray:
        """Return what each window adds to the places that it sees."""
        if self.counts is None:
            return self.to_tap(self.seen(-np.inf).argmax(axis=3))
        share = self.flat_dy / self.counts
        return np.broadcast_to(share[..., None], (*share.shape, self.index.shape[1]))

    def to_tap(self, tap: np.ndarray) -> np.ndarray:
        """Return dy at one tap per window, and zeros at the others."""
        return self.flat_dy[..., None] * (tap[..., None] == np.arange(self.index.shape[1]))

    def to_place(self, place: np.ndarray) -> np.ndarray:
        """Add dy up at one flat place per window; a place of -1 or beyond the last is outside."""
        outside = (place < 0) | (place >= prod(self.sizes))
        n, c, count = *self.x.shape[:2], prod(self.sizes)
        rows = np.arange(n * c).reshape(n, c, 1) * (count + 1)
        flat = (rows + np.where(outside, count, place)).ravel()
        total = np.bincount(flat, self.flat_dy.ravel(), n * c * (count + 1))
        return total.reshape(n, c, count + 1)[:, :, :count].reshape(self.x.shape)

    @property
    def largest(self) -> np.ndarray:
        """The flat place of each window's maximum."""
        tap = self.seen(-np.inf).argmax(axis=3)
        return self.index[np.arange(len(self.index)), tap]


Bounds = Callable[
    [int, int], Sequence[tuple[int, int]]
]  # from the sizes of x and y to the start and end of each region


def exact_regions(n: int, m: int) -> list[tuple[int, int]]:
    """Return the right start and end of each region along an axis."""
    return [(o * n // m, -(-(o + 1) * n // m)) for o in range(m)]


def regions(sizes: Sequence[int], output: Sequence[int], bounds: Bounds = exact_regions) -> np.ndarray:
    """Return the index of adaptive regions with the given bounds along each axis."""
    axes = []
    for n, m in zip(sizes, output, strict=True):
        starts, ends = (np.array(side)[:, None] for side in zip(*bounds(n, m), strict=True))
        places = starts + np.arange(max(1, int((ends - starts).max())))
        axes.append((places, (places < ends) & (places >= 0) & (places < n)))
    return combine(axes, sizes)


def pooling_of(at: Circumstances) -> Pooling:
    """Return the pooling of a case, without a slip."""
    x = at.array("x")
    assert x is not None
    name, sizes, dy = at.case.layer, x.shape[2:], at.dy.astype(np.float64)
    if name == "adaptive_avg_pool":
        index = regions(sizes, dy.shape[2:])
        return Pooling(x, dy, (), index, inside(index, sizes))
    if name.startswith("global"):
        axes = tuple(Axis(n, n, n, 1, 0, 0, 1) for n in sizes)
    else:
        kernel, dilation = per_axis(at.option("kernel_size"), len(sizes)), at.option("dilation") or 1
        axes = windows.axes_of(sizes, kernel, dy.shape[2:], at.option("stride"), at.option("padding"), dilation)
    index = windows.index_of(axes)
    if "max" in name:
        return Pooling(x, dy, axes, index, None)
    return Pooling(x, dy, axes, index, counted(axes) if at.option("count_include_pad") else inside(index, sizes))


def inside(index: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """Count the places of each window that lie in x."""
    return (index < prod(sizes)).sum(axis=1)


def counted(axes: Axes) -> np.ndarray:
    """Count the places of each window that lie in x or its padding."""
    counts = np.ones(1)
    for axis in axes:
        counts = np.outer(counts, (axis.places < axis.n + axis.after).sum(axis=1)).ravel()
    return counts


Change = Callable[[Pooling], Pooling | None]
Compute = Callable[[Pooling], np.ndarray | None]


def changed(
    sentence: str, *layers: str, outputs: Sequence[str] = EACH, options: tuple[str, ...] = (), resembles: str = ""
) -> Callable[[Change], Change]:
    """Put a change of the pooling into the catalogue: a slip per output, named in the sentence. None changes nothing."""

    def put(change: Change) -> Change:
        for output in outputs:

            def answer(pooling: Pooling, output: str = output) -> np.ndarray | None:
                other = change(pooling)
                return None if other is None else other.answer(output)

            computed(output, sentence.format(output=output), *layers, options=options, resembles=resembles)(answer)
        return change

    return put


def computed(
    output: str, sentence: str, *layers: str, options: tuple[str, ...] = (), resembles: str = ""
) -> Callable[[Compute], Compute]:
    """Put a function that computes one output from a pooling into the catalogue. None changes nothing."""

    def put(compute: Compute) -> Compute:
        @slip(sentence, *layers, options=options, resembles=resembles)
        def answers(at: Circumstances) -> Answers:
            found = compute(pooling_of(at)) if windows.small(at) else None
            return NOTHING if found is None else {output: found}

        return compute

    return put
