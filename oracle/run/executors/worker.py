"""What every worker does, whichever executor it belongs to."""

from __future__ import annotations

import os
import platform
import shlex
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import jax
from hypothesis.errors import HypothesisDeprecationWarning

from oracle.results import InternalError, Trial
from oracle.targets.find import TargetError
from oracle.targets.messages import CannotLoad, Limits, Offer
from oracle.targets.process import TargetProcess
from oracle.trial.trial import Outcome, Task, perform
from oracle.truth import Uninterpretable


class ExecutorError(Exception):
    """Work that cannot be done. The message is one line for the user."""


Offers = dict[str, Offer | CannotLoad]


def prepare(targets: Sequence[str], limits: Limits) -> tuple[Offers, tuple[str, ...]]:
    """Return what each target offers or why it cannot be loaded, and the devices that JAX sees.

    Raises TargetError if none can be loaded.
    """
    offers: Offers = {}
    devices: tuple[str, ...] = ()
    for target in targets:
        process = TargetProcess(target, limits)
        try:
            offers[target] = process.offer()
            devices = devices or process.devices()
        except TargetError as error:
            offers[target] = CannotLoad(str(error), error.traceback)
            if len(targets) == 1:
                raise
        finally:
            process.close()
    return offers, devices


def attempt(task: Task) -> Outcome:
    """Perform a trial. An exception in our own judge costs this trial and nothing else."""
    subject = task.subject
    try:
        return perform(task)
    except TargetError as error:  # it was loaded before, so the other trials may still be made
        return Outcome(
            Trial(**subject._asdict(), verdict="not_loaded", note=str(error), traceback=error.traceback or None)
        )
    except Uninterpretable:  # the layer's mathematics cannot be judged at all: a message for whoever wrote it
        raise
    except Exception:
        failed = InternalError(traceback=traceback.format_exc(), repeat=_command(task))
        return Outcome(Trial(**subject._asdict(), verdict="unproven", internal_error=failed))


def _command(task: Task) -> str:
    """Write the command that makes the same trial."""
    target, layer, dtype = task.subject
    words = ["backproof", "run", "--target", target, "--layers", layer, "--dtype", dtype]
    words += ["--examples", str(task.examples), "--seed", str(task.seed), "--sizes", task.sizes]
    words += [] if task.limits.device is None else ["--device", task.limits.device]
    return shlex.join(words)


def call_in(directory: str, function: Callable[..., Any], *args: Any) -> Any:
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
        # Dask's own threads draw random numbers while Hypothesis watches. Nothing that is drawn here depends on them.
        warnings.filterwarnings("ignore", "Do not use the `random` module", HypothesisDeprecationWarning)
        return function(*args)


@contextmanager
def worker_environment() -> Iterator[None]:
    """Set the environment that workers inherit.

    They use one thread each, since the processes fill the cores, and share an accelerator's memory. What Hypothesis
    remembers between runs does not go into the user's directory.
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
