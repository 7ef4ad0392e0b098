"""Slips of the layers that move elements: add, flatten and pad."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np

from oracle.layers.places import combine, edges
from oracle.slips import windows
from oracle.slips.slip import NOTHING, Answers, Circumstances, slip

# -- add --------------------------------------------------------------------------------------------------------------


def _stretched(shape: tuple[int, ...], goal: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the axes of the sum that a shape lacks, and those that it has with the length 1."""
    ahead = len(goal) - len(shape)
    ones = tuple(a for a in range(ahead, len(goal)) if shape[a - ahead] == 1 != goal[a])
    return tuple(range(ahead)), ones


def unreduced(
    sentence: str, change: Callable[[np.ndarray, tuple[int, ...], tuple[int, ...]], np.ndarray], resembles: str = ""
) -> None:
    """Put a wrong reduction of dy over the axes that were broadcast into the catalogue."""
    for name in ("x", "y"):

        @slip(sentence.format(gradient="d" + name, name=name), "add", resembles=resembles)
        def answers(at: Circumstances, name: str = name) -> Answers:
            array = at.array(name)
            assert array is not None
            if not windows.small(at) or array.shape == at.dy.shape:
                return NOTHING
            lacking, ones = _stretched(array.shape, at.dy.shape)
            return {"d" + name: np.asarray(change(at.dy.astype(np.float64), lacking, ones))}


unreduced(
    "{gradient} is not summed over the axes along which {name} was broadcast",
    lambda dy, lacking, ones: dy,
    "deeplearning4j/nd4j #2424",
)
unreduced(
    "{gradient} is not summed over the axes of length 1 along which {name} was broadcast",
    lambda dy, lacking, ones: dy.sum(lacking),
)
unreduced(
    "{gradient} is the mean over the axes along which {name} was broadcast, not the sum",
    lambda dy, lacking, ones: dy.mean(ones, keepdims=True).mean(lacking),
)
unreduced(
    "{gradient} loses the axes of length 1 along which {name} was broadcast",
    lambda dy, lacking, ones: dy.sum((*lacking, *ones)),
)
unreduced(
    "{gradient} takes the first element along the axes along which {name} was broadcast",
    lambda dy, lacking, ones: dy[tuple(0 if a in lacking else slice(1 if a in ones else None) for a in range(dy.ndim))],
)
unreduced(
    "{gradient} takes the last element along the axes along which {name} was broadcast: = for +=",
    lambda dy, lacking, ones: dy[
        tuple(-1 if a in lacking else slice(-1 if a in ones else None, None) for a in range(dy.ndim))
    ],
)


@slip("y holds x: the other array is not added", "add")
def _not_added(at: Circumstances) -> Answers:
    x = at.array("x")
    assert x is not None
    return {"y": np.broadcast_to(x, at.dy.shape)}


@slip("y multiplies the arrays", "add")
def _multiplied(at: Circumstances) -> Answers:
    x, y = at.array("x"), at.array("y")
    assert x is not None and y is not None
    return {"y": np.asarray(x * y)}


@slip("y subtracts the second array", "add")
def _subtracted(at: Circumstances) -> Answers:
    x, y = at.array("x"), at.array("y")
    assert x is not None and y is not None
    return {"y": np.asarray(x - y)}


# -- flatten ----------------------------------------------------------------------------------------------------------


def reordered(sentence: str, axes: Callable[[int], tuple[int, ...]], resembles: str = "") -> None:
    """Put a wrong order of the elements of a sample into the catalogue: ``axes`` is the order in which they are read."""

    @slip(f"y {sentence}", "flatten", resembles=resembles)
    def of_y(at: Circumstances) -> Answers:
        x = at.array("x")
        assert x is not None
        return {"y": x.transpose(axes(x.ndim)).reshape(at.dy.shape)} if windows.small(at) else NOTHING

    @slip(f"dx {sentence}", "flatten", resembles=resembles)
    def of_dx(at: Circumstances) -> Answers:
        if not windows.small(at):
            return NOTHING
        shape = at.true("dx").shape
        order = axes(len(shape))
        read = at.dy.astype(np.float64).reshape([shape[a] for a in order])
        return {"dx": read.transpose(np.argsort(order))}


