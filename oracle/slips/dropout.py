"""Slips of dropout with a given mask."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from oracle.slips.slip import Answers, Circumstances, slip


def _dropout(
    sentence: str,
    *,
    y: Callable[[np.ndarray, float], np.ndarray] | None = None,
    dx: Callable[[np.ndarray, float], np.ndarray] | None = None,
    resembles: str = "",
) -> None:
    """Multiply x by another factor in y, and dy by another factor in dx."""

    @slip(sentence, "dropout", resembles=resembles)
    def _one(at: Circumstances) -> Answers:
        x, mask = at.array("x"), at.array("mask")
        assert x is not None and mask is not None
        p, answers = np.float64(at.option("p")), {}
        if y is not None:
            answers["y"] = x * y(mask, p)
        if dx is not None:
            answers["dx"] = at.dy.astype(np.float64) * dx(mask, p)
        return answers


def _dropout_both(sentence: str, factor: Callable[[np.ndarray, float], np.ndarray], resembles: str = "") -> None:
    _dropout(sentence, y=factor, dx=factor, resembles=resembles)


_dropout_both("nothing is divided by 1 - p", lambda mask, p: mask)
_dropout_both("x is divided by p; it must be divided by 1 - p", lambda mask, p: mask / p, "lmjohns3/theanets #123")
_dropout_both("x is multiplied by 1 - p; it must be divided by it", lambda mask, p: mask * (1 - p))
_dropout_both("x is divided by 1 - p twice", lambda mask, p: mask / (1 - p) ** 2, "CSTR-Edinburgh/mlpractical #32")
_dropout_both("the mask is reversed: what it keeps is dropped", lambda mask, p: (1 - mask) / (1 - p))
_dropout_both(
    "x is divided by the share that the mask keeps, not by 1 - p", lambda mask, p: mask / (mask.sum() / mask.size)
)
_dropout("dx is not masked", dx=lambda mask, p: np.ones_like(mask) / (1 - p))
_dropout("dx is neither masked nor divided by 1 - p", dx=lambda mask, p: np.ones_like(mask))
_dropout("dx is not divided by 1 - p, but y is", dx=lambda mask, p: mask)
_dropout("dx is divided by 1 - p twice, but y is divided once", dx=lambda mask, p: mask / (1 - p) ** 2)
_dropout("dx is masked by what y drops", dx=lambda mask, p: (1 - mask) / (1 - p))
_dropout("dx is divided by p", dx=lambda mask, p: mask / p)
_dropout("y is not divided by 1 - p, but dx is", y=lambda mask, p: mask)
_dropout("y is not masked", y=lambda mask, p: np.ones_like(mask) / (1 - p))


@slip("dx takes an element for dropped if y is 0, which is wrong if x is 0", "dropout")
def _dropped_if_zero(at: Circumstances) -> Answers:
    return {"dx": np.where(at.true("y") == 0, 0.0, at.dy / np.float64(1 - at.option("p")))}


@slip("dx finds the mask as y / x, and takes 1 if x is 0", "dropout", resembles="kaldi-asr/kaldi #3890")
def _mask_from_quotient(at: Circumstances) -> Answers:
    x = at.array("x")
    return {"dx": at.dy.astype(np.float64) * np.where(x == 0, 1.0, at.true("y") / x)}
