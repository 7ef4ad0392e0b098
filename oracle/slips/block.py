"""Slips of the fused layers and of the residual blocks: how their parts are put together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from oracle.slips import maximum, windows
from oracle.slips.fused import BLOCKS, Array, End, Norm, Parts, Pullback, Step, computed, relu, suffixes, unchanged
from oracle.slips.slip import NOTHING, Answers, Circumstances, slip

NORMALISED = ("conv_bn_relu", *BLOCKS)
ENDED = ("affine_relu", *NORMALISED)  # their last step is a ReLU
INNER = ("conv_relu_pool", *BLOCKS)  # they have a ReLU between two steps


def wrong(
    sentence: str, *layers: str, value: bool, options: tuple[str, ...] = (), resembles: str = "", **changes: Any
) -> None:
    """Put other parts into the catalogue: a slip of y (``value``), or one of the gradients."""

    @slip(sentence, *layers, options=options, resembles=resembles)
    def answers(at: Circumstances) -> Answers:
        if not windows.small(at):
            return NOTHING
        found = computed(at, Parts(**changes), gradients=not value)
        return {name: found[name] for name in found if (name == "y") == value}


def backward(forward: Callable[[Array], Array], pullback: Callable[[Array, Array], Array]) -> Step:
    """Return a step from its value and its gradient, a function of x and dy."""
    return lambda x: (forward(x), lambda dy: (pullback(x, dy),))


def end_of(h_and_by: Callable[[Array, Array], Array], pullback: Callable[[Array, Array, Array], Any]) -> End:
    """Return an end from its value and its gradients, a function of h, by and dy."""
    return lambda h, by: (h_and_by(h, by), lambda dy: pullback(h, by, dy))


def _positive(x: Array) -> Array:
    return np.maximum(x, 0)


# ReLU, between two steps and at the end: its value is right, its gradient wrong.
_MASKS: tuple[tuple[str, Callable[[Array, Array], Array]], ...] = (
    ("passes the whole gradient: it is not masked", lambda x, dy: dy),
    ("passes the gradient where its input is negative", lambda x, dy: dy * (x < 0)),
    ("passes the gradient where the gradient is positive", lambda x, dy: dy * (dy > 0)),
    ("multiplies the gradient by its value, not by the mask", lambda x, dy: dy * _positive(x)),
    ("returns its mask: it is not multiplied by the gradient", lambda x, dy: (x > 0) * np.ones_like(dy)),
)


def _ended(mask: Callable[[Array, Array], Array]) -> End:
    return end_of(lambda h, by: _positive(h + by), lambda h, by, dy: (mask(h + by, dy),) * 2)


for _words, _mask in _MASKS:
    wrong(f"the gradients: the last ReLU {_words}", *ENDED, value=False, end=_ended(_mask))
    wrong(f"the gradients: the ReLU between two steps {_words}", *INNER, value=False, relu=backward(_positive, _mask))

wrong(
    "y lacks the ReLU at the end",
    *ENDED,
    value=True,
    end=end_of(lambda h, by: h + by, lambda h, by, dy: (dy, dy)),
    resembles="ajbrock/BoilerPlate #2",
)
wrong("y lacks the ReLU between two steps", *INNER, value=True, relu=unchanged)
wrong(
    "the gradients of the kernels are computed from what ReLU has not been applied to",
    *BLOCKS,
    value=False,
    saved=lambda before, after: before,
)
wrong(
    "the gradients of the kernels are computed from x after a ReLU in place",
    "conv_bn_relu",
    "conv_relu_pool",
    *BLOCKS,
    value=False,
    saved=lambda before, after: _positive(after),
)


# -- the shortcut -----------------------------------------------------------------------------------------------------


def summed(sentence: str, pullback: Callable[[Array, Array, Array], Any]) -> None:
    """Put a wrong gradient of the sum of both branches into the catalogue."""
    wrong(sentence, *BLOCKS, value=False, end=end_of(lambda h, by: _positive(h + by), pullback))


def _masked(h: Array, by: Array, dy: Array) -> Array:
    return dy * (h + by > 0)


summed("the gradients lack the path through the shortcut", lambda h, by, dy: (_masked(h, by, dy), 0 * dy))
summed("the gradients lack the path through the convolutions", lambda h, by, dy: (0 * dy, _masked(h, by, dy)))
summed(
    "the gradients: the shortcut receives its gradient twice",
    lambda h, by, dy: (_masked(h, by, dy), 2 * _masked(h, by, dy)),
)
summed(
    "the gradients: each branch receives half of the gradient of the sum",
    lambda h, by, dy: (_masked(h, by, dy) / 2, _masked(h, by, dy) / 2),
)
summed("the gradients: the shortcut receives dy before the mask of ReLU", lambda h, by, dy: (_masked(h, by, dy), dy))
summed("the gradients: the convolutions receive dy before the mask of ReLU", lambda h, by, dy: (dy, _masked(h, by, dy)))
summed(
    "the gradients: ReLU's mask is taken before the shortcut is added, not after",
    lambda h, by, dy: (dy * (h > 0), dy * (h > 0)),
)
summed("the gradients: each branch takes ReLU's mask from itself", lambda h, by, dy: (dy * (h > 0), dy * (by > 0)))


def joined(sentence: str, value: Callable[[Array, Array], Array], resembles: str = "") -> None:
    """Put a wrong sum of both branches into the catalogue."""
    wrong(
        sentence,
        *BLOCKS,
        value=True,
        end=end_of(value, lambda h, by, dy: (dy, dy)),
        resembles=resembles,
    )


joined("y lacks the shortcut", lambda h, by: _positive(h))
joined("y lacks the convolutions: it is the shortcut", lambda h, by: _positive(by))
joined("y adds the shortcut twice", lambda h, by: _positive(h + 2 * by), "yakhyo/darknet-pytorch #2")
joined("y applies ReLU before the sum, too", lambda h, by: _positive(_positive(h) + by), "kuangliu/pytorch-cifar #4")
joined("y applies ReLU before the sum, not after it", lambda h, by: _positive(h) + by, "fastai/fastbook #1")
wrong(
    "y adds x after a ReLU in place, not x itself",
    *BLOCKS,
    value=True,
    shortcut=relu,
    resembles="rosinality/vq-vae-2-pytorch #60",
)


@slip("y adds x itself although a projection is given", *BLOCKS)
def _not_projected(at: Circumstances) -> Answers:
    x = at.array("x")
    if at.array("w_shortcut") is None or x is None or x.shape != at.dy.shape or not windows.small(at):
        return NOTHING
    return {"y": computed(at, Parts(projected=False), gradients=False)["y"]}


@slip("y does not normalise the projection", *BLOCKS)
def _projection_not_normalised(at: Circumstances) -> Answers:
    if at.array("w_shortcut") is None or not windows.small(at):
        return NOTHING
    return {"y": computed(at, Parts(normalised_shortcut=False), gradients=False)["y"]}


@slip("dx lacks the path through the projection", *BLOCKS)
def _projection_forgotten(at: Circumstances) -> Answers:
    if at.array("w_shortcut") is None or not windows.small(at):
        return NOTHING
    forgetful = end_of(lambda h, by: _positive(h + by), lambda h, by, dy: (_masked(h, by, dy), 0 * dy))
    return {"dx": computed(at, Parts(end=forgetful))["dx"]}


wrong(
    "y takes the stride in the first convolution, not in the middle one",
    "bottleneck_block",
    value=True,
    strided="1",
    resembles="FluxML/Metalhead.jl #114",
)
wrong("y takes the stride in the last convolution", "residual_block", value=True, strided="2")
wrong("y takes the stride in the last convolution", "bottleneck_block", value=True, strided="3")


@slip(
    "y reads x in every convolution, not what the one before returns",
    *BLOCKS,
    resembles="shaohua0116/Multiview2Novelview #11",
)
def _not_chained(at: Circumstances) -> Answers:
    x, later = at.array("x"), [at.array("w" + suffix) for suffix in suffixes(at)[1:]]
    assert x is not None
    if not windows.small(at) or at.option("stride") != 1 or any(w is None or w.shape[1] != x.shape[1] for w in later):
        return NOTHING
    return {"y": computed(at, Parts(chained=False), gradients=False)["y"]}


def _exchanged_parameters(at: Circumstances) -> Iterator[tuple[str, Array]]:
    for name in ("gamma", "beta"):
        first, second = at.array(name + "1"), at.array(name + "2")
        if first is not None and second is not None and first.shape == second.shape:
            yield name + "1", second
            yield name + "2", first


@slip("y exchanges gamma and beta of the first and the second normalisation", *BLOCKS)
def _parameters_exchanged(at: Circumstances) -> Answers:
    given = dict(_exchanged_parameters(at)) if windows.small(at) else {}
    arrays = [given.get(name, x) for name, x in zip(at.layer.arrays, at.arrays, strict=True)]
    return {"y": computed(replace(at, arrays=arrays), Parts(), gradients=False)["y"]} if given else NOTHING


# -- the normalisation ------------------------------------------------------------------------------------------------


def _constant(norm: Norm, x: Array) -> tuple[Array, Pullback]:
    mean, var = norm.of_batch(x) if norm.training else norm.given()
    return norm.by(x, mean, var, constant=True)


def _positive_first(norm: Norm, x: Array) -> tuple[Array, Pullback]:
    return norm(_positive(x))


wrong("the gradients treat mean and variance of the batch as constants", *NORMALISED, value=False, norm=_constant)
wrong(
    "y does not normalise",
    *NORMALISED,
    value=True,
    norm=lambda norm, x: norm.by(x, np.zeros(x.shape[1]), np.ones(x.shape[1])),
)
wrong("y applies ReLU before the normalisation, too", *NORMALISED, value=True, norm=_positive_first)
wrong(
    "y applies ReLU before the last normalisation, not after it",
    "conv_bn_relu",
    value=True,
    norm=_positive_first,
    end=end_of(lambda h, by: h + by, lambda h, by, dy: (dy, dy)),
)


@slip("y normalises by the running statistics in training", *NORMALISED, options=("training",))
def _running_in_training(at: Circumstances) -> Answers:
    if not at.option("training") or not any("running" in name for name in at.truth.outputs) or not windows.small(at):
        return NOTHING
    return {"y": computed(at, Parts(norm=lambda norm, x: norm.by(x, *norm.given())), gradients=False)["y"]}


def updated(sentence: str, change: Callable[[Array, Array, float], Array], statistics: str = "") -> None:
    """Put a wrong update of the running statistics, from the old one and the batch's, into the catalogue."""

    @slip(sentence, *NORMALISED, options=("momentum",))
    def answers(at: Circumstances) -> Answers:
        momentum, found = at.option("momentum"), {}
        if not at.option("training") or not momentum or not windows.small(at):
            return NOTHING
        for name in at.truth.outputs[1:]:
            old = at.array(name.removeprefix("new_"))
            if old is not None and statistics in name:
                batch = (at.true(name) - (1 - momentum) * old) / momentum
                found[name] = change(old, batch, momentum)
        return found


