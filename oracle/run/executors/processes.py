"""Trials in worker processes of this machine."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from typing import Any

import pebble

from oracle.run.executors.worker import ExecutorError, attempt, call_in
from oracle.targets.serve import end_with_parent
from oracle.trial.trial import Outcome, Task, lost

TRIALS_PER_WORKER = 24  # then a fresh one, so that what the libraries of the judge keep does not add up
ATTEMPTS = 3  # a worker dies because of the machine, not because of a target, so its work is done again


class Processes:
    """Worker processes of this machine."""

    def __init__(self, jobs: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pool = pebble.ProcessPool(jobs, TRIALS_PER_WORKER, initializer=end_with_parent, context=context)

    def call(self, function: Any, *args: Any) -> Any:
        """Call a function in a worker."""
        try:
            return self._pool.schedule(call_in, args=(os.getcwd(), function, *args)).result()
        except pebble.ProcessExpired as died:
            raise ExecutorError(f"the worker process died at its start, with exit code {died.exitcode}") from None

    def outcomes(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        """Yield the outcomes as they come."""

        def schedule(task: Task) -> Any:
            return self._pool.schedule(call_in, args=(os.getcwd(), attempt, task))

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
