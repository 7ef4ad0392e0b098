"""The commands on stored results: ``backproof report``, ``replay`` and ``schema``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from oracle.cli.shared import Refused, or_refuse, writable
from oracle.siblings import import_sibling


def report(
    results: Annotated[list[Path], typer.Argument(metavar="RESULTS.json ...", help="Stored results.")],
    out: Annotated[Path, typer.Option("--out", help="Where index.html is written.")] = Path("backproof-report"),
) -> None:
    """Render HTML from stored results; several are compared side by side."""
    from oracle.results import ResultsError, load

    html = import_sibling("reports.html")
    loaded = [or_refuse(lambda path=path: load(path), ResultsError) for path in results]  # type: ignore[misc]
    writable(out)
    names = [path.parent.name or path.stem for path in results]
    if len(set(names)) < len(names):
        names = [str(path) for path in results]
    typer.echo(html.write(html.render(loaded, names), out))


def replay(
    identity: Annotated[str, typer.Argument(metavar="ID", help="The id of a stored discrepancy.")],
    results: Annotated[Path, typer.Option(help="Where it is stored.")] = Path("backproof-report/results.json"),
) -> None:
    """Run one stored discrepancy again and print it; exit code 0 if it no longer occurs."""
    from oracle.explain.replay import run_again
    from oracle.results import ResultsError, load
    from oracle.targets.find import TargetError
    from oracle.targets.messages import Limits

    loaded = or_refuse(lambda: load(results), ResultsError)
    stored = [(t, d) for t in loaded.trials for d in t.discrepancies if d.id == identity]
    if not stored:
        known = ", ".join(dict.fromkeys(d.id for t in loaded.trials for d in t.discrepancies)) or "none"
        raise Refused(f"{results} has no discrepancy {identity}; it has {known}")
    trial, discrepancy = stored[0]
    of_the_run = {name: loaded.options[name] for name in ("timeout", "memory", "device") if name in loaded.options}
    found = or_refuse(lambda: run_again(trial, discrepancy, Limits(**of_the_run)), TargetError, ValueError)
    typer.echo(f"{trial.layer} of {trial.target}, {trial.dtype}\n{discrepancy.text}\n")
    if found is None:
        typer.echo("run again: it no longer occurs")
        return
    typer.echo(f"run again: {found.verdict}, {found.check} of {found.output}: {found.message}")
    raise typer.Exit(1)


def print_schema() -> None:
    """Print the JSON Schema of the results."""
    from oracle.results import schema

    typer.echo(json.dumps(schema(), indent=1))
