"""Right variants of the activations, softmax and log_softmax."""

from __future__ import annotations

from functools import partial
from math import erf, erfc, pi, sqrt

import numpy as np

from tests.oracle.variants.variant import put, variant


def elementwise(function, slope):
    """Make a layer of a function and its slope, each of x and the value."""

    def layer(x, **options):
        y = np.asarray(function(x, **options)).astype(x.dtype)

        def pullback(dy):
            return (np.asarray(dy * slope(x, y, **options)).astype(x.dtype),)

        return y, pullback

    return layer


def each(function):
    """Make a function of arrays of one of numbers; it computes in float64."""
    return lambda x: np.vectorize(function, otypes=[np.float64])(x)


def sigmoid_by_sign(x):
    """Compute the sigmoid with an exponential that cannot overflow."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


def plain_sigmoid(x):
    """Compute the sigmoid as it is defined."""
    return 1 / (1 + np.exp(-x))


def exponential_over(x):
    """Compute exp(x) / (1 + exp(x)), and 1 where the exponential overflows."""
    e = np.exp(np.minimum(x, 80))
    return np.where(x > 80, 1, e / (1 + e))


put("identity", "a copy", lambda x: (x.copy(), lambda dy: (dy.copy(),)))
put("identity", "a product with 1", elementwise(lambda x: x * 1, lambda x, y: np.ones_like(x)))
put("identity", "x + 0", elementwise(lambda x: x + 0, lambda x, y: 1))

put("relu", "maximum", elementwise(lambda x: np.maximum(x, 0), lambda x, y: np.where(x > 0, 1, 0)))
put("relu", "where, slope 1 at 0", elementwise(lambda x: np.where(x < 0, 0, x), lambda x, y: np.where(x < 0, 0, 1)))
put(
    "relu",
    "half of the sum",
    elementwise(
        lambda x: np.where(np.isinf(x), np.maximum(x, 0), x / 2 + abs(x) / 2), lambda x, y: (1 + np.sign(x)) / 2
    ),
    "the half of a number near the smallest normal is subnormal and loses its last digit",
)
put("relu", "clip", elementwise(lambda x: np.clip(x, 0, None), lambda x, y: np.heaviside(x, 0.25)))

put(
    "leaky_relu",
    "where",
    elementwise(
        lambda x, negative_slope=0.01: np.where(x > 0, x, x.dtype.type(negative_slope) * x),
        lambda x, y, negative_slope=0.01: np.where(x > 0, 1, negative_slope),
    ),
)
put(
    "leaky_relu",
    "a factor",
    elementwise(
        lambda x, negative_slope=0.01: x * np.where(x < 0, x.dtype.type(negative_slope), 1),
        lambda x, y, negative_slope=0.01: np.where(x < 0, x.dtype.type(negative_slope), 1),
    ),
)
put(
    "leaky_relu",
    "two halves",
    elementwise(
        lambda x, negative_slope=0.01: np.where(
            np.isfinite(x),
            np.maximum(x, 0) + x.dtype.type(negative_slope) * np.minimum(x, 0),
            np.where(x < 0, negative_slope * x, x),
        ),
        lambda x, y, negative_slope=0.01: np.where(x >= 0, 1, negative_slope),
    ),
)

put(
    "elu",
    "expm1",
    elementwise(
        lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))),
        lambda x, y, alpha=1.0: np.where(x > 0, 1, alpha * np.exp(np.minimum(x, 0))),
    ),
)
put(
    "elu",
    "two halves",
    elementwise(
        lambda x, alpha=1.0: np.maximum(x, 0) + alpha * np.expm1(np.minimum(x, 0)),
        lambda x, y, alpha=1.0: np.where(x >= 0, 1, alpha * np.exp(np.minimum(x, 0))),
    ),
)
put(
    "elu",
    "the slope from the value",
    elementwise(
        lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))),
        lambda x, y, alpha=1.0: np.where(x > 0, 1, y + x.dtype.type(alpha)),
    ),
    "y + alpha cancels for x far below 0; the slope is alpha exp(x), a small number",
)
put(
    "elu",
    "sinh",
    elementwise(
        lambda x, alpha=1.0: np.where(
            x > 0,
            x,
            alpha
            * 2
            * np.exp(np.minimum(x, 0) / 2)
            * np.sinh(np.maximum(np.minimum(x, 0), -80) / 2)
            * np.where(x < -80, 0, 1)
            - np.where(x < -80, alpha, 0),
        ),
        lambda x, y, alpha=1.0: np.where(x > 0, 1, alpha * np.exp(np.minimum(x, 0))),
    ),
)

put("sigmoid", "by sign", elementwise(sigmoid_by_sign, lambda x, y: sigmoid_by_sign(x) * sigmoid_by_sign(-x)))
put("sigmoid", "as defined", elementwise(plain_sigmoid, lambda x, y: y * (1 - y)))
put("sigmoid", "exp(x) / (1 + exp(x))", elementwise(exponential_over, lambda x, y: y * (1 - y)))
put(
    "sigmoid",
    "exp of minus softplus",
    elementwise(lambda x: np.exp(-np.logaddexp(0, -x)), lambda x, y: sigmoid_by_sign(x) * sigmoid_by_sign(-x)),
    "the exponential multiplies the rounding of its argument, which is as large as |x|, with |x|",
)

put("tanh", "NumPy", elementwise(np.tanh, lambda x, y: 1 - y * y))
put(
    "tanh",
    "expm1",
    elementwise(
        lambda x: np.sign(x) * -np.expm1(-2 * abs(x)) / (1 + np.exp(-2 * abs(x))), lambda x, y: (1 - y) * (1 + y)
    ),
)
put("tanh", "cosh", elementwise(lambda x: np.tanh(x), lambda x, y: 1 / np.cosh(np.clip(x, -45, 45)) ** 2))
put("softplus", "logaddexp", elementwise(lambda x: np.logaddexp(x, x.dtype.type(0)), lambda x, y: sigmoid_by_sign(x)))
put(
    "softplus",
    "max and log1p",
    elementwise(lambda x: np.maximum(x, 0) + np.log1p(np.exp(-abs(x))), lambda x, y: plain_sigmoid(x)),
)
put(
    "softplus",
    "where",
    elementwise(lambda x: np.where(x > 40, x, np.log1p(np.exp(np.minimum(x, 40)))), lambda x, y: exponential_over(x)),
)
put(
    "softplus", "slope 1 - exp(-y)", elementwise(lambda x: np.logaddexp(x, x.dtype.type(0)), lambda x, y: -np.expm1(-y))
)

for _name, _sigmoid in (
    ("sigmoid by sign", sigmoid_by_sign),
    ("sigmoid as defined", plain_sigmoid),
    ("sigmoid by exp over", exponential_over),
):
    put(
        "silu",
        _name,
        elementwise(lambda x, s=_sigmoid: x * s(x), lambda x, y, s=_sigmoid: s(x) + x * s(x) * (1 - s(x))),
    )
put(
    "silu",
    "a quotient",
    elementwise(lambda x: x / (1 + np.exp(-x)), lambda x, y: sigmoid_by_sign(x) * (1 + x * sigmoid_by_sign(-x))),
)


def cube(x):
    """Return the argument of tanh in the approximation of gelu, and its slope."""
    a, b = x.dtype.type(sqrt(2 / pi)), x.dtype.type(0.044715)
    return a * (x + b * x * x * x), a * (1 + 3 * b * x * x)


def gelu_with(distribution, tanh, density=lambda x: np.exp(-0.5 * x * x) / x.dtype.type(sqrt(2 * pi))):
    """Make gelu of the normal distribution and a tanh."""

    def function(x, approximate="none"):
        if approximate == "none":
            return x * distribution(x)
        return 0.5 * x * (1 + tanh(cube(x)[0]))

    def slope(x, y, approximate="none"):
        if approximate == "none":
            return distribution(x) + x * density(x)
        inner, its = cube(x)
        t = tanh(inner)
        return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * its

    return elementwise(function, slope)


put("gelu", "erf", gelu_with(lambda x: 0.5 * (1 + each(erf)(x * x.dtype.type(sqrt(0.5))).astype(x.dtype)), np.tanh))
put(
    "gelu",
    "erfc",
    gelu_with(
        lambda x: 0.5 * each(erfc)(-x * x.dtype.type(sqrt(0.5))).astype(x.dtype),
        lambda v: 2 * sigmoid_by_sign(2 * v) - 1,
    ),
)
put(
    "gelu",
    "erf in float64",
    gelu_with(
        lambda x: (0.5 * (1 + each(erf)(x.astype(np.float64) * sqrt(0.5)))).astype(x.dtype),
        lambda v: np.tanh(v.astype(np.longdouble)).astype(v.dtype),
    ),
)
put(
    "gelu",
    "symmetric",
    gelu_with(
        lambda x: 0.5 + 0.5 * np.sign(x) * each(erf)(abs(x) * x.dtype.type(sqrt(0.5))).astype(x.dtype),
        lambda v: np.sign(v) * np.tanh(abs(v)),
    ),
)


# -- softmax: rows (R, K) ------------------------------------------------------------------------------------------------


def along(axis, x):
    """Return x with an axis last, as rows, and a function that puts rows back."""
    moved = np.moveaxis(x, axis, -1)

    def back(rows):
        return np.ascontiguousarray(np.moveaxis(rows.reshape(moved.shape), -1, axis))

    return moved.reshape(int(np.prod(moved.shape[:-1])), moved.shape[-1]), back


def two_passes(rows):
    """Return the largest and the sum of exp(x - largest) in two passes."""
    largest = rows.max(axis=1)
    return largest, np.exp(rows - largest[:, None]).sum(axis=1)


def online(rows):
    """Return the largest and the sum of exp(x - largest) in one pass, which rescales the sum whenever the largest grows."""
    largest, total = rows[:, 0].copy(), np.where(np.isfinite(rows[:, 0]), 1, np.exp(rows[:, 0] - rows[:, 0]))
    for i in range(1, rows.shape[1]):
        x = rows[:, i]
        new = np.where(np.isnan(x) | np.isnan(largest), np.nan, np.maximum(largest, x))
        before = np.where(largest == -np.inf, 0 if i else 1, total * np.exp(largest - new))
        total, largest = before + np.exp(x - new), new
    return largest, total.astype(rows.dtype)


def in_blocks(rows):
    """Return the largest and the sum of exp(x - largest), merged from blocks of 4."""
    parts = [two_passes(rows[:, start : start + 4]) for start in range(0, rows.shape[1], 4)]
    largest = np.maximum.reduce([m for m, _ in parts])
    nothing = np.where(largest == -np.inf, np.nan, 0)
    total = sum(np.where(m == -np.inf, nothing, s * np.exp(m - largest)) for m, s in parts)
    return largest, total.astype(rows.dtype)


def half_apart(rows):
    """Return twice the largest's half, and the sum of exp(x - largest) one by one."""
    largest = rows.max(axis=1)
    total = np.zeros(len(rows), rows.dtype)
    for i in range(rows.shape[1])[::-1]:
        total = total + np.exp(rows[:, i] - largest)
    return largest, total


