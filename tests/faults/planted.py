"""Planted faults: each puts one wrong function in the place of a function of impl, for the time of a test.

A fault is five lines in the file of its family:

    @fault("mse_loss", "the factor 2 is forgotten", "impl.functional.loss.mse_loss.backward", diagnosis="half")
    def _(right, kept, dy, wanted=None, **options):
        dprediction, dtarget = right(kept, dy, wanted, **options)
        return dprediction / 2, dtarget / 2

It names the layer, what is wrong, the function that is replaced, and, if the oracle can name the fault, a part of
the diagnosis. The function below it takes the right function, then the arguments of a call, and returns the wrong
answer. It may call the right function, or be written anew. These can be replaced, by their dotted names:

- a function that a layer calls, in the module that calls it ("impl.functional.conv.conv_dx"), or a method
  ("impl.functional.window.Windows.taps");
- ``forward(*arrays, **options)`` of a rule, which returns the value and what it keeps: (the arrays, the residuals);
- ``backward(kept, dy, wanted, **options)`` of a rule, which returns one cotangent per array, and None for an array that
  was not given;
- ``vjp(*arrays, **options)`` of a rule, which returns the value and the pullback.

``options`` holds only what the caller passed, so a fault that reads an option repeats its default.
"""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

from impl import functional
from oracle.targets.ask import InProcess

FAULTS: list[Fault] = []


@dataclass(frozen=True)
class Fault:
    """What is wrong in which layer, the name of the function that is replaced, and what replaces it."""

    layer: str
    what: str
    place: str
    wrong: Callable[..., Any]
    diagnosis: str | None

    def __str__(self) -> str:
        return f"{self.layer}: {self.what}"

    def replaced(self) -> tuple[Any, str, Any]:
        """Return what owns the function that is replaced, its name there, and what stands there now."""
        owner_name, _, name = self.place.rpartition(".")
        owner = pkgutil.resolve_name(owner_name)
        return owner, name, inspect.getattr_static(owner, name)


def fault(layer: str, what: str, place: str, diagnosis: str | None = None) -> Callable[..., Any]:
    """Add a fault to FAULTS; a decorator of ``wrong(right, *arguments)``."""

    def add(wrong: Callable[..., Any]) -> Callable[..., Any]:
        FAULTS.append(Fault(layer, what, place, wrong, diagnosis))
        return wrong

    return add


@dataclass
class Faulty:
    """A layer with a fault in it, and how often the wrong function was called."""

    layer: InProcess
    calls: int = 0


@contextmanager
def planted(fault: Fault) -> Iterator[Faulty]:
    """Replace the function in this process until the end of the block.

    The layer must be asked with NumPy arrays: a rule keeps what it has compiled for JAX arrays.
    """
    owner, name, standing = fault.replaced()
    right = getattr(owner, name)

    def wrong(*arguments: Any, **options: Any) -> Any:
        faulty.calls += 1
        return fault.wrong(right, *arguments, **options)

    with mock.patch.object(owner, name, staticmethod(wrong) if isinstance(standing, classmethod) else wrong):
        faulty = Faulty(sound(fault.layer))
        yield faulty


def sound(layer: str) -> InProcess:
    """Return a layer of impl as it stands."""
    return InProcess(getattr(functional, layer).vjp)
