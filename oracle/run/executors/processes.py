"""Trials in worker processes of this machine."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pebble

from oracle.run.executors.worker import ExecutorError, attempt, call_in
from oracle.targets.serve import end_with_parent
from oracle.trial.trial import Outcome, Task, lost

TRIALS_PER_WORKER = 48  # then a fresh one, so that what the libraries of the judge keep does not add up
ATTEMPTS = 3  # a worker dies because of the machine, not because of a target, so its work is done again


class Processes:
    """Worker processes of this machine. A worker takes the trials of a layer one after the other: they share its traces."""

    def __init__(self, jobs: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._workers = [
            pebble.ProcessPool(1, TRIALS_PER_WORKER, initializer=end_with_parent, context=context) for _ in range(jobs)
        ]
        for worker in self._workers:
            worker.schedule(os.getpid)  # a pool starts its process with its first call; so all of them start now

    def call(self, function: Any, *args: Any) -> Any:
        """Call a function in a worker."""
        try:
            return self._workers[0].schedule(call_in, args=(os.getcwd(), function, *args)).result()
        except pebble.ProcessExpired as died:
            raise ExecutorError(f"the worker process died at its start, with exit code {died.exitcode}") from None

    def outcomes(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        """Yield the outcomes as they come."""
        left = list(tasks)
        attempts = dict.fromkeys(tasks, 0)
        at_work: dict[Any, tuple[Any, Task]] = {}

        def begin(worker: Any, task: Task) -> None:
            future = worker.schedule(call_in, args=(os.getcwd(), attempt, task))
            at_work[future] = worker, task

        for worker in self._workers:
            if left:
                begin(worker, _next(left, None, at_work.values()))
        while at_work:
            done, _ = concurrent.futures.wait(at_work, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in done:
                worker, task = at_work.pop(future)
                outcome = None
                try:
                    outcome = future.result()
                except pebble.ProcessExpired as died:
                    attempts[task] += 1
                    if attempts[task] == ATTEMPTS:
                        why = f"the process of its judge died {ATTEMPTS} times, with exit code {died.exitcode}"
                        outcome = lost(task, why)
                if outcome is None:
                    begin(worker, task)
                elif left:
                    begin(worker, _next(left, task, at_work.values()))
                if outcome is not None:
                    yield outcome

    def close(self) -> None:
        """Let the workers end."""
        for worker in self._workers:
            worker.close()
        for worker in self._workers:
            worker.join()

    def stop(self) -> None:
        """End the workers at once."""
        for worker in self._workers:
            worker.stop()
        for worker in self._workers:
            worker.join()


def _next(left: list[Task], before: Task | None, at_work: Iterable[tuple[Any, Task]]) -> Task:
    """Take the next trial out of those left: of the layer as before, or else of one that no worker is at."""
    busy = {task.subject.layer for _, task in at_work}
    same = [task for task in left if before is not None and task.subject.layer == before.subject.layer]
    fresh = [task for task in left if task.subject.layer not in busy]
    task = [*same, *fresh, *left][0]
    left.remove(task)
    return task
