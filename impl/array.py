"""Keep what differs between NumPy and JAX in one place.

Every rule is written once, against the names that both namespaces share. The few operations that have no common
spelling (a convolution, a write into an array, the error function, a derivative of one's own) stand here side by side,
one function each, so that no other file of the rules asks which kind of array it holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from math import prod
from types import ModuleType
from typing import Any, Protocol

import array_api_compat
import numpy as np

Padding = Sequence[tuple[int, int]]


class Array(Protocol):
    """What NumPy and JAX arrays have in common: a type checker accepts both, and refuses lists, numbers and strings.

    It lists what the rules use. A union of the two classes would not do: wherever a type checker does not read JAX's
    types, ``jax.Array`` is Any, and a union with Any accepts everything. The methods are declared as attributes because
    the two libraries declare their arguments differently.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """The size of each axis."""

    @property
    def ndim(self) -> int:
        """The number of axes."""

    @property
    def dtype(self) -> Any:
        """The type of the elements."""

    @property
    def T(self) -> Any:  # noqa: N802
        """The transpose."""

    @property
    def reshape(self) -> Callable[..., Any]:
        """Return the same elements in another shape."""

    @property
    def swapaxes(self) -> Callable[..., Any]:
        """Exchange two axes."""

    @property
    def astype(self) -> Callable[..., Any]:
        """Return the elements in another dtype."""

    @property
    def copy(self) -> Callable[..., Any]:
        """Return a copy."""

    @property
    def sum(self) -> Callable[..., Any]:
        """Add up elements, over all or some axes."""

    @property
    def mean(self) -> Callable[..., Any]:
        """Average elements, over all or some axes."""

    @property
    def max(self) -> Callable[..., Any]:
        """Return the largest element, over all or some axes."""

    @property
    def argmax(self) -> Callable[..., Any]:
        """Return the place of the largest element."""

    def __len__(self) -> int: ...
    def __getitem__(self, key: Any, /) -> Any: ...
    def __array__(self) -> np.ndarray: ...
    def __float__(self) -> float: ...
    def __eq__(self, other: Any, /) -> Any: ...
    def __ne__(self, other: Any, /) -> Any: ...
    def __neg__(self) -> Any: ...
    def __add__(self, other: Any, /) -> Any: ...
    def __radd__(self, other: Any, /) -> Any: ...
    def __sub__(self, other: Any, /) -> Any: ...
    def __rsub__(self, other: Any, /) -> Any: ...
    def __mul__(self, other: Any, /) -> Any: ...
    def __rmul__(self, other: Any, /) -> Any: ...
    def __truediv__(self, other: Any, /) -> Any: ...
    def __rtruediv__(self, other: Any, /) -> Any: ...
    def __matmul__(self, other: Any, /) -> Any: ...
    def __lt__(self, other: Any, /) -> Any: ...
    def __le__(self, other: Any, /) -> Any: ...
    def __gt__(self, other: Any, /) -> Any: ...
    def __ge__(self, other: Any, /) -> Any: ...


# How many bytes a NumPy convolution unfolds at a time: enough to make a matrix product worthwhile, and few enough to
# stay in a cache.
UNFOLDED_BYTES = 1 << 22


def is_array(x: object) -> bool:
    """Tell whether x is a NumPy or a JAX array (a tracer inside ``jax.jit`` counts as one)."""
    return isinstance(x, np.ndarray) or array_api_compat.is_jax_array(x)


def is_jax(*arrays: object) -> bool:
    """Tell whether one of the arrays is a JAX array."""
    return any(array_api_compat.is_jax_array(x) for x in arrays)


def can_read_values(x: Array) -> bool:
    """Tell whether the numbers of x may be looked at now: a JAX array may be traced, or may still be computed."""
    return not is_jax(x)


def namespace(*arrays: object) -> ModuleType:
    """Return the array namespace of the arrays: ``jax.numpy`` if one of them is a JAX array, else NumPy."""
    if is_jax(*arrays):
        import jax.numpy as jnp

        return jnp
    return np


def without_warnings(xp: ModuleType) -> AbstractContextManager[Any]:
    """Let NaN and infinity pass without a warning: in an input they are values like any other. JAX never warns."""
    return np.errstate(all="ignore") if xp is np else nullcontext()


def with_own_gradient(
    value: Callable[..., Any], forward: Callable[..., tuple[Any, Any]], backward: Callable[..., tuple[Any, ...]]
) -> Callable[..., Any]:
    """Make a function of JAX arrays that ``jax.grad`` differentiates by ``backward`` and not by JAX's own rules.

    ``forward(*arrays)`` returns the value and what ``backward(kept, dy)`` needs.
    """
    import jax

    call = jax.custom_vjp(value)
    call.defvjp(forward, backward)
    return call


def erf(x: Array) -> Any:
    """Return the error function of x. NumPy has none, so SciPy's is used."""
    if is_jax(x):
        from jax.scipy import special

        return special.erf(x)
    from scipy import special

    return special.erf(x)


