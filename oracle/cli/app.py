"""The command line: ``backproof run``, ``documents``, ``report``, ``replay``, ``layers``, ``new`` and ``schema``."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from oracle import __version__
from oracle.results.model import Results, ResultsError, Trial, load, schema, worst_verdict

app = typer.Typer(
    name="backproof",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Puts neural-network layers and their gradients on trial.",
)


# Click's base of all usage errors; newer releases of Typer carry a Click of their own.
ClickException: Any = typer.BadParameter.__mro__[2]


MOST_SHOWN = 3


class Refused(Exception):
    """The command cannot be carried out: one line on standard error, exit code 2."""


def main() -> None:
    """Run the command line; every refusal is one line, without a traceback."""
    try:
        code = app(standalone_mode=False)
    except Refused as error:
        typer.echo(f"backproof: {' '.join(str(error).split())}", err=True)
        code = 2
    except ClickException as error:
        bare = len(sys.argv) == 1  # no command at all: the help, as it is
        text = error.format_message()
        typer.echo(text if bare else f"backproof: {' '.join(text.split())}", err=True)
        code = 2
    except (typer.Abort, KeyboardInterrupt):
        typer.echo("backproof: interrupted", err=True)
        code = 130
    sys.exit(code or 0)


@app.callback(invoke_without_command=True)
def _top(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        typer.echo(f"backproof {__version__}")
        raise typer.Exit


Targets = Annotated[
    list[str], typer.Option("--target", help="impl, impl:jax, reference, torch, jax, module[:attr], file.py[:attr].")
]
Out = Annotated[Path, typer.Option("--out", help="Where results.json and index.html are written.")]


@app.command()
def run(
    target: Targets = ["impl"],  # noqa: B006
    layers: Annotated[str, typer.Option(help="Layers, separated by commas; all by default.")] = "",
    dtype: Annotated[str, typer.Option(help="float16, bfloat16, float32, float64, by commas.")] = "float32,float64",
    examples: Annotated[int, typer.Option(help="Cases a layer and dtype.")] = 100,
    seed: Annotated[int, typer.Option(help="Everything drawn follows from it.")] = 0,
    jobs: Annotated[int, typer.Option(help="Worker processes; 0: one a core.")] = 0,
    executor: Annotated[str, typer.Option(help="processes (of this machine) or dask.")] = "processes",
    scheduler: Annotated[str | None, typer.Option(help="The address of Dask's scheduler; else a local one.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, gpu, tpu or a name; by default what there is.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds that one case may take.")] = 60.0,
    memory: Annotated[int, typer.Option(help="MiB that a target may take beyond what its import took.")] = 4096,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in DIR, where it was cut off.")] = False,
    expect: Annotated[Path | None, typer.Option(help="Known discrepancies: 'target layer dtype' a line.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Also write JUnit XML here.")] = None,
    out: Out = Path("backproof-report"),
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the results here.")] = None,
) -> None:
    """Put targets on trial."""
    from oracle.cases.case import DTYPES
    from oracle.layers import LAYERS
    from oracle.run.executors.executors import ExecutorError
    from oracle.run.known import mark_expected, read_expected
    from oracle.run.run import Options
    from oracle.run.run import run as run_trials
    from oracle.run.store import Store, StoreError
    from oracle.targets.find import TargetError
    from oracle.targets.process import Limits
    from oracle.truth import Uninterpretable

    chosen = _listed("layer", layers, tuple(LAYERS)) or tuple(LAYERS)
    dtypes = _listed("dtype", dtype, DTYPES)
    if not dtypes:
        raise Refused("--dtype is empty; choose from " + ", ".join(DTYPES))
    _at_least("--examples", examples, 1)
    _at_least("--jobs", jobs, 0)
    _at_least("--memory", memory, 64)
    if not timeout > 0:
        raise Refused(f"--timeout must be more than 0, got {timeout:g}")
    if executor not in ("processes", "dask"):
        raise Refused(f"--executor must be processes or dask, got {executor!r}")
    if scheduler is not None and executor != "dask":
        raise Refused("--scheduler is of --executor dask alone")
    known = _or_refuse(lambda: read_expected(expect, tuple(LAYERS)), OSError, ValueError) if expect else None
    _writable(out)
    for file in (json_file, junit):
        if file is not None:
            _writable(file.parent)
    workers = jobs or len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else jobs or os.cpu_count() or 1
    limits = Limits(timeout, memory, device)
    options = Options(
        tuple(dict.fromkeys(target)), chosen, dtypes, examples, seed, limits, workers, executor, scheduler
    )

    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console,
        disable=not console.is_terminal, transient=True,
    )  # fmt: skip
    with bar:
        task = bar.add_task("on trial", total=None)

        def advance(trial: Trial, done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, description=f"{trial.target} {trial.layer} {trial.dtype}")

        def stored_run() -> Results:
            store = Store(out, options.identity(), resume)
            try:
                return run_trials(options, store, advance)
            finally:
                store.close()

        results = _or_refuse(stored_run, StoreError, TargetError, ExecutorError, Uninterpretable)
    if known is not None:
        mark_expected(results, known)
    _write(results, out, json_file, junit)
    _summary(results)
    typer.echo(f"\n{out / 'results.json'}\n{out / 'index.html'}")
    if results.interrupted:
        typer.echo("backproof: interrupted; what is finished is stored, --resume goes on", err=True)
        raise typer.Exit(130)
    if results.failing:
        raise typer.Exit(1)


@app.command()
def documents(
    out: Annotated[Path, typer.Option("--out", help="Where index.html, the errata page, is written.")] = Path(
        "backproof-errata"
    ),
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the claims here.")] = None,
) -> None:
    """Judge every claim of the source documents; write the errata page."""
    from oracle.documents.judge import judge_documents
    from reports import html

    _writable(out)
    if json_file is not None:
        _writable(json_file.parent)
    errata = judge_documents()
    try:
        if json_file is not None:
            json_file.write_text(errata.to_json(), encoding="utf-8")
        page = html.write(html.render_errata(errata), out)
    except OSError as error:
        raise Refused(f"{error.filename} cannot be written: {error.strerror}") from None
    table = Table("document", "claims", "hold", "fail", "not checkable", box=None)
    for document in errata.documents:
        counts = [document.count("holds"), document.count("fails"), document.count("not_checkable")]
        table.add_row(document.title, *map(str, [sum(counts), *counts]))
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    typer.echo(f"\n{page}")


@app.command()
def report(
    results: Annotated[list[Path], typer.Argument(metavar="RESULTS.json ...", help="Stored results.")],
    out: Out = Path("backproof-report"),
) -> None:
    """Render HTML from stored results; several are compared side by side."""
    from reports import html

    loaded = [_or_refuse(lambda path=path: load(path), ResultsError) for path in results]  # type: ignore[misc]
    _writable(out)
    names = [path.parent.name or path.stem for path in results]
    if len(set(names)) < len(names):
        names = [str(path) for path in results]
    typer.echo(html.write(html.render(loaded, names), out))


@app.command()
def layers(as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """The layers, their configuration, and the documents they come from."""
    from oracle.layers import LAYERS

    rows: list[dict[str, Any]] = [
        {
            "layer": layer.name,
            "arrays": [name + "?" * (name in layer.optional) for name in layer.arrays],
            "configuration": {k: None if v is ... else v for k, v in layer.options.items()},
            "required": [k for k, v in layer.options.items() if v is ...],
            "documents": list(layer.documents),
        }
        for layer in LAYERS.values()
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    table = Table("layer", "arrays", "configuration", "documents", box=None)
    for row in rows:
        options = [k if k in row["required"] else f"{k}={v!r}" for k, v in row["configuration"].items()]
        table.add_row(row["layer"], ", ".join(row["arrays"]), ", ".join(options), "; ".join(row["documents"]))
    Console(width=None if sys.stdout.isatty() else 160).print(table)


@app.command()
def new(
    file: Annotated[Path, typer.Argument(metavar="FILE.py", help="The file to write; it must not exist.")],
    layers: Annotated[str, typer.Option(help="Layers, separated by commas.")] = "linear,relu,conv2d",
) -> None:
    """Write a commented target file to start from; it conforms as it stands."""
    from oracle.cli.scaffold import target_source
    from oracle.layers import LAYERS

    chosen = _listed("layer", layers, tuple(LAYERS))
    if not chosen:
        raise Refused("--layers is empty; 'backproof layers' lists them")
    if file.suffix != ".py":
        raise Refused(f"{file} must end in .py to be a target")
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(target_source(str(file), chosen))
    except FileExistsError:
        raise Refused(f"{file} exists already; nothing was written") from None
    except OSError as error:
        raise Refused(f"{file} cannot be written: {error.strerror}") from None
    typer.echo(f"{file}\nbackproof run --target {file} --layers {','.join(chosen)}")


@app.command()
def replay(
    identity: Annotated[str, typer.Argument(metavar="ID", help="The id of a stored discrepancy.")],
    results: Annotated[Path, typer.Option(help="Where it is stored.")] = Path("backproof-report/results.json"),
) -> None:
    """Run one stored discrepancy again and print it; exit code 0 where it no longer occurs."""
    from oracle.explain.replay import run_again
    from oracle.targets.find import TargetError
    from oracle.targets.process import Limits
    from reports.text import described

    loaded = _or_refuse(lambda: load(results), ResultsError)
    stored = [(t, d) for t in loaded.trials for d in t.discrepancies if d.id == identity]
    if not stored:
        known = ", ".join(dict.fromkeys(d.id for t in loaded.trials for d in t.discrepancies)) or "none"
        raise Refused(f"{results} has no discrepancy {identity}; it has {known}")
    trial, discrepancy = stored[0]
    of_the_run = {name: loaded.options[name] for name in ("timeout", "memory", "device") if name in loaded.options}
    found = _or_refuse(lambda: run_again(trial, discrepancy, Limits(**of_the_run)), TargetError, ValueError)
    typer.echo(f"{trial.layer} of {trial.target}, {trial.dtype}\n{described(discrepancy)}\n")
    if found is None:
        typer.echo("run again: it no longer occurs")
        return
    typer.echo(f"run again: {found.verdict}, {found.check} of {found.output}: {found.message}")
    raise typer.Exit(1)


@app.command("schema")
def print_schema() -> None:
    """Print the JSON Schema of the results."""
    typer.echo(json.dumps(schema(), indent=1))


# -- what the commands share ------------------------------------------------------------------------------------------


def _listed(what: str, text: str, allowed: tuple[str, ...]) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if name not in allowed:
            raise Refused(f"there is no {what} {name!r}; there are {', '.join(allowed)}")
    return names


def _at_least(option: str, value: int, least: int) -> None:
    if value < least:
        raise Refused(f"{option} must be at least {least}, got {value}")


def _or_refuse(action: Callable[[], Any], *errors: type[Exception]) -> Any:
    try:
        return action()
    except errors as error:
        raise Refused(str(error)) from None


def _writable(directory: Path) -> None:
    """Make the directory and try to write there, before any work."""
    probe = directory / f".backproof-{os.getpid()}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise Refused(f"{directory} cannot be written: {error.strerror}") from None


def _write(results: Results, out: Path, json_file: Path | None, junit: Path | None) -> None:
    """The results as JSON and HTML; as JUnit XML, and as Markdown in GitHub Actions, where they are asked for."""
    from reports import html, text

    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    try:
        for path in [out / "results.json", *([json_file] if json_file else [])]:
            path.write_text(results.to_json(), encoding="utf-8")
        html.write(html.render([results]), out)
        if junit is not None:
            junit.write_bytes(text.junit(results))
        if summary:
            with open(summary, "a", encoding="utf-8") as file:
                file.write(text.markdown(results))
    except OSError as error:
        raise Refused(f"{error.filename} cannot be written: {error.strerror}") from None


def _summary(results: Results) -> None:
    """A line a target and layer, then what was found first, as a person reads it."""
    from reports.text import described

    table = Table("target", "layer", "verdict", "configurations", "worst / bound", "found", box=None)
    colours = {"conforms": "green", "inexact": "yellow", "not_implemented": "dim"}
    left_out: dict[str, int] = {}
    for (target, layer), trials in results.by_layer().items():
        verdict = worst_verdict([t.verdict for t in trials])
        if verdict == "not_implemented" and not any(t.examples for t in trials):
            left_out[target] = left_out.get(target, 0) + 1
            continue
        worst = max((t.worst.error_over_bound for t in trials if t.worst), default=None)
        found = [d for t in trials for d in t.discrepancies]
        kinds = ", ".join(dict.fromkeys(f"{d.check} of {d.output}" + " (expected)" * d.known for d in found))
        table.add_row(
            target,
            layer,
            f"[{colours.get(verdict, 'red')}]{verdict}[/]",
            str(sum(t.configurations for t in trials)),
            "" if worst is None else f"{worst:.2g}",
            kinds,
        )
    for target, count in left_out.items():
        table.add_row(target, f"({count} layers)" if count > 1 else "(1 layer)", "[dim]not_implemented[/]", "", "", "")
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(table)
    for line in results.unmet:
        console.print(f"no longer occurs, though expected: {line}")
    for trial in results.trials:
        if trial.note:
            typer.echo(f"{trial.target} {trial.layer} {trial.dtype}: {trial.note}")
    count = len(results.failing)
    for trial, discrepancy in results.failing[:MOST_SHOWN]:
        typer.echo(f"\n{trial.target} {trial.layer} {trial.dtype}, backproof replay {discrepancy.id}")
        typer.echo(described(discrepancy))
    if count > MOST_SHOWN:
        typer.echo(f"\n... and {count - MOST_SHOWN} more in the report")
    total = sum(t.configurations for t in results.trials)
    ending = "everything conforms" if not count else f"{count} discrepanc{'y' if count == 1 else 'ies'}"
    typer.echo(f"\n{total} configurations in {results.seconds:.1f} s: {ending}")
