"""Slips of convolution and its transpose. A change of the sum behind them is a slip for each output."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod

import numpy as np

from oracle.slips import windows
from oracle.slips.convolution import CONVOLUTIONS, TRANSPOSES, Sum, along_filters, sum_of
from oracle.slips.misreadings import put_misreadings
from oracle.slips.slip import NOTHING, Answers, Circumstances, slip

ALL = (*CONVOLUTIONS, *TRANSPOSES)
PLANES = tuple(name for name in ALL if "1d" not in name)  # with a height and a width

Change = Callable[[Sum], Sum | None]
EACH = ("y", "dx", "dw")


def changed(
    sentence: str,
    *layers: str,
    outputs: Sequence[str] = EACH,
    options: tuple[str, ...] = (),
    resembles: str = "",
) -> Callable[[Change], Change]:
    """Put a change of the sum into the catalogue: a slip per output, named in the sentence. None changes nothing."""

    def put(change: Change) -> Change:
        for output in outputs:

            def answers(at: Circumstances, output: str = output) -> Answers:
                other = change(sum_of(at)) if windows.small(at) else None
                return NOTHING if other is None else {output: other.answer(output)}

            slip(sentence.format(output=output), *layers, options=options, resembles=resembles)(answers)
        return change

    return put


put_misreadings(changed, ALL, PLANES)


# -- groups -----------------------------------------------------------------------------------------------------------


def _interleaved(members: np.ndarray) -> np.ndarray:
    return np.arange(members.size).reshape(-1, len(members)).T


@changed("{output} reads the channels of the first group for every group", *ALL, options=("groups",))
def _first_channels(sum_: Sum) -> Sum | None:
    return replace(sum_, channels=np.broadcast_to(sum_.channels[:1], sum_.channels.shape))


@changed("{output} takes every G-th channel of G groups as a group, not neighbouring ones", *ALL, options=("groups",))
def _interleaved_channels(sum_: Sum) -> Sum | None:
    return replace(sum_, channels=_interleaved(sum_.channels))


@changed("{output} takes every G-th filter of G groups as a group, not neighbouring ones", *ALL, options=("groups",))
def _interleaved_filters(sum_: Sum) -> Sum | None:
    return replace(sum_, filters=_interleaved(sum_.filters))


@changed("{output} pairs the groups of channels and filters in reversed order", *ALL, options=("groups",))
def _reversed_groups(sum_: Sum) -> Sum | None:
    return replace(sum_, channels=sum_.channels[::-1])


@changed("{output} uses the kernels of the first group for every group", *ALL, outputs=("y", "dx"), options=("groups",))
def _first_kernels(sum_: Sum) -> Sum | None:
    return replace(sum_, w=np.concatenate([sum_.w[sum_.filters[0]]] * len(sum_.filters)))


@slip("dw holds the gradient of the first group in every group", *ALL, options=("groups",))
def _first_group_of_gradient(at: Circumstances) -> Answers:
    groups, dw = at.option("groups"), at.true("dw")
    return NOTHING if groups == 1 else {"dw": np.concatenate([dw[: len(dw) // groups]] * groups)}


@slip("dw holds only the gradient of the first group", *ALL, options=("groups",))
def _only_group_of_gradient(at: Circumstances) -> Answers:
    groups, dw = at.option("groups"), at.true("dw")
    return NOTHING if groups == 1 else {"dw": np.where(_first_rows(dw, len(dw) // groups), dw, 0)}


def _first_rows(x: np.ndarray, count: int) -> np.ndarray:
    return (np.arange(len(x)) < count).reshape(-1, *[1] * (x.ndim - 1))


# -- the kernel -------------------------------------------------------------------------------------------------------


def kernel_read(sentence: str, *layers: str, resembles: str = "") -> Callable[..., None]:
    """Put a change of the kernel into the catalogue: y and dx read another w, dw comes out as one."""

    def put(change: Callable[[np.ndarray], np.ndarray | None]) -> None:
        for output in EACH:

            def answers(at: Circumstances, output: str = output) -> Answers:
                if not windows.small(at):
                    return NOTHING
                w = at.true("dw") if output == "dw" else at.array("w")
                assert w is not None
                other = change(w)
                if other is None:
                    return NOTHING
                return {output: other if output == "dw" else replace(sum_of(at), w=other).answer(output)}

            slip(sentence.format(output=output), *layers, resembles=resembles)(answers)

    return put


@kernel_read("{output} has the kernel rotated by 180 degrees", *ALL)
def _rotated(w: np.ndarray) -> np.ndarray:
    return np.flip(w, tuple(range(2, w.ndim)))


@kernel_read("{output} has height and width of the kernel exchanged", *PLANES, resembles="kornia/kornia #4240")
def _kernel_turned(w: np.ndarray) -> np.ndarray | None:
    return w.swapaxes(-1, -2) if w.shape[-1] == w.shape[-2] else None


@kernel_read("{output} has the filters and the channels of the kernel exchanged", *ALL, resembles="apache/tvm #3562")
def _channels_exchanged(w: np.ndarray) -> np.ndarray | None:
    return w.swapaxes(0, 1) if w.shape[0] == w.shape[1] else None


@kernel_read("{output} has the kernel's elements in the order of an array with the channels last", *ALL)
def _kernel_channels_last(w: np.ndarray) -> np.ndarray:
    return channels_last(w)


def channels_last(x: np.ndarray) -> np.ndarray:
    """Read the elements of x as if they lay with the channels last."""
    return np.moveaxis(x.reshape(x.shape[0], *x.shape[2:], x.shape[1]), -1, 1)


@changed("{output} reads x as if its channels were last", *ALL, outputs=("y", "dw"))
def _x_channels_last(sum_: Sum) -> Sum | None:
    return replace(sum_, x=channels_last(sum_.x))


@changed("{output} reads dy as if its channels were last", *ALL, outputs=("dx", "dw"))
def _dy_channels_last(sum_: Sum) -> Sum | None:
    return replace(sum_, dy=channels_last(sum_.dy))


# -- sums -------------------------------------------------------------------------------------------------------------


def spread_by_assignment(output: str, loop: str, by_tap: bool, *layers: str) -> None:
    """Put windows that are written over each other into the catalogue."""

    @slip(f"{output} is written with = {loop}where windows overlap and must be added", *layers)
    def answers(at: Circumstances) -> Answers:
        if not windows.small(at):
            return NOTHING
        sum_ = sum_of(at)
        parts = sum_.by_channel(sum_.parts(sum_.windowed))
        total = windows.assign(parts, sum_.index, sum_.sizes, by_tap=by_tap)
        return {output: sum_.with_bias(total) if output == "y" else total}


for _output, _layers in (("dx", CONVOLUTIONS), ("y", TRANSPOSES)):
    spread_by_assignment(_output, "", False, *_layers)
    spread_by_assignment(_output, "in the loop over the taps, ", True, *_layers)


@changed("{output} holds what the last input channel of each group adds: = for +=", *CONVOLUTIONS, outputs=("y",))
def _last_channel(sum_: Sum) -> Sum | None:
    w = np.zeros_like(sum_.w)
    w[:, -1] = sum_.w[:, -1]
    return replace(sum_, w=w)


@changed("{output} holds what the last filter of each group adds: = for +=", *TRANSPOSES, outputs=("dx",))
def _last_filter_of_transpose(sum_: Sum) -> Sum | None:
    return _last_channel(sum_)


@changed("{output} holds what the last filter of each group adds: = for +=", *CONVOLUTIONS, outputs=("dx",))
def _last_filter(sum_: Sum) -> Sum | None:
    last = np.isin(np.arange(len(sum_.w)), sum_.filters[:, -1])
    return replace(sum_, w=np.where(last.reshape(-1, *[1] * (sum_.w.ndim - 1)), sum_.w, 0))


@changed("{output} holds what the last input channel of each group adds: = for +=", *TRANSPOSES, outputs=("y",))
def _last_channel_of_transpose(sum_: Sum) -> Sum | None:
    return _last_filter(sum_)


@changed("{output} holds what the last tap of the kernel adds: = for +=", *ALL, outputs=("y", "dx"))
def _last_tap(sum_: Sum) -> Sum | None:
    w = np.zeros_like(sum_.w)
    w.reshape(*w.shape[:2], -1)[..., -1] = sum_.w.reshape(*w.shape[:2], -1)[..., -1]
    return replace(sum_, w=w)


@changed("{output} holds what the last sample adds: = for +=", *ALL, outputs=("dw",))
def _last_sample(sum_: Sum) -> Sum | None:
    return replace(sum_, x=sum_.x[-1:], dy=sum_.dy[-1:])


@changed("{output} holds what the first sample adds", *ALL, outputs=("dw",))
def _first_sample(sum_: Sum) -> Sum | None:
    return replace(sum_, x=sum_.x[:1], dy=sum_.dy[:1])


@changed("{output} holds what the last window adds: = for +=", *ALL, outputs=("dw",))
def _last_window(sum_: Sum) -> Sum | None:
    only, last = np.full_like(sum_.index, prod(sum_.sizes)), sum_.index[-1]
    only[-1] = last
    return replace(sum_, index=only)


@changed("{output} pairs each sample's x with the dy of the sample before it", *ALL, outputs=("dw",))
def _samples_mixed(sum_: Sum) -> Sum | None:
    return replace(sum_, dy=np.roll(sum_.dy, 1, 0))


@slip("dw is divided by the number of windows", *ALL)
def _mean_over_windows(at: Circumstances) -> Answers:
    return {"dw": at.true("dw") / prod(sum_of(at).counts)} if windows.small(at) else NOTHING


# -- the bias ---------------------------------------------------------------------------------------------------------


def _with_bias_changed(at: Circumstances, change: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Answers:
    b, y = at.array("b"), at.true("y")
    if b is None:
        return NOTHING
    return {"y": y + change(b, y)}


@slip("y adds the bias once per input channel", *ALL)
def _bias_per_channel(at: Circumstances) -> Answers:
    w = at.array("w")
    assert w is not None
    summed = w.shape[1] if at.case.layer in CONVOLUTIONS else w.shape[0] // at.option("groups")
    return _with_bias_changed(at, lambda b, y: along_filters(b, y.ndim) * (summed - 1))


@slip("y adds the bias once per tap of the kernel", *ALL, resembles="LazaroHurtado/micrograd-rs #20")
def _bias_per_tap(at: Circumstances) -> Answers:
    w = at.array("w")
    assert w is not None
    return _with_bias_changed(at, lambda b, y: along_filters(b, y.ndim) * (prod(w.shape[2:]) - 1))


@slip("y adds the bias of the first filter to every filter", *ALL)
def _first_bias(at: Circumstances) -> Answers:
    return _with_bias_changed(at, lambda b, y: along_filters(b[0] - b, y.ndim))


@slip(
    "y adds the bias of the first group to every group", *ALL, options=("groups",), resembles="robertknight/rten #1408"
)
def _bias_of_first_group(at: Circumstances) -> Answers:
    groups = at.option("groups")
    return _with_bias_changed(at, lambda b, y: along_filters(np.tile(b[: len(b) // groups], groups) - b, y.ndim))


@slip("y adds the bias with the number of the sample, not of the filter", *ALL, resembles="kraiskil/onnx2c #7")
def _bias_of_sample(at: Circumstances) -> Answers:
    def change(b: np.ndarray, y: np.ndarray) -> np.ndarray:
        own = np.resize(b, len(y)).reshape(-1, *[1] * (y.ndim - 1))
        return own - along_filters(b, y.ndim)

    return _with_bias_changed(at, change)


@slip("y adds the bias along the last axis, not along the filters", *ALL)
def _bias_along_last(at: Circumstances) -> Answers:
    if at.dy.shape[1] != at.dy.shape[-1]:
        return NOTHING
    return _with_bias_changed(at, lambda b, y: b - along_filters(b, y.ndim))


def bias_gradient(sentence: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Put a wrong sum over dy (N, F, windows) into the catalogue."""

    @slip(sentence, *ALL)
    def answers(at: Circumstances) -> Answers:
        if at.array("b") is None or not at.dy.size:
            return NOTHING
        return {"db": change(at.dy.astype(np.float64).reshape(*at.dy.shape[:2], -1))}