reordered("is in the order of Fortran within a sample", lambda n: (0, *range(n - 1, 0, -1)))
reordered("has the channels last", lambda n: (0, *range(2, n), *range(1, min(2, n))), "keras-team/keras #9696")


@slip("y is flattened over the samples, too", "flatten")
def _samples_flattened(at: Circumstances) -> Answers:
    return {"y": at.true("y").reshape(-1)}


@slip("y mixes the samples: the whole array is in the order of Fortran", "flatten")
def _samples_mixed(at: Circumstances) -> Answers:
    x = at.array("x")
    assert x is not None
    return {"y": x.ravel(order="F").reshape(at.dy.shape)} if windows.small(at) else NOTHING


@slip("dx mixes the samples: the whole array is in the order of Fortran", "flatten")
def _samples_of_gradient_mixed(at: Circumstances) -> Answers:
    dx = at.dy.astype(np.float64).ravel(order="F").reshape(at.true("dx").shape)
    return {"dx": dx} if windows.small(at) else NOTHING


@slip("dx keeps the shape of y", "flatten")
def _not_unflattened(at: Circumstances) -> Answers:
    return {"dx": at.dy.astype(np.float64)}


@slip("y keeps the first axis of the features: only the later ones are flattened", "flatten")
def _later_axes_only(at: Circumstances) -> Answers:
    x = at.array("x")
    assert x is not None
    return {"y": x.reshape(*x.shape[:2], -1)} if x.ndim > 2 and x.size else NOTHING


# -- pad --------------------------------------------------------------------------------------------------------------

Place = Callable[[int, int], int]  # from a place, which may be outside, and the size of the axis to a place of x
RIGHT: dict[str, Place] = {
    "constant": lambda place, n: place if 0 <= place < n else -1,
    "reflect": lambda place, n: -place if place < 0 else 2 * (n - 1) - place if place >= n else place,
    "replicate": lambda place, n: min(max(place, 0), n - 1),
    "circular": lambda place, n: place % n,
}


def _padding(at: Circumstances) -> list[tuple[int, int]]:
    rank = at.dy.ndim - 2
    return edges(at.option("padding"), (1,) * rank, (1,) * rank)


def padded_from(
    at: Circumstances, befores: Sequence[int], place: Place, sizes: Sequence[int] | None = None
) -> np.ndarray:
    """Return the place of x that each element of y comes from, (elements of y, 1)."""
    shape = at.true("dx").shape[2:]
    axes = []
    for n, m, before in zip(shape, at.dy.shape[2:] if sizes is None else sizes, befores, strict=True):
        places = np.array([place(o - before, n) for o in range(m)])[:, None]
        axes.append((places, (places >= 0) & (places < n)))
    return combine(axes, shape)


def _value(at: Circumstances, index: np.ndarray) -> np.ndarray:
    x = at.array("x")
    assert x is not None
    return windows.gather(x, index[:, 0], 0.0).reshape(at.dy.shape)


def _gradient(at: Circumstances, index: np.ndarray) -> np.ndarray:
    parts = at.dy.astype(np.float64).reshape(*at.dy.shape[:2], -1, 1)
    return windows.scatter(parts, index, at.true("dx").shape[2:])


def placed(sentence: str, index: Callable[[Circumstances], np.ndarray | None]) -> None:
    """Put a wrong place of the elements into the catalogue, once for y and once for dx."""
    for output, compute in (("y", _value), ("dx", _gradient)):

        @slip(sentence.format(output=output), "pad")
        def answers(
            at: Circumstances,
            output: str = output,
            compute: Callable[[Circumstances, np.ndarray], np.ndarray] = compute,
        ) -> Answers:
            found = index(at) if windows.small(at) else None
            return NOTHING if found is None else {output: compute(at, found)}


def _exchanged(values: list[int]) -> list[int]:
    return [*values[:-2], *values[:-3:-1]]


