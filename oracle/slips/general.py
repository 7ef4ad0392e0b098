"""Slips that every layer can have, made from its signature."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import numpy as np

from oracle.layers import Layer
from oracle.slips.slip import NOTHING, Answers, Circumstances, Slip


def general_slips(layer: Layer) -> Iterator[Slip]:
    """Yield the slips of every output, gradient, option and array of a layer."""
    gradients = {name: f"d{name}" for name in layer.arrays if _takes_gradient(layer, name)}
    for output in (*layer.outputs, *gradients.values()):
        yield _changed(output, f"{output} is all zeros: it was never written", lambda y, at: np.zeros_like(y))
        yield _changed(output, f"{output} has the wrong sign", lambda y, at: -y)
        yield _changed(output, f"{output} is twice what it should be", lambda y, at: 2 * y)
        yield _changed(output, f"{output} is half of what it should be", lambda y, at: y / 2)
        yield _changed(output, f"{output} is divided by the batch size once too often", lambda y, at: y / _batch(at))
        yield _changed(output, f"{output} is not divided by the batch size", lambda y, at: y * _batch(at))
    for option, default in layer.options.items():
        if default is not ...:
            yield _other_call(f"{option} is ignored", layer.outputs, options={option: default})
            for dx in gradients.values():
                yield _other_call(f"{dx} ignores {option}", (dx,), options={option: default})
    for name in layer.optional:
        yield _other_call(f"{name} is ignored", layer.outputs, given=functools.partial(_left_out, name))
    for name in layer.arrays[1:]:
        for dx in gradients.values():
            sentence = f"{dx} is computed as if {name} were all ones"
            yield _other_call(sentence, (dx,), given=functools.partial(_ones, name))


def _takes_gradient(layer: Layer, name: str) -> bool:
    return name not in layer.no_gradient and layer.kinds.get(name) not in ("labels", "mask", "bool")


def _changed(output: str, sentence: str, change: Callable[[np.ndarray, Circumstances], np.ndarray]) -> Slip:
    def answers(at: Circumstances) -> Answers:
        return {output: change(at.true(output), at)} if output in at.truth.pairs else NOTHING

    return Slip(sentence, answers)


def _batch(at: Circumstances) -> int:
    x = at.arrays[0]
    return max(1, x.shape[0]) if x is not None and x.ndim else 1


def _other_call(
    sentence: str,
    outputs: tuple[str, ...],
    options: Answers | dict[str, object] | None = None,
    given: Callable[[Circumstances], dict[str, np.ndarray | None] | None] | None = None,
) -> Slip:
    """Make a slip of an implementation that answers, for some outputs, as if the call were another one."""

    def answers(at: Circumstances) -> Answers:
        if options and all(at.option(name) == value for name, value in options.items()):
            return NOTHING
        arrays = given(at) if given else {}
        if arrays is None:
            return NOTHING
        found = at.elsewhere(given=arrays, options=options)
        return {name: found[name] for name in outputs if name in found and name in at.truth.pairs}

    return Slip(sentence, answers)


def _left_out(name: str, at: Circumstances) -> dict[str, np.ndarray | None] | None:
    return None if at.array(name) is None else {name: None}


def _ones(name: str, at: Circumstances) -> dict[str, np.ndarray | None] | None:
    x = at.array(name)
    return None if x is None or x.dtype.kind in "iub" else {name: np.ones_like(x)}
