"""``backproof run``: put targets on trial."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from oracle.cli.shared import Refused, at_least, in_groups, listed, or_refuse, writable
from oracle.cli.summary import print_summary
from oracle.siblings import import_sibling

if TYPE_CHECKING:
    from oracle.results import Results, Trial
    from oracle.run.run import Options


@dataclass
class What:
    """What is put on trial."""

    target: Annotated[
        list[str],
        typer.Option("--target", help="impl, impl:jax, reference, torch, jax, module[:attr], file.py[:attr]."),
    ] = field(default_factory=lambda: ["impl"])
    layers: Annotated[str, typer.Option(help="Layers, separated by commas; all by default.")] = ""
    dtype: Annotated[str, typer.Option(help="float16, bfloat16, float32, float64, by commas.")] = "float32,float64"
    examples: Annotated[int, typer.Option(help="Cases per layer and dtype.")] = 100
    seed: Annotated[int, typer.Option(help="Everything that is drawn follows from it.")] = 0
    sizes: Annotated[str, typer.Option(help="How long an axis may be: small, tiles or large.")] = "tiles"
    require: Annotated[str, typer.Option(help="The aspects that count.")] = "mathematics,accuracy,edges,contract"


@dataclass
class How:
    """Where it runs, and what it may use."""

    jobs: Annotated[int, typer.Option(help="Worker processes; 0: one per core.")] = 0
    executor: Annotated[str, typer.Option(help="processes (of this machine) or dask.")] = "processes"
    scheduler: Annotated[str | None, typer.Option(help="The address of Dask's scheduler; else a local one.")] = None
    device: Annotated[str | None, typer.Option(help="cpu, gpu, tpu or a name; by default what there is.")] = None
    timeout: Annotated[float, typer.Option(help="Seconds that one case may take.")] = 60.0
    memory: Annotated[int, typer.Option(help="MiB that a target may use beyond what its import took.")] = 4096


@dataclass
class Files:
    """What is read and written."""

    resume: Annotated[bool, typer.Option("--resume", help="Continue the interrupted run in DIR.")] = False
    expect: Annotated[Path | None, typer.Option(help="Known discrepancies: 'target layer dtype' per line.")] = None
    junit: Annotated[Path | None, typer.Option(help="Also write JUnit XML here.")] = None
    out: Annotated[Path, typer.Option(help="Where results.json and index.html are written.")] = Path("backproof-report")
    json: Annotated[Path | None, typer.Option(help="Also write the results here.")] = None


@in_groups
def run(what: What, how: How, files: Files) -> None:
    """Put targets on trial."""
    from oracle.run.executors import ExecutorError
    from oracle.run.known import mark_known, read_known
    from oracle.run.run import run as run_trials
    from oracle.run.store import Store, StoreError
    from oracle.targets.find import TargetError
    from oracle.truth import Uninterpretable

    options = _options(what, how)
    expect = files.expect
    known = [] if expect is None else or_refuse(lambda: read_known(expect), OSError, ValueError)
    writable(files.out)
    for file in (files.json, files.junit):
        if file is not None:
            writable(file.parent)

    def stored_run() -> Results:
        store = Store(files.out, options.identity(), files.resume)
        try:
            with _ProgressBar() as bar:
                return run_trials(options, store, bar.advance)
        finally:
            store.close()

    results = or_refuse(stored_run, StoreError, TargetError, ExecutorError, Uninterpretable)
    mark_known(results, known)
    _write(results, files)
    print_summary(results)
    typer.echo(f"\n{files.out / 'results.json'}\n{files.out / 'index.html'}")
    if results.interrupted:
        typer.echo("backproof: interrupted; what is finished is stored, --resume continues", err=True)
        raise typer.Exit(130)
    if results.internal_errors:
        raise typer.Exit(2)
    if not results.proven:
        raise typer.Exit(1)


def _options(what: What, how: How) -> Options:
    """Check the options of the command line and make a run's options of them."""
    from oracle.cases import DTYPES, SIZES
    from oracle.layers import LAYERS
    from oracle.results import aspects_named
    from oracle.run.executors import EXECUTORS
    from oracle.run.run import Options, Where, cores
    from oracle.targets.messages import Limits

    layers = listed("layer", what.layers, LAYERS) or tuple(LAYERS)
    dtypes = listed("dtype", what.dtype, DTYPES)
    if not dtypes:
        raise Refused("--dtype is empty; choose from " + ", ".join(DTYPES))
    if what.sizes not in SIZES:
        raise Refused(f"--sizes must be {', '.join(SIZES[:-1])} or {SIZES[-1]}, got {what.sizes!r}")
    try:
        required = aspects_named(what.require)
    except ValueError as error:
        raise Refused(f"--require: {error}") from None
    at_least("--examples", what.examples, 1)
    at_least("--jobs", how.jobs, 0)
    at_least("--memory", how.memory, 64)
    if not how.timeout > 0:
        raise Refused(f"--timeout must be more than 0, got {how.timeout:g}")
    if how.executor not in EXECUTORS:
        raise Refused(f"--executor must be {' or '.join(EXECUTORS)}, got {how.executor!r}")
    if how.scheduler is not None and how.executor != "dask":
        raise Refused("--scheduler belongs to --executor dask; give both")
    return Options(
        tuple(dict.fromkeys(what.target)),
        layers,
        dtypes,
        what.examples,
        what.seed,
        Limits(how.timeout, how.memory, how.device),
        Where(how.jobs or cores(), how.executor, how.scheduler),
        what.sizes,
        required,
    )


class _ProgressBar:
    """A bar on standard error, if that is a terminal."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task("on trial", total=None)

    def __enter__(self) -> _ProgressBar:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def advance(self, trial: Trial, done: int, total: int) -> None:
        """Show that a trial is finished."""
        self._bar.update(self._task, completed=done, total=total, description=str(trial.subject))


def _write(results: Results, files: Files) -> None:
    """Write the results as JSON and HTML; as JUnit XML if asked for; as Markdown in GitHub Actions."""
    html, junit, markdown = (import_sibling(f"reports.{name}") for name in ("html", "junit", "markdown"))
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    try:
        for path in [files.out / "results.json", *([files.json] if files.json else [])]:
            path.write_text(results.to_json(), encoding="utf-8")
        html.write(html.render([results]), files.out)
        if files.junit is not None:
            files.junit.write_bytes(junit.junit(results))
        if summary:
            with open(summary, "a", encoding="utf-8") as file:
                file.write(markdown.markdown(results))
    except OSError as error:
        raise Refused(f"{error.filename} cannot be written: {error.strerror}") from None
