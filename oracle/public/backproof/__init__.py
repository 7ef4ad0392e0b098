"""Backproof puts neural-network layers and their hand-written gradients on trial.

- ``run("mine.py", layers=["conv2d"])`` puts targets on trial, like the command ``backproof run``, and returns the results;
- ``assert_conforms("conv2d", my_conv2d)`` does so for one function in a test;
- ``adapters`` turns code of another shape (PyTorch, JAX, forward and backward with a cache, objects) into a target;
- ``functional`` has our own layers, whose gradients are derived by hand (``impl.functional``).

Each of them is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oracle import __version__
from oracle.siblings import import_sibling

if TYPE_CHECKING:
    from backproof import adapters
    from impl import functional
    from oracle.run.start import run
    from oracle.testing import assert_conforms

__all__ = ["__version__", "adapters", "assert_conforms", "functional", "run"]


def __getattr__(name: str) -> Any:
    """Import what is asked for."""
    value: Any
    if name == "adapters":
        value = import_sibling("oracle.adapters")
    elif name == "assert_conforms":
        value = import_sibling("oracle.testing").assert_conforms
    elif name == "functional":
        value = import_sibling("impl.functional")
    elif name == "run":
        value = import_sibling("oracle.run.start").run
    else:
        raise AttributeError(f"module 'backproof' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
