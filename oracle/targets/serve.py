"""The target's side of its process: load the target once, then answer questions."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from multiprocessing.connection import Connection
from typing import Any

import jax

from oracle.targets.answer import Raised, one_line
from oracle.targets.ask import InProcess
from oracle.targets.compiled import described
from oracle.targets.find import Target, TargetError, resolve
from oracle.targets.messages import Ask, CannotLoad, Devices, Limits, Offer, WhatDoYouOffer, WhichDevices
from oracle.targets.traces import last_lines


def serve(connection: Connection, name: str, limits: Limits) -> None:
    """Answer messages until the connection is closed."""
    _detach()
    _limit_memory(limits.memory)
    me = os.getpid()
    server = _Server(name, limits)
    while True:
        try:
            message = connection.recv()
        except EOFError:
            return
        reply = server.reply(message)
        if os.getpid() != me:
            os._exit(0)  # a fork that the target has made came back here
        _own_output()
        connection.send(reply)


class _Server:
    def __init__(self, name: str, limits: Limits) -> None:
        self.name, self.limits = name, limits
        self.target: Target | None = None

    def reply(self, message: Any) -> Any:
        try:
            match message:
                case WhichDevices():
                    return Devices(tuple(described(device) for device in jax.devices()))
                case WhatDoYouOffer():
                    return self._load()
                case Ask(layer, question):
                    if self.target is None:
                        self._load()
                    assert self.target is not None
                    function = self.target.layer(layer)
                    assert function is not None
                    return InProcess(function, expendable=True).ask(question)
        except TargetError as error:
            return CannotLoad(str(error), error.traceback)
        except BaseException as error:  # of whatever class the target has made it
            text, lines = one_line(error), last_lines(error)
            if self.target:
                return Raised(text, traceback=lines)
            return CannotLoad(f"target {self.name} cannot be imported: {text}", lines)

    def _load(self) -> Offer:
        self.target = resolve(self.name, self.limits.device)
        _limit_memory(self.limits.memory)
        return self.target.offer()


def _detach() -> None:
    """Make a process group of its own, so that the process and its children can be ended together."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "setsid"):
        os.setsid()
    end_with_parent()
    _own_output()


def end_with_parent() -> None:
    """Ask the system to kill this process when its parent ends, however it ends. Only Linux can do this."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _own_output() -> None:
    """Send what the target prints to standard error. Standard output belongs to the command. Reopen it if it was closed."""
    try:
        os.fstat(1)
        torn = sys.stdout is None or sys.stdout.closed or sys.stdout is sys.__stdout__
    except OSError:
        torn = True
    if torn:
        os.dup2(2, 1)
        sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)


def _limit_memory(mebibytes: int) -> None:
    """Allow this much memory beyond what is used now. Further allocations fail. Only Linux can do this."""
    if sys.platform == "linux":
        import resource

        with open("/proc/self/status") as status:
            used = next(int(line.split()[1]) for line in status if line.startswith("VmData"))
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        resource.setrlimit(resource.RLIMIT_DATA, (1024 * used + 2**20 * mebibytes, hard))