updated("the momentum weighs the old running statistics, not the new ones", lambda old, new, m: m * old + (1 - m) * new)
updated("the running statistics are not updated", lambda old, new, m: old)
updated("the running statistics are those of the last batch", lambda old, new, m: new)
updated("the running statistics are updated twice", lambda old, new, m: (1 - m) ** 2 * old + (1 - (1 - m) ** 2) * new)
updated(
    "the running variance is updated with the standard deviation",
    lambda old, new, m: (1 - m) * old + m * np.sqrt(new),
    "running_var",
)


@slip("the running statistics of the projection are not updated", *BLOCKS)
def _projection_not_updated(at: Circumstances) -> Answers:
    names = [name for name in at.truth.outputs if name.endswith("_shortcut")]
    return {name: old for name in names if (old := at.array(name.removeprefix("new_"))) is not None}


# -- the pooling and the bias -----------------------------------------------------------------------------------------

for _words, _unpool in (
    ("it is written with = over the whole window where windows overlap", maximum.window_overwritten),
    ("it is written with = at the maximum where windows overlap", maximum.maximum_overwritten),
    ("it is shared by the whole window, as that of a mean is", maximum.shared_by_window),
    ("it goes to the first element of the window, whichever is the largest", maximum.to_the_first),
    ("it takes the place of the maximum in its window for a place of its input", maximum.place_in_window),
    ("it takes the places of the first channel's maxima for every channel", maximum.of_first_channel),
):
    wrong(f"the gradient of the pooling: {_words}", "conv_relu_pool", value=False, unpool=_unpool)


