"""A case: one configuration of a layer, the kind of values it is fed, and how they lie in memory."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field
from math import prod
from typing import Any

import ml_dtypes
import numpy as np
from hypothesis import strategies as st

from oracle.layers import LAYERS, Edge, Layer

DTYPES = ("float16", "bfloat16", "float32", "float64")
VALUES = ("normal", "integers", "ties", "zeros", "shifted", "large", "tiny", "nan", "infinite")
MEMORY = ("contiguous", "fortran", "channels_last", "strided", "reversed", "offset")


@dataclass(frozen=True)
class Case:
    """What is drawn; the arrays follow from it."""

    layer: str
    dtype: str
    shapes: tuple[tuple[int, ...] | None, ...]
    configuration: dict[str, Any] = field(default_factory=dict)
    values: str = "normal"
    memory: str = "contiguous"
    seed: int = 0

    def __hash__(self) -> int:
        return hash((self.key, self.seed))

    @property
    def key(self) -> str:
        """What makes a configuration distinct: everything but the random numbers."""
        return json.dumps([self.layer, self.dtype, self.shapes, self.configuration, self.values, self.memory])

    @property
    def size(self) -> tuple[bool, int, int, int]:
        """How hard it is to read: empty or not finite, then elements, options and oddities."""
        sizes = [prod(s) for s in self.shapes if s is not None]
        odd = 0 in sizes or self.values in ("nan", "infinite")
        return odd, sum(sizes), len(self.configuration), (self.values != "normal") + (self.memory != "contiguous")

    def arrays(self) -> list[np.ndarray | None]:
        """The arrays, contiguous, from the case's own seed."""
        layer = LAYERS[self.layer]
        entropy = zlib.crc32(self.key.encode())
        rng = np.random.default_rng((self.seed, entropy))
        return [
            None if shape is None else self._array(layer, name, shape, rng)
            for name, shape in zip(layer.arrays, self.shapes, strict=True)
        ]

    def cotangent(self, shape: tuple[int, ...]) -> np.ndarray:
        """dy of the value's shape: small integers where the values are, else normal."""
        rng = np.random.default_rng((self.seed, 1, zlib.crc32(self.key.encode())))
        dy = rng.integers(-3, 4, shape) if self.values == "integers" else rng.standard_normal(shape)
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
        whole = self.values if name == layer.arrays[0] or self.values == "integers" else "normal"
        return np.asarray(_real(whole, shape, dtype, rng)).astype(dtype)


def numpy_dtype(name: str) -> np.dtype:
    """The NumPy dtype of a name; bfloat16 is that of ml_dtypes."""
    return np.dtype(ml_dtypes.bfloat16) if name == "bfloat16" else np.dtype(name)


def _real(values: str, shape: tuple[int, ...], dtype: np.dtype, rng: np.random.Generator) -> np.ndarray:
    half = dtype.itemsize == 2
    if values == "integers":
        return rng.integers(-4, 5, shape)
    if values == "ties":
        return rng.integers(-1, 2, shape)
    if values == "zeros":
        return np.zeros(shape)
    normal = np.asarray(rng.standard_normal(shape))
    if values == "shifted":
        return 100 + normal if half else 1e4 + 1e-2 * normal
    if values == "large":
        return normal * (100 if half else 1e4)
    if values == "tiny":
        return rng.integers(-1000, 1001, shape) * float(ml_dtypes.finfo(dtype).smallest_subnormal)
    if values in ("nan", "infinite"):
        odd = np.full(shape, np.nan) if values == "nan" else np.where(rng.random(shape) < 0.5, np.inf, -np.inf)
        hit = rng.random(shape) < 0.2
        if hit.size:
            hit.flat[rng.integers(hit.size)] = True
        return np.where(hit, odd, normal)
    return normal


def laid_out(x: np.ndarray, memory: str) -> np.ndarray:
    """A copy of x with the same elements and another layout in memory."""
    if memory == "fortran":
        return np.array(x, order="F")
    if memory == "channels_last" and x.ndim >= 3:
        return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    if memory == "strided" and x.ndim:
        wide = np.full((*x.shape[:-1], 2 * x.shape[-1]), 77).astype(x.dtype)
        wide[..., ::2] = x
        return wide[..., ::2]
    if memory == "reversed" and x.ndim:
        return np.ascontiguousarray(x[..., ::-1])[..., ::-1]
    if memory == "offset" and x.ndim:
        wide = np.full((x.shape[0] + 2, *x.shape[1:]), 77).astype(x.dtype)
        wide[1:-1] = x
        return wide[1:-1]
    return np.array(x)


def edge_cases(layer: Layer, dtype: str) -> list[Case]:
    """The cases that are part of every run: the layer's own edges, and every memory layout and kind of values once."""
    cases = [Case(layer.name, dtype, e.shapes, e.configuration, e.values) for e in layer.edges]
    largest = max(layer.edges, key=_elements)
    cases += [Case(layer.name, dtype, largest.shapes, largest.configuration, memory=memory) for memory in MEMORY[1:]]
    cases += [Case(layer.name, dtype, largest.shapes, largest.configuration, values) for values in VALUES]
    return list({case.key: case for case in cases}.values())


def _elements(edge: Edge) -> int:
    return sum(prod(s) for s in edge.shapes if s is not None)


def cases(layer: Layer, dtype: str) -> st.SearchStrategy[Case]:
    """A Hypothesis strategy for the cases of a layer."""

    @st.composite
    def draw_case(draw: Any) -> Case:
        shapes, configuration = layer.domain(draw)
        values = draw(st.sampled_from(("normal", "normal", *VALUES)))
        memory = draw(st.sampled_from(("contiguous", "contiguous", *MEMORY)))
        return Case(layer.name, dtype, shapes, configuration, values, memory, draw(st.integers(0, 7)))

    return draw_case()
