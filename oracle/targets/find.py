"""Targets: what is put on trial, found by name."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from oracle.layers import LAYERS
from oracle.targets.answers import LayerFunction, named

# A built-in target is where its members are, and what to make of them.
BUILT_IN = {
    "impl": ("impl.functional", ""),
    "impl:jax": ("impl.functional", "jax"),
    "reference": ("reference:AS_WRITTEN", ""),
    "torch": ("oracle.targets.builtin.torch_layers", "torch"),
    "jax": ("oracle.targets.builtin.jax_layers", "jax"),
}


class TargetError(Exception):
    """A target that cannot be had; the message is one line for the user."""


class Target:
    """A named implementation: ``layer(name)`` is a callable ``(*arrays, **configuration) -> (value, pullback)``.

    ``ran_on`` is the device that it computes on.
    """

    def __init__(
        self,
        name: str,
        members: Any,
        place: Callable[[LayerFunction], LayerFunction] | None = None,
        ran_on: str = "cpu",
    ) -> None:
        self.name = name
        self.ran_on = ran_on
        self._members = members
        self._place = place
        self.layer = functools.cache(self._layer)  # what has been compiled stays so

    def _layer(self, name: str) -> LayerFunction | None:
        """The target's implementation of a layer, or None where it has none."""
        if isinstance(self._members, Mapping):
            member = self._members.get(name)
        else:
            member = getattr(self._members, name, None)
        if not callable(member):
            return None
        vjp = getattr(member, "vjp", None)
        function: LayerFunction = member if vjp is None else vjp
        return self._place(function) if self._place else function

    def offered(self) -> list[str]:
        """The layers that it offers."""
        return [name for name in LAYERS if self.layer(name) is not None]


def resolve(name: str, device: str | None = None) -> Target:
    """The target of a name; raises TargetError, in one line, where it cannot be imported or offers no layer.

    ``device`` (cpu, gpu, tpu, or a name such as gpu:1) is where JAX and PyTorch run it; by default their accelerator.
    """
    path, style = BUILT_IN.get(name, (name, ""))
    where, _, attribute = path.partition(":")
    members = _from_file(name, Path(where)) if where.endswith(".py") else _imported(name, where)
    for part in attribute.split(".") if attribute else []:
        if not hasattr(members, part):
            raise TargetError(f"target {name}: {where} has no attribute {attribute!r}")
        members = getattr(members, part)
    try:
        target = Target(name, members, *_placed(members, style, device))
    except LookupError as error:
        raise TargetError(f"target {name}: {error.args[0]}") from None
    if not target.offered():
        raise TargetError(f"target {name} offers none of the layers ('backproof layers' lists them)")
    return target


def _placed(
    members: Any, style: str, device: str | None
) -> tuple[Callable[[LayerFunction], LayerFunction] | None, str]:
    """What puts a layer on the device, and the device's name; raises LookupError where it is not there."""
    if style == "torch":
        return None, members.use_device(device)
    if style != "jax" and device is None:
        return None, "cpu"
    import jax

    from oracle.targets.compiled import compiled, described, device_named

    chosen = device_named(device)
    if style == "jax":
        return functools.partial(compiled, device=chosen), described(chosen)
    jax.config.update("jax_default_device", chosen)
    return None, "cpu"


def _imported(name: str, module: str) -> Any:
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        extra = "; pip install torch" if error.name == "torch" else ""
        raise TargetError(f"target {name} cannot be imported: no module named {error.name!r}{extra}") from None
    except (Exception, SystemExit) as error:
        raise TargetError(f"target {name} cannot be imported: {named(error)}") from None


def _from_file(name: str, path: Path) -> Any:
    if not path.is_file():
        raise TargetError(f"target {name}: there is no file {path}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise TargetError(f"target {name} cannot be imported: {named(error)}") from None
    return module
