"""Refuse arguments that do not fit a layer's signature, choices and ranges, before a framework's layer sees them."""

from __future__ import annotations

from typing import Any

from oracle.layers import LAYERS
from oracle.layers.contents import has_meaning
from oracle.layers.fit import fit
from oracle.layers.options import objection
from oracle.targets.builtin.differentiate import Layer


def checked(name: str, layer: Layer) -> Layer:
    """Return the layer with a check of the shapes, dtypes and options before it; it raises ValueError."""
    described = LAYERS[name]

    def with_checks(*arrays: Any, **configuration: Any) -> Any:
        given = [None if x is None else tuple(x.shape) for x in arrays]
        shapes = (*given, *[None] * (len(described.arrays) - len(given)))
        for array, x in zip(described.signature.arrays, arrays, strict=False):
            if x is not None and not has_meaning(array, x.dtype):
                raise ValueError(f"{name}: {array.name} holds {x.dtype}, but must hold {array.kind}")
        options = described.options | configuration
        sizes = fit(described.signature.arrays, shapes, options).sizes
        for option, value in configuration.items():
            if value is None and described.options.get(option) is None:
                continue
            why = objection(option, value, described.choices, described.ranges, sizes)
            if why:
                raise ValueError(f"{name}: {why}")
        return layer(*arrays, **configuration)

    return with_checks