def log1p(x: Array) -> Any:
    """Return log(1 + x). On the CPU, XLA's own is off by up to 80 ulp in float64; Kahan's form of it is not."""
    if is_jax(x):
        import jax.numpy as jnp
        from jax import lax

        u = lax.optimization_barrier(1 + x)  # or XLA takes u - 1 for x, and the digits that u has lost are lost
        return jnp.where((u == 1) | jnp.isinf(u), x, jnp.log(u) * (x / jnp.where(u == 1, 1, u - 1)))
    return np.log1p(x)


def logistic(x: Array) -> tuple[Any, Any]:
    """Return y = 1 / (1 + exp(-x)) and its slope y (1 - y), the slope without the cancellation in 1 - y."""
    if is_jax(x):
        from jax import lax

        y = lax.logistic(x)
        return y, y * lax.logistic(-x)
    e = np.exp(-np.abs(x))
    large = 1 / (1 + e)
    small = e * large
    return np.where(x < 0, small, large), small * large


def spread(x: Array, steps: Sequence[int], padding: Padding, fill: float = 0.0) -> Any:
    """Put ``step - 1`` fills between neighbours along each trailing axis, then pad; a negative padding crops.

    x has shape (..., *S); steps and padding hold one entry per axis of S.
    """
    lead = x.ndim - len(steps)
    if is_jax(x):
        from jax import lax

        edges = [(0, 0, 0)] * lead + [(a, b, step - 1) for (a, b), step in zip(padding, steps, strict=True)]
        return lax.pad(x, np.asarray(fill, x.dtype), edges)
    if all(edge == (0, 0) for edge in padding) and all(step == 1 for step in steps):
        return x
    sizes = x.shape[lead:]
    between = [max(0, (size - 1) * step + 1) for size, step in zip(sizes, steps, strict=True)]
    shape = [size + a + b for size, (a, b) in zip(between, padding, strict=True)]
    y = np.full((*x.shape[:lead], *shape), fill, x.dtype)
    source, goal = [slice(None)] * lead, [slice(None)] * lead
    for size, step, (before, _), length in zip(sizes, steps, padding, shape, strict=True):
        first = max(0, -(before // step))  # the first element that a negative padding leaves
        last = min(size, max(first, -((before - length) // step)))
        source.append(slice(first, last))
        goal.append(slice(before + first * step, before + last * step, step) if last > first else slice(0, 0))
    y[tuple(goal)] = x[tuple(source)]
    return y


def correlate(
    x: Array,
    w: Array,
    *,
    stride: Sequence[int],
    padding: Padding,
    dilation: Sequence[int],
    spacing: Sequence[int] | None = None,
    groups: int = 1,
) -> Any:
    """Correlate x (N, C, *S) with w (F, C/groups, *K); return y (N, F, *O).

    y[n, f, o] = sum over c, k of w[f, c, k] * x'[n, c, o * stride + k * dilation]. Here x' is x with
    ``spacing - 1`` zeros between neighbours, then padded.
    """
    spacing = (1,) * len(stride) if spacing is None else tuple(spacing)
    if is_jax(x, w):
        from jax import lax

        return lax.conv_general_dilated(
            x,
            w,
            window_strides=tuple(stride),
            padding=[tuple(edge) for edge in padding],
            lhs_dilation=spacing,
            rhs_dilation=tuple(dilation),
            feature_group_count=groups,
        )
    return _correlate_numpy(spread(x, spacing, padding), np.asarray(w), tuple(stride), tuple(dilation), groups)


def correlate_kernel(
    x: Array,
    dy: Array,
    kernel: Sequence[int],
    *,
    stride: Sequence[int],
    padding: Padding,
    dilation: Sequence[int],
    groups: int = 1,
) -> Any:
    """Apply the transpose of ``correlate`` in w, whose spatial size is given; return dw (F, C/groups, *K).

    dw[f, c, k] = sum over n, o of dy[n, f, o] * x'[n, c, o * stride + k * dilation]: the correlation of x with dy as a
    kernel. Stride and dilation are exchanged, and samples play the part of channels.
    """
    n, channels, *size = x.shape
    filters, per_group = dy.shape[1], channels // groups
    if is_jax(x, dy):
        # (N, C, *S) to (C/groups, groups * N, *S)
        x = x.reshape(n, groups, per_group, *size).swapaxes(0, 2).reshape(per_group, groups * n, *size)
        dw = correlate(x, dy.swapaxes(0, 1), stride=dilation, padding=padding, dilation=stride, groups=groups)
        dw = dw[(..., *(slice(k) for k in kernel))]  # the leftovers of the stride reach past the kernel
        return dw.swapaxes(0, 1).reshape(filters, per_group, *kernel)
    dw = np.zeros((groups, per_group * prod(kernel), filters // groups), np.result_type(x.dtype, dy.dtype))
    x = spread(x, (1,) * len(size), padding)
    for block, rows, columns in _unfolded(x, dy.shape[2:], tuple(kernel), stride, dilation, groups):
        # (N, F, *O) to (groups, F/groups, places)
        part = np.moveaxis(dy[block, :, rows], 1, 0).reshape(groups, filters // groups, columns.shape[2])
        dw += np.matmul(columns, part.swapaxes(1, 2))
    return np.ascontiguousarray(dw.swapaxes(1, 2)).reshape(filters, per_group, *kernel)


def _correlate_numpy(
    x: np.ndarray, w: np.ndarray, stride: tuple[int, ...], dilation: tuple[int, ...], groups: int
) -> np.ndarray:
    """Unfold a few samples at a time, or a few rows of one, and multiply: the whole batch is never unfolded."""
    filters, per_group, *kernel = w.shape
    output = [(n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(x.shape[2:], kernel, stride, dilation, strict=True)]
    w = w.reshape(groups, filters // groups, per_group * prod(kernel))
    y = np.empty((len(x), filters, *output), np.result_type(x, w))
    for block, rows, columns in _unfolded(x, output, tuple(kernel), stride, dilation, groups):
        part = y[block, :, rows]
        # (groups, F/groups, places) to (N, F, *O)
        part[...] = np.matmul(w, columns).reshape(filters, len(part), *part.shape[2:]).swapaxes(0, 1)
    return y


def _unfolded(
    x: Array,
    output: Sequence[int],
    kernel: tuple[int, ...],
    stride: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Iterator[tuple[slice, slice, np.ndarray]]:
    """Yield blocks of samples and of output rows, each with what its windows see: (groups, C/groups * K, places).

    x is already padded. The same memory is filled again for each block, one place of the kernel at a time.
    """
    n, channels, *size = x.shape
    per_group, taps = channels // groups, prod(kernel)
    x = x.reshape(n, groups, per_group, *size)
    row = max(1, channels * taps * prod(output[1:]) * x.dtype.itemsize)  # the bytes of one row of one sample, unfolded
    rows = max(1, min(output[0], UNFOLDED_BYTES // row))
    samples = max(1, min(n, UNFOLDED_BYTES // (row * output[0])) if rows == output[0] else 1)
    if n == 0 or prod(output) == 0:
        return
    memory = np.empty(channels * taps * samples * rows * prod(output[1:]), x.dtype)
    for i in range(0, n, samples):
        block = slice(i, min(n, i + samples))
        for j in range(0, output[0], rows):
            here = slice(j, min(output[0], j + rows))
            shape = (block.stop - i, here.stop - j, *output[1:])
            columns = memory[: channels * taps * prod(shape)].reshape(groups, per_group, *kernel, *shape)
            for tap in np.ndindex(*kernel):
                seen = [
                    slice(k * d + first * s, k * d + (first + m - 1) * s + 1, s)
                    for k, s, d, m, first in zip(
                        tap, stride, dilation, shape[1:], (j, *[0] * (len(kernel) - 1)), strict=True
                    )
                ]
                place: tuple[Any, ...] = (block, ..., *seen)
                columns[(slice(None), slice(None), *tap)] = np.moveaxis(x[place], 0, 2)
            yield block, here, columns.reshape(groups, per_group * taps, prod(shape))


def add_at(x: Array, axis: int, index: np.ndarray, values: Array) -> Any:
    """Add values to x at the given places along one axis; a place that is named twice receives both.

    A NumPy x is changed in place.
    """
    place: tuple[Any, ...] = (slice(None),) * (axis % x.ndim) + (index,)
    if is_jax(x, values):
        return namespace(x, values).asarray(x).at[place].add(values)
    np.add.at(np.asarray(x), place, values)
    return x


def add_windows(
    parts: Iterable[Array],
    windows: Iterable[tuple[slice, ...]],
    covered: Sequence[int],
    edges: Padding,
    like: Array,
) -> Any:
    """Add each part at its window of an array of zeros, then pad that array by the edges (a negative edge crops).

    The zeros have the leading axes, kind and dtype of ``like``, and the spatial size ``covered``. NumPy adds in place;
    JAX, which cannot, spreads each part over the result and sums.
    """
    if is_jax(like):
        return sum(_spread_to(window, part, covered, edges) for window, part in zip(windows, parts, strict=True))
    y = np.zeros((*like.shape[: like.ndim - len(covered)], *covered), like.dtype)
    for window, part in zip(windows, parts, strict=True):
        place: tuple[Any, ...] = (..., *window)
        y[place] += part
    return spread(y, (1,) * len(covered), edges)


def _spread_to(window: tuple[slice, ...], part: Array, covered: Sequence[int], edges: Padding) -> Any:
    """Spread a part over the places of its window, and pad it to what ``covered`` and the edges leave."""
    around = [
        (w.start + before, n - w.stop + after) for w, n, (before, after) in zip(window, covered, edges, strict=True)
    ]
    return spread(part, [w.step for w in window], around)
