"""Decide if a case can tell an answer from the truth."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from oracle.cases import Arrays, Case, numpy_dtype
from oracle.judge.element import Elements, error_over_bound, nan_in_a_padded_kernel
from oracle.judge.subgradient import is_subgradient
from oracle.layers import LAYERS
from oracle.truth import Precision, Truth

# Code that makes a slip rounds as well, so its answer may lie as far from the slip's as a right answer from the truth.
CLEARLY = 2.0


def told_apart(
    answers: Mapping[str, np.ndarray], judged: Collection[str], case: Case, arrays: Arrays, dy: np.ndarray, truth: Truth
) -> bool:
    """Whether some answer, of an output that was judged, is clearly outside its bound."""
    return any(_outside(name, answer, case, arrays, dy, truth) for name, answer in answers.items() if name in judged)


def _outside(name: str, answer: np.ndarray, case: Case, arrays: Arrays, dy: np.ndarray, truth: Truth) -> bool:
    pair, layer = truth.pairs[name], LAYERS[case.layer]
    if answer.shape != pair.value.shape:
        return True
    precision = Precision.of(numpy_dtype(case.dtype))
    elements = Elements(
        answer,
        pair,
        precision,
        gradient=name in truth.gradients,
        finite_input=case.values.finite,
        nan_may_spread=layer.nan_may_spread,
        nan_kernel=nan_in_a_padded_kernel(case),
        statistic=name in truth.outputs[1:],
    )
    ratio = error_over_bound(elements)
    if not ratio.size or ratio.max() <= CLEARLY:
        return False
    x = arrays[0]
    if name != "d" + layer.arrays[0] or layer.ties is None or x is None:
        return True
    windows = layer.ties(case.configuration, case.shapes)
    return not is_subgradient(answer, x, dy, windows, precision)
