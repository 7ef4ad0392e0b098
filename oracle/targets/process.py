"""A target in a process of its own: whatever it does to the process costs one case and nothing else.

This uses plain pipes and sentinels, because a pool would not do. pebble's pool takes an exit with code 0 for work that goes
on, and it breaks for good when an idle worker dies. A target on trial may do both.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import time
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.util import Finalize
from typing import Any, Literal

from oracle.targets.answer import Answer, Lost
from oracle.targets.find import TargetError
from oracle.targets.messages import Ask, CannotLoad, Devices, Limits, Offer, WhatDoYouOffer, WhichDevices
from oracle.targets.question import Question
from oracle.targets.serve import serve

START_METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
START_SECONDS = 120.0
LIBRARIES = ["numpy", "jax", "jax.numpy", "ml_dtypes", "oracle.targets.serve"]


class TargetProcess:
    """One target in one worker process. A process that has died is replaced at the next question."""

    def __init__(self, target: str, limits: Limits) -> None:
        self.target, self.limits = target, limits
        self._process: Any = None
        self._connection: Any = None
        self._at_exit: Finalize | None = None

    def offer(self) -> Offer:
        """Ask what the target offers. Raises TargetError, in one line, if it cannot be loaded."""
        if self._process is not None and not self._process.is_alive():
            self.close()  # it died after its last answer, perhaps by what another target did
        try:
            reply = self._call(WhatDoYouOffer(), START_SECONDS)
        except _ProcessLostError as error:
            raise TargetError(f"target {self.target} cannot be imported: {error.lost.message}") from None
        if isinstance(reply, CannotLoad):
            raise TargetError(reply.message, reply.traceback)
        assert isinstance(reply, Offer)
        return reply

    def devices(self) -> tuple[str, ...]:
        """Ask which devices JAX sees there."""
        try:
            reply: Devices = self._call(WhichDevices(), START_SECONDS)
            return reply.names
        except _ProcessLostError as error:
            return (f"unknown: {error.lost.message}",)

    def ask(self, layer: str, question: Question) -> Answer:
        """Ask a layer. If the process dies or does not answer in time, the answer is Lost."""
        try:
            if self._process is None:
                self.offer()
            reply: Answer | CannotLoad = self._call(Ask(layer, question), self.limits.timeout)
        except _ProcessLostError as error:
            return error.lost
        except TargetError as error:
            reply = CannotLoad(str(error))
        if isinstance(reply, CannotLoad):
            return Lost("crashed", f"{reply.message}, when it was started again")
        return reply

    def close(self) -> None:
        """End the process and everything that it has started."""
        if self._process is None:
            return
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except (AttributeError, ProcessLookupError, PermissionError):
            self._process.kill()  # there are no process groups, or it has not made its own yet
        self._process.join()
        self._connection.close()
        if self._at_exit is not None:
            self._at_exit.cancel()
        self._process = self._connection = self._at_exit = None

    def _call(self, message: Any, seconds: float) -> Any:
        """Send a message and return the reply. Raises _ProcessLostError if the process dies or is too slow."""
        if self._process is None:
            self._start()
        try:
            self._connection.send(message)
            ready = wait([self._connection, self._process.sentinel], seconds)
            if not ready:
                self.close()
                raise _ProcessLostError("timed_out", f"no answer within {seconds:g} s")
            if self._connection in ready:
                return self._connection.recv()
        except (OSError, EOFError, ValueError, LookupError, AttributeError, ImportError, pickle.UnpicklingError):
            pass  # it closed the connection or wrote nonsense into it: the process is of no use any more
        self._process.join(1)
        cause = _cause(self._process.exitcode)
        self.close()
        raise _ProcessLostError("crashed", cause)

    def _start(self) -> None:
        # A worker of Dask is daemonic, and such a process may not have children. The Finalize below ends this one.
        multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
        context: Any = multiprocessing.get_context(START_METHOD)
        if START_METHOD == "forkserver":
            context.set_forkserver_preload(LIBRARIES)
        for attempt in range(3):
            self._connection, there = context.Pipe()
            process = context.Process(target=serve, args=(there, self.target, self.limits))
            try:
                process.start()
                break
            except (OSError, EOFError):  # a target has just killed the server that forks
                if attempt == 2:
                    raise
                time.sleep(0.5)
            finally:
                there.close()
        self._process = process
        # multiprocessing joins its children when this process ends, and the child waits for us: kill it first.
        self._at_exit = Finalize(None, self._process.kill, exitpriority=1)


class _ProcessLostError(Exception):
    """The process died, or it did not answer in time."""

    def __init__(self, verdict: Literal["crashed", "timed_out"], message: str) -> None:
        super().__init__(message)
        self.lost = Lost(verdict, message)


def _cause(code: int | None) -> str:
    if code is None:
        return "the process broke the connection to its judge"
    if code < 0:
        return f"the process was killed by {signal.Signals(-code).name}"
    return f"the process ended by itself, with exit code {code}"


@dataclass(frozen=True)
class Isolated:
    """A layer of a target, asked in the target's own process."""

    process: TargetProcess
    layer: str

    def ask(self, question: Question) -> Answer:
        """Ask one question."""
        return self.process.ask(self.layer, question)
