"""What every worker does, whichever executor it belongs to."""

from __future__ import annotations

import os
import platform
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import jax
from hypothesis.errors import HypothesisDeprecationWarning

from oracle.targets.find import TargetError
from oracle.targets.messages import CannotLoad, Limits, Offer
from oracle.targets.process import TargetProcess


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
            offers[target] = CannotLoad(str(error))
            if len(targets) == 1:
                raise
        finally:
            process.close()
    return offers, devices


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
