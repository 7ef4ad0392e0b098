"""Make a layer from a forward function and a framework's own differentiation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from oracle.layers import LAYERS

Forward = Callable[..., Any]
Layer = Callable[..., tuple[Any, Callable[[Any], tuple[Any, ...]]]]
Vjp = Callable[..., tuple[Any, Callable[[Any], Sequence[Any]]]]


def layer_of(forward: Forward, no_gradient: tuple[int, ...], vjp: Vjp) -> Layer:
    """Return the layer of a forward function: its value, and its pullback by ``vjp``.

    ``vjp(function, *arrays)`` returns the function's value and pullback. It differentiates the first output if there are
    several. Arrays that are not given, and those at the places ``no_gradient``, get no gradient.
    """

    def layer(*arrays: Any, **configuration: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
        wanted = [i for i, x in enumerate(arrays) if x is not None and i not in no_gradient]

        def of_wanted(*chosen: Any) -> Any:
            full = list(arrays)
            for i, x in zip(wanted, chosen, strict=True):
                full[i] = x
            return forward(*full, **configuration)

        value, back = vjp(of_wanted, *(arrays[i] for i in wanted))

        def pullback(dy: Any) -> tuple[Any, ...]:
            cotangents: list[Any] = [None] * len(arrays)
            for i, dx in zip(wanted, back(dy), strict=True):
                cotangents[i] = dx
            return tuple(cotangents)

        return value, pullback

    return layer


def without_gradient(name: str) -> tuple[int, ...]:
    """Return the places of a layer's arrays that take no gradient."""
    layer = LAYERS[name]
    return tuple(i for i, array in enumerate(layer.arrays) if array in layer.no_gradient)


def first_of(value: Any) -> Any:
    """Return the output that is differentiated: the first if there are several."""
    return value[0] if isinstance(value, tuple) else value
