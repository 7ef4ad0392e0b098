"""The HTML pages, each one self-contained file: the report of one or several runs, and the documents' errata."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, Template, select_autoescape

if TYPE_CHECKING:
    from oracle.results import Results, Row
    from oracle.results.errata import Errata

MEANINGS: dict[str, str] = {
    "conforms": "every check of the layer held, and the judged cases would have shown every known slip",
    "inexact": "right up to accuracy: beyond the rounding bound, yet within the square root of the unit roundoff",
    "wrong": "a wrong value, gradient, shape, dtype or tie rule; a mutated input; a pullback not linear or not repeatable",
    "error": "raised on a valid case, or accepted what must be refused",
    "crashed": "the process died",
    "timed_out": "no answer in time",
    "unproven": "nothing wrong was found, but the judged cases could not have shown some known slip; they are listed",
    "not_implemented": "not offered",
    "not_loaded": "the target could not be imported or set up",
}


ASPECTS: dict[str, str] = {
    "mathematics": "values, gradients, shapes and the tie rule, on ordinary arrays in any memory layout",
    "accuracy": "what is beyond the rounding bound, yet nearly right",
    "edges": "empty arrays, one element, NaN and infinity, magnitudes near overflow and underflow",
    "contract": "dtype, number of arrays, mutation, repeatability, linearity, aliasing, refusal of bad input",
}


def render(runs: list[Results], names: list[str] | None = None) -> str:
    """Render the page of one run, or of several side by side. Names tell the runs apart."""
    columns: list[dict[str, Any]] = []
    for i, run in enumerate(runs):
        rows = {(row.target, row.layer): row for row in run.rows()}
        for target in dict.fromkeys(trial.target for trial in run.trials):
            title = target if names is None or len(runs) == 1 else f"{names[i]}: {target}"
            cells = {layer: row for (of, layer), row in rows.items() if of == target}
            columns.append({"title": title, "cells": cells, "anchor": f"r{i}"})
    layers = dict.fromkeys(trial.layer for run in runs for trial in run.trials)
    absent = [layer for layer in layers if not any(_tried(c["cells"].get(layer)) for c in columns)]
    return _template("report.html").render(
        runs=runs,
        names=names or [""],
        columns=columns,
        layers=[layer for layer in layers if layer not in absent],
        absent=absent,
        meanings=MEANINGS,
        aspects=ASPECTS,
    )


def _tried(row: Row | None) -> bool:
    return row is not None and row.tried


def render_errata(errata: Errata) -> str:
    """Render the errata page: the documents' claims in reading order, each with its verdict."""
    return _template("errata.html").render(errata=errata)


def write(page: str, directory: Path) -> Path:
    """Write the page as index.html into a directory, which is made if it is not there. Returns the file's path."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "index.html"
    path.write_text(page, encoding="utf-8")
    return path


def _template(name: str) -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=select_autoescape(default=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["ratio"] = lambda value: f"{value:.3g}"
    return environment.get_template(name)
