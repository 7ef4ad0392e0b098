"""The HTML pages, each one self-contained file: the report of one or several runs, and the documents' errata."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, Template, select_autoescape

from oracle.results.errata import Errata
from oracle.results.model import Array, Results, Trial, Verdict, worst_verdict

MEANINGS: dict[str, str] = {
    "conforms": "every check of the layer held",
    "inexact": "right up to accuracy: beyond the rounding bound, yet within the square root of the unit roundoff",
    "wrong": "a wrong value, gradient, shape, dtype or tie rule; a mutated input; a pullback not linear or not repeatable",
    "error": "raised on a valid case, or accepted what must be refused",
    "crashed": "the process died",
    "timed_out": "no answer in time",
    "not_implemented": "not offered",
}


def render(runs: list[Results], names: list[str] | None = None) -> str:
    """The page for one run, or for several side by side; names tell the runs apart."""
    columns: list[dict[str, Any]] = []
    for i, run in enumerate(runs):
        for target in dict.fromkeys(trial.target for trial in run.trials):
            title = target if names is None or len(runs) == 1 else f"{names[i]}: {target}"
            trials = [trial for trial in run.trials if trial.target == target]
            columns.append({"title": title, "trials": trials, "anchor": f"r{i}"})
    layers = list(dict.fromkeys(trial.layer for run in runs for trial in run.trials))
    rows: list[dict[str, Any]] = [
        {"layer": layer, "cells": [_cell([t for t in c["trials"] if t.layer == layer]) for c in columns]}
        for layer in layers
    ]
    absent = [row["layer"] for row in rows if not any(cell["tried"] for cell in row["cells"])]
    rows = [row for row in rows if row["layer"] not in absent]
    return _template("report.html").render(
        runs=runs, names=names or [""], columns=columns, rows=rows, absent=absent, meanings=MEANINGS
    )


def render_errata(errata: Errata) -> str:
    """The errata page: the documents' claims in reading order, each with its verdict."""
    return _template("errata.html").render(errata=errata)


def _template(name: str) -> Template:
    loader = Environment(
        loader=PackageLoader("reports"),
        autoescape=select_autoescape(default=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    loader.filters |= {"shown": shown, "literal": _literal, "ratio": ratio}
    return loader.get_template(name)


def write(page: str, directory: Path) -> Path:
    """Write the page as index.html into a directory, which is made; gives its path."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "index.html"
    path.write_text(page, encoding="utf-8")
    return path


def _cell(trials: list[Trial]) -> dict[str, Any]:
    verdict: Verdict = worst_verdict([t.verdict for t in trials])
    ratios = [t.worst.error_over_bound for t in trials if t.worst is not None]
    return {
        "verdict": verdict,
        "tried": verdict != "not_implemented" or any(t.examples for t in trials),
        "configurations": sum(t.configurations for t in trials),
        "unsupported": sum(t.unsupported for t in trials),
        "worst": max(ratios, default=None),
        "first": next((d.id for t in trials for d in t.discrepancies), None),
        "known": any(t.discrepancies for t in trials) and all(d.known for t in trials for d in t.discrepancies),
    }


def ratio(value: float | None) -> str:
    """An error over bound in two or three digits."""
    return "" if value is None else f"{value:.3g}"


def shown(value: Any, most: int = 400) -> str:
    """Nested lists as an aligned matrix; long ones are cut."""
    if isinstance(value, Array):
        value = value.data
    if not isinstance(value, list):
        return _number(value)
    lines = _lines(value, max(map(len, _numbers(value)), default=0))
    text = "\n".join(lines[:most])
    return text if len(lines) <= most else f"{text}\n... ({len(lines) - most} lines more)"


def _numbers(value: Any) -> list[str]:
    return [text for v in value for text in _numbers(v)] if isinstance(value, list) else [_number(value)]


def _lines(value: list[Any], width: int) -> list[str]:
    """A line a row, brackets as NumPy sets them."""
    if not value or not isinstance(value[0], list):
        return ["[" + "  ".join(f"{_number(v):>{width}}" for v in value) + "]"]
    inner = [line for v in value for line in _lines(v, width)]
    inner = ["[" + inner[0], *(" " + line for line in inner[1:])]
    return [*inner[:-1], inner[-1] + "]"]


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)


def _literal(configuration: dict[str, Any]) -> str:
    return ", ".join(f"{key}={value!r}" for key, value in configuration.items()) or "(defaults)"