bias_gradient("db is the mean over the places of y, not their sum", lambda dy: dy.mean(2).sum(0))
bias_gradient("db holds what the last sample adds: = for +=", lambda dy: dy[-1].sum(1))
bias_gradient("db holds what the last place of y adds: = for +=", lambda dy: dy[..., -1].sum(0))
bias_gradient("db holds what the first place of y adds", lambda dy: dy[..., 0].sum(0))
bias_gradient("db sums over the filters, too", lambda dy: np.full(dy.shape[1], dy.sum()))


# -- shapes -----------------------------------------------------------------------------------------------------------


def cropped_to_nothing(output: str, *layers: str) -> None:
    """Put the crop ``[padding:-padding]`` into the catalogue, which is empty if the padding is 0."""

    @slip(f"{output} is cropped by [padding:-padding], which is empty if the padding is 0", *layers)
    def answers(at: Circumstances) -> Answers:
        if not windows.small(at):
            return NOTHING
        sum_ = sum_of(at)
        if all(axis.after for axis in sum_.axes):
            return NOTHING
        return {output: windows.cropped(at.true(output), [axis.n if axis.after else 0 for axis in sum_.axes])}


cropped_to_nothing("dx", *CONVOLUTIONS)
cropped_to_nothing("y", *TRANSPOSES)


