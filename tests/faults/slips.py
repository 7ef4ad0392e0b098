"""Plant a known slip: a target that computes the truth, with the answers of the slip in their place.

It takes NumPy arrays of any shapes and values, as any other target. What the slip changes depends on the case, on the
memory layouts of the arrays too, so the target makes a case of the arrays that it is given.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np

from oracle.cases import Arrays, Case, Memory
from oracle.layers import LAYERS
from oracle.slips import Circumstances, slips_at, slips_of
from oracle.targets.ask import InProcess
from oracle.trial.plan import FULL, equivalent_slips
from oracle.truth import Floating, Pair, Truth, derive, evaluate

REMEMBERED = 8  # a question asks for the same arrays several times


def planted_slip(layer: str, sentence: str) -> InProcess:
    """Return a target of one layer that has the slip with this sentence, and is right in everything else."""
    return InProcess(_Wrong(layer, sentence))


class _Wrong:
    def __init__(self, layer: str, sentence: str) -> None:
        self.layer, self.sentence = LAYERS[layer], sentence
        self.remembered: OrderedDict[Any, dict[str, np.ndarray]] = OrderedDict()

    def __call__(self, *given: np.ndarray | None, **configuration: Any) -> tuple[Any, Any]:
        layer, dtype = self.layer, _dtype_of(given)
        arrays = [*given, *[None] * (len(layer.arrays) - len(given))]
        shapes = tuple(None if x is None else x.shape for x in arrays)
        layouts = tuple(Memory.CONTIGUOUS if x is None else memory_of(x) for x in arrays)
        copies: Arrays = [None if x is None else np.array(x) for x in arrays]

        def answers(dy: np.ndarray | None) -> Mapping[str, np.ndarray]:
            memory = (*layouts, Memory.CONTIGUOUS if dy is None else memory_of(dy))
            case = Case(layer.name, dtype.name, shapes, configuration, memory=memory)
            return self._answers(case, copies, None if dy is None else np.array(dy))

        def pullback(dy: np.ndarray) -> tuple[np.ndarray | None, ...]:
            found = answers(dy)
            cotangents = (found.get("d" + name) for name in layer.arrays)
            return tuple(None if x is None else _cast(x, dtype) for x in cotangents)

        found = answers(None)
        value = tuple(_cast(found[name], dtype) if name in found else None for name in layer.outputs)
        return (value if len(value) > 1 else value[0]), pullback

    def _answers(self, case: Case, arrays: Arrays, dy: np.ndarray | None) -> dict[str, np.ndarray]:
        """Return every output and gradient. Without dy, only the outputs are of use."""
        key = (case.key, *(None if x is None else x.tobytes() for x in (*arrays, dy)))
        if key not in self.remembered:
            derivation = derive(case.layer, case.shapes, case.configuration)
            dy = np.zeros(derivation.value_shape, case.dtype) if dy is None else dy
            numbers = Floating(np.float64)
            inputs = [
                numbers.constant(x if x.dtype.kind in "iub" else x.astype(np.float64))
                for x in (*arrays, dy)
                if x is not None
            ]
            with np.errstate(all="ignore"):
                results = evaluate(derivation.jaxpr, inputs, numbers)
                pairs = {
                    name: Pair(np.asarray(x), np.zeros(np.shape(x)))
                    for name, x in zip(derivation.names, results, strict=True)
                }
                gradients = derivation.names[len(derivation.outputs) :]
                at = Circumstances(case, arrays, dy, Truth(pairs, derivation.outputs, gradients, 0))
                slip = next((slip for slip in slips_at(at) if slip.sentence == self.sentence), None)
                found = {name: pair.value for name, pair in pairs.items()}
                self.remembered[key] = found | dict(slip.answers(at) if slip is not None else {})
            if len(self.remembered) > REMEMBERED:
                self.remembered.popitem(last=False)
        return self.remembered[key]


def slips_with_effect(layer: str) -> list[str]:
    """Return the sentences of the slips of a layer that its plan can tell from the truth in every dtype of a default run."""
    left_out = {name for dtype in FULL for names in equivalent_slips(layer, dtype) for name in names}
    return [slip.sentence for slip in slips_of(layer) if slip.sentence not in left_out]


def memory_of(x: np.ndarray) -> Memory:
    """Return how an array lies in memory: the layout that would have put it there."""
    plain = np.array(x, order="C")
    for memory in Memory:
        if not memory.guarded and _placed(memory.lay_out(plain)) == _placed(x):
            return memory
    return Memory.CONTIGUOUS


def _placed(x: np.ndarray) -> tuple[Any, ...]:
    """Return the strides of an array, and the size of the memory that it is a part of."""
    base = x
    while isinstance(base.base, np.ndarray):
        base = base.base
    return x.strides, base.size


def _dtype_of(arrays: tuple[np.ndarray | None, ...]) -> np.dtype:
    return next(x.dtype for x in arrays if x is not None and x.dtype.kind not in "iub")


def _cast(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    with np.errstate(all="ignore"):  # what a slip computes may overflow
        return np.asarray(x).astype(dtype)
