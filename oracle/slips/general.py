"""Slips that every layer can have, made from its signature."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from oracle.layers import Layer
from oracle.slips.slip import NOTHING, Answers, Circumstances, Function, Slip


def general_slips(layer: Layer) -> Iterator[Slip]:
    """Yield the slips of every output, gradient, option and array of a layer."""
    gradients = {name: f"d{name}" for name in layer.arrays if _takes_gradient(layer, name)}
    for output in (*layer.outputs, *gradients.values()):
        yield _changed(output, f"{output} is all zeros, as if it were never written", lambda y, at: np.zeros_like(y))
        yield _changed(output, f"{output} has the wrong sign", lambda y, at: -y)
        yield _changed(output, f"{output} is twice what it should be", lambda y, at: 2 * y)
        yield _changed(output, f"{output} is half of what it should be", lambda y, at: y / 2)
        yield _changed(output, f"{output} is divided by the batch size once too often", lambda y, at: y / _batch(at))
        yield _changed(output, f"{output} is not divided by the batch size", lambda y, at: y * _batch(at))
    for option, default in layer.options.items():
        if default is not ...:
            call = _shared(functools.partial(_without_option, option, default))
            yield _other_call(f"{option} is ignored", layer.outputs, call)
            for dx in gradients.values():
                yield _other_call(f"{dx} ignores {option}", (dx,), call)
    for name in layer.optional:
        yield _other_call(f"{name} is ignored", layer.outputs, functools.partial(_left_out, name))
    for name in layer.arrays[1:]:
        call = _shared(functools.partial(_with_ones, name))
        for dx in gradients.values():
            yield _other_call(f"{dx} is computed as if {name} were all ones", (dx,), call)


def _takes_gradient(layer: Layer, name: str) -> bool:
    return name not in layer.no_gradient and layer.kinds.get(name) not in ("labels", "mask", "bool")


def _changed(output: str, sentence: str, change: Callable[[np.ndarray, Circumstances], np.ndarray]) -> Slip:
    def answers(at: Circumstances) -> Answers:
        return {output: change(at.true(output), at)} if output in at.truth.pairs else NOTHING

    return Slip(sentence, answers)


def _batch(at: Circumstances) -> int:
    x = at.arrays[0]
    return max(1, x.shape[0]) if x is not None and x.ndim else 1


def _other_call(sentence: str, outputs: tuple[str, ...], call: Function) -> Slip:
    """Make a slip of an implementation that answers, for some outputs, as if the call were another one."""

    def answers(at: Circumstances) -> Answers:
        found = call(at)
        return {name: found[name] for name in outputs if name in found and name in at.truth.pairs}

    return Slip(sentence, answers)


def _shared(call: Function) -> Function:
    """Compute the other call once for all slips that take a part of its answers."""
    known: WeakKeyDictionary[Circumstances, Answers] = WeakKeyDictionary()

    def once(at: Circumstances) -> Answers:
        if at not in known:
            known[at] = call(at)
        return known[at]

    return once


def _without_option(name: str, default: Any, at: Circumstances) -> Answers:
    return NOTHING if at.option(name) == default else at.elsewhere(options={name: default})


def _left_out(name: str, at: Circumstances) -> Answers:
    return NOTHING if at.array(name) is None else at.elsewhere(given={name: None})


def _with_ones(name: str, at: Circumstances) -> Answers:
    x = at.array(name)
    return NOTHING if x is None or x.dtype.kind in "iub" else at.elsewhere(given={name: np.ones_like(x)})