placed(
    "{output} puts the padding of one side on the other",
    lambda at: padded_from(at, [after for _, after in _padding(at)], RIGHT[at.option("mode")]),
)
placed(
    "{output} exchanges the paddings of height and width",
    lambda at: padded_from(at, _exchanged([before for before, _ in _padding(at)]), RIGHT[at.option("mode")]),
)
placed(
    "{output} has all the padding after x",
    lambda at: padded_from(at, [0 for _ in _padding(at)], RIGHT[at.option("mode")]),
)
placed(
    "{output} has all the padding before x",
    lambda at: padded_from(at, [before + after for before, after in _padding(at)], RIGHT[at.option("mode")]),
)


def continued(sentence: str, mode: str, place: Place) -> None:
    """Put a wrong continuation of x, in one mode, into the catalogue."""

    def index(at: Circumstances) -> np.ndarray | None:
        return padded_from(at, [before for before, _ in _padding(at)], place) if at.option("mode") == mode else None

    placed(sentence, index)


continued(
    "{output} reflects with the border twice",
    "reflect",
    lambda place, n: -place - 1 if place < 0 else 2 * n - 1 - place if place >= n else place,
)
continued("{output} repeats the nearest element where it must reflect", "reflect", RIGHT["replicate"])
continued("{output} takes a negative place from the end where it must reflect", "reflect", RIGHT["circular"])
continued("{output} reflects where it must repeat the nearest element", "replicate", lambda place, n: abs(place) % n)
continued("{output} pads with zeros where it must repeat the nearest element", "replicate", RIGHT["constant"])
continued("{output} pads with zeros where it must continue x periodically", "circular", RIGHT["constant"])
continued("{output} repeats the nearest element where it must continue x periodically", "circular", RIGHT["replicate"])
continued(
    "{output} continues x periodically in the wrong direction",
    "circular",
    lambda place, n: (-place - 1) % n if place < 0 else (n - 1 - place % n) if place >= n else place,
)
continued("{output} pads with the nearest element where it must pad with zeros", "constant", RIGHT["replicate"])
continued("{output} takes a negative place from the end where it must pad with zeros", "constant", RIGHT["circular"])


def _true_index(at: Circumstances) -> np.ndarray:
    return padded_from(at, [before for before, _ in _padding(at)], RIGHT[at.option("mode")])


@slip("dx is only cropped: the gradients of the copies in the padding are lost", "pad", options=("mode",))
def _cropped_only(at: Circumstances) -> Answers:
    if at.option("mode") == "constant" or not windows.small(at):
        return NOTHING
    return {"dx": _gradient(at, padded_from(at, [before for before, _ in _padding(at)], RIGHT["constant"]))}


@slip(
    "dx is written with = where several elements of y come from one of x, and must be added", "pad", options=("mode",)
)
def _overwritten(at: Circumstances) -> Answers:
    if at.option("mode") == "constant" or not windows.small(at):
        return NOTHING
    parts = at.dy.astype(np.float64).reshape(*at.dy.shape[:2], -1, 1)
    return {"dx": windows.assign(parts, _true_index(at), at.true("dx").shape[2:])}


@slip("dx is the mean of the elements of y that come from one of x", "pad", options=("mode",))
def _mean_of_copies(at: Circumstances) -> Answers:
    if at.option("mode") == "constant" or not windows.small(at):
        return NOTHING
    sizes = at.true("dx").shape[2:]
    copies = np.bincount(_true_index(at).ravel(), minlength=prod(sizes) + 1)[:-1].reshape(sizes)
    return {"dx": at.true("dx") / np.maximum(1, copies)}


@slip("dx is cropped by [before:-after], which is empty if a side has no padding", "pad")
def _cropped_to_nothing(at: Circumstances) -> Answers:
    empty = [after == 0 for _, after in _padding(at)]
    if not any(empty) or not windows.small(at):
        return NOTHING
    return {"dx": at.true("dx")[(..., *(slice(0, 0) if none else slice(None) for none in empty))]}


@slip("dx keeps the padding", "pad")
def _not_cropped(at: Circumstances) -> Answers:
    return {"dx": at.dy.astype(np.float64)} if windows.small(at) else NOTHING


@slip("y pads the channels, too", "pad")
def _channels_padded(at: Circumstances) -> Answers:
    if not windows.small(at):
        return NOTHING
    return {"y": np.pad(at.true("y"), ((0, 0), _padding(at)[0], *((0, 0),) * (at.dy.ndim - 2)))}
