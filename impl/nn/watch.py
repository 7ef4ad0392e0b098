"""Where in a network a computation is: errors name the layer, and observers see the value of every layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from impl.array import Array

Observer = Callable[[str, Array], None]


class _Place(NamedTuple):
    path: tuple[str, ...]
    observers: tuple[Observer, ...]


# A context variable, because every thread and every asyncio task has its own value of it.
_place: ContextVar[_Place] = ContextVar("place")
_OUTSIDE = _Place((), ())


@contextmanager
def observed(observer: Observer) -> Iterator[None]:
    """Call ``observer(path, y)`` with the value y of every layer that this thread computes meanwhile.

    The path of a layer looks like ``stage1.body.conv1``. Under ``jax.jit`` the values are tracers.
    """
    place = _place.get(_OUTSIDE)
    token = _place.set(_Place(place.path, (*place.observers, observer)))
    try:
        yield
    finally:
        _place.reset(token)


@contextmanager
def inside(name: str) -> Iterator[Callable[[Array], None]]:
    """Enter one part of a network. The function that this yields shows the part's value to the observers.

    A ValueError or TypeError that leaves the part has the path of the innermost part in front of its message.
    """
    outer = _place.get(_OUTSIDE)
    place = _Place((*outer.path, name), outer.observers)
    path = ".".join(place.path)

    def show(y: Array) -> None:
        for observer in place.observers:
            observer(path, y)

    token = _place.set(place)
    try:
        yield show
    except (ValueError, TypeError) as error:
        if not getattr(error, "located", False):
            error.args = (f"{path}: {error}",)
            error.located = True  # type: ignore[union-attr]
        raise
    finally:
        _place.reset(token)
