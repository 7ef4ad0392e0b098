"""Executors: where trials are done. A new one is a class with the methods of ``Executor``, and a line in ``EXECUTORS``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from oracle.run.executors.cluster import Dask
from oracle.run.executors.processes import Processes
from oracle.run.executors.worker import ExecutorError, Offers, prepare, worker_environment
from oracle.trial.trial import Outcome, Task


class Executor(Protocol):
    """Workers that trials are given to."""

    def call(self, function: Any, *args: Any) -> Any:
        """Call a function in a worker."""

    def outcomes(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        """Yield the outcomes as they come."""

    def close(self) -> None:
        """Let the workers end."""

    def stop(self) -> None:
        """End the workers at once."""


EXECUTORS: dict[str, Callable[[int, str | None], Executor]] = {
    "processes": lambda jobs, scheduler: Processes(jobs),
    "dask": Dask,
}


@contextmanager
def executor(kind: str, jobs: int, scheduler: str | None) -> Iterator[Executor]:
    """Start the executor of a name. Its workers end with it."""
    with worker_environment():
        chosen = EXECUTORS[kind](jobs, scheduler)
        try:
            yield chosen
        except BaseException:
            chosen.stop()
            raise
        chosen.close()


__all__ = ["EXECUTORS", "Executor", "ExecutorError", "Offers", "executor", "prepare"]
