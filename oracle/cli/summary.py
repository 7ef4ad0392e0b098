"""The summary of a run on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from rich.markup import escape
from rich.table import Table

from oracle.cli.shared import console

if TYPE_CHECKING:
    from oracle.results import FaultLine, Results, Row

IN_FULL = 3
AS_LINES = 40
COLOURS = {"conforms": "green", "inexact": "yellow", "unproven": "yellow", "not_implemented": "dim"}


def print_summary(results: Results) -> None:
    """Print a row per target and layer, what was found, what is not proven and not tried, and one sentence at the end."""
    _print_table(results)
    typer.echo("\nnot tried: " + ("; ".join(entry.short for entry in results.not_tried) or "nothing"))
    for line in results.unmet:
        typer.echo(f"no longer occurs, though expected: {line}")
    for line in results.unmatched:
        typer.echo(f"expected, but this run has no such trial: {line}")
    for trial in results.trials:
        if trial.note and trial.verdict != "not_loaded":
            typer.echo(f"{trial.subject}: {trial.note}")
    _print_faults(results.failing)
    for trial in results.trials:
        for line in trial.more:
            typer.echo(f"{trial.subject}{'' if trial.failing() else ' (expected)'}, also: {line}")
    for reason in results.shortfalls:
        typer.echo(f"\n{reason}")
    for trial in results.not_loaded:
        if trial.traceback:
            typer.echo(f"\n{trial.target} cannot be loaded:\n{trial.traceback}")
    for trial in results.internal_errors:
        assert trial.internal_error is not None
        typer.echo(
            f"\ninternal error in the trial of {trial.subject}: this is a mistake of Backproof, please report it"
        )
        typer.echo(f"{trial.internal_error.traceback.rstrip()}\nrepeat it with: {trial.internal_error.repeat}")
    total = sum(trial.configurations for trial in results.trials)
    typer.echo(f"\n{total} configurations in {results.seconds:.1f} s: {results.conclusion}")


def _print_table(results: Results) -> None:
    table = Table("target", "layer", "verdict", "judged", "slips", "worst / bound", "found", box=None)
    untried: dict[tuple[str, str], int] = {}
    for row in results.rows():
        if row.tried:
            table.add_row(*_cells(row))
        else:
            key = row.target, _coloured(row.verdict)
            untried[key] = untried.get(key, 0) + 1
    for (target, verdict), count in untried.items():
        table.add_row(escape(target), f"({count} layers)" if count > 1 else "(1 layer)", verdict)
    console().print(table)


def _cells(row: Row) -> tuple[str, ...]:
    return (
        escape(row.target),
        row.layer,
        _coloured(row.verdict),
        escape(row.judged.removeprefix("judged ")),
        "" if row.strength is None else row.strength.text.replace(" slips excluded", ""),
        "" if row.worst is None else f"{row.worst:.2g}",
        "" if set(row.aspects.values()) <= {"conforms"} else escape(row.standing),
    )


def _coloured(verdict: str) -> str:
    return f"[{COLOURS.get(verdict, 'red')}]{verdict}[/]"


def _print_faults(faults: list[FaultLine]) -> None:
    """Print the first faults in full, the next ones as a line each, and the kinds of the rest with their numbers."""
    for fault in faults[:IN_FULL]:
        where = f"{fault.target} {fault.layer} {fault.dtypes}"
        typer.echo(f"\n{fault.shown.aspect}: {where}, backproof replay {fault.shown.id}")
        typer.echo(fault.shown.text)
    lines, rest = faults[IN_FULL:][:AS_LINES], faults[IN_FULL + AS_LINES :]
    if lines:
        typer.echo(f"\nand {len(lines)} more, with all of their numbers in the report:")
    for fault in lines:
        typer.echo(f"    {fault.line}")
    if rest:
        kinds: dict[str, int] = {}
        for fault in rest:
            kind = f"{fault.shown.aspect}: {fault.shown.kind}"
            kinds[kind] = kinds.get(kind, 0) + 1
        counted = ", ".join(f"{kind} ({count})" for kind, count in kinds.items())
        typer.echo(f"and {len(rest)} more of {len(kinds)} kinds: {counted}")
