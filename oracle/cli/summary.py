"""The summary of a run on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from rich.markup import escape
from rich.table import Table

from oracle.cli.shared import console

if TYPE_CHECKING:
    from oracle.results import Results, Row

MOST_SHOWN = 3
COLOURS = {"conforms": "green", "inexact": "yellow", "not_implemented": "dim"}


def print_summary(results: Results) -> None:
    """Print a line per target and layer, then the first discrepancies in full, then one sentence."""
    table = Table("target", "layer", "verdict", "configurations", "worst / bound", "found", box=None)
    not_offered: dict[str, int] = {}
    for row in results.rows():
        if row.tried:
            table.add_row(*_cells(row))
        else:
            not_offered[row.target] = not_offered.get(row.target, 0) + 1
    for target, count in not_offered.items():
        layers = f"({count} layers)" if count > 1 else "(1 layer)"
        table.add_row(escape(target), layers, "[dim]not_implemented[/]", "", "", "")
    console().print(table)
    for line in results.unmet:
        typer.echo(f"no longer occurs, though expected: {line}")
    for trial in results.trials:
        if trial.note:
            typer.echo(f"{trial.subject}: {trial.note}")
    count = len(results.failing)
    for trial, discrepancy in results.failing[:MOST_SHOWN]:
        typer.echo(f"\n{trial.subject}, backproof replay {discrepancy.id}")
        typer.echo(discrepancy.text)
    if count > MOST_SHOWN:
        typer.echo(f"\n... and {count - MOST_SHOWN} more in the report")
    total = sum(t.configurations for t in results.trials)
    ending = "everything conforms" if not count else f"{count} discrepanc{'y' if count == 1 else 'ies'}"
    typer.echo(f"\n{total} configurations in {results.seconds:.1f} s: {ending}")


def _cells(row: Row) -> tuple[str, ...]:
    kinds = ", ".join(dict.fromkeys(f"{d.check} of {d.output}" + " (expected)" * d.known for d in row.discrepancies))
    return (
        escape(row.target),
        row.layer,
        f"[{COLOURS.get(row.verdict, 'red')}]{row.verdict}[/]",
        str(row.configurations),
        "" if row.worst is None else f"{row.worst:.2g}",
        escape(kinds),
    )
