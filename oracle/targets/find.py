"""Find a target by its name, and the device that it computes on."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from oracle.layers import LAYERS
from oracle.siblings import import_sibling
from oracle.targets.answer import one_line
from oracle.targets.ask import LayerFunction
from oracle.targets.messages import Offer
from oracle.targets.traces import last_lines

Place = Callable[[LayerFunction], LayerFunction]


class BuiltIn(NamedTuple):
    """A target that comes with Backproof: the module of its layers, and the framework that places them on a device."""

    module: str
    attribute: str = ""
    framework: str = ""


BUILT_IN = {
    "impl": BuiltIn("impl.functional"),
    "impl:jax": BuiltIn("impl.functional", framework="jax"),
    "reference": BuiltIn("reference", "AS_WRITTEN"),
    "torch": BuiltIn("oracle.targets.builtin.torch_layers", framework="torch"),
    "jax": BuiltIn("oracle.targets.builtin.jax_layers", framework="jax"),
}


class TargetError(Exception):
    """A target that cannot be loaded. The message is one line for the user; the traceback is of the target's files."""

    def __init__(self, message: str, traceback: str = "") -> None:
        super().__init__(message)
        self.traceback = traceback


class Target:
    """A named implementation: ``layer(name)`` returns ``layer(*arrays, **configuration) -> (value, pullback)``.

    ``ran_on`` names the device that it computes on.
    """

    def __init__(self, name: str, members: Any, place: Place | None = None, ran_on: str = "cpu") -> None:
        self.name = name
        self.ran_on = ran_on
        self._members = members
        self._place = place
        self.layer = functools.cache(self._layer)  # what has been compiled is kept

    def _layer(self, name: str) -> LayerFunction | None:
        """Return the target's implementation of a layer, or None if it has none."""
        if isinstance(self._members, Mapping):
            member = self._members.get(name)
        else:
            member = getattr(self._members, name, None)
        if not callable(member):
            return None
        vjp = getattr(member, "vjp", None)
        function: LayerFunction = member if vjp is None else vjp
        return self._place(function) if self._place else function

    def offer(self) -> Offer:
        """Say which layers it has."""
        if isinstance(self._members, Mapping):
            members = {str(name): member for name, member in self._members.items()}
        else:
            members = {name: inspect.getattr_static(self._members, name, None) for name in dir(self._members)}
        names = tuple(name for name, member in members.items() if callable(member))
        return Offer(tuple(name for name in LAYERS if self.layer(name) is not None), self.ran_on, names)


def resolve(name: str, device: str | None = None) -> Target:
    """Load the target of a name, to compute on a device (cpu, gpu, tpu, or a name such as gpu:1).

    By default a framework's accelerator is used if it has one. Raises TargetError, in one line, if the target cannot be
    imported or has no such device.
    """
    built_in = BUILT_IN.get(name)
    if built_in is not None:
        where, attribute = built_in.module, built_in.attribute
        members = _imported(name, functools.partial(import_sibling, where))
    else:
        where, _, attribute = name.partition(":")
        _look_in_working_directory()
        if where.endswith(".py"):
            members = _imported(name, functools.partial(_from_file, name, Path(where)))
        else:
            members = _imported(name, functools.partial(importlib.import_module, where))
    for part in attribute.split(".") if attribute else []:
        if not hasattr(members, part):
            raise TargetError(f"target {name}: {where} has no attribute {attribute!r}")
        members = getattr(members, part)
    try:
        place, ran_on = _placed(members, built_in.framework if built_in else "", device)
    except LookupError as error:
        raise TargetError(f"target {name}: {error.args[0]}") from None
    return Target(name, members, place, ran_on)


def _placed(members: Any, framework: str, device: str | None) -> tuple[Place | None, str]:
    """Return what puts a layer on the device, and the device's name. Raises LookupError if there is no such device."""
    if framework == "torch":
        return None, members.use_device(device)
    if framework != "jax" and device is None:
        return None, "cpu"
    import jax

    from oracle.targets.compiled import compiled, described, device_named

    chosen = device_named(device)
    if framework == "jax":
        return functools.partial(compiled, device=chosen), described(chosen)
    jax.config.update("jax_default_device", chosen)
    return None, "cpu"


def _imported(name: str, load: Callable[[], Any]) -> Any:
    try:
        return load()
    except TargetError:
        raise
    except ModuleNotFoundError as error:
        extra = "; pip install torch" if error.name == "torch" else ""
        raise TargetError(
            f"target {name} cannot be imported: no module named {error.name!r}{extra}", last_lines(error)
        ) from None
    except (Exception, SystemExit) as error:
        raise TargetError(f"target {name} cannot be imported: {one_line(error)}", last_lines(error)) from None


def _look_in_working_directory() -> None:
    """Search the working directory first, as Python does for a script that lies there."""
    if "" not in sys.path:
        sys.path.insert(0, "")


def _from_file(name: str, path: Path) -> Any:
    """Load a file. What lies beside it can be imported from it, as from a script."""
    if not path.is_file():
        raise TargetError(f"target {name}: there is no file {path}")
    beside = os.path.abspath(path.parent)
    if beside not in sys.path:
        sys.path.append(beside)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
