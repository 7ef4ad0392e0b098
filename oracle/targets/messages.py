"""What the judge's process and the target's process say to each other. Everything here can be pickled."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from oracle.targets.question import Question


@dataclass(frozen=True)
class Limits:
    """What a target may use: seconds for a case, MiB of memory beyond what its import took; and the device it runs on."""

    timeout: float = 60.0
    memory: int = 4096
    device: str | None = None


@dataclass(frozen=True)
class WhatDoYouOffer:
    """Load the target and say what it offers. The reply is an Offer or a CannotLoad."""


@dataclass(frozen=True)
class Offer:
    """The layers that a target offers, the device that it computes on, and the names of everything callable in it."""

    layers: tuple[str, ...]
    ran_on: str
    names: tuple[str, ...] = ()

    def similar(self, layer: str) -> str | None:
        """Return the name in the target that a user may have meant by a layer's name: ``ReLU`` for relu."""
        plain = {name.lower().replace("_", ""): name for name in reversed(self.names) if not name.startswith("_")}
        near = difflib.get_close_matches(layer.replace("_", ""), plain, 1, cutoff=0.8)
        return plain[near[0]] if near else None


@dataclass(frozen=True)
class CannotLoad:
    """The target cannot be loaded. The message is one line for the user; the traceback is of the target's files."""

    message: str
    traceback: str = ""


@dataclass(frozen=True)
class WhichDevices:
    """Name the devices that JAX sees. The reply is a Devices."""


@dataclass(frozen=True)
class Devices:
    """The devices that JAX sees in the target's process."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class Ask:
    """Ask one layer. The reply is an Answer, or a CannotLoad if the target had to be loaded again."""

    layer: str
    question: Question
