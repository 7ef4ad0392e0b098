"""Put targets on trial: draw cases, judge them, make what is found readable, and collect the results."""

from __future__ import annotations

import concurrent.futures
import datetime
import multiprocessing
import os
import platform
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import hypothesis
import jax
import numpy as np
import pebble
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import HypothesisException

from oracle import __version__
from oracle.layers import LAYERS
from oracle.trial.answers import LayerFunction
from oracle.trial.case import Case, cases, edge_cases
from oracle.trial.diagnose import diagnose
from oracle.trial.judge import Finding, Judgement, drawn, judge, judge_refusals
from oracle.trial.minimise import simplified
from oracle.trial.reproduce import as_array, script
from oracle.trial.target import resolve
from reports.results import Discrepancy, Environment, Results, Trial, Worst, worst_verdict

SHRINKING_SECONDS = 20.0
MOST_DISCREPANCIES = 5


@dataclass(frozen=True)
class Options:
    """What to run."""

    targets: tuple[str, ...] = ("impl",)
    layers: tuple[str, ...] = tuple(LAYERS)
    dtypes: tuple[str, ...] = ("float32", "float64")
    examples: int = 100
    seed: int = 0
    jobs: int = 1
    timeout: float = 600.0


class Examination:
    """One layer of one target in one dtype: every case that was tried, and what came of it."""

    def __init__(self, function: LayerFunction, layer: str, dtype: str) -> None:
        self.function, self.layer, self.dtype = function, layer, dtype
        self.total = Judgement()
        self.judged: dict[Case, list[Finding]] = {}
        self.examples = self.unsupported = 0
        self.found: dict[tuple[str, str, str], tuple[Case, Finding]] = {}
        self.first_found: float | None = None

    def attempt(self, case: Case) -> list[Finding]:
        """Judge a case, once; while shrinking, no more than a bounded time is spent on new ones."""
        if case in self.judged:
            return self.judged[case]
        if self.first_found is not None and time.monotonic() - self.first_found > SHRINKING_SECONDS:
            return []
        judgement = judge(self.function, case)
        self.examples += 1
        self.unsupported += judgement.unsupported
        self.total.checks += judgement.checks
        self.total.undecided += judgement.undecided
        if judgement.worst is not None:
            self.total.compared(*judgement.worst)
        self.judged[case] = judgement.findings
        for finding in judgement.findings:
            self._remember(case, finding)
        return judgement.findings

    def _remember(self, case: Case, finding: Finding) -> None:
        self.first_found = self.first_found or time.monotonic()
        known = self.found.get(finding.signature)
        if known is None or case.size < known[0].size:
            self.found[finding.signature] = (case, finding)

    def draw(self, examples: int, seed: int, until_found: bool = False) -> None:
        """The edges first, then what Hypothesis draws; what fails is shrunk, each kind of finding on its own.

        With ``until_found`` the first finding ends it, unshrunk.
        """
        edges = edge_cases(LAYERS[self.layer], self.dtype)[:examples]
        for case in edges:
            self.attempt(case)
            if until_found and self.found:
                return
        if examples > len(edges):
            self._search(examples - len(edges), seed, until_found)
        for signature in [s for s, (case, _) in self.found.items() if case in edges and not until_found]:
            self._search(4 * examples, seed, until_found=False, only=signature)

    def _search(self, examples: int, seed: int, until_found: bool, only: tuple[str, str, str] | None = None) -> None:
        """Draw cases with Hypothesis and shrink those that fail; with ``only``, those that fail in that one way.

        What an edge alone has found is searched for once more like this: edges are not shrunk, what is drawn is.
        """

        @hypothesis.seed(zlib.crc32(f"{seed} {self.layer} {self.dtype} {only or ''}".rstrip().encode()))
        @settings(
            max_examples=examples,
            database=None,
            deadline=None,
            phases=(Phase.generate,) if until_found else (Phase.generate, Phase.shrink),
            report_multiple_bugs=not until_found and only is None,
            suppress_health_check=list(HealthCheck),
            print_blob=False,
        )
        @given(cases(LAYERS[self.layer], self.dtype))
        def conforms(case: Case) -> None:
            findings = self.attempt(case)
            if findings and (only is None or any(f.signature == only for f in findings)):
                raise _failure(findings[0].signature if only is None else only)

        try:
            conforms()
        except* (_Failure, HypothesisException):
            pass  # what failed has been remembered, with its smallest case


