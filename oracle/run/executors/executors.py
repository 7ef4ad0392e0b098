"""Where trials are done: in worker processes of this machine, or on a cluster of Dask."""

from __future__ import annotations

import concurrent.futures
import functools
import multiprocessing
import os
import platform
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import jax
import pebble
from hypothesis.errors import HypothesisDeprecationWarning

from oracle.targets.process import Limits, Offer, TargetProcess, end_with_parent
from oracle.trial.examine import Outcome, Task, examine, lost

TRIALS_A_WORKER = 24  # then a fresh one: what the libraries of the judge keep does not add up
ATTEMPTS = 3  # a worker dies of the machine, not of a target: what it did is done again


class ExecutorError(Exception):
    """Work that cannot be done; the message is one line for the user."""


def prepare(targets: Sequence[str], limits: Limits) -> tuple[dict[str, Offer], tuple[str, ...]]:
    """What each target offers, and the devices that JAX sees; raises TargetError for one that cannot be had."""
    offers: dict[str, Offer] = {}
    devices: tuple[str, ...] = ()
    for target in targets:
        process = TargetProcess(target, limits)
        offers[target] = process.offer()
        devices = devices or process.devices()
        process.close()
    return offers, devices


def _in(directory: str, function: Callable[..., Any], *args: Any) -> Any:
    """Call a function in a worker, in the directory where targets are looked for.

    The truth is computed on the CPU, whatever the targets run on.
    """
    try:
        os.chdir(directory)
    except OSError:
        raise ExecutorError(
            f"the worker on {platform.node()} has no {directory}, where targets are looked for"
        ) from None
    jax.config.update("jax_platforms", "cpu")
    with warnings.catch_warnings():
        # Dask's own threads draw random numbers while Hypothesis looks on; nothing that is drawn here depends on them.
        warnings.filterwarnings("ignore", "Do not use the `random` module", HypothesisDeprecationWarning)
        return function(*args)


class Processes:
    """Worker processes of this machine."""

    def __init__(self, jobs: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pool = pebble.ProcessPool(jobs, TRIALS_A_WORKER, initializer=end_with_parent, context=context)

    def call(self, function: Any, *args: Any) -> Any:
        """Do one thing in a worker."""
        try:
            return self._pool.schedule(_in, args=(os.getcwd(), function, *args)).result()
        except pebble.ProcessExpired as died:
            raise ExecutorError(f"the worker process died at its start, with exit code {died.exitcode}") from None

    def outcomes(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        """The outcomes, as they come."""

        def schedule(task: Task) -> Any:
            return self._pool.schedule(_in, args=(os.getcwd(), examine, task))

        attempts = dict.fromkeys(tasks, 0)
        waiting = {schedule(task): task for task in tasks}
        while waiting:
            done, _ = concurrent.futures.wait(waiting, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in done:
                task = waiting.pop(future)
                try:
                    yield future.result()
                except pebble.ProcessExpired as died:
                    attempts[task] += 1
                    if attempts[task] < ATTEMPTS:
                        waiting[schedule(task)] = task
                    else:
                        yield lost(
                            task, f"the process of its judge died {ATTEMPTS} times, with exit code {died.exitcode}"
                        )

    def close(self) -> None:
        """Let the workers end."""
        self._pool.close()
        self._pool.join()

    def stop(self) -> None:
        """End the workers at once."""
        self._pool.stop()
        self._pool.join()


class Dask:
    """A cluster of Dask: one that exists, by its scheduler's address, or a local one of so many workers."""

    def __init__(self, jobs: int, scheduler: str | None) -> None:
        try:
            import dask
            from distributed import Client, LocalCluster
        except ModuleNotFoundError as error:
            raise ExecutorError(
                f"--executor dask needs Dask: no module {error.name}; pip install 'backproof[dask]'"
            ) from None
        self._cluster: Any = None
        if scheduler is None:
            dask.config.set({"distributed.worker.daemon": False})
            self._cluster = LocalCluster(n_workers=jobs, threads_per_worker=1, dashboard_address=None)
        try:
            self._client = Client(self._cluster or scheduler, timeout=5)
        except (OSError, ValueError) as error:
            raise ExecutorError(f"there is no Dask scheduler at {scheduler}: {error}") from None

    def call(self, function: Any, *args: Any) -> Any:
        """Do one thing in a worker."""
        return self._client.submit(_in, os.getcwd(), function, *args, pure=False).result()

    def outcomes(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        """The outcomes, as they come; the cluster does again what a worker that it lost had begun."""
        from distributed import as_completed
        from distributed.scheduler import KilledWorker

        futures = self._client.map(functools.partial(_in, os.getcwd(), examine), tasks, pure=False)
        of = {future.key: task for future, task in zip(futures, tasks, strict=True)}
        for future in as_completed(futures):
            try:
                yield future.result()
            except KilledWorker as died:
                yield lost(of[future.key], f"Dask lost every worker that it was given to: {died}")

    def close(self) -> None:
        """Leave the cluster, and end it where it is ours."""
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()

    stop = close


@contextmanager
def executor(kind: str, jobs: int, scheduler: str | None) -> Iterator[Processes | Dask]:
    """The executor of a name; its workers end with it."""
    with _worker_environment():
        chosen = Processes(jobs) if kind == "processes" else Dask(jobs, scheduler)
        try:
            yield chosen
        except BaseException:
            chosen.stop()
            raise
        chosen.close()


@contextmanager
def _worker_environment() -> Iterator[None]:
    """Workers use one thread each, since the processes fill the cores, and share an accelerator's memory.

    What Hypothesis remembers between runs does not go into the user's directory.
    """
    wanted = {
        "HYPOTHESIS_STORAGE_DIRECTORY": os.path.join(tempfile.gettempdir(), "backproof-hypothesis"),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "XLA_FLAGS": os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
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