def by_jacobian(y, d):
    """Multiply with the matrix diag(y) - y y^T of each row."""
    if y.shape[1] > 64:
        return y * d - y * (y * d).sum(axis=1, keepdims=True)
    matrix = np.einsum("rk,kl->rkl", y, np.eye(y.shape[1], dtype=y.dtype)) - y[:, :, None] * y[:, None, :]
    return np.einsum("rkl,rl->rk", matrix, d)


def by_difference(y, d):
    """Subtract the mean of dy under y."""
    return y * (d - np.einsum("rk,rk->r", y, d)[:, None])


def softmax_by(sums, gradient, x, *, axis=-1):
    """Divide exp(x - largest) by its sum."""
    rows, back = along(axis, x)
    largest, total = sums(rows) if rows.size else two_passes(rows)
    y = np.exp(rows - largest[:, None]) / total[:, None]
    return back(y), lambda dy: (back(gradient(y, along(axis, dy)[0])),)


def softmax_by_logarithm(x, *, axis=-1):
    """Take the exponential of x - logsumexp."""
    rows, back = along(axis, x)
    largest, total = two_passes(rows)
    y = np.exp((rows - largest[:, None]) - np.log(total)[:, None])
    return back(y), lambda dy: (back(by_difference(y, along(axis, dy)[0])),)


