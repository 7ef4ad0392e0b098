"""Slips of the elementwise activations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from oracle.cases import numpy_dtype
from oracle.slips.slip import NOTHING, Answers, Circumstances, slip

Function = Callable[[np.ndarray], np.ndarray]


def _x(at: Circumstances) -> np.ndarray:
    x = at.array("x")
    assert x is not None
    return x


def _own(at: Circumstances) -> np.ndarray:
    """Return x in the dtype of the case, so that what is computed from it overflows and rounds as in the target."""
    return _x(at).astype(numpy_dtype(at.case.dtype))


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(-np.logaddexp(0.0, -x)))


def _erf(x: np.ndarray) -> np.ndarray:
    from scipy import special

    return np.asarray(special.erf(x))


def _value(sentence: str, layer: str, f: Callable[[np.ndarray, Circumstances], np.ndarray], **more: Any) -> None:
    """Put a slip of y into the catalogue: y = f(x)."""

    @slip(sentence, layer, **more)
    def _one(at: Circumstances) -> Answers:
        return {"y": np.asarray(f(_x(at), at), np.float64)}


def _slope(sentence: str, layer: str, f: Callable[[np.ndarray, Circumstances], np.ndarray], **more: Any) -> None:
    """Put a slip of dx into the catalogue: dx = dy f(x)."""

    @slip(sentence, layer, **more)
    def _one(at: Circumstances) -> Answers:
        return {"dx": at.dy.astype(np.float64) * np.asarray(f(_x(at), at), np.float64)}


def _both(sentence: str, layer: str, f: Function, slope: Function, **more: Any) -> None:
    """Put a slip of y into the catalogue whose dx is right for that y."""

    @slip(sentence, layer, **more)
    def _one(at: Circumstances) -> Answers:
        x = _x(at)
        return {"y": f(x), "dx": at.dy.astype(np.float64) * slope(x)}


# -- relu -------------------------------------------------------------------------------------------------------------


@slip("dx passes dy if dy is positive; it must look at x", "relu")
def _relu_sign_of_dy(at: Circumstances) -> Answers:
    return {"dx": np.maximum(at.dy.astype(np.float64), 0.0)}


@slip("dx passes dy only if dy is positive too, as in guided backpropagation", "relu")
def _relu_guided(at: Circumstances) -> Answers:
    return {"dx": np.where(_x(at) > 0, np.maximum(at.dy.astype(np.float64), 0.0), 0.0)}


_slope("dx is dy everywhere: the mask is forgotten", "relu", lambda x, at: np.ones(x.shape))
_slope("dx passes dy if x is negative: the mask is reversed", "relu", lambda x, at: x < 0)
_slope("dx is multiplied by y; it must be multiplied by 1 if y is positive", "relu", lambda x, at: np.maximum(x, 0.0))
_slope("dx passes dy only if x is greater than 1", "relu", lambda x, at: x > 1)
_slope("dx passes dy for small negative x too, down to -1", "relu", lambda x, at: x > -1)
_both("y is cut off at 6, as in relu6", "relu", lambda x: np.clip(x, 0, 6), lambda x: (x > 0) & (x < 6))
_both("y is cut off at 1", "relu", lambda x: np.clip(x, 0, 1), lambda x: (x > 0) & (x < 1))
_both("y is the absolute value of x", "relu", np.abs, np.sign)
_both("y is 0 up to x = 1", "relu", lambda x: np.where(x > 1, x, 0.0), lambda x: x > 1)


# -- leaky_relu -------------------------------------------------------------------------------------------------------


def _negative(at: Circumstances) -> float:
    return float(at.option("negative_slope"))


_value("the slope is applied to the positive side", "leaky_relu", lambda x, at: np.where(x > 0, _negative(at) * x, x))
_slope("dx has the slope on the positive side", "leaky_relu", lambda x, at: np.where(x > 0, _negative(at), 1.0))
_slope("dx is that of relu: 0 on the negative side", "leaky_relu", lambda x, at: x > 0)
_slope("dx is dy on both sides: the slope is forgotten", "leaky_relu", lambda x, at: np.ones(x.shape))
_slope("dx has the square of the slope", "leaky_relu", lambda x, at: np.where(x > 0, 1.0, _negative(at) ** 2))
_slope("dx is divided by the slope", "leaky_relu", lambda x, at: np.where(x > 0, 1.0, 1 / np.float64(_negative(at))))
_value(
    "y is the larger of x and slope * x, which is wrong for a slope above 1",
    "leaky_relu",
    lambda x, at: np.maximum(x, _negative(at) * x),
    resembles="tensorflow/tensorflow #24566",
)
_value("y is relu(x) - slope * x", "leaky_relu", lambda x, at: np.maximum(x, 0.0) - _negative(at) * x)


@slip("dx has the slope if dy is negative; it must look at x", "leaky_relu")
def _leaky_sign_of_dy(at: Circumstances) -> Answers:
    dy = at.dy.astype(np.float64)
    return {"dx": np.where(dy > 0, dy, _negative(at) * dy)}


def _other_slope(slope: float) -> None:
    @slip(f"the default of negative_slope is {slope}", "leaky_relu")
    def _one(at: Circumstances) -> Answers:
        if "negative_slope" in at.case.configuration:
            return NOTHING
        x = _x(at)
        return {"y": np.where(x > 0, x, slope * x), "dx": at.dy * np.where(x > 0, 1.0, slope)}


for _default in (0.1, 0.2, 0.3):
    _other_slope(_default)


# -- elu --------------------------------------------------------------------------------------------------------------


def _alpha(at: Circumstances) -> float:
    return float(at.option("alpha"))


def _exp(x: np.ndarray) -> np.ndarray:
    """Return exp(x) on the negative side and 1 on the other."""
    return np.asarray(np.exp(np.minimum(x, 0.0)))


def _sides(x: np.ndarray, negative: Any, positive: Any) -> np.ndarray:
    return np.where(x > 0, positive, negative)


_slope("dx lacks the factor alpha on the negative side", "elu", lambda x, at: _sides(x, _exp(x), 1.0))
_slope(
    "dx has y + 1 on the negative side; it must be y + alpha",
    "elu",
    lambda x, at: _sides(x, _alpha(at) * np.expm1(np.minimum(x, 0.0)) + 1, 1.0),
)
_slope("dx has y on the negative side; it must be y + alpha", "elu", lambda x, at: _sides(x, at.true("y"), 1.0))
_slope(
    "dx has alpha on the negative side: the exponential is forgotten", "elu", lambda x, at: _sides(x, _alpha(at), 1.0)
)
_slope("dx is dy everywhere", "elu", lambda x, at: np.ones(x.shape))
_slope("dx is that of relu: 0 on the negative side", "elu", lambda x, at: x > 0)
_slope("dx has the factor alpha on the positive side too", "elu", lambda x, at: _alpha(at) * _exp(x))
_slope(
    "dx adds both sides times their masks: infinity times 0 is NaN for large x",
    "elu",
    lambda x, at: (_own(at) > 0) + (_own(at) <= 0) * np.exp(_own(at)) * _alpha(at),
)
_value("y has the factor alpha on the positive side too", "elu", lambda x, at: _alpha(at) * _sides(x, np.expm1(x), x))
_value(
    "y is alpha exp(x) on the negative side: 1 is not subtracted",
    "elu",
    lambda x, at: _sides(x, _alpha(at) * _exp(x), x),
)
_value("y is alpha exp(x) - 1 on the negative side", "elu", lambda x, at: _sides(x, _alpha(at) * _exp(x) - 1, x))
_value(
    "y divides x by alpha in the exponential, as in celu",
    "elu",
    lambda x, at: _sides(x, _alpha(at) * np.expm1(np.minimum(x, 0.0) / _alpha(at)), x),
)
_value(
    "y subtracts 1 from exp(x), which cancels near 0",
    "elu",
    lambda x, at: _sides(x, ((np.exp(_own(at)) - np.ones((), _own(at).dtype)) * _alpha(at)).astype(np.float64), x),
)
_value(
    "y adds both sides times their masks: infinity times 0 is NaN for large x",
    "elu",
    lambda x, at: (_own(at) > 0) * _own(at) + (_own(at) <= 0) * np.expm1(_own(at)) * _alpha(at),
)


# -- gelu -------------------------------------------------------------------------------------------------------------

CUBIC, ROOT = 0.044715, np.sqrt(2 / np.pi)


def _density(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(-x * x / 2) / np.sqrt(2 * np.pi))


def _distribution(x: np.ndarray) -> np.ndarray:
    return (1 + _erf(x / np.sqrt(2))) / 2


def _tanh_gelu(x: np.ndarray, root: float = ROOT, cubic: float = CUBIC) -> np.ndarray:
    return np.asarray(x / 2 * (1 + np.tanh(root * (x + cubic * x**3))))


def _tanh_slope(x: np.ndarray, inner: float = 3 * CUBIC) -> np.ndarray:
    t = np.tanh(ROOT * (x + CUBIC * x**3))
    steep = 1 - t * t
    return np.asarray((1 + t) / 2 + np.where(steep == 0, 0.0, x / 2 * steep * ROOT * (1 + inner * x * x)))


def _exact_slope(x: np.ndarray) -> np.ndarray:
    return _distribution(x) + x * _density(x)


def _gelu(
    sentence: str, approximate: str, *, y: Function | None = None, slope: Function | None = None, resembles: str = ""
) -> None:
    """Put a slip of one of the two forms into the catalogue."""

    @slip(sentence, "gelu", resembles=resembles)
    def _one(at: Circumstances) -> Answers:
        if at.option("approximate") != approximate:
            return NOTHING
        x, answers = _x(at), {}
        if y is not None:
            answers["y"] = y(x)
        if slope is not None:
            answers["dx"] = at.dy.astype(np.float64) * slope(x)
        return answers


_gelu("the approximation by tanh is computed; the exact form was asked for", "none", y=_tanh_gelu, slope=_tanh_slope)
_gelu("dx is that of the approximation by tanh, but y is exact", "none", slope=_tanh_slope)
_gelu("dx is that of the exact form, but y is the approximation by tanh", "tanh", slope=_exact_slope)
_gelu(
    "y is x sigmoid(1.702 x), another approximation",
    "none",
    y=lambda x: x * _sigmoid(1.702 * x),
    slope=lambda x: _sigmoid(1.702 * x) * (1 + 1.702 * x * _sigmoid(-1.702 * x)),
)
_gelu("y takes erf of x, not of x / sqrt(2)", "none", y=lambda x: x / 2 * (1 + _erf(x)))
_gelu("y lacks the factor 1/2", "none", y=lambda x: x * (1 + _erf(x / np.sqrt(2))))
_gelu("y is x times the density, not x times the distribution", "none", y=lambda x: x * _density(x))
_gelu("dx lacks x times the density", "none", slope=_distribution)
_gelu("dx lacks the factor x before the density", "none", slope=lambda x: _distribution(x) + _density(x))
_gelu("dx lacks the distribution", "none", slope=lambda x: x * _density(x))
_gelu(
    "dx lacks the factor 1 / sqrt(2 pi) of the density",
    "none",
    slope=lambda x: _distribution(x) + x * np.exp(-x * x / 2),
)
_gelu(
    "dx has exp(-x^2) in the density; it must be exp(-x^2 / 2)",
    "none",
    slope=lambda x: _distribution(x) + x * np.exp(-x * x) / np.sqrt(2 * np.pi),
)
_gelu("y has the constant 0.044 in the approximation by tanh", "tanh", y=lambda x: _tanh_gelu(x, cubic=0.044))
_gelu("y has 2 / pi in the approximation by tanh, not its root", "tanh", y=lambda x: _tanh_gelu(x, root=2 / np.pi))
_gelu(
    "y has the square of x in the approximation by tanh, not the cube",
    "tanh",
    y=lambda x: x / 2 * (1 + np.tanh(ROOT * (x + CUBIC * x * x))),
)
_gelu("dx of the approximation by tanh forgets the cube", "tanh", slope=lambda x: _tanh_slope(x, 0.0))
_gelu("dx of the approximation by tanh lacks the factor 3 of the cube", "tanh", slope=lambda x: _tanh_slope(x, CUBIC))
_gelu(
    "dx of the approximation by tanh lacks the derivative of tanh",
    "tanh",
    slope=lambda x: _tanh_gelu(x) / np.where(x == 0, 1.0, x),
)


# -- silu, sigmoid, tanh, softplus ------------------------------------------------------------------------------------

_slope("dx lacks x times the derivative of the sigmoid", "silu", lambda x, at: _sigmoid(x))
_slope("dx is that of the sigmoid", "silu", lambda x, at: _sigmoid(x) * _sigmoid(-x))
_slope("dx lacks the sigmoid itself", "silu", lambda x, at: x * _sigmoid(x) * _sigmoid(-x))
_slope("dx lacks the factor x", "silu", lambda x, at: _sigmoid(x) * (1 + _sigmoid(-x)))
_slope("dx is y + sigmoid(x): the last factor, 1 - y, is forgotten", "silu", lambda x, at: at.true("y") + _sigmoid(x))
_value("y is the sigmoid: the factor x is forgotten", "silu", lambda x, at: _sigmoid(x))
_value("y is x sigmoid(-x)", "silu", lambda x, at: x * _sigmoid(-x))


def _by_exp(sentence: str, layer: str, output: str, f: Function, resembles: str = "") -> None:
    """Put a formula into the catalogue that overflows in the dtype of the case."""

    @slip(sentence, layer, resembles=resembles)
    def _one(at: Circumstances) -> Answers:
        answer = np.asarray(f(_own(at))).astype(np.float64)
        return {output: answer if output == "y" else at.dy.astype(np.float64) * answer}


_by_exp(
    "y is x exp(x) / (1 + exp(x)): infinity over infinity for large x",
    "silu",
    "y",
    lambda x: x * np.exp(x) / (1 + np.exp(x)),
)
_by_exp(
    "dx uses exp(-x) / (1 + exp(-x))^2: infinity over infinity for x far below 0",
    "silu",
    "dx",
    lambda x: 1 / (1 + np.exp(-x)) + x * np.exp(-x) / (1 + np.exp(-x)) ** 2,
)
_by_exp(
    "y is exp(x) / (1 + exp(x)): infinity over infinity for large x",
    "sigmoid",
    "y",
    lambda x: np.exp(x) / (1 + np.exp(x)),
)
_by_exp(
    "dx is exp(-x) / (1 + exp(-x))^2: infinity over infinity for x far below 0",
    "sigmoid",
    "dx",
    lambda x: np.exp(-x) / (1 + np.exp(-x)) ** 2,
)
_slope("dx is x (1 - x): the derivative is written for y", "sigmoid", lambda x, at: x * (1 - x))
_slope("dx is y: the factor 1 - y is forgotten", "sigmoid", lambda x, at: at.true("y"))
_slope("dx is 1 - y: the factor y is forgotten", "sigmoid", lambda x, at: 1 - at.true("y"))
_slope("dx is 1 - y^2, as for tanh", "sigmoid", lambda x, at: 1 - at.true("y") ** 2)
_both("y is 1 / (1 + exp(x))", "sigmoid", lambda x: _sigmoid(-x), lambda x: -_sigmoid(x) * _sigmoid(-x))
_both(
    "y is a straight line cut off at 0 and 1",
    "sigmoid",
    lambda x: np.clip(0.2 * x + 0.5, 0, 1),
    lambda x: 0.2 * (np.abs(x) < 2.5),
)
_both(
    "y is (1 + tanh(x)) / 2; it must be tanh of x / 2",
    "sigmoid",
    lambda x: _sigmoid(2 * x),
    lambda x: 2 * _sigmoid(2 * x) * _sigmoid(-2 * x),
)

_slope("dx is 1 - y: y is not squared", "tanh", lambda x, at: 1 - at.true("y"))
_slope("dx is 1 - x^2: the derivative is written for y", "tanh", lambda x, at: 1 - x * x)
_slope("dx is y (1 - y), as for the sigmoid", "tanh", lambda x, at: at.true("y") * (1 - at.true("y")))
_slope("dx is 1 + y^2", "tanh", lambda x, at: 1 + at.true("y") ** 2)
_slope("dx is y^2", "tanh", lambda x, at: at.true("y") ** 2)
_by_exp(
    "y is a quotient of exp(x) and exp(-x): infinity over infinity for large x",
    "tanh",
    "y",
    lambda x: (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x)),
)
_both(
    "y is 2 sigmoid(x) - 1; it must be the sigmoid of 2 x",
    "tanh",
    lambda x: np.tanh(x / 2),
    lambda x: (1 - np.tanh(x / 2) ** 2) / 2,
)
_both("y is x cut off at -1 and 1", "tanh", lambda x: np.clip(x, -1, 1), lambda x: np.abs(x) < 1)
_by_exp("y is 2 sigmoid(2 x) - 1, which cancels near 0", "tanh", "y", lambda x: 2 / (1 + np.exp(-2 * x)) - 1)

_by_exp(
    "y is log(1 + exp(x)): infinite for large x",
    "softplus",
    "y",
    lambda x: np.log(1 + np.exp(x)),
    resembles="tracel-ai/burn #5373",
)
_by_exp(
    "dx is exp(x) / (1 + exp(x)): infinity over infinity for large x",
    "softplus",
    "dx",
    lambda x: np.exp(x) / (1 + np.exp(x)),
)
_by_exp(
    "y loses exp(-|x|) beside 1: log of the sum in place of log1p",
    "softplus",
    "y",
    lambda x: np.maximum(x, 0) + np.log(1 + np.exp(-np.abs(x))),
)
_slope("dx is sigmoid(-x)", "softplus", lambda x, at: _sigmoid(-x))
_slope("dx is the derivative of the sigmoid", "softplus", lambda x, at: _sigmoid(x) * _sigmoid(-x))
_slope("dx is 1 if x is positive, as for relu", "softplus", lambda x, at: x > 0)
_value("y is log(1 + exp(-x))", "softplus", lambda x, at: np.logaddexp(0.0, -x))
_value(
    "y is log(1 + exp(-|x|)): the part x of the positive side is forgotten",
    "softplus",
    lambda x, at: np.logaddexp(0.0, -np.abs(x)),
)
_value("y is the logarithm to the base 2", "softplus", lambda x, at: np.logaddexp(0.0, x) / np.log(2))
