"""Import impl anew, as it stands or with a mutant in it."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from tests.faults.mutants.mutator import Mutant


@contextmanager
def mutated(mutant: Mutant) -> Iterator[ModuleType]:
    """Yield the layers of an impl of its own that has the mutant in it."""
    finder = _Finder(mutant)
    sys.meta_path.insert(0, finder)
    try:
        with imported_anew():
            yield importlib.import_module("impl.functional")
    finally:
        sys.meta_path.remove(finder)


@contextmanager
def imported_anew() -> Iterator[None]:
    """Forget what has been imported of impl, until the end of the block."""
    before = {name: sys.modules.pop(name) for name in _of_impl()}
    try:
        yield
    finally:
        for name in _of_impl():
            del sys.modules[name]
        sys.modules.update(before)


def _of_impl() -> list[str]:
    return [name for name in sys.modules if name.split(".")[0] == "impl"]


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Load the module that a mutant changes from the changed source."""

    def __init__(self, mutant: Mutant) -> None:
        self.mutant = mutant

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        return importlib.util.spec_from_loader(name, self) if name == self.mutant.module else None

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self.mutant.source(), self.mutant.key, "exec"), module.__dict__)
