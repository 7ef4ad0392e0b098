"""Numbers and discrepancies as a terminal shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oracle.results.model import Discrepancy


def described(discrepancy: Discrepancy) -> str:
    """Describe a discrepancy: what is wrong, on which numbers, and why if that is known."""
    lines = [f"{discrepancy.verdict}, {discrepancy.check} of {discrepancy.output}: {discrepancy.message}"]
    if discrepancy.diagnosis:
        lines.append(f"diagnosis: {discrepancy.diagnosis}")
    lines.append(f"configuration: {configured(discrepancy.configuration)}")
    if discrepancy.memory != "contiguous":
        lines.append(f"memory layout: {discrepancy.memory}")
    for name, array in discrepancy.arrays.items():
        if array is not None and discrepancy.check == "refusal":
            lines.append(f"{name}: shape {tuple(array.shape)}")
        elif array is not None:
            lines += [f"{name} =", _indented(array.text)]
    for what, value in (("expected", discrepancy.expected), ("got", discrepancy.got)):
        if value is not None:
            lines += [f"{what} {discrepancy.output} =", _indented(shown(value))]
    return "\n".join(lines)


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


def _indented(text: str) -> str:
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
