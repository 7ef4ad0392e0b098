"""Where windows lie: padding, output sizes, and the taps of a pooling window."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from impl.array import Array, is_jax, spread
from impl.functional.checks import flag, integer, per_axis
from impl.rule import refuse


def resolve_padding(
    padding: Any, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> list[tuple[int, int]]:
    """The (before, after) padding of each axis, from an int, one int an axis, one pair an axis, "same" or "valid"."""
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


def pairs(padding: Any, rank: int) -> list[tuple[int, int]]:
    """The (before, after) padding of each axis, from an int, one int an axis or one pair an axis."""
    if isinstance(padding, (tuple, list)) and any(isinstance(edge, (tuple, list)) for edge in padding):
        if len(padding) != rank or any(not isinstance(edge, (tuple, list)) or len(edge) != 2 for edge in padding):
            refuse(f"padding must hold one (before, after) pair for each of the {rank} spatial axes, got {padding!r}")
        return [(integer("padding", a, 0), integer("padding", b, 0)) for a, b in padding]
    return [(p, p) for p in per_axis("padding", padding, rank, 0)]


@dataclass(frozen=True)
class Windows:
    """The pooling windows over an input of spatial size ``size``; every field holds one entry an axis."""

    size: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    output: tuple[int, ...]

    @classmethod
    def of(cls, x: Array, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: Any) -> Windows:
        """Check the options of a pooling layer over x (N, C, *S) and place its windows.

        With ceil_mode a last window may hang over the end, as long as it starts inside x or the padding before.
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

    def pad(self, x: Array, fill: float) -> Array:
        """x padded, and cropped or extended at the end, to exactly what the windows cover."""
        covered = [
            (m - 1) * s + d * (k - 1) + 1
            for m, s, d, k in zip(self.output, self.stride, self.dilation, self.kernel, strict=True)
        ]
        edges = [(b, c - b - n) for b, c, n in zip(self.before, covered, self.size, strict=True)]
        return spread(x, (1,) * len(edges), edges, fill)

    def taps(self) -> Iterator[tuple[slice, ...]]:
        """For each place of the kernel, in order, the slices of the padded x that it sees, one output each."""
        for place in itertools.product(*map(range, self.kernel)):
            starts = [k * d for k, d in zip(place, self.dilation, strict=True)]
            yield tuple(
                slice(a, a + (m - 1) * s + 1, s) for a, m, s in zip(starts, self.output, self.stride, strict=True)
            )

    def gather_back(self, parts: Iterator[Array], like: Array) -> Array:
        """The transpose of taking every tap of the padded x: add each part where its tap lies, drop the padding."""
        if is_jax(like):
            return sum(self._back_to(tap, part) for tap, part in zip(self.taps(), parts, strict=True))
        padded = self.pad(np.zeros(like.shape, like.dtype), 0.0)
        padded = padded if padded.flags.writeable else padded.copy()
        for tap, part in zip(self.taps(), parts, strict=True):
            padded[(..., *tap)] += part
        return spread(padded, (1,) * len(self.size), self._crop(padded.shape[2:]))

    def _back_to(self, tap: tuple[slice, ...], part: Array) -> Array:
        """One part, spread and padded (or cropped) from the tap's places to the places of x."""
        edges = [(t.start - b, n - (t.stop - b)) for t, b, n in zip(tap, self.before, self.size, strict=True)]
        return spread(part, self.stride, edges)

    def _crop(self, covered: Sequence[int]) -> list[tuple[int, int]]:
        return [(-b, n + b - c) for b, n, c in zip(self.before, self.size, covered, strict=True)]

    def counts(self) -> np.ndarray:
        """How many places of x each window holds, shape (*O)."""
        return self._overlap([0] * len(self.size), self.size)

    def counts_with_padding(self) -> np.ndarray:
        """How many places of x and its padding each window holds (an overhang of ceil_mode is not counted)."""
        return self._overlap([-b for b in self.before], [n + a for n, a in zip(self.size, self.after, strict=True)])

    def _overlap(self, first: Sequence[int], end: Sequence[int]) -> np.ndarray:
        counts = np.ones((), np.int64)
        for axis, m in enumerate(self.output):
            places = np.arange(m)[:, None] * self.stride[axis] - self.before[axis]
            places = places + np.arange(self.kernel[axis]) * self.dilation[axis]
            inside = ((places >= first[axis]) & (places < end[axis])).sum(axis=1)
            counts = np.multiply.outer(counts, inside)
        return counts
