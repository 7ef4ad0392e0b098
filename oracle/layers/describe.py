"""Describe the layers from their signatures: as data for the command line, and as a Markdown table for the README."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from oracle.layers.options import values_of
from oracle.layers.signature import Array
from oracle.layers.spec import LAYERS, Layer

_COUNT = re.compile(r"(\*\w+):\d+")


def summary(layer: Layer) -> dict[str, Any]:
    """Return what fits into one row of a table: the arrays with their shapes, the options, and the documents."""
    return {
        "layer": layer.name,
        "arrays": [array.name + "?" * array.optional for array in layer.signature.arrays],
        "shapes": {array.name: array.shape for array in layer.signature.arrays},
        "configuration": {name: None if default is ... else default for name, default in layer.options.items()},
        "required": [name for name, default in layer.options.items() if default is ...],
        "documents": list(layer.documents),
    }


def details(layer: Layer) -> dict[str, Any]:
    """Return everything about a layer: its formula, arrays, options, outputs, and the calls that must be refused."""
    return {
        "layer": layer.name,
        "formula": formula(layer),
        "signature": str(layer.signature),
        "arrays": [_array(array) | {"gradient": _has_gradient(layer, array)} for array in layer.signature.arrays],
        "options": [
            {
                "name": name,
                "required": default is ...,
                "default": None if default is ... else default,
                "values": values_of(name, layer.choices, layer.ranges),
            }
            for name, default in layer.options.items()
        ],
        "outputs": [_array(output) for output in layer.signature.outputs],
        "refused": [
            {
                "key": refusal.key,
                "why": refusal.why,
                "shapes": {
                    name: None if shape is None else list(shape)
                    for name, shape in zip(layer.arrays, refusal.shapes, strict=True)
                },
                "configuration": refusal.configuration,
                "content": None if refusal.content is None else asdict(refusal.content),
            }
            for refusal in layer.refusals
        ],
        "documents": list(layer.documents),
    }


def formula(layer: Layer) -> str:
    """Return the formula of a layer, which is the docstring of its mathematics."""
    return inspect.cleandoc(layer.mathematics.__doc__ or "")


def _array(array: Array) -> dict[str, Any]:
    holds = "numbers" if array.kind is None else array.kind.meaning
    return {"name": array.name, "shape": array.shape, "holds": holds, "optional": array.optional}


def _has_gradient(layer: Layer, array: Array) -> bool:
    return array.name not in layer.no_gradient


def layer_table(layers: Iterable[Layer] | None = None) -> str:
    """Return the table of the layers in Markdown, with layers of the same arrays and options in one row."""
    rows: dict[tuple[Any, ...], list[Layer]] = {}
    for layer in LAYERS.values() if layers is None else layers:
        arrays = _COUNT.sub(r"\1", _arrays(layer))
        rows.setdefault((layer.mathematics.__module__, arrays, tuple(layer.options.items())), []).append(layer)
    lines = ["| rule | arrays (`?`: optional) | configuration (default) |", "|---|---|---|"]
    for (_, arrays, options), group in rows.items():
        names = " ".join(f"`{layer.name}`" for layer in group)
        texts = {_arrays(layer) for layer in group}
        lines.append(
            f"| {names} | {texts.pop() if len(texts) == 1 else arrays} | {_options(options)} |".replace("  ", " ")
        )
    return "\n".join(lines) + "\n"


def _arrays(layer: Layer) -> str:
    return ", ".join(map(str, layer.signature.arrays))


def _options(options: tuple[tuple[str, Any], ...]) -> str:
    return ", ".join(name if default is ... else f"{name} ({default!r})".replace("'", '"') for name, default in options)
