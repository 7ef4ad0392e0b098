"""A rule pairs a layer's forward with its hand-derived backward.

    @rule
    def sigmoid(x):
        y = ...
        return y, y                    # the value, and the residuals that the backward needs

    @sigmoid.pullback
    def _(y, dy):
        return (dy * y * (1 - y),)     # one cotangent for each array argument, or a function that computes it if wanted

Positional parameters are arrays (``=None`` makes one optional), keyword-only parameters are configuration. Errors about
arguments are raised inside with :func:`refuse`; the rule puts the layer's name in front.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NoReturn

import numpy as np

from impl.array import Array, is_array, is_jax, namespace

FLOATS = ("float16", "bfloat16", "float32", "float64")
HALVES = ("float16", "bfloat16")


class _BadValue(ValueError):
    """A refused value, on its way through the rules that it happened in; each puts its name in front."""


class _BadType(TypeError):
    """A refused type, likewise."""


def refuse(message: str) -> NoReturn:
    """Refuse a value of an argument: the caller sees ``ValueError: <layer>: <message>``."""
    raise _BadValue(message)


def refuse_type(message: str) -> NoReturn:
    """Refuse the type of an argument: the caller sees ``TypeError: <layer>: <message>``."""
    raise _BadType(message)


class Rule:
    """A layer: ``rule(x, ...)`` gives the value, ``rule.vjp(x, ...)`` the value and the hand-derived pullback.

    Raises
    ------
    TypeError
        An argument that is no array, an unknown option, arrays of different floating dtypes.
    ValueError
        Shapes or options that do not fit, named with what was given and what would be right.
    """

    def __init__(self, forward: Callable[..., tuple[Any, Any]], no_gradient: tuple[str, ...], name: str) -> None:
        functools.update_wrapper(self, forward)
        self.__name__ = self.__qualname__ = self.name = name
        parameters = inspect.signature(forward).parameters.values()
        self.arrays = tuple(p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD)
        self.optional = tuple(p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD and p.default is None)
        options = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
        self.configuration = {p.name: p.default for p in options if p.default is not p.empty}
        self.required = tuple(p.name for p in options if p.default is p.empty)
        self.no_gradient = no_gradient
        self._forward = forward
        self._backward: Callable[..., tuple[Any, ...]] | None = None
        self._differentiable: dict[str, Callable[..., Any]] = {}

    def pullback(self, backward: Callable[..., tuple[Any, ...]]) -> Callable[..., tuple[Any, ...]]:
        """Register ``backward(residuals, dy, **configuration) -> cotangents``; a decorator.

        Only the options that ``backward`` names are passed to it.
        """
        wanted = [p.name for p in inspect.signature(backward).parameters.values() if p.kind is p.KEYWORD_ONLY]

        def chosen(residuals: Any, dy: Array, configuration: dict[str, Any]) -> tuple[Any, ...]:
            return backward(residuals, dy, **{key: configuration[key] for key in wanted})

        self._backward = chosen
        return backward

    def __repr__(self) -> str:
        options = [f"{key}" for key in self.required] + [f"{k}={v!r}" for k, v in self.configuration.items()]
        arrays = [name + "=None" * (name in self.optional) for name in self.arrays]
        return f"<rule {self.name}({', '.join(arrays + (['*', *options] if options else []))})>"

    def __call__(self, *arrays: Array, **configuration: Any) -> Any:
        """The value alone; ``jax.grad`` of it uses the hand-derived pullback."""
        arrays, options = self._checked(arrays, configuration)
        with _plain_errors():
            if is_jax(*arrays):
                key = repr(options)  # tells 1 from True and 1.0, which are equal
                if key not in self._differentiable:
                    self._differentiable[key] = self._with_custom_vjp(options)
                return self._differentiable[key](*arrays)
            return self._evaluate(arrays, options)[0]

    def vjp(self, *arrays: Array, **configuration: Any) -> tuple[Any, Callable[..., tuple[Any, ...]]]:
        """The value and its pullback, which takes dy (of the value's shape) to one cotangent per array argument.

        The pullback may be called more than once and changes nothing that it was given. An array that takes no
        gradient, or was not given, gets None; so do, with ``wanted=["w", ...]``, all others than those.
        Raises ValueError where dy has not the value's shape.
        """
        with _plain_errors():
            value, kept = self.forward(*arrays, **configuration)
        first = value[0] if isinstance(value, tuple) else value

        def pullback(dy: Array, wanted: Collection[str] | None = None) -> tuple[Any, ...]:
            if not is_array(dy) and not isinstance(dy, (int, float, np.generic)):
                raise TypeError(f"{self.name}: dy must be a NumPy or JAX array, got {type(dy).__name__}")
            if np.shape(dy) != first.shape:
                raise ValueError(f"{self.name}: dy has shape {np.shape(dy)} but the value has shape {first.shape}")
            return self.backward(kept, dy, wanted, **configuration)

        return value, pullback

    def forward(self, *arrays: Array, **configuration: Any) -> tuple[Any, Any]:
        """The value, and what ``backward`` needs: trees of arrays, so that rules can be built from rules."""
        arrays, options = self._checked(arrays, configuration)
        value, residuals = self._evaluate(arrays, options)
        return value, (arrays, residuals)

    def backward(
        self, kept: Any, dy: Array, wanted: Collection[str] | None = None, **configuration: Any
    ) -> tuple[Any, ...]:
        """The cotangents (of the wanted arrays), from what ``forward`` kept, dy, and the same configuration."""
        arrays, residuals = kept
        return self._cotangents(arrays, residuals, dy, self.configuration | configuration, wanted)

    # -- the plumbing -------------------------------------------------------------------------------------------------

    def _guarded(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call, and put the layer's name in front of what is refused."""
        try:
            return function(*arguments)
        except _BadValue as error:
            raise _BadValue(f"{self.name}: {error}") from None
        except _BadType as error:
            raise _BadType(f"{self.name}: {error}") from None

    def _checked(self, arrays: tuple[Array, ...], options: dict[str, Any]) -> tuple[tuple[Array, ...], dict[str, Any]]:
        """The arrays, one for each array argument, and the whole configuration."""
        known = (*self.required, *self.configuration)
        for key in options:
            if key in self.arrays:
                raise TypeError(f"{self.name}: {key} is an array and is passed by position")
            if key not in known:
                raise TypeError(f"{self.name}: unknown option {key!r}; it takes {', '.join(known) or 'no options'}")
        for key in self.required:
            if key not in options:
                raise TypeError(f"{self.name}: the option {key} is missing")
        if len(arrays) > len(self.arrays):
            raise TypeError(
                f"{self.name}: takes {len(self.arrays)} arrays ({', '.join(self.arrays)}), got {len(arrays)}"
            )
        padded = (*arrays, *(None for _ in self.arrays[len(arrays) :]))
        first = None
        for name, x in zip(self.arrays, padded, strict=True):
            if x is None:
                if name not in self.optional:
                    raise TypeError(f"{self.name}: the array {name} is missing")
            elif not is_array(x):
                raise TypeError(f"{self.name}: {name} must be a NumPy or JAX array, got {type(x).__name__}")
            elif name not in self.no_gradient or x.dtype.kind == "f":
                if x.dtype.name not in FLOATS:
                    raise TypeError(f"{self.name}: {name} has dtype {x.dtype}, expected one of {', '.join(FLOATS)}")
                first = first or (name, x.dtype)
                if x.dtype != first[1]:
                    raise TypeError(f"{self.name}: {name} is {x.dtype} but {first[0]} is {first[1]}; they must agree")
        return padded, self.configuration | options

    def _evaluate(self, arrays: tuple[Array, ...], options: dict[str, Any]) -> tuple[Any, Any]:
        """The value in the inputs' dtype, and the residuals in the dtype computed in (float32 for the halves)."""
        dtype = next((x.dtype for x in arrays if x is not None and x.dtype.name in FLOATS), None)
        kind = namespace(*(x for x in arrays if x is not None))
        with _quiet(kind):
            value, residuals = self._guarded(lambda: self._forward(*map(_widened, arrays), **options))
            outputs = value if isinstance(value, tuple) else (value,)
            outputs = tuple(None if y is None else kind.asarray(y, dtype=dtype) for y in outputs)
        return (outputs if isinstance(value, tuple) else outputs[0]), residuals

    def _cotangents(
        self,
        arrays: tuple[Array, ...],
        residuals: Any,
        dy: Array,
        options: dict[str, Any],
        wanted: Collection[str] | None = None,
    ) -> Any:
        if self._backward is None:
            raise TypeError(f"{self.name}: no pullback was registered")
        kind = namespace(dy, *(x for x in arrays if x is not None))
        first = next(x for x in arrays if x is not None and x.dtype.name in FLOATS)
        with _quiet(kind):
            cotangents = self._backward(residuals, _widened(kind.asarray(dy, dtype=first.dtype)), options)
            return tuple(
                None
                if x is None or dx is None or name in self.no_gradient or (wanted is not None and name not in wanted)
                else kind.asarray(dx() if callable(dx) else dx, dtype=x.dtype)
                for name, x, dx in zip(self.arrays, arrays, cotangents, strict=True)
            )

    def _with_custom_vjp(self, options: dict[str, Any]) -> Callable[..., Any]:
        """The rule for one configuration as a JAX function whose derivative is the hand-derived one."""
        import jax

        @jax.custom_vjp
        def call(*arrays: Array) -> Any:
            return self._evaluate(arrays, options)[0]

        def forward(*arrays: Array) -> tuple[Any, Any]:
            value, residuals = self._evaluate(arrays, options)
            return value, (arrays, residuals)

        def backward(kept: Any, dy: Any) -> tuple[Any, ...]:
            arrays, residuals = kept
            return self._cotangents(arrays, residuals, dy[0] if isinstance(dy, tuple) else dy, options)

        call.defvjp(forward, backward)
        return call


def rule(forward: Callable[..., Any] | None = None, *, no_gradient: tuple[str, ...] = (), name: str = "") -> Any:
    """Make a :class:`Rule` of a forward function; a decorator, with the arrays that take no gradient."""

    def make(function: Callable[..., Any]) -> Rule:
        return Rule(function, no_gradient, name or function.__name__)

    return make if forward is None else make(forward)


@contextmanager
def _plain_errors() -> Iterator[None]:
    """What was refused leaves as an ordinary ValueError or TypeError."""
    try:
        yield
    except _BadValue as error:
        raise ValueError(str(error)) from None
    except _BadType as error:
        raise TypeError(str(error)) from None


def _widened(x: Array) -> Array:
    """float16 and bfloat16 are computed in float32 and rounded once, at the end."""
    return x.astype(np.float32) if x is not None and x.dtype.name in HALVES else x


def _quiet(kind: Any) -> AbstractContextManager[Any]:
    """NaN and infinity in an input are values like any other: they go through without a warning."""
    return np.errstate(all="ignore") if kind is np else nullcontext()
