"""A case: everything that a question to a target follows from."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field
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
    """A layer, a dtype, shapes, a configuration, a kind of values, a memory layout and a seed.

    The arrays and the cotangent follow from it. ``values`` and ``memory`` may be given by their names.
    """

    layer: str
    dtype: str
    shapes: tuple[tuple[int, ...] | None, ...]
    configuration: dict[str, Any] = field(default_factory=dict)
    values: Values = Values.NORMAL
    memory: Memory = Memory.CONTIGUOUS
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", Values(self.values))
        object.__setattr__(self, "memory", Memory(self.memory))

    def __hash__(self) -> int:
        return hash((self.key, self.seed))

    @property
    def key(self) -> str:
        """What makes a configuration distinct: everything except the random numbers."""
        return json.dumps([self.layer, self.dtype, self.shapes, self.configuration, self.values, self.memory])

    @property
    def size(self) -> tuple[bool, int, int, int]:
        """How hard the case is to read: empty or not finite, then the numbers of elements, options and oddities."""
        sizes = [prod(s) for s in self.shapes if s is not None]
        odd = 0 in sizes or not self.values.finite
        oddities = (self.values is not Values.NORMAL) + (self.memory is not Memory.CONTIGUOUS)
        return odd, sum(sizes), len(self.configuration), oddities

    def arrays(self) -> Arrays:
        """Draw the arrays, contiguous, from the case's own seed."""
        layer = LAYERS[self.layer]
        rng = np.random.default_rng((self.seed, zlib.crc32(self.key.encode())))
        return [
            None if shape is None else self._array(layer, name, shape, rng)
            for name, shape in zip(layer.arrays, self.shapes, strict=True)
        ]

    def cotangent(self, shape: tuple[int, ...]) -> np.ndarray:
        """Draw dy of the value's shape: small integers if the values are, normal otherwise."""
        rng = np.random.default_rng((self.seed, 1, zlib.crc32(self.key.encode())))
        dy = rng.integers(-3, 4, shape) if self.values.exact else rng.standard_normal(shape)
        return np.asarray(dy).astype(numpy_dtype(self.dtype))

    def _array(self, layer: Layer, name: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        dtype = numpy_dtype(self.dtype)
        kind = layer.kinds.get(name, "real")
        if kind == "labels":
            logits = self.shapes[0]
            assert logits is not None
            labels = rng.integers(0, logits[1], shape)
            ignored = self.configuration.get("ignore_index", -100)
            return np.where((rng.random(shape) < 0.2) & (labels.size > 1), ignored, labels)
        if kind == "mask":
            return rng.integers(0, 2, shape).astype(dtype)
        if kind == "probability":
            return rng.uniform(0.02, 0.98, shape).astype(dtype)
        if kind == "fraction":
            return np.where(rng.random(shape) < 0.5, rng.integers(0, 2, shape), rng.random(shape)).astype(dtype)
        if kind == "positive":
            return (0.1 + rng.random(shape)).astype(dtype)
        first = name == layer.arrays[0]  # only the first array takes the odd values, so that their effect can be told
        values = self.values if first or self.values.exact else Values.NORMAL
        return np.asarray(values.draw(shape, dtype, rng)).astype(dtype)


def refused_case(layer: Layer, dtype: str, refusal: Refusal) -> Case:
    """Return the case of a call that must be refused."""
    return Case(layer.name, dtype, refusal.shapes, refusal.configuration)
