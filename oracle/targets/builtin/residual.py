"""The residual blocks of a target, from its own convolution, batch normalisation and ReLU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Forward = Callable[..., Any]


def residual(
    kernels: int, strided: int, convolve: Forward, batch_norm: Forward, relu: Forward
) -> tuple[Forward, tuple[int, ...]]:
    """A block of so many kernels, of which one strides, and the places of the arrays that take no gradient.

    Arrays are x, the kernels, gamma and beta of each, the shortcut's kernel, gamma and beta, and the running statistics.
    ``convolve(x, w, stride=, padding=)``; ``batch_norm(x, gamma, beta, running_mean, running_var, **options)`` gives y and
    the new statistics.
    """

    def forward(x: Any, *arrays: Any, stride: Any = 1, **options: Any) -> Any:
        arrays += (None,) * (5 * kernels + 5 - len(arrays))
        weights, norms = arrays[:kernels], arrays[kernels : 3 * kernels]
        shortcut, running = arrays[3 * kernels : 3 * kernels + 3], arrays[3 * kernels + 3 :]
        h, new = x, []
        for i, w in enumerate(weights):
            a = convolve(h, w, stride=stride if i == strided else 1, padding=w.shape[-1] // 2)
            h, *own = batch_norm(a, *norms[2 * i : 2 * i + 2], *running[2 * i : 2 * i + 2], **options)
            h = relu(h) if i < kernels - 1 else h
            new += own
        by, own = x, [None, None]
        if shortcut[0] is not None:
            a = convolve(x, shortcut[0], stride=stride, padding=0)
            by, *own = batch_norm(a, *shortcut[1:], *running[-2:], **options)
        if by.shape != h.shape:
            raise ValueError("the shortcut would be broadcast")
        return (relu(h + by), *new, *own)

    first_statistic = 1 + 3 * kernels + 3
    return forward, tuple(range(first_statistic, first_statistic + 2 * kernels + 2))