def softmax_base_2(x, *, axis=-1):
    """Use powers of 2 in place of exponentials."""
    rows, back = along(axis, x)
    powers = np.exp2((rows - rows.max(axis=1, keepdims=True)) * rows.dtype.type(np.log2(np.e)))
    y = powers / powers.sum(axis=1, keepdims=True)
    return back(y), lambda dy: (back(by_difference(y, along(axis, dy)[0])),)


def log_softmax_by(sums, order, x, *, axis=-1):
    """Subtract logsumexp, in one of two orders."""
    rows, back = along(axis, x)
    largest, total = sums(rows) if rows.size else two_passes(rows)
    y = order(rows, largest[:, None], np.log(total)[:, None])
    p = np.exp(rows - largest[:, None]) / total[:, None]

    def pullback(dy):
        d, _ = along(axis, dy)
        return (back(d - p * d.sum(axis=1, keepdims=True)),)

    return back(y), pullback


SUMS = {"two passes": two_passes, "online": online, "blocks merged": in_blocks, "from the end": half_apart}
for _name, _sums in SUMS.items():
    put("softmax", _name, partial(softmax_by, _sums, by_difference))
    put("log_softmax", _name, partial(log_softmax_by, _sums, lambda x, m, s: (x - m) - s))
put("softmax", "the Jacobian", partial(softmax_by, two_passes, by_jacobian))
put("softmax", "exp of log_softmax", softmax_by_logarithm)
put(
    "softmax",
    "powers of 2",
    softmax_base_2,
    "x log2(e) rounds twice more than x, and the power multiplies that with |x|",
)
put(
    "log_softmax",
    "logsumexp subtracted",
    partial(log_softmax_by, two_passes, lambda x, m, s: x - (m + s)),
    "the logarithm is lost in the sum with a large maximum, which the definition subtracts first",
)


@variant("log_softmax", "slope by exp of the value")
def log_softmax_and_its_exponential(x, *, axis=-1):
    """Take the exponential of the value in the pullback."""
    rows, back = along(axis, x)
    largest, total = two_passes(rows)
    y = (rows - largest[:, None]) - np.log(total)[:, None]

    def pullback(dy):
        d, _ = along(axis, dy)
        return (back(d - np.exp(y) * d.sum(axis=1, keepdims=True)),)

    return back(y), pullback
