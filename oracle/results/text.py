"""Numbers as a terminal shows them."""

from __future__ import annotations

import math
from typing import Any


def json_number(value: Any) -> Any:
    """Return what JSON has for a number: NaN and the infinities are strings there, everything else stays as it is.

    >>> json_number(2.5), json_number(float("nan")), json_number(float("-inf"))
    (2.5, 'NaN', '-Infinity')
    """
    if not isinstance(value, float) or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def configured(configuration: dict[str, Any]) -> str:
    """Write a configuration as it stands in a call."""
    return ", ".join(f"{name}={value!r}" for name, value in configuration.items()) or "(defaults)"


def shown(value: Any, most: int = 400) -> str:
    """Write nested lists as an aligned matrix. Long ones are cut.

    >>> print(shown([[1.0, -2.5], [10.0, "NaN"]]))
    [[   1  -2.5]
     [  10   NaN]]
    """
    if not isinstance(value, list):
        return _number(value)
    lines = _lines(value, max(map(len, _numbers(value)), default=0))
    text = "\n".join(lines[:most])
    return text if len(lines) <= most else f"{text}\n... ({len(lines) - most} lines more)"


def indented(text: str) -> str:
    """Indent each line by four spaces."""
    return "\n".join(f"    {line}" for line in text.splitlines())


def _numbers(value: Any) -> list[str]:
    return [text for v in value for text in _numbers(v)] if isinstance(value, list) else [_number(value)]


def _lines(value: list[Any], width: int) -> list[str]:
    """Write a line per row, with brackets as NumPy sets them."""
    if not value or not isinstance(value[0], list):
        return ["[" + "  ".join(f"{_number(v):>{width}}" for v in value) + "]"]
    inner = [line for v in value for line in _lines(v, width)]
    inner = ["[" + inner[0], *(" " + line for line in inner[1:])]
    return [*inner[:-1], inner[-1] + "]"]


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