@slip("dx lacks the places that the stride leaves over", *CONVOLUTIONS, options=("stride",))
def _leftovers_lacking(at: Circumstances) -> Answers:
    if not windows.small(at):
        return NOTHING
    axes = sum_of(at).axes
    if not any(axis.leftover for axis in axes):
        return NOTHING
    return {"dx": windows.cropped(at.true("dx"), [axis.n - axis.leftover for axis in axes])}


@slip("y has its size rounded up if the stride leaves places over", *CONVOLUTIONS, options=("stride",))
def _size_rounded_up(at: Circumstances) -> Answers:
    if not windows.small(at):
        return NOTHING
    sum_ = sum_of(at)
    axes = tuple(axis._replace(m=-(-axis.last_start // axis.s) + 1) for axis in sum_.axes)
    return NOTHING if axes == sum_.axes else {"y": replace(sum_, axes=axes, index=windows.index_of(axes)).answer("y")}


# -- the transpose ----------------------------------------------------------------------------------------------------


def _extra(sum_: Sum) -> list[int]:
    """Return the output padding of each axis."""
    return [a.n + a.before + a.after - ((a.m - 1) * a.s + (a.k - 1) * a.d + 1) for a in sum_.axes]


@changed("{output} puts the output padding before y, not after it", *TRANSPOSES, options=("output_padding",))
def _output_padding_before(sum_: Sum) -> Sum | None:
    extra = _extra(sum_)
    axes = tuple(axis._replace(before=axis.before - e) for axis, e in zip(sum_.axes, extra, strict=True))
    return replace(sum_, index=windows.index_of(axes)) if any(extra) else None


@changed(
    "{output} leaves out the places of the output padding",
    *TRANSPOSES,
    options=("output_padding",),
    resembles="llvm/torch-mlir #2026",
)
def _output_padding_empty(sum_: Sum) -> Sum | None:
    inside = np.ones(sum_.sizes, bool)
    for i, (axis, e) in enumerate(zip(sum_.axes, _extra(sum_), strict=True)):
        inside[(slice(None),) * i + (slice(axis.n - e, None),)] = False
    lost = np.append(~inside.ravel(), True)[sum_.index]
    return replace(sum_, index=np.where(lost, inside.size, sum_.index)) if not inside.all() else None


@changed("{output} pads the input, but the padding crops the output", *TRANSPOSES, resembles="Samsung/TICO #420")
def _input_padded(sum_: Sum) -> Sum | None:
    axes = tuple(axis._replace(before=-axis.before * axis.s) for axis in sum_.axes)
    return None if axes == sum_.axes else replace(sum_, index=windows.index_of(axes))


@slip("y repeats x between its places instead of inserting zeros", *TRANSPOSES, options=("stride",))
def _repeated(at: Circumstances) -> Answers:
    if not windows.small(at):
        return NOTHING
    sum_ = sum_of(at)
    if all(axis.s == 1 for axis in sum_.axes):
        return NOTHING
    dense = tuple(axis._replace(s=1, m=axis.m * axis.s) for axis in sum_.axes)
    x = sum_.x
    for i, axis in enumerate(sum_.axes):
        x = np.repeat(x, axis.s, axis=2 + i)
    return {"y": replace(sum_, axes=dense, index=windows.index_of(dense), x=x).answer("y")}
