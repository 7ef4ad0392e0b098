"""Name the known fault whose formula reproduces what a target returned.

A diagnosis is sought for a wrong value or gradient: each candidate is a sentence and the array that an implementation with
that fault would give. The first that agrees with the target's answer, and not with the truth, is named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from oracle.cases.case import Case
from oracle.judge.judge import Finding, truth_of
from oracle.layers.places import per_axis
from oracle.targets.answers import Arrays

Candidate = tuple[str, np.ndarray]


def diagnose(case: Case, arrays: Arrays, dy: np.ndarray, finding: Finding) -> str | None:
    """One sentence on the fault behind a finding, or None where no known fault reproduces it."""
    if finding.check not in ("value", "gradient", "subgradient") or not isinstance(finding.got, np.ndarray):
        return None
    got, truth = finding.got.astype(np.float64), np.asarray(finding.expected, np.float64)
    if not got.size or not np.isfinite(truth).all():
        return None
    tolerance = 1e-2 if case.dtype in ("float16", "bfloat16") else 1e-4
    size = np.abs(truth).max()
    for sentence, fault in _candidates(case, arrays, dy, finding.output, truth, got):
        if fault.shape != got.shape or not np.isfinite(fault).all():
            continue
        scale = max(size, np.abs(fault).max())
        if np.abs(fault - got).max() <= tolerance * scale < np.abs(fault - truth).max() / 2:
            return sentence
        if np.abs(fault - got).max() <= tolerance * scale * 1e-2 < np.abs(fault - truth).max():
            return sentence
    return None


def _candidates(
    case: Case, arrays: Arrays, dy: np.ndarray, output: str, truth: np.ndarray, got: np.ndarray
) -> Iterator[Candidate]:
    for applies, find in SPECIFIC:
        if case.layer.startswith(applies):
            yield from find(case, arrays, dy, output, truth)
    yield f"{output} is all zeros: it was never written", np.zeros_like(truth)
    yield f"{output} has the wrong sign", -truth
    yield from _scaled(case, arrays, output, truth)


def _scaled(case: Case, arrays: Arrays, output: str, truth: np.ndarray) -> Iterator[Candidate]:
    x = arrays[0]
    sizes = () if x is None or x.ndim == 0 else ((x.shape[0], "the batch size"), (x.size, "the number of elements"))
    for factor, what in sizes:
        if factor > 1:
            yield f"{output} is divided by {what} ({factor}) once too often", truth / factor
            yield f"{output} is not divided by {what} ({factor})", truth * factor
    yield f"{output} is twice what it should be", 2 * truth
    yield f"{output} is half of what it should be", truth / 2


def _variant(case: Case, arrays: Arrays, dy: np.ndarray, output: str) -> np.ndarray:
    return np.asarray(truth_of(case, arrays, dy).pairs[output].value, np.float64)


def _flipped_kernel(case: Case, arrays: Arrays, dy: np.ndarray, output: str, truth: np.ndarray) -> Iterator[Candidate]:
    x, w, *rest = arrays
    assert x is not None and w is not None
    axes = tuple(range(2, w.ndim))
    if output in ("y", "dx"):
        turned = np.ascontiguousarray(np.flip(w, axes))
        sentence = {
            "y": "the kernel is flipped: a convolution in the mathematical sense, not a cross-correlation",
            "dx": "the kernel is not flipped where dx correlates dy with it",
        }[output]
        yield sentence, _variant(case, [x, turned, *rest], dy, output)
    if output == "dw":
        yield "dw is rotated by 180 degrees", np.flip(truth, axes)
    if output == "dx" and case.layer.startswith("conv_transpose"):
        return
    if output == "dx":
        yield "dx is written with = where windows overlap and must be added", _overwritten(case, arrays, dy)


def _overwritten(case: Case, arrays: Arrays, dy: np.ndarray) -> np.ndarray:
    """dx of a convolution whose loop over outputs assigns each window instead of adding to it."""
    x, w, *_ = arrays
    assert x is not None and w is not None
    wrong = np.zeros(x.shape)
    groups = case.configuration.get("groups", 1)
    if groups != 1:
        return np.full(x.shape, np.nan)
    place: Any
    for place in np.ndindex(dy.shape[2:]):
        one = np.zeros(dy.shape, dy.dtype)
        one[(..., *place)] = dy[(..., *place)]
        part = _variant(case, arrays, one, "dx")
        touched = _variant(case, [x, np.ones_like(w), *arrays[2:]], _lone(dy, place), "dx")[:1, :1] != 0
        wrong = np.where(touched, part, wrong)
    return wrong


def _lone(dy: np.ndarray, place: Any) -> np.ndarray:
    one = np.zeros(dy.shape, dy.dtype)
    one[(..., *place)] = 1
    return one


def _pool_faults(case: Case, arrays: Arrays, dy: np.ndarray, output: str, truth: np.ndarray) -> Iterator[Candidate]:
    if output != "dx":
        return
    from oracle.layers import LAYERS

    (x,) = arrays
    assert x is not None
    find = LAYERS[case.layer].ties
    if find is None:
        return
    windows = find(case.configuration, case.shapes)
    rows = x.shape[0] * x.shape[1]
    flat, flat_dy = x.reshape(rows, -1).astype(np.float64), dy.reshape(rows, -1).astype(np.float64)
    every, last = np.zeros(flat.shape), np.zeros(flat.shape)
    for row in range(rows):
        for places, share in zip(windows, flat_dy[row], strict=True):
            inside = places[places < flat.shape[1]]
            if not inside.size:
                continue
            largest = inside[flat[row, inside] == flat[row, inside].max()]
            every[row, largest] += share
            last[row, inside] = 0
            last[row, largest] = share
    yield "every one of several equal maxima receives the whole of dy", every.reshape(x.shape)
    yield "dx is written with = where windows overlap and must be added", last.reshape(x.shape)


def _norm_faults(case: Case, arrays: Arrays, dy: np.ndarray, output: str, truth: np.ndarray) -> Iterator[Candidate]:
    x, gamma = arrays[0], arrays[1]
    assert x is not None
    if case.configuration.get("training") is False:
        return
    split, axes = _statistics_axes(case, x)
    wide = x.astype(np.float64).reshape(split)
    eps = case.configuration.get("eps", 1e-5)
    count = int(np.prod([split[a] for a in axes]))
    g = np.ones(x.shape) if gamma is None else np.broadcast_to(_aligned(case, gamma, x), x.shape).astype(np.float64)
    mean, var = wide.mean(axes, keepdims=True), wide.var(axes, keepdims=True)
    x_hat, inv_std = (wide - mean) / np.sqrt(var + eps), 1 / np.sqrt(var + eps)
    if output == "dx":
        d = (dy.astype(np.float64) * g).reshape(split)
        own, along = d.mean(axes, keepdims=True), (d * x_hat).mean(axes, keepdims=True)
        for sentence, dx in (
            ("dx forgets that mean and variance depend on x", d),
            ("dx forgets that the mean depends on x", d - x_hat * along),
            ("dx forgets that the variance depends on x", d - own),
            ("dx uses the sum of dy where it needs the sum of dy * x_hat", d - own - x_hat * own),
        ):
            yield sentence, (inv_std * dx).reshape(x.shape)
    if output == "y" and count > 1:
        beta = arrays[2] if len(arrays) > 2 else None
        shift = 0.0 if beta is None else _aligned(case, beta, x).astype(np.float64)
        unbiased = (wide - mean) / np.sqrt(var * count / (count - 1) + eps)
        yield "y divides by the unbiased variance; the biased one is meant", unbiased.reshape(x.shape) * g + shift
        outside = (wide - mean) / (np.sqrt(var) + eps)
        yield "eps is added to the standard deviation, not to the variance", outside.reshape(x.shape) * g + shift
        yield "gamma and beta are not applied", x_hat.reshape(x.shape)


def _statistics_axes(case: Case, x: np.ndarray) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shape that x is split into, and the axes of it that share mean and variance."""
    if case.layer == "batch_norm":
        return x.shape, (0, *range(2, x.ndim))
    if case.layer == "layer_norm":
        count = case.configuration.get("normalized_ndim", 1)
        return x.shape, tuple(range(x.ndim - count, x.ndim))
    groups = x.shape[1] if case.layer == "instance_norm" else case.configuration["groups"]
    split = (x.shape[0], groups, x.shape[1] // groups, *x.shape[2:])
    return split, tuple(range(2, len(split)))


def _aligned(case: Case, gamma: np.ndarray, x: np.ndarray) -> np.ndarray:
    return gamma if case.layer == "layer_norm" else gamma.reshape(-1, *[1] * (x.ndim - 2))


def _conv_options(case: Case, arrays: Arrays, dy: np.ndarray, output: str, truth: np.ndarray) -> Iterator[Candidate]:
    """Options that are ignored, one at a time."""
    w = arrays[1]
    assert w is not None
    for name, neutral in (("dilation", 1), ("stride", 1)):
        value = case.configuration.get(name)
        if value is None or len(set(per_axis(value, w.ndim - 2)) - {1}) == 0:
            continue
        other = Case(case.layer, case.dtype, case.shapes, {**case.configuration, name: neutral})
        from oracle.truth import derive

        if derive(other.layer, other.shapes, other.configuration).value_shape == dy.shape:
            yield f"{name} is ignored", _variant(other, arrays, dy, output)


SPECIFIC: list[tuple[str, Callable[..., Iterator[Candidate]]]] = [
    ("conv", _flipped_kernel),
    ("conv", _conv_options),
    ("max_pool", _pool_faults),
    ("global_max_pool", _pool_faults),
    ("batch_norm", _norm_faults),
    ("layer_norm", _norm_faults),
    ("group_norm", _norm_faults),
    ("instance_norm", _norm_faults),
]
