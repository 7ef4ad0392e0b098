"""What the commands share: refusing bad options, and options in groups."""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, get_type_hints

from rich.console import Console


class Refused(Exception):
    """The command cannot be carried out: one line on standard error, exit code 2."""


def console() -> Console:
    """Return a console for standard output, which is wide if it is not a terminal."""
    return Console(width=None if sys.stdout.isatty() else 160)


def listed(what: str, text: str, allowed: Iterable[str]) -> tuple[str, ...]:
    """Split a list of names at commas. A name that is not allowed is refused."""
    allowed = tuple(allowed)
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if name not in allowed:
            raise Refused(f"there is no {what} {name!r}; there are {', '.join(allowed)}")
    return names


def at_least(option: str, value: int, least: int) -> None:
    """Refuse a value that is too small."""
    if value < least:
        raise Refused(f"{option} must be at least {least}, got {value}")


def or_refuse(action: Callable[[], Any], *errors: type[Exception]) -> Any:
    """Do something, and turn errors that are meant for the user into refusals."""
    try:
        return action()
    except errors as error:
        raise Refused(str(error)) from None


def writable(directory: Path) -> None:
    """Make the directory and try to write there, before any work is done."""
    probe = directory / f".backproof-{os.getpid()}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise Refused(f"{directory} cannot be written: {error.strerror}") from None


def in_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take its options in groups: one dataclass per argument, whose fields are the options.

    Typer sees the fields of all groups as the options of the command.
    """
    groups = {name: kind for name, kind in get_type_hints(command).items() if name != "return"}
    parameters = []
    for group in groups.values():
        hints = get_type_hints(group, include_extras=True)
        for option in fields(group):
            default = option.default if option.default_factory is MISSING else option.default_factory()
            parameters.append(
                inspect.Parameter(
                    option.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hints[option.name]
                )
            )

    @functools.wraps(command)
    def flat(**given: Any) -> None:
        command(**{name: kind(**{f.name: given[f.name] for f in fields(kind)}) for name, kind in groups.items()})

    flat.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    flat.__annotations__ = {p.name: p.annotation for p in parameters}
    del flat.__wrapped__  # type: ignore[attr-defined]
    return flat
