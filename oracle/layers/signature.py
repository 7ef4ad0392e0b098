"""Read a layer's signature: its arrays and outputs, their shapes, what they hold, and which are optional.

>>> conv = parse("x (N, C, *S:2); w (F, C/groups, *K:2); b? (F) -> (N, F, *O:2)")
>>> [array.name for array in conv.arrays], [array.name for array in conv.arrays if array.optional]
(['x', 'w', 'b'], ['b'])
>>> print(conv.arrays[1], "->", conv.outputs[0])
w (F, C/groups, *K:2) -> y (N, F, *O:2)
>>> print(parse("logits (N, K, *S); labels int 0..K (N, *S) -> (*L)").arrays[1].kind)
int 0..K

The arrays stand in order, separated by ``;``, and the outputs after ``->`` likewise; a single output needs no name and is
called y. An array is a name, ``?`` if it may be left out, what it holds if that is not any real number, and its shape.
An axis of a shape is

- a symbol, a number, or a product or quotient of them: ``N``, ``C/groups``, ``G*M``. A name may be that of an option;
- ``prod(A)``: as long as the product of the axes ``*A``;
- ``*A``, any number of axes, or ``*A:2``, two axes; the number may be that of an option: ``*A:normalized_ndim``.

A symbol that occurs twice stands for the same size. Symbols that only the outputs use stand for what the mathematics
computes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

KINDS = {
    "positive": "numbers above 0",
    "probability": "numbers between 0 and 1",
    "fraction": "numbers from 0 to 1, both included",
    "binary": "zeros and ones",
    "bool": "truth values",
}
"""The words for what an array holds, beside ``int LOW..HIGH``, and what they mean."""

_TOKEN = re.compile(r"\s*(?:(?P<name>[A-Za-z_]\w*)|(?P<number>\d+)|(?P<sign>->|\.\.|[?()*/,;:]))")
_END = "the end"


class SignatureError(ValueError):
    """A signature that cannot be read; the message shows the place."""


@dataclass(frozen=True)
class Factor:
    """A number or a name in the length of an axis; ``total`` marks ``prod(name)``."""

    value: str | int
    divides: bool = False
    total: bool = False

    def __str__(self) -> str:
        return f"prod({self.value})" if self.total else str(self.value)


@dataclass(frozen=True)
class Size:
    """The length of one axis: the product of its factors."""

    factors: tuple[Factor, ...]

    def __str__(self) -> str:
        first, *rest = self.factors
        return str(first) + "".join(f"{'/' if factor.divides else '*'}{factor}" for factor in rest)


@dataclass(frozen=True)
class Run:
    """Several axes under one name, as many as ``count`` says: a number, an option, or None for any number."""

    name: str
    count: int | str | None = None

    def __str__(self) -> str:
        return f"*{self.name}" + (f":{self.count}" if self.count is not None else "")


Axis = Size | Run


@dataclass(frozen=True)
class Kind:
    """What an array holds: a word of ``KINDS``, or "int" with the first number and the one after the last."""

    word: str
    low: Size | None = None
    high: Size | None = None

    def __str__(self) -> str:
        return self.word if self.low is None else f"{self.word} {self.low}..{self.high}"

    @property
    def meaning(self) -> str:
        """Say what the array holds.

        >>> parse("labels int 0..K (N) -> ()").arrays[0].kind.meaning
        'integers from 0 to K - 1'
        """
        return KINDS[self.word] if self.low is None else f"integers from {self.low} to {self.high} - 1"


@dataclass(frozen=True)
class Array:
    """An array argument or an output: its name, its shape, what it holds, and whether it may be left out."""

    name: str
    axes: tuple[Axis, ...]
    optional: bool = False
    kind: Kind | None = None

    @property
    def shape(self) -> str:
        """Return the shape as text, for example ``(N, C, *S)``."""
        return f"({', '.join(map(str, self.axes))})"

    def __str__(self) -> str:
        kind = "" if self.kind is None else f" {self.kind}"
        return f"{self.name}{'?' * self.optional}{kind} {self.shape}"


@dataclass(frozen=True)
class Signature:
    """The arrays of a layer in order, and its outputs."""

    arrays: tuple[Array, ...]
    outputs: tuple[Array, ...]

    def __str__(self) -> str:
        single = len(self.outputs) == 1 and str(self.outputs[0]).startswith("y (")
        outputs = self.outputs[0].shape if single else "; ".join(map(str, self.outputs))
        return f"{'; '.join(map(str, self.arrays))} -> {outputs}"


def parse(text: str) -> Signature:
    """Read a signature.

    >>> parse("x (N, C; w (F)")
    Traceback (most recent call last):
    oracle.layers.signature.SignatureError: expected ',' or ')', found ';' at column 8 of the signature "x (N, C; w (F)"
    """
    return _Parser(text).signature()


def names_in(signature: Signature) -> set[str]:
    """Return every name that a length or a number of axes mentions: symbols, runs of axes and options.

    >>> sorted(names_in(parse("x (N, *A, *B:normalized_ndim); w? (C/groups) -> (N)")))
    ['A', 'B', 'C', 'N', 'groups', 'normalized_ndim']
    """
    names: set[str] = set()
    for array in (*signature.arrays, *signature.outputs):
        for axis in array.axes:
            found = (axis.name, axis.count) if isinstance(axis, Run) else (factor.value for factor in axis.factors)
            names |= {name for name in found if isinstance(name, str)}
    return names


class _Parser:
    """Reads a signature from left to right, one token at a time."""

    def __init__(self, text: str) -> None:
        self.text, self.place, self.token = text, 0, ""
        self.runs: set[str] = set()
        self.advance()

    def advance(self) -> str:
        """Go on to the next token and return the present one."""
        before = self.token
        if not self.text[self.place :].strip():
            self.kind, self.token, self.start = "end", _END, len(self.text)
            return before
        match = _TOKEN.match(self.text, self.place)
        if match is None:
            self.start = self.place + len(self.text[self.place :]) - len(self.text[self.place :].lstrip())
            raise self.error(f"there is no meaning for {self.text[self.start]!r}")
        self.kind = str(match.lastgroup)
        self.token, self.start, self.place = match[self.kind], match.start(self.kind), match.end()
        return before

    def error(self, message: str) -> SignatureError:
        text = re.sub(r"\s", " ", self.text)
        return SignatureError(f'{message} at column {self.start + 1} of the signature "{text}"')

    def expected(self, what: str) -> SignatureError:
        return self.error(f"expected {what}, found {self.token if self.kind == 'end' else repr(self.token)}")

    def skip(self, sign: str) -> bool:
        """Go past the sign if it is next, and say whether it was."""
        found = self.kind == "sign" and self.token == sign
        if found:
            self.advance()
        return found

    def need(self, sign: str, what: str = "") -> None:
        if not self.skip(sign):
            raise self.expected(what or repr(sign))

    def name(self, what: str) -> str:
        if self.kind != "name":
            raise self.expected(what)
        return self.advance()

    # -- the grammar, from the whole to its parts ---------------------------------------------------------------------

    def signature(self) -> Signature:
        arrays = self.separated(self.array)
        self.need("->", "';' or '->'")
        if self.kind == "sign" and self.token == "(":
            outputs: tuple[Array, ...] = (Array("y", self.shape()),)
        else:
            outputs = self.separated(self.array)
        if self.kind != "end":
            raise self.expected("';' or the end")
        return Signature(arrays, outputs)

    def separated(self, item: Callable[[], Array]) -> tuple[Array, ...]:
        """Read arrays with different names, separated by semicolons."""
        found: list[Array] = []
        while not found or self.skip(";"):
            start, array = self.start, item()
            if array.name in {other.name for other in found}:
                self.start = start
                raise self.error(f"{array.name} stands there twice")
            found.append(array)
        return tuple(found)

    def array(self) -> Array:
        name = self.name("the name of an array")
        optional = self.skip("?")
        kind = self.holds() if self.kind == "name" else None
        return Array(name, self.shape(), optional, kind)

    def holds(self) -> Kind:
        if self.token == "int":
            self.advance()
            low = self.size()
            self.need("..")
            return Kind("int", low, self.size())
        if self.token not in KINDS:
            raise self.expected(f"int LOW..HIGH, {', '.join(KINDS)} or a shape")
        return Kind(self.advance())

    def shape(self) -> tuple[Axis, ...]:
        self.need("(", "a shape in parentheses")
        axes: list[Axis] = []
        uncounted = ""
        if self.skip(")"):
            return ()
        while True:
            start, axis = self.start, self.axis()
            if isinstance(axis, Run) and axis.count is None and axis.name not in self.runs:
                if uncounted:
                    self.start = start
                    raise self.error(f"*{uncounted} and *{axis.name} of any number of axes cannot be told apart")
                uncounted = axis.name
            axes.append(axis)
            if self.skip(")"):
                self.runs |= {axis.name for axis in axes if isinstance(axis, Run)}
                return tuple(axes)
            self.need(",", "',' or ')'")

    def axis(self) -> Axis:
        if not self.skip("*"):
            return self.size()
        name = self.name("the name of the axes")
        if not self.skip(":"):
            return Run(name)
        if self.kind == "number":
            return Run(name, int(self.advance()))
        return Run(name, self.name("a number of axes or the name of an option"))

    def size(self) -> Size:
        factors = [self.factor(divides=False)]
        while self.kind == "sign" and self.token in "*/":
            factors.append(self.factor(divides=self.advance() == "/"))
        return Size(tuple(factors))

    def factor(self, divides: bool) -> Factor:
        if self.kind == "number":
            return Factor(int(self.advance()), divides)
        name = self.name("a symbol or a number")
        if name != "prod":
            return Factor(name, divides)
        self.need("(")
        if self.kind == "name" and self.token not in self.runs:
            raise self.error(f"no array before has the axes *{self.token}")
        run = self.name("the name of the axes")
        self.need(")")
        return Factor(run, divides, total=True)