class _Failure(AssertionError):
    """A case that does not conform."""


_FAILURES: dict[tuple[str, str, str], type[_Failure]] = {}


def _failure(signature: tuple[str, str, str]) -> _Failure:
    """A failure of a class of its own for each kind of finding: Hypothesis shrinks each by itself."""
    return _FAILURES.setdefault(signature, type("_Failure", (_Failure,), {}))()


def examine(target: str, layer: str, dtypes: tuple[str, ...], examples: int, seed: int) -> list[Trial]:
    """The trials of one layer of a target, one a dtype. Everything drawn follows from the seed."""
    function = resolve(target).layer(layer)
    if function is None:
        return [Trial(target=target, layer=layer, dtype=dtype, verdict="not_implemented") for dtype in dtypes]
    return [examine_function(target, function, layer, dtype, examples, seed) for dtype in dtypes]


def examine_function(target: str, function: LayerFunction, layer: str, dtype: str, examples: int, seed: int) -> Trial:
    """Put one layer's function on trial in one dtype, in this process; target is what it is called in the results."""
    began = time.perf_counter()
    examination = Examination(function, layer, dtype)
    examination.draw(examples, seed)
    discrepancies = [
        _discrepancy(target, function, case, finding)
        for case, finding in sorted(examination.found.values(), key=lambda found: found[0].size)
    ]
    everything_unsupported = examination.unsupported == examination.examples
    refusals = Judgement() if everything_unsupported else judge_refusals(function, layer, dtype)
    discrepancies += [_refusal(target, layer, dtype, finding) for finding in refusals.findings]
    verdict = worst_verdict([d.verdict for d in discrepancies] or ["conforms"])
    worst = examination.total.worst
    return Trial(
        target=target,
        layer=layer,
        dtype=dtype,
        verdict="not_implemented" if everything_unsupported and not discrepancies else verdict,
        examples=examination.examples,
        configurations=len({case.key for case in examination.judged}),
        checks=examination.total.checks + refusals.checks,
        seconds=round(time.perf_counter() - began, 3),
        unsupported=examination.unsupported,
        undecided=examination.total.undecided,
        worst=None if worst is None else Worst(output=worst[0], error_over_bound=worst[1]),
        discrepancies=discrepancies[:MOST_DISCREPANCIES],
    )


def _discrepancy(target: str, function: LayerFunction, case: Case, finding: Finding) -> Discrepancy:
    drawn_arrays, drawn_dy, _ = drawn(case)
    diagnosis = diagnose(case, drawn_arrays, drawn_dy, finding)  # before simplifying: random numbers tell faults apart
    arrays, dy, finding = simplified(function, case, finding)
    names = LAYERS[case.layer].arrays
    shown = {name: as_array(x) for name, x in zip(names, arrays, strict=True)} | {"dy": as_array(dy)}
    return Discrepancy(
        id=_identity(target, case.layer, case.dtype, finding),
        verdict=finding.verdict,  # type: ignore[arg-type]
        check=finding.check,
        output=finding.output,
        message=finding.message,
        configuration=case.configuration | ({"(memory)": case.memory} if case.memory != "contiguous" else {}),
        arrays=shown,
        expected=_listed(finding.expected),
        got=_listed(finding.got),
        error_over_bound=finding.error_over_bound,
        diagnosis=diagnosis or diagnose(case, arrays, dy, finding),
        reproduce=script(target, case, arrays, dy, finding),
    )


def _refusal(target: str, layer: str, dtype: str, finding: Finding) -> Discrepancy:
    refusal = next(r for r in LAYERS[layer].refusals if finding.message.endswith(r.why))
    case = Case(layer, dtype, refusal.shapes, refusal.configuration)
    arrays = case.arrays()
    return Discrepancy(
        id=_identity(target, layer, dtype, finding),
        verdict="error",
        check=finding.check,
        output=finding.output,
        message=finding.message,
        configuration=refusal.configuration,
        arrays={name: as_array(x) for name, x in zip(LAYERS[layer].arrays, arrays, strict=True)},
        expected=finding.expected,
        got=finding.got,
        reproduce=script(target, case, arrays, None, finding),
    )


