"""A rule pairs a layer's forward with its hand-derived backward.

    @rule
    def sigmoid(x: Array, /) -> tuple[Array, Any]:
        y = ...
        return y, y                    # the value, and the residuals that the backward needs

    @sigmoid.pullback
    def _(y: Any, dy: Array) -> Any:
        return (dy * y * (1 - y),)     # one cotangent per array argument, or a function that computes it if it is wanted

Positional parameters are arrays (``= None`` makes one optional), keyword-only parameters are configuration. Errors about
arguments are raised inside with :func:`refuse`; the rule puts the layer's name in front.

The parameters of the forward are the rule's own type parameter: a type checker checks ``sigmoid(x)`` and
``sigmoid.vjp(x)`` against them, and an editor shows them.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Concatenate, Generic, NoReturn, Protocol, overload

import numpy as np

from impl.array import Array, is_array, is_jax, namespace, with_own_gradient, without_warnings

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    P = ParamSpec("P", default=...)  # ``Rule`` without parameters is a rule of any
else:
    from typing import ParamSpec

    P = ParamSpec("P")

FLOATS = ("float16", "bfloat16", "float32", "float64")
HALVES = ("float16", "bfloat16")


class _BadValue(ValueError):
    """A refused value, on its way out through the rules that it occurred in; each puts its name in front."""


class _BadType(TypeError):
    """A refused type, on its way out in the same manner."""


def refuse(message: str) -> NoReturn:
    """Refuse a value of an argument: the caller sees ``ValueError: <layer>: <message>``."""
    raise _BadValue(message)


def refuse_type(message: str) -> NoReturn:
    """Refuse the type of an argument: the caller sees ``TypeError: <layer>: <message>``."""
    raise _BadType(message)


class Pullback(Protocol):
    """Take dy, of the shape of the value, to one cotangent per array argument."""

    def __call__(self, dy: Array | float, wanted: Collection[str] | None = None) -> tuple[Any, ...]:
        """Return the cotangents; with ``wanted=["w", ...]``, None for all arrays but these."""


class Rule(Generic[P]):
    """A layer: ``rule(x, ...)`` returns the value, ``rule.vjp(x, ...)`` the value and the hand-derived pullback.

    Raises
    ------
    TypeError
        An argument that is not an array, an unknown option, arrays of different floating dtypes.
    ValueError
        Shapes or options that do not fit. The message says what was given and what would be right.
    """

    def __init__(
        self,
        forward: Callable[P, tuple[Any, Any]],
        no_gradient: tuple[str, ...] = (),
        name: str = "",
        doc: str = "",
        signature: inspect.Signature | None = None,
    ) -> None:
        self.__module__ = getattr(forward, "__module__", __name__)
        self.__name__ = self.__qualname__ = self.name = name or getattr(forward, "__name__", "")
        self.__doc__ = doc or forward.__doc__
        signature = signature or inspect.signature(forward)
        self.__signature__ = signature.replace(return_annotation=Any)
        parameters = signature.parameters.values()
        arrays = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        options = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
        self.arrays = tuple(p.name for p in arrays)
        self.optional = tuple(p.name for p in arrays if p.default is None)
        self.configuration: dict[str, Any] = {p.name: p.default for p in options if p.default is not p.empty}
        self.required = tuple(p.name for p in options if p.default is p.empty)
        self.no_gradient = no_gradient
        self._forward: Callable[..., tuple[Any, Any]] = forward
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

    def __call__(self, *arrays: P.args, **configuration: P.kwargs) -> Any:
        """Return the value; ``jax.grad`` of it uses the hand-derived pullback."""
        checked, options = self._checked(arrays, configuration)
        with _plain_errors():
            if is_jax(*checked):
                key = repr(options)  # tells 1 from True and 1.0, which are equal
                if key not in self._differentiable:
                    self._differentiable[key] = self._for_jax(options)
                return self._differentiable[key](*checked)
            return self._evaluate(checked, options)[0]

    def vjp(self, *arrays: P.args, **configuration: P.kwargs) -> tuple[Any, Pullback]:
        """Return the value and its pullback, which takes dy (of the value's shape) to one cotangent per array argument.

        The pullback may be called more than once and changes nothing that it was given. An array gets None if it takes
        no gradient, if it was not given, or if ``wanted=["w", ...]`` does not name it.
        The pullback raises ValueError if dy does not have the value's shape.
        """
        with _plain_errors():
            value, kept = self.forward(*arrays, **configuration)
        first = value[0] if isinstance(value, tuple) else value

        def pullback(dy: Array | float, wanted: Collection[str] | None = None) -> tuple[Any, ...]:
            if not is_array(dy) and not isinstance(dy, (int, float, np.generic)):
                raise TypeError(f"{self.name}: dy must be a NumPy or JAX array, got {type(dy).__name__}")
            if np.shape(dy) != first.shape:
                raise ValueError(f"{self.name}: dy has shape {np.shape(dy)} but the value has shape {first.shape}")
            return self.backward(kept, dy, wanted, **configuration)

        return value, pullback

    def forward(self, *arrays: P.args, **configuration: P.kwargs) -> tuple[Any, Any]:
        """Return the value and what ``backward`` needs, as trees of arrays: so rules can be built from rules."""
        checked, options = self._checked(arrays, configuration)
        value, residuals = self._evaluate(checked, options)
        return value, (checked, residuals)

    def backward(
        self, kept: Any, dy: Array | float, wanted: Collection[str] | None = None, **configuration: Any
    ) -> tuple[Any, ...]:
        """Return the cotangents (of the wanted arrays) from what ``forward`` kept, dy, and the same configuration."""
        arrays, residuals = kept
        return self._cotangents(arrays, residuals, dy, self.configuration | configuration, wanted)

    # -- the plumbing -------------------------------------------------------------------------------------------------

    def _guarded(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call the function, and put the layer's name in front of what it refuses."""
        try:
            return function(*arguments)
        except _BadValue as error:
            raise _BadValue(f"{self.name}: {error}") from None
        except _BadType as error:
            raise _BadType(f"{self.name}: {error}") from None

    def _checked(
        self, arrays: tuple[object, ...], options: Mapping[str, object]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Check the call; return one array or None per array argument, and the whole configuration."""
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
        padded: tuple[Any, ...] = (*arrays, *(None for _ in self.arrays[len(arrays) :]))
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
        return padded, {**self.configuration, **options}

    def _evaluate(self, arrays: tuple[Any, ...], options: dict[str, Any]) -> tuple[Any, Any]:
        """Return the value in the inputs' dtype, and the residuals in the dtype computed in (float32 for the halves)."""
        dtype = next((x.dtype for x in arrays if x is not None and x.dtype.name in FLOATS), None)
        xp = namespace(*(x for x in arrays if x is not None))
        with without_warnings(xp):
            value, residuals = self._guarded(lambda: self._forward(*map(_widened, arrays), **options))
            outputs = value if isinstance(value, tuple) else (value,)
            outputs = tuple(None if y is None else xp.asarray(y, dtype=dtype) for y in outputs)
        return (outputs if isinstance(value, tuple) else outputs[0]), residuals

    def _cotangents(
        self,
        arrays: tuple[Any, ...],
        residuals: Any,
        dy: Array | float,
        options: dict[str, Any],
        wanted: Collection[str] | None = None,
    ) -> tuple[Any, ...]:
        """Return one cotangent or None per array argument, in the arrays' dtypes."""
        if self._backward is None:
            raise TypeError(f"{self.name}: no pullback was registered")
        xp = namespace(dy, *(x for x in arrays if x is not None))
        first = next(x for x in arrays if x is not None and x.dtype.name in FLOATS)
        with without_warnings(xp):
            cotangents = self._backward(residuals, _widened(xp.asarray(dy, dtype=first.dtype)), options)
            return tuple(
                None
                if x is None or dx is None or name in self.no_gradient or (wanted is not None and name not in wanted)
                else xp.asarray(dx() if callable(dx) else dx, dtype=x.dtype)
                for name, x, dx in zip(self.arrays, arrays, cotangents, strict=True)
            )

    def _for_jax(self, options: dict[str, Any]) -> Callable[..., Any]:
        """Make the rule for one configuration a JAX function whose derivative is the hand-derived one."""

        def value(*arrays: Any) -> Any:
            return self._evaluate(arrays, options)[0]

        def forward(*arrays: Any) -> tuple[Any, Any]:
            value, residuals = self._evaluate(arrays, options)
            return value, (arrays, residuals)

        def backward(kept: Any, dy: Any) -> tuple[Any, ...]:
            arrays, residuals = kept
            return self._cotangents(arrays, residuals, dy[0] if isinstance(dy, tuple) else dy, options)

        return with_own_gradient(value, forward, backward)


@overload
def rule(
    *, no_gradient: tuple[str, ...] = ..., name: str = ...
) -> Callable[[Callable[P, tuple[Any, Any]]], Rule[P]]: ...
@overload
def rule(
    forward: Callable[P, tuple[Any, Any]], /, *, no_gradient: tuple[str, ...] = ..., name: str = ...
) -> Rule[P]: ...
def rule(
    forward: Callable[..., tuple[Any, Any]] | None = None, /, *, no_gradient: tuple[str, ...] = (), name: str = ""
) -> Any:
    """Make a :class:`Rule` of a forward function; a decorator, with or without options."""
    if forward is None:
        return lambda function: Rule(function, no_gradient, name)
    return Rule(forward, no_gradient, name)


class Ranked(Generic[P]):
    """One layer over 1, 2 and 3 spatial axes: its forward and its backward take the number of axes first.

    As a decorator of a forward ``_pool`` it makes ``rules``: pool1d, pool2d and pool3d. The forward's docstring is a
    template: ``{rank}`` stands for the number of axes, ``{ones}`` for a 1 per axis but the last, so that ``({ones}4)`` is a
    shape of which only the last axis is longer than 1.
    """

    def __init__(self, forward: Callable[Concatenate[int, P], tuple[Any, Any]]) -> None:
        name = getattr(forward, "__name__", "").strip("_")

        def of_rank(rank: int) -> Rule[P]:
            doc = (forward.__doc__ or "").replace("{rank}", str(rank)).replace("{ones}", "1, " * (rank - 1))
            made: Rule[P] = Rule(functools.partial(forward, rank), name=f"{name}{rank}d", doc=doc)
            made.__module__ = forward.__module__
            return made

        self.rules = (of_rank(1), of_rank(2), of_rank(3))

    def pullback(self, backward: Callable[..., tuple[Any, ...]]) -> Callable[..., tuple[Any, ...]]:
        """Register ``backward(rank, residuals, dy, **configuration) -> cotangents``; a decorator."""
        for rank, made in enumerate(self.rules, start=1):
            made.pullback(functools.partial(backward, rank))
        return backward


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Turn what was refused into an ordinary ValueError or TypeError."""
    try:
        yield
    except _BadValue as error:
        raise ValueError(str(error)) from None
    except _BadType as error:
        raise TypeError(str(error)) from None


def _widened(x: Any) -> Any:
    """Return float16 and bfloat16 as float32: they are computed in it and rounded once, at the end."""
    return x.astype(np.float32) if x is not None and x.dtype.name in HALVES else x