def strided(sentence: str, stride: Callable[[Circumstances], Any]) -> None:
    """Put another stride of the pooling into the catalogue."""

    @slip(sentence, "conv_relu_pool", options=("pool_stride",))
    def answers(at: Circumstances) -> Answers:
        if not windows.small(at):
            return NOTHING
        other = replace(at, case=replace(at.case, configuration=at.case.configuration | {"pool_stride": stride(at)}))
        return {"y": computed(other, Parts(), gradients=False)["y"]}


strided("y pools with the stride of the convolution", lambda at: at.option("stride"))
strided("y pools with the stride 1 if no stride is given", lambda at: at.option("pool_stride") or 1)
strided("y pools with the size of the window as the stride", lambda at: None)


@slip("y adds the bias after the ReLU", "affine_relu", "conv_relu_pool")
def _bias_after_relu(at: Circumstances) -> Answers:
    b = at.array("b")
    if b is None or not windows.small(at):
        return NOTHING
    arrays = [None if name == "b" else x for name, x in zip(at.layer.arrays, at.arrays, strict=True)]
    y = computed(replace(at, arrays=arrays), Parts(), gradients=False)["y"]
    return {"y": y + b.reshape(-1, *[1] * (y.ndim - 2))}


# -- the flattened x --------------------------------------------------------------------------------------------------


@slip("y flattens x in the order of Fortran within a sample", "affine_relu")
def _flattened_in_fortran_order(at: Circumstances) -> Answers:
    x = at.array("x")
    if x is None or not windows.small(at):
        return NOTHING
    turned = x.transpose(0, *range(x.ndim - 1, 0, -1))
    arrays = [turned, *at.arrays[1:]]
    return {"y": computed(replace(at, arrays=arrays), Parts(), gradients=False)["y"]}


@slip("dx is in the order of Fortran within a sample", "affine_relu")
def _gradient_in_fortran_order(at: Circumstances) -> Answers:
    dx = at.true("dx")
    if not windows.small(at):
        return NOTHING
    turned = dx.reshape(len(dx), *dx.shape[:0:-1])
    return {"dx": turned.transpose(0, *range(dx.ndim - 1, 0, -1))}


@slip("dx keeps the shape of the flattened x", "affine_relu")
def _still_flat(at: Circumstances) -> Answers:
    dx = at.true("dx")
    return {"dx": dx.reshape(len(dx), -1)} if dx.ndim > 2 and dx.size else NOTHING
