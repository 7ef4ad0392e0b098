"""Place windows: padding, output sizes, and the taps of a pooling window."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from impl.array import Array, add_windows, spread
from impl.functional.checks import PaddingOption, Pairs, PerAxis, flag, integer, per_axis, several
from impl.rule import refuse


def resolve_padding(
    padding: PaddingOption, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> list[tuple[int, int]]:
    """Return the (before, after) padding of each axis, whichever way it is given."""
    if isinstance(padding, str):
        if padding == "valid":
            return [(0, 0)] * len(kernel)
        if padding != "same":
            refuse(f'padding must be ints, pairs of ints, "same" or "valid", got {padding!r}')
        if any(step != 1 for step in stride):
            refuse(f'padding "same" needs stride 1, got stride {tuple(stride)}')
        totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        return [(total // 2, total - total // 2) for total in totals]
    return pairs(padding, len(kernel))


def pairs(padding: Pairs, rank: int) -> list[tuple[int, int]]:
    """Return the (before, after) padding of each axis, from one int, one int per axis or one pair per axis."""
    given: Any = padding
    if several(given) and any(map(several, given)):
        if len(given) != rank or not all(several(edge) and len(edge) == 2 for edge in given):
            refuse(f"padding must hold one (before, after) pair for each of the {rank} spatial axes, got {padding!r}")
        return [(integer("padding", a, 0), integer("padding", b, 0)) for a, b in given]
    return [(p, p) for p in per_axis("padding", padding, rank, 0)]


@dataclass(frozen=True)
class Windows:
    """The pooling windows over an input of spatial size ``size``; every field holds one entry per axis."""

    size: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    output: tuple[int, ...]

    @classmethod
    def of(
        cls,
        x: Array,
        kernel_size: PerAxis,
        stride: PerAxis | None,
        padding: PaddingOption,
        dilation: PerAxis,
        ceil_mode: bool,
    ) -> Windows:
        """Check the options of a pooling layer over x (N, C, *S) and place its windows.

        With ceil_mode the last window may reach past the end, as long as it starts inside x or inside the padding before.
        """
        size = tuple(x.shape[2:])
        rank = len(size)
        kernel = per_axis("kernel_size", kernel_size, rank, 1)
        stride = kernel if stride is None else per_axis("stride", stride, rank, 1)
        dilation = per_axis("dilation", dilation, rank, 1)
        edges = resolve_padding(padding, kernel, stride, dilation)
        ceil = flag("ceil_mode", ceil_mode)
        output = []
        for n, k, s, d, (before, after) in zip(size, kernel, stride, dilation, edges, strict=True):
            reach = d * (k - 1) + 1
            if padding != "same" and max(before, after) > k // 2:
                refuse(f"padding {(before, after)} is more than half of the kernel size {k}")
            room = n + before + after - reach
            if n < 1 or room < 0:
                refuse(f"the kernel reaches over {reach} but the padded x has only {n + before + after}")
            count = (room + s - 1 if ceil else room) // s + 1
            if ceil and (count - 1) * s >= n + before:
                count -= 1
            output.append(count)
        befores, afters = tuple(a for a, _ in edges), tuple(b for _, b in edges)
        return cls(size, kernel, stride, dilation, befores, afters, tuple(output))

    def pad(self, x: Array, fill: float) -> Any:
        """Pad x, and crop or extend it at the end, to exactly what the windows cover."""
        edges = [(b, c - b - n) for b, c, n in zip(self.before, self._covered(), self.size, strict=True)]
        return spread(x, (1,) * len(edges), edges, fill)

    def _covered(self) -> list[int]:
        """Return the spatial size from the start of the first window to the end of the last."""
        return [
            (m - 1) * s + d * (k - 1) + 1
            for m, s, d, k in zip(self.output, self.stride, self.dilation, self.kernel, strict=True)
        ]

    def taps(self) -> Iterator[tuple[slice, ...]]:
        """Yield, per place of the kernel in order, the slices of the padded x that it sees: one element per output."""
        for place in itertools.product(*map(range, self.kernel)):
            starts = [k * d for k, d in zip(place, self.dilation, strict=True)]
            yield tuple(
                slice(a, a + (m - 1) * s + 1, s) for a, m, s in zip(starts, self.output, self.stride, strict=True)
            )

    def gather_back(self, parts: Iterable[Array], like: Array) -> Any:
        """Apply the transpose of taking every tap of the padded x: add each part at its tap, drop the padding."""
        covered = self._covered()
        crop = [(-b, n + b - c) for b, n, c in zip(self.before, self.size, covered, strict=True)]
        return add_windows(parts, self.taps(), covered, crop, like)

    def counts(self) -> np.ndarray:
        """Count the places of x in each window; shape (*O)."""
        return self._overlap([0] * len(self.size), self.size)

    def counts_with_padding(self) -> np.ndarray:
        """Count the places of x and its padding in each window, without what ceil_mode lets reach past them."""
        return self._overlap([-b for b in self.before], [n + a for n, a in zip(self.size, self.after, strict=True)])

    def _overlap(self, first: Sequence[int], end: Sequence[int]) -> np.ndarray:
        """Count the places of each window that lie between ``first`` and ``end`` on every axis."""
        counts = np.ones((), np.int64)
        for axis, m in enumerate(self.output):
            places = np.arange(m)[:, None] * self.stride[axis] - self.before[axis]
            places = places + np.arange(self.kernel[axis]) * self.dilation[axis]
            inside = ((places >= first[axis]) & (places < end[axis])).sum(axis=1)
            counts = np.multiply.outer(counts, inside)
        return counts
