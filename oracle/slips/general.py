"""Slips that every layer can have."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from oracle.layers import Layer
from oracle.slips.slip import NOTHING, Answers, Circumstances, Slip


def general_slips(layer: Layer) -> Iterator[Slip]:
    """Yield the slips of every output and gradient of a layer."""
    gradients = ("d" + name for name in layer.arrays if name not in layer.no_gradient and _takes_gradient(layer, name))
    for output in (*layer.outputs, *gradients):
        yield _changed(output, f"{output} is all zeros: it was never written", lambda y, at: np.zeros_like(y))
        yield _changed(output, f"{output} has the wrong sign", lambda y, at: -y)
        yield _changed(output, f"{output} is twice what it should be", lambda y, at: 2 * y)
        yield _changed(output, f"{output} is half of what it should be", lambda y, at: y / 2)
        yield _changed(output, f"{output} is divided by the batch size once too often", lambda y, at: y / _batch(at))
        yield _changed(output, f"{output} is not divided by the batch size", lambda y, at: y * _batch(at))


def _takes_gradient(layer: Layer, name: str) -> bool:
    return layer.kinds.get(name) not in ("labels", "mask", "bool", "int")


def _changed(output: str, sentence: str, change: Callable[[np.ndarray, Circumstances], np.ndarray]) -> Slip:
    def answers(at: Circumstances) -> Answers:
        return {output: change(at.true(output), at)} if output in at.truth.pairs else NOTHING

    return Slip(sentence, answers)


def _batch(at: Circumstances) -> int:
    x = at.arrays[0]
    return max(1, x.shape[0]) if x is not None and x.ndim else 1
