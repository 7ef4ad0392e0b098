"""Layers of another layout, or with options of other names."""

from __future__ import annotations

from typing import Any

import numpy as np

from oracle.targets.ask import LayerFunction


def transposed(
    layer: LayerFunction, *axes: tuple[int, ...] | None, value: tuple[int, ...] | None = None
) -> LayerFunction:
    """Adapt a layer of another layout. ``axes`` gives a permutation of our axes for each array, ``value`` for the value.

    An array with another number of axes than its permutation is passed as it is.

    >>> def per_channel(x):  # channels last
    ...     return x * np.arange(x.shape[-1]), lambda dy: (dy * np.arange(x.shape[-1]),)
    >>> layer = transposed(per_channel, (0, 2, 1), value=(0, 2, 1))
    >>> layer(np.ones((1, 2, 3)))[0]
    array([[[0., 0., 0.],
            [1., 1., 1.]]])
    """

    def there(x: Any, order: tuple[int, ...] | None) -> Any:
        return np.transpose(x, order) if x is not None and order is not None and np.ndim(x) == len(order) else x

    def back(x: Any, order: tuple[int, ...] | None) -> Any:
        return there(x, None if order is None else tuple(np.argsort(order).tolist()))

    def wrapped(*arrays: Any, **configuration: Any) -> Any:
        orders = (*axes, *[None] * (len(arrays) - len(axes)))
        y, pullback = layer(*map(there, arrays, orders), **configuration)

        def returned(dy: Any) -> tuple[Any, ...]:
            cotangents = pullback(there(dy, value))  # there may be more than arrays: None for those that are left out
            return tuple(map(back, cotangents, (*orders, *[None] * (len(cotangents) - len(orders)))))

        first = y[0] if isinstance(y, tuple) else y
        first = back(first, value)
        return (first, *y[1:]) if isinstance(y, tuple) else first, returned

    return wrapped


def channels_last(layer: LayerFunction) -> LayerFunction:
    """Adapt a 2-D layer over (N, H, W, C). Its kernels, if it has any, are (KH, KW, C, F)."""
    return transposed(layer, (0, 2, 3, 1), (2, 3, 1, 0), value=(0, 2, 3, 1))


def renamed(layer: LayerFunction, **names: str) -> LayerFunction:
    """Adapt a layer whose options have other names: ``renamed(pool, kernel_size="size", stride="step")``.

    >>> def pool(x, size):
    ...     return x[:size], None
    >>> renamed(pool, kernel_size="size")(np.arange(4), kernel_size=2)[0]
    array([0, 1])
    """
    return lambda *arrays, **configuration: layer(*arrays, **{names.get(k, k): v for k, v in configuration.items()})