def _identity(target: str, layer: str, dtype: str, finding: Finding) -> str:
    """An id that the same fault has in every run: target, layer, dtype, check and output."""
    text = "/".join((target, layer, dtype, finding.verdict, finding.check, finding.output))
    if finding.check == "refusal":
        text += "/" + finding.message
    return f"{zlib.crc32(text.encode()):08x}"


def _listed(value: Any) -> Any:
    return as_array(value).data if isinstance(value, np.ndarray) else value  # type: ignore[union-attr]


# -- many layers ------------------------------------------------------------------------------------------------------

Progress = Callable[[list[Trial]], None]


def run(options: Options, progress: Progress = lambda trials: None) -> Results:
    """Try every layer of every target in worker processes; a process that dies or hangs costs its layer alone."""
    started, began = datetime.datetime.now(datetime.UTC), time.perf_counter()
    tasks = [(target, layer) for layer in options.layers for target in options.targets]
    finished: dict[tuple[str, str], list[Trial]] = {}
    with _worker_environment(), _pool(min(options.jobs, len(tasks))) as pool:
        futures = {
            pool.schedule(
                examine,
                args=(target, layer, options.dtypes, options.examples, options.seed),
                timeout=options.timeout,
            ): (target, layer)
            for target, layer in tasks
        }
        for future in concurrent.futures.as_completed(futures):
            target, layer = futures[future]
            finished[target, layer] = _result(future, target, layer, options)
            progress(finished[target, layer])
    order = [(target, layer) for target in options.targets for layer in options.layers]
    return Results(
        backproof=__version__,
        started=started.isoformat(timespec="seconds"),
        seconds=round(time.perf_counter() - began, 3),
        seed=options.seed,
        options={
            "targets": list(options.targets),
            "layers": list(options.layers),
            "dtypes": list(options.dtypes),
            "examples": options.examples,
            "jobs": options.jobs,
            "timeout": options.timeout,
        },
        environment=environment(),
        trials=[trial for key in order for trial in finished[key]],
    )


def _result(future: Any, target: str, layer: str, options: Options) -> list[Trial]:
    try:
        trials: list[Trial] = future.result()
        return trials
    except concurrent.futures.TimeoutError:
        verdict, note = "timed_out", f"did not finish within {options.timeout:g} s"
    except pebble.ProcessExpired as died:
        verdict, note = "crashed", f"the process died with exit code {died.exitcode}"
    source = f"# {target} {layer}: {note}\n# backproof run --target {target} --layers {layer} --seed {options.seed}\n"
    return [
        Trial(
            target=target,
            layer=layer,
            dtype=dtype,
            verdict=verdict,  # type: ignore[arg-type]
            note=note,
            discrepancies=[
                Discrepancy(
                    id=_identity(target, layer, dtype, Finding(verdict, "process", "y", note)),
                    verdict=verdict,  # type: ignore[arg-type]
                    check="process",
                    output="y",
                    message=note,
                    configuration={},
                    arrays={},
                    reproduce=source,
                )
            ],
        )
        for dtype in options.dtypes
    ]


@contextmanager
def _pool(jobs: int) -> Iterator[pebble.ProcessPool]:
    pool = pebble.ProcessPool(max_workers=jobs, context=multiprocessing.get_context("spawn"))
    try:
        yield pool
        pool.close()
    except BaseException:
        pool.stop()
        raise
    finally:
        pool.join()


@contextmanager
def _worker_environment() -> Iterator[None]:
    """Workers use one thread each: the arrays are small, and the processes fill the cores.

    What Hypothesis remembers between runs does not go into the user's directory.
    """
    wanted = {
        "HYPOTHESIS_STORAGE_DIRECTORY": os.path.join(tempfile.gettempdir(), "backproof-hypothesis"),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "XLA_FLAGS": os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false",
    }
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def environment() -> Environment:
    """The machine and the versions."""
    return Environment(
        python=platform.python_version(),
        numpy=np.__version__,
        jax=jax.__version__,
        platform=platform.platform(),
        devices=[f"{d.platform}: {d.device_kind}" for d in jax.devices()],
    )
