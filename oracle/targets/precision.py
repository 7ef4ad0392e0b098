"""Run JAX programs in the precision of their arrays, and know which code cannot look at the numbers of its arrays."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np

_entered = 0


@contextmanager
def precision_of(*arrays: Any) -> Iterator[None]:
    """Let JAX compute in the precision of the arrays: in float64 only if one of them is.

    Only what is declared to be a JAX program enters it. All other code runs with the settings of its user's process.
    """
    global _entered
    _entered += 1
    with jax.enable_x64(any(x is not None and x.dtype == np.float64 for x in arrays)):
        yield


def looks_at_numbers(call: Callable[[], Any]) -> bool:
    """Make a call, and tell whether the code that it runs can look at the numbers of its arrays.

    A JAX program cannot, since it is traced before the numbers are known. Nothing is called if CUDA is in use: a number
    out of range there ends the use of the accelerator for every later call.
    """
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return False
    before = _entered
    call()
    return _entered == before
