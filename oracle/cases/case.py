"""A case: everything that a question to a target follows from."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np

from oracle.cases.dtypes import numpy_dtype
from oracle.cases.memory import Memory
from oracle.cases.values import Values
from oracle.layers import LAYERS, Layer, Refusal

Arrays = list[np.ndarray | None]


@dataclass(frozen=True)
class Case:
    """A layer, a dtype, shapes, a configuration, a kind of values, memory layouts and a seed.

    The arrays and the cotangent follow from it. ``values`` is the kind of values of one array, by default the first; the
    others are ordinary then, so that the effect of the odd values can be told. ``memory`` has a layout for each array
    argument and one for dy; a single layout stands for all. Values and layouts may be given by their names.
    """

    layer: str
    dtype: str
    shapes: tuple[tuple[int, ...] | None, ...]
    configuration: dict[str, Any] = field(default_factory=dict)
    values: Values = Values.NORMAL
    memory: tuple[Memory, ...] = (Memory.CONTIGUOUS,)
    seed: int = 0
    odd_array: str | None = None  # the array that takes the values, if it is not the first

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", Values(self.values))
        object.__setattr__(self, "memory", _layouts(self.memory, self.shapes))

    def __hash__(self) -> int:
        return hash((self.key, self.seed))

    @property
    def key(self) -> str:
        """What makes a configuration distinct: everything except the random numbers."""
        return json.dumps([*self._what, self.memory])

    @property
    def _what(self) -> list[Any]:
        """What the arrays follow from, beside the seed. They are the same in every memory layout."""
        odd = [] if self.odd_array is None else [self.odd_array]
        return [self.layer, self.dtype, self.shapes, self.configuration, self.values, *odd]

    @property
    def contiguous(self) -> Case:
        """The case with every array contiguous. It has the same arrays and the same truth."""
        return replace(self, memory=(Memory.CONTIGUOUS,))

    @property
    def unguarded(self) -> Case:
        """The case with the guarded arrays contiguous: nothing that is read beyond them ends the process."""
        return replace(self, memory=tuple(Memory.CONTIGUOUS if m.guarded else m for m in self.memory))

    @property
    def memory_by_name(self) -> dict[str, Memory]:
        """The layout of each array that is given, and of dy."""
        names = (*LAYERS[self.layer].arrays, "dy")
        given = (*(shape is not None for shape in self.shapes), True)
        return {name: memory for name, memory, there in zip(names, self.memory, given, strict=True) if there}

    @property
    def elements(self) -> int:
        """How many elements the arrays have together."""
        return sum(prod(shape) for shape in self.shapes if shape is not None)

    @property
    def size(self) -> tuple[bool, int, int, int]:
        """How hard the case is to read: empty or not finite, then the numbers of elements, options and oddities."""
        sizes = [prod(s) for s in self.shapes if s is not None]
        odd = 0 in sizes or not self.values.finite
        oddities = (self.values is not Values.NORMAL) + sum(m is not Memory.CONTIGUOUS for m in self.memory)
        return odd, self.elements, len(self.configuration), oddities

    def arrays(self) -> Arrays:
        """Draw the arrays, contiguous, from the case's own seed."""
        layer, rng = LAYERS[self.layer], self._random()
        drawn: Arrays = []
        for name, shape in zip(layer.arrays, self.shapes, strict=True):
            drawn.append(None if shape is None else self._array(layer, name, shape, drawn, rng))
        return drawn

    def cotangent(self, shape: tuple[int, ...]) -> np.ndarray:
        """Draw dy of the value's shape: small integers if the values are, normal otherwise."""
        rng = self._random(1)
        dy = rng.integers(-3, 4, shape) if self.values.exact else rng.standard_normal(shape)
        return np.asarray(dy).astype(numpy_dtype(self.dtype))

    def _random(self, *which: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, *which, zlib.crc32(json.dumps(self._what).encode())))

    def _array(
        self, layer: Layer, name: str, shape: tuple[int, ...], before: Arrays, rng: np.random.Generator
    ) -> np.ndarray:
        """Draw one array; ``before`` has those that stand before it."""
        dtype, kind = numpy_dtype(self.dtype), layer.kinds.get(name, "real")
        odd = name == (self.odd_array or layer.arrays[0])
        pair = self.values is Values.SHIFTED and shape == self.shapes[0]  # a difference of large numbers
        values = self.values if odd or pair or self.values.exact else Values.NORMAL
        drawn: np.ndarray
        if kind == "labels":
            return self._labels(shape, rng)
        if kind == "mask":
            drawn = rng.integers(0, 2, shape)
        elif kind == "probability":
            drawn = values.probabilities(shape, rng)
        elif kind == "fraction":
            drawn = np.where(rng.random(shape) < 0.5, rng.integers(0, 2, shape), rng.random(shape))
            p = before[0] if before and layer.kinds.get(layer.arrays[0]) == "probability" else None
            if p is not None and p.shape == shape:
                certain = (p == 0) | (p == 1)  # what is certain happens: an impossible event would cost infinitely much
                drawn = np.where(certain, p.astype(np.float64), drawn)
        elif kind == "positive":
            drawn = 0.1 + rng.random(shape)
        else:
            drawn = values.draw(shape, dtype, rng)
        return np.asarray(drawn).astype(dtype)

    def _labels(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Draw class numbers. A fifth of them is ignored if the configuration says which number that is."""
        logits = self.shapes[0]
        assert logits is not None
        labels = rng.integers(0, logits[1], shape)
        if "ignore_index" not in self.configuration or labels.size < 2:
            return labels
        return np.where(rng.random(shape) < 0.2, self.configuration["ignore_index"], labels)


def _layouts(memory: Any, shapes: tuple[Any, ...]) -> tuple[Memory, ...]:
    """Return a layout for each array and for dy; an array that is left out is contiguous."""
    given = (memory,) if isinstance(memory, str) else tuple(memory)
    given = given * (len(shapes) + 1) if len(given) == 1 else given
    if len(given) != len(shapes) + 1:
        raise ValueError(f"{len(given)} memory layouts were given for {len(shapes)} arrays and dy")
    left_out = (*(shape is None for shape in shapes), False)
    return tuple(Memory.CONTIGUOUS if out else Memory(m) for m, out in zip(given, left_out, strict=True))


def refused_call(layer: Layer, dtype: str, refusal: Refusal) -> tuple[Case, Arrays]:
    """Return the case of a call that must be refused, and its arrays with the content that is refused."""
    case = Case(layer.name, dtype, refusal.shapes, refusal.configuration)
    arrays, content = case.arrays(), refusal.content
    if content is not None:
        i = layer.arrays.index(content.array)
        x = arrays[i]
        assert x is not None
        arrays[i] = content.put_into(x)
    return case, arrays
