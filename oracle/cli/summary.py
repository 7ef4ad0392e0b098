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
    untried: dict[tuple[str, str], int] = {}
    for row in results.rows():
        if row.tried:
            table.add_row(*_cells(row))
        else:
            key = row.target, f"[{COLOURS.get(row.verdict, 'red')}]{row.verdict}[/]"
            untried[key] = untried.get(key, 0) + 1
    for (target, verdict), count in untried.items():
        table.add_row(escape(target), f"({count} layers)" if count > 1 else "(1 layer)", verdict, "", "", "")
    console().print(table)
    for line in results.unmet:
        typer.echo(f"no longer occurs, though expected: {line}")
    for trial in results.trials:
        if trial.note and trial.verdict != "not_loaded":
            typer.echo(f"{trial.subject}: {trial.note}")
    count = len(results.failing)
    for trial, discrepancy in results.failing[:MOST_SHOWN]:
        typer.echo(f"\n{trial.subject}, backproof replay {discrepancy.id}")
        typer.echo(discrepancy.text)
    if count > MOST_SHOWN:
        typer.echo(f"\n... and {count - MOST_SHOWN} more in the report")
    for reason in results.shortfalls:
        typer.echo(f"\n{reason}")
    total = sum(t.configurations for t in results.trials)
    ending = f"{count} discrepanc{'y' if count == 1 else 'ies'}"
    if not count:
        ending = "not everything was judged" if results.shortfalls else "everything conforms"
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
