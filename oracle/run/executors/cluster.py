"""Trials on a cluster of Dask."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Sequence
from typing import Any

from oracle.run.executors.worker import ExecutorError, attempt, call_in
from oracle.trial.trial import Outcome, Task, lost


class Dask:
    """A cluster that exists, found by the address of its scheduler, or a local one with a number of workers."""

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
        """Call a function in a worker."""
        return self._client.submit(call_in, os.getcwd(), function, *args, pure=False).result()

    def outcomes(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        """Yield the outcomes as they come. If a worker is lost, the cluster does again what it had begun."""
        from distributed import as_completed
        from distributed.scheduler import KilledWorker

        futures = self._client.map(functools.partial(call_in, os.getcwd(), attempt), tasks, pure=False)
        of = {future.key: task for future, task in zip(futures, tasks, strict=True)}
        for future in as_completed(futures):
            try:
                yield future.result()
            except KilledWorker as died:
                yield lost(of[future.key], f"Dask lost every worker that it was given to: {died}")

    def close(self) -> None:
        """Leave the cluster, and end it if it is ours."""
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()

    stop = close
