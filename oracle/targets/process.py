"""A target in a process of its own: what it does to the process costs one case and nothing else.

Plain pipes and sentinels, since a pool would not do: pebble's takes an exit with code 0 for work that goes on, and breaks
for good when an idle worker dies; both are what a target under trial may do.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import pickle
import signal
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.util import Finalize
from typing import Any

import jax

from oracle.targets.answers import Answers, Question, named, perform
from oracle.targets.compiled import described
from oracle.targets.find import TargetError, resolve

START_METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
START_SECONDS = 120.0
LIBRARIES = ["numpy", "jax", "jax.numpy", "ml_dtypes", "oracle.targets.find"]


@dataclass(frozen=True)
class Limits:
    """What a target may take: seconds for a case, MiB of memory beyond what its import took; and where it runs."""

    timeout: float = 60.0
    memory: int = 4096
    device: str | None = None


@dataclass(frozen=True)
class Offer:
    """What a target offers, and where it runs."""

    layers: tuple[str, ...]
    ran_on: str


class TargetProcess:
    """One target in one worker process, which is replaced when it has died."""

    def __init__(self, target: str, limits: Limits) -> None:
        self.target, self.limits = target, limits
        self._process: Any = None
        self._connection: Any = None
        self._at_exit: Finalize | None = None

    def offer(self) -> Offer:
        """What it offers; raises TargetError, in one line, where it cannot be imported."""
        if self._process is not None and not self._process.is_alive():
            self.close()  # it died after its last answer, by what another target did
        try:
            offer: Offer | TargetError = self._call("offer", START_SECONDS)
        except _Lost as lost:
            raise TargetError(f"target {self.target} cannot be imported: {lost.args[1]}") from None
        if isinstance(offer, TargetError):
            raise offer
        return offer

    def devices(self) -> tuple[str, ...]:
        """The devices that JAX sees there."""
        try:
            return tuple(self._call("devices", START_SECONDS))
        except _Lost as lost:
            return (f"unknown: {lost.args[1]}",)

    def ask(self, layer: str, question: Question) -> Answers:
        """What the layer answers; where the process dies or does not answer in time, that is the answer."""
        try:
            if self._process is None:
                self.offer()
            answers: Answers = self._call((layer, question), self.limits.timeout)
            return answers
        except _Lost as lost:
            return Answers(lost=lost.args)  # type: ignore[arg-type]
        except TargetError as error:
            return Answers(lost=("crashed", f"{error}, when it was started again"))

    def close(self) -> None:
        """End the process, and what it has started."""
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
        """What the process says to it; raises _Lost where it dies over it, or is not done in time."""
        if self._process is None:
            self._start()
        try:
            self._connection.send(message)
            ready = wait([self._connection, self._process.sentinel], seconds)
            if not ready:
                self.close()
                raise _Lost("timed_out", f"no answer within {seconds:g} s")
            if self._connection in ready:
                return self._connection.recv()
        except (OSError, EOFError, ValueError, LookupError, AttributeError, ImportError, pickle.UnpicklingError):
            pass  # it closed the connection, or wrote into it what is no answer: it is gone, or of no use any more
        self._process.join(1)
        cause = _cause(self._process.exitcode)
        self.close()
        raise _Lost("crashed", cause)

    def _start(self) -> None:
        # A worker of Dask is daemonic, which may not have children; this one is ended by the Finalize below.
        multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
        context: Any = multiprocessing.get_context(START_METHOD)
        if START_METHOD == "forkserver":
            context.set_forkserver_preload(LIBRARIES)
        for attempt in range(3):
            self._connection, there = context.Pipe()
            process = context.Process(target=_serve, args=(there, self.target, self.limits))
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
        # multiprocessing joins its children at the end of this process, and this one ends at no one's word but ours.
        self._at_exit = Finalize(None, self._process.kill, exitpriority=1)


class _Lost(Exception):
    """The process died, or did not answer in time: a verdict and a message."""


def _cause(code: int | None) -> str:
    if code is None:
        return "the process broke the connection to its judge"
    if code < 0:
        return f"the process was killed by {signal.Signals(-code).name}"
    return f"the process ended by itself, with exit code {code}"


@dataclass(frozen=True)
class Isolated:
    """A layer of a target in its process."""

    process: TargetProcess
    layer: str

    def ask(self, question: Question) -> Answers:
        """What it answers."""
        return self.process.ask(self.layer, question)


# -- in the target's process ------------------------------------------------------------------------------------------


def _serve(connection: Connection, name: str, limits: Limits) -> None:
    """Answer questions until the connection is closed."""
    _alone()
    _limit_memory(limits.memory)
    me, target = os.getpid(), None
    while True:
        try:
            message = connection.recv()
        except EOFError:
            return
        answer: Any
        try:
            if message == "devices":
                answer = [described(device) for device in jax.devices()]
            elif message == "offer" or target is None:
                target = resolve(name, limits.device)
                answer = Offer(tuple(target.offered()), target.ran_on)
                _limit_memory(limits.memory)
            else:
                layer, question = message
                function = target.layer(layer)
                assert function is not None
                answer = perform(function, question)
        except TargetError as error:
            answer = error
        except BaseException as error:  # whatever class it has made of it
            text = named(error)
            answer = Answers(raised=text) if target else TargetError(f"target {name} cannot be imported: {text}")
        if os.getpid() != me:
            os._exit(0)  # a fork that the target has made came back here
        _own_output()
        connection.send(answer)


def _alone() -> None:
    """A process group of its own, no output of its own, and no life after its parent's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "setsid"):
        os.setsid()
    end_with_parent()
    _own_output()


def end_with_parent() -> None:
    """Be killed when the process that started this one is, however it ends; Linux alone can do it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _own_output() -> None:
    """What the target prints goes to standard error, since standard output is the command's; put right if it was closed."""
    try:
        os.fstat(1)
        torn = sys.stdout is None or sys.stdout.closed or sys.stdout is sys.__stdout__
    except OSError:
        torn = True
    if torn:
        os.dup2(2, 1)
        sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)


def _limit_memory(mebibytes: int) -> None:
    """From here on so much more; beyond it, allocation fails. The kernel does it, on Linux alone."""
    if sys.platform == "linux":
        import resource

        with open("/proc/self/status") as status:
            used = next(int(line.split()[1]) for line in status if line.startswith("VmData"))
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        resource.setrlimit(resource.RLIMIT_DATA, (1024 * used + 2**20 * mebibytes, hard))
