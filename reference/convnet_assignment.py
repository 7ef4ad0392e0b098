"""Restate the claims of document 004, "Convolutional neural networks" (an assignment of CS231n explained).

The document explains naive convolution and pooling, a three-layer convnet with its loss, spatial batch normalisation and
group normalisation.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from reference.claim import Claim, LayerFunction, constant, gradient, one, require, value

Array = Any


# -- 1 to 3 convolution and pooling -----------------------------------------------------------------------------------


def size_formula(x: Array, w: Array, stride: int = 1, padding: int = 0) -> Array:
    """Return the shape with (W - F + 2 P) / S + 1, not rounded."""
    return (x[0], w[0], *((n - k + 2 * padding) / stride + 1 for n, k in zip(x[2:], w[2:], strict=True)))


def size_floor(x: Array, w: Array, stride: int = 1, padding: int = 0) -> Array:
    """Return the same shape, rounded down, as in the document's code."""
    return (x[0], w[0], *(1 + (n + 2 * padding - k) // stride for n, k in zip(x[2:], w[2:], strict=True)))


def same_size(x: Array, w: Array, stride: int = 1, padding: int = 0) -> Array:
    """Return the shape that the document states: the size of the input."""
    return (x[0], w[0], *x[2:])


def pool_size_formula(x: Array, kernel_size: int, stride: int) -> Array:
    """Return the shape with 1 + (H - pool) / stride, not rounded."""
    return (*x[:2], *(1 + (n - kernel_size) / stride for n in x[2:]))


def pool_size_floor(x: Array, kernel_size: int, stride: int) -> Array:
    """Return the same shape, rounded down, as in the document's code."""
    return (*x[:2], *(1 + (n - kernel_size) // stride for n in x[2:]))


def conv_forward(x: Array, w: Array, b: Array, stride: int, pad: int) -> Array:
    """Loop over image, filter, row and column: sum window times filter and add the bias of the filter."""
    wide = np.pad(x, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
    rows, columns = (1 + (n + 2 * pad - k) // stride for n, k in zip(x.shape[2:], w.shape[2:], strict=True))
    out = np.zeros((len(x), len(w), rows, columns))
    for n, f, j, k in np.ndindex(out.shape):
        window = wide[n, :, j * stride : j * stride + w.shape[2], k * stride : k * stride + w.shape[3]]
        out[n, f, j, k] = np.sum(window * w[f]) + b[f]
    return out


def conv_backward(dy: Array, x: Array, w: Array, b: Array, stride: int, pad: int) -> tuple[Array, ...]:
    """Run the same loops backward: add each share to a window of dx, to a filter of dw and to a bias."""
    wide = np.pad(x, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
    d_wide, dw, db = np.zeros_like(wide), np.zeros_like(w), np.zeros_like(b)
    for n, f, j, k in np.ndindex(dy.shape):
        at = (n, slice(None), slice(j * stride, j * stride + w.shape[2]), slice(k * stride, k * stride + w.shape[3]))
        db[f] += dy[n, f, j, k]
        dw[f] += wide[at] * dy[n, f, j, k]
        d_wide[at] += w[f] * dy[n, f, j, k]
    return d_wide[:, :, pad : pad + x.shape[2], pad : pad + x.shape[3]], dw, db


def conv2d(
    x: Array, w: Array, b: Array = None, *, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> tuple[Array, Any]:
    """Run the naive convolution, forward and backward."""
    require(b is not None, "a convolution without a bias")
    stride, padding = one(stride), one(padding)
    require(isinstance(stride, int) and stride > 0 and isinstance(padding, int), "a stride or padding per axis")
    require(one(dilation) == 1 and groups == 1, "dilation or groups")
    if x.shape[1] != w.shape[1] or b.shape != (len(w),):
        raise ValueError("channels or biases do not fit")
    if any(n + 2 * padding < k for n, k in zip(x.shape[2:], w.shape[2:], strict=True)):
        raise ValueError("the filter is larger than the image")
    y = conv_forward(x, w, b, stride, padding).astype(x.dtype)
    return y, lambda dy: conv_backward(dy, x, w, b, stride, padding)


def example_sum(b: float) -> Array:
    """Sum 2 + 1 + 1 over the three channels, and add the bias."""
    channels = [
        [[0, 0, 0], [0, 0, 0], [0, 0, 2]],
        [[0, 0, 0], [0, 0, 1], [0, 0, 0]],
        [[0, 0, 0], [0, 0, 2], [0, -1, 0]],
    ]
    return np.array(sum(np.sum(c) for c in channels) + b, float)


def share_kept(x: Array) -> Array:
    """Return the stated share: a quarter of the activations stays."""
    return np.array(0.25)


def share_kept_corrected(x: Array) -> Array:
    """Return the share floor(H / 2) floor(W / 2) of H W."""
    h, w = x.shape[2:]
    return np.array((h // 2) * (w // 2) / (h * w))


def _pool_shape(x: Array, kernel_size: Any, stride: Any) -> tuple[tuple[int, int], int, tuple[int, ...]]:
    window = (kernel_size, kernel_size) if isinstance(kernel_size, int) else tuple(kernel_size)
    stride = window[0] if stride is None and window[0] == window[1] else one(stride)
    require(isinstance(stride, int) and stride > 0, "a stride per axis")
    if any(n < k for n, k in zip(x.shape[2:], window, strict=True)):
        raise ValueError("the window is larger than the image")
    return window, stride, (*x.shape[:2], *(1 + (n - k) // stride for n, k in zip(x.shape[2:], window, strict=True)))


def _max_pool2d(x: Array, kernel_size: Any, stride: Any, share: Any) -> tuple[Array, Any]:
    require(not np.isnan(x).any(), "NaN")
    window, step, shape = _pool_shape(x, kernel_size, stride)
    y = np.zeros(shape, x.dtype)

    def at(n: int, c: int, i: int, j: int) -> Any:
        return n, c, slice(i * step, i * step + window[0]), slice(j * step, j * step + window[1])

    for place in np.ndindex(y.shape):
        y[place] = np.max(x[at(*place)])

    def pullback(dy: Array) -> tuple[Array]:
        dx = np.zeros_like(x)
        for place in np.ndindex(y.shape):
            share(dx[at(*place)], x[at(*place)], dy[place])
        return (dx,)

    return y, pullback


def _assigned_to_all(dx: Array, window: Array, g: Any) -> None:
    dx[...] = (window == np.max(window)) * g


def _added_to_the_first(dx: Array, window: Array, g: Any) -> None:
    dx[np.unravel_index(np.argmax(window), window.shape)] += g


def max_pool2d(
    x: Array, *, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> tuple[Array, Any]:
    """Run the naive max pooling. The pullback sets a window to its gradient at all places that equal its maximum."""
    require(one(padding) == 0 and one(dilation) == 1 and not ceil_mode, "padding or dilation")
    return _max_pool2d(x, kernel_size, stride, _assigned_to_all)


def max_pool2d_corrected(
    x: Array, *, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> tuple[Array, Any]:
    """Run max pooling with a pullback that adds the gradient at one of the largest elements."""
    require(one(padding) == 0 and one(dilation) == 1 and not ceil_mode, "padding or dilation")
    return _max_pool2d(x, kernel_size, stride, _added_to_the_first)


# -- 4 and 5 the three-layer convnet ----------------------------------------------------------------------------------


def parameter_shapes(
    input_dim: Any, num_filters: int, filter_size: int, hidden_dim: int, num_classes: int
) -> dict[str, Any]:
    """Return the shapes of the parameters that the constructor makes."""
    c, h, w = input_dim
    return {
        "W1": (num_filters, c, filter_size, filter_size),
        "b1": (1, num_filters),
        "W2": (num_filters * h * w // 4, hidden_dim),
        "b2": (1, hidden_dim),
        "W3": (hidden_dim, num_classes),
        "b3": (1, num_classes),
    }


def features(input_dim: Any, num_filters: int) -> int:
    """Return the rows of W2: a quarter of the pixels for each filter."""
    _, h, w = input_dim
    return num_filters * h * w // 4


def features_corrected(input_dim: Any, num_filters: int) -> int:
    """Return num_filters floor(H / 2) floor(W / 2)."""
    _, h, w = input_dim
    return num_filters * (h // 2) * (w // 2)


def bias_meets_convolution(num_filters: int) -> Array:
    """Return the shape that the naive convolution gives with the constructor's bias, (1, num_filters)."""
    w = np.ones((num_filters, 1, 1, 1))
    return conv_forward(np.ones((1, 1, 1, 1)), w, np.zeros((1, num_filters)), 1, 0).shape


def bias_corrected(num_filters: int) -> Array:
    """Return the shape that the naive convolution gives with a bias of num_filters numbers."""
    w = np.ones((num_filters, 1, 1, 1))
    return conv_forward(np.ones((1, 1, 1, 1)), w, np.zeros(num_filters), 1, 0).shape


def _relu(a: Array) -> Array:
    return np.maximum(a, 0)


def convnet(
    x: Array, y: Array, w1: Array, b1: Array, w2: Array, b2: Array, w3: Array, b3: Array, reg: float
) -> dict[str, Array]:
    """Run conv - relu - 2x2 max pool - affine - relu - affine - softmax. Return the scores, the loss and the gradients."""
    pad = (w1.shape[2] - 1) // 2
    a1 = conv_forward(x, w1, b1, 1, pad)
    out1, pool_back = max_pool2d(_relu(a1), kernel_size=2, stride=2)
    flat = out1.reshape(len(x), -1)
    a2 = flat @ w2 + b2
    out2 = _relu(a2)
    scores = out2 @ w3 + b3
    shifted = scores - scores.max(1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    p, sm_loss = np.exp(log_p), -log_p[np.arange(len(y)), y].mean()
    dscores = p.copy()
    dscores[np.arange(len(y)), y] -= 1
    dscores /= len(y)
    dw3, db3, dout2 = out2.T @ dscores, dscores.sum(0), dscores @ w3.T
    da2 = dout2 * (a2 > 0)
    dw2, db2, dout1 = flat.T @ da2, da2.sum(0), (da2 @ w2.T).reshape(out1.shape)
    dx, dw1, db1 = conv_backward(pool_back(dout1)[0] * (a1 > 0), x, w1, b1, 1, pad)
    reg_loss = 0.5 * reg * sum(np.sum(w * w) for w in (w1, w2, w3))
    return {
        "scores": scores, "loss": sm_loss + reg_loss, "x": dx, "w1": dw1 + reg * w1, "b1": db1, "w2": dw2 + reg * w2, "b2": db2,
        "w3": dw3 + reg * w3, "b3": db3,
    }  # fmt: skip


def of_convnet(*names: str) -> Any:
    """Make a function that returns some results of the convnet, one after the other."""

    def says(**given: Any) -> Array:
        results = convnet(**given)
        return np.concatenate([np.ravel(results[name]) for name in names])

    return says


def l2_penalty(w: Array, *, weight: float = 1.0) -> tuple[Array, Any]:
    """Compute 0.5 reg sum of W^2, whose gradient is reg W."""
    return np.asarray(0.5 * weight * np.sum(w * w)).astype(w.dtype), lambda dy: ((dy * weight * w).astype(w.dtype),)


def composed(x: Array, w: Array, b: Array) -> Array:
    """Run conv - relu - 2x2 max pool."""
    return max_pool2d(_relu(conv_forward(x, w, b, 1, (w.shape[2] - 1) // 2)), kernel_size=2, stride=2)[0]


# -- 6 and 7 normalisation --------------------------------------------------------------------------------------------


def rows_normalised(x: Array, gamma: Array, beta: Array, eps: float) -> tuple[Array, Any]:
    """Normalise the columns of a matrix. The gradients use the short form."""
    mean, var = x.mean(0), x.var(0)
    inv = 1 / np.sqrt(var + eps)
    x_hat = (x - mean) * inv

    def pullback(dy: Array) -> tuple[Array, ...]:
        d = dy * gamma
        dx = inv / len(x) * (len(x) * d - d.sum(0) - x_hat * (d * x_hat).sum(0))
        return dx, (dy * x_hat).sum(0), dy.sum(0)

    return gamma * x_hat + beta, pullback


def spatial_batch_norm(
    x: Array,
    gamma: Array = None,
    beta: Array = None,
    running_mean: Array = None,
    running_var: Array = None,
    *,
    training: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> tuple[Array, Any]:
    """Move the channels to the last axis, flatten the rest, normalise the matrix, and shape it back."""
    require(x.size > 0, "an empty batch")
    require(training and running_mean is None and running_var is None, "code for running statistics")
    c, last = x.shape[1], np.moveaxis(x, 1, -1).shape
    scaled, shifted = gamma is not None, beta is not None
    gamma = gamma if scaled else np.ones(c, x.dtype)
    beta = beta if shifted else np.zeros(c, x.dtype)
    if gamma.shape != (c,) or beta.shape != (c,) or x.size == c:
        raise ValueError("gamma, beta or the number of values does not fit")

    def rows(v: Array) -> Array:
        return np.moveaxis(v, 1, -1).reshape(-1, c)

    def images(v: Array) -> Array:
        return np.moveaxis(v.reshape(last), -1, 1).astype(x.dtype)

    y, back = rows_normalised(rows(x), gamma, beta, eps)

    def pullback(dy: Array) -> tuple[Array, ...]:
        dx, dgamma, dbeta = back(rows(dy))
        dgamma, dbeta = dgamma.astype(x.dtype) if scaled else None, dbeta.astype(x.dtype) if shifted else None
        return images(dx), dgamma, dbeta, None, None

    return images(y), pullback


def running_mean_after(x: Array, running_mean: Array, running_var: Array, momentum: float) -> Array:
    """Compute momentum times the old mean plus (1 - momentum) times the new mean, as the document says."""
    keeping = 1 - momentum  # the oracle's momentum is the weight of the new mean: its 0.1 is the document's 0.9
    return keeping * running_mean + (1 - keeping) * x.mean((0, 2, 3))


def over_axes(*axes: int) -> Any:
    """Make a function that normalises over some axes of (N, C, H, W)."""

    def says(x: Array, groups: int = 1, **options: Any) -> Array:
        mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
        return (x - mean) / np.sqrt(var + 1e-5)

    return says


def by_groups(x: Array, groups: int) -> Array:
    """Reshape to (N, G, C / G, H, W) and normalise over the last three axes."""
    n, c, h, w = x.shape
    parts = x.reshape(n, groups, c // groups, h, w)
    mean, var = parts.mean((2, 3, 4), keepdims=True), parts.var((2, 3, 4), keepdims=True)
    return ((parts - mean) / np.sqrt(var + 1e-5)).reshape(x.shape)


def _group_norm(x: Array, gamma: Array, beta: Array, groups: int, eps: float, corrected: bool) -> tuple[Array, Any]:
    require(x.ndim == 4 and x.size > 0, "inputs that are not images")
    require(gamma is not None and beta is not None, "a normalisation without gamma and beta")
    n, c, h, w = x.shape
    if c % groups or gamma.shape != (c,) or beta.shape != (c,):
        raise ValueError("groups, gamma or beta do not fit")
    columns = x.reshape(n * groups, c // groups * h * w).T
    mean, var = columns.mean(0, keepdims=True), columns.var(0, keepdims=True)
    inv = 1 / np.sqrt(var + eps)
    x_hat = ((columns - mean) * inv).T.reshape(x.shape)
    wide = gamma[None, :, None, None]
    y = wide * x_hat + beta[None, :, None, None]

    def pullback(dy: Array) -> tuple[Array, ...]:
        axes = (0, 2, 3)
        dgamma = np.sum(dy * x_hat, axis=axes, keepdims=not corrected)
        dbeta = np.sum(dy, axis=axes, keepdims=not corrected)
        d = (dy * wide).reshape(n * groups, -1).T
        hat = x_hat.reshape(n * groups, -1).T
        total = d.sum(0, keepdims=True)
        along = (d * hat).sum(0, keepdims=True) if corrected else total
        dx = inv / len(d) * (len(d) * d - along * hat - total)
        return dx.T.reshape(x.shape).astype(x.dtype), dgamma.astype(x.dtype), dbeta.astype(x.dtype)

    return y.astype(x.dtype), pullback


def group_norm(
    x: Array, gamma: Array = None, beta: Array = None, *, groups: int, eps: float = 1e-5
) -> tuple[Array, Any]:
    """Run the printed code: sum(dx_hat) replaces sum(dx_hat x_hat), and dgamma and dbeta keep their axes."""
    return _group_norm(x, gamma, beta, groups, eps, corrected=False)


def group_norm_corrected(
    x: Array, gamma: Array = None, beta: Array = None, *, groups: int, eps: float = 1e-5
) -> tuple[Array, Any]:
    """Compute dx = inv / D (D dx_hat - x_hat sum(dx_hat x_hat) - sum(dx_hat)), and dgamma and dbeta of shape (C,)."""
    return _group_norm(x, gamma, beta, groups, eps, corrected=True)


AS_WRITTEN: dict[str, LayerFunction] = {
    "conv2d": conv2d,
    "max_pool2d": max_pool2d,
    "l2_penalty": l2_penalty,
    "batch_norm": spatial_batch_norm,
    "group_norm": group_norm,
}
CORRECTED: dict[str, LayerFunction] = AS_WRITTEN | {
    "max_pool2d": max_pool2d_corrected,
    "group_norm": group_norm_corrected,
}

CONV = tuple(
    {"x": x, "w": w, "b": (w[0],), "stride": s, "padding": p}
    for x, w, s, p in (
        ((1, 1, 2, 2), (1, 1, 1, 1), 1, 0),
        ((2, 3, 4, 4), (3, 3, 4, 4), 2, 1),
        ((2, 3, 5, 6), (2, 3, 3, 2), 2, 1),
    )
)
SIZES = tuple(
    {"x": (1, 1, n, n), "w": (1, 1, k, k), "stride": s, "padding": p}
    for n, k, s, p in ((4, 3, 2, 0), (5, 2, 2, 0), (6, 3, 2, 1))
)
DIVIDED = tuple(
    {"x": (1, 1, n, n), "w": (1, 1, k, k), "stride": s, "padding": p}
    for n, k, s, p in ((3, 3, 1, 0), (5, 3, 2, 1), (7, 3, 2, 0))
)
POOLS = tuple(
    {"x": (1, 1, *n), "kernel_size": k, "stride": s}
    for n, k, s in (((2, 2), 2, 2), ((5, 4), 2, 2), ((3, 3), 2, 1), ((5, 5), 3, 2))
)
DISTINCT = np.array([[[[1.0, 2, 5, 3], [4, 0, 6, 7], [9, 8, 10, 11]]]])
_RNG = np.random.default_rng(0)
NETWORK = {
    "y": np.array([0, 2]),
    "reg": 0.5,
    **{
        name: _RNG.standard_normal(shape)
        for name, shape in {
            "x": (2, 2, 4, 4), "w1": (3, 2, 3, 3), "b1": (3,), "w2": (12, 4), "b2": (4,), "w3": (4, 3), "b3": (3,),
        }.items()
    },
}  # fmt: skip
GROUPED = (
    {"x": (1, 2, 1, 1), "gamma": (2,), "beta": (2,), "groups": 1},
    {"x": (2, 4, 2, 3), "gamma": (4,), "beta": (4,), "groups": 2},
)
SPATIAL = ({"x": (2, 1, 1, 1), "gamma": (1,), "beta": (1,)}, {"x": (2, 3, 2, 2), "gamma": (3,), "beta": (3,)})
IMAGES = {"x": (2, 4, 2, 2)}
HEADER = "def conv_forward_naive(x, w, b, conv_param)"

CLAIMS: tuple[Claim, ...] = (
    Claim(
        "004/purpose",
        "0 before",
        "The document says what the week is about.",
        why_not="it makes no statement about the subject",
    ),
    Claim(
        "004/kinds",
        "1 convolutional networks",
        "There are convolution, pooling and fully connected layers.",
        why_not="it is a classification, and there is nothing to compute",
    ),
    Claim(
        "004/size",
        "1.1 convolution layer",
        "The size of the output is (W - F + 2 P) / S + 1.",
        layer="conv2d",
        formula="(W - F + 2P) / S + 1",
        question="shape of conv2d",
        says=size_formula,
        examples=SIZES,
        corrected=size_floor,
        correction="The quotient is rounded down: a remainder smaller than the stride is left out.",
        consequence="If S does not divide W - F + 2 P, the formula gives no whole number. The code in the document "
        "rounds down.",
        condition="S divides W - F + 2 P",
        under=DIVIDED,
    ),
    Claim(
        "004/padding",
        "1.1 convolution layer",
        "P = (F - 1) / 2 is 1 for F = 3.",
        formula="P = (3 - 1) / 2 = 1",
        question="zeros on each side that keep the size",
        says=lambda size: (size - 1) / 2,
        examples=({"size": 3},),
    ),
    Claim(
        "004/size-example",
        "1.1 convolution layer",
        "A 5 x 5 input with F = 3, P = 1 and S = 2 gives 3 x 3.",
        layer="conv2d",
        formula="(5 - 3 + 2) / 2 + 1 = 3",
        question="shape of conv2d",
        says=constant((1, 1, 3, 3)),
        examples=({"x": (1, 1, 5, 5), "w": (1, 1, 3, 3), "stride": 2, "padding": 1},),
    ),
    Claim(
        "004/same",
        "1.1 convolution layer",
        "With padding P = (F - 1) / 2, the output has the size of the input.",
        layer="conv2d",
        question="shape of conv2d",
        says=same_size,
        examples=(
            {"x": (1, 1, 2, 2), "w": (1, 1, 1, 1), "stride": 2},
            {"x": (1, 1, 5, 5), "w": (1, 1, 3, 3), "stride": 2, "padding": 1},
        ),
        corrected=size_floor,
        correction="This is true only with stride 1. The document's own example (5 becomes 3) does not keep the size.",
        consequence="The next layer is built for the wrong size.",
        condition="the stride is 1 and F is odd",
        under=(
            {"x": (1, 1, 5, 5), "w": (1, 1, 3, 3), "padding": 1},
            {"x": (1, 1, 4, 4), "w": (1, 1, 5, 5), "padding": 2},
        ),
    ),
    Claim(
        "004/sum-example",
        "1.1 convolution layer",
        "The sums of the channels are 2, 1 and 1, which make 4. With the bias 1, the result is the printed 5.",
        question="the sum of the example's products",
        says=lambda: example_sum(1.0),
    ),
    Claim(
        "004/value",
        "1.1 convolution layer",
        "An element of the output is the sum of the products of window and filter, plus the bias.",
        layer="conv2d",
        question="y of conv2d",
        says=value(conv2d),
        examples=CONV,
    ),
    Claim(
        "004/picture",
        "1.1 convolution layer",
        "A figure shows the filters.",
        why_not="the figure was a picture, which is lost; the numbers in the text are separate claims",
    ),
    Claim(
        "004/three-quarters",
        "1.2 pooling layer",
        "2 x 2 pooling with stride 2 discards 75 % of the activations.",
        layer="max_pool2d",
        question="the share of activations that 2 x 2 pooling keeps",
        says=share_kept,
        examples=({"x": (1, 1, 3, 3)}, {"x": (1, 1, 5, 4)}),
        corrected=share_kept_corrected,
        correction="floor(H / 2) floor(W / 2) of the H W activations stay.",
        consequence="Of a 3 x 3 map, one activation in nine stays, and W2 of section 5.2 gets the wrong size.",
        condition="height and width are even",
        under=({"x": (1, 1, 2, 2)}, {"x": (1, 1, 4, 6)}),
    ),
    Claim(
        "004/affine",
        "1.3 fully connected layer",
        "Every unit of a layer is connected to every unit of the layer before.",
        layer="affine",
        question="y of affine",
        says=lambda x, w, b: np.array(
            [[sum(r[i] * w[i, j] for i in range(len(r))) + b[j] for j in range(len(b))] for r in x]
        ),
        examples=({"x": (2, 3), "w": (3, 2), "b": (2,)},),
    ),
    Claim(
        "004/forward-size",
        "2.1 convolution forward",
        "The height of the output is H' = 1 + (H + 2 pad - HH) / stride.",
        layer="conv2d",
        question="shape of conv2d",
        says=size_formula,
        examples=SIZES,
        corrected=size_floor,
        correction="The quotient is rounded down, as in the code.",
        consequence="If the stride does not divide H + 2 pad - HH, the formula gives no whole number.",
        condition="the stride divides H + 2 pad - HH",
        under=DIVIDED,
    ),
    Claim(
        "004/pad-example",
        "2.1 convolution forward",
        "If the 2 x 3 matrix of 1 to 6 is padded by 1, it stands in a 4 x 5 frame of zeros.",
        layer="pad",
        question="y of pad",
        says=constant([[[[0, 0, 0, 0, 0], [0, 1, 2, 3, 0], [0, 4, 5, 6, 0], [0, 0, 0, 0, 0]]]]),
        examples=({"x": np.arange(1.0, 7).reshape(1, 1, 2, 3), "padding": 1},),
    ),
    Claim(
        "004/forward",
        "2.1 convolution forward",
        "The four loops compute the convolution. A remainder smaller than the stride is left out.",
        layer="conv2d",
        question="y of conv2d",
        says=value(conv2d),
        examples=CONV,
    ),
    Claim(
        "004/colon",
        "2.1 convolution forward",
        "The header of the function is valid Python.",
        question="the header parses",
        says=lambda: HEADER,
        corrected=lambda: HEADER + ":",
        correction="The header needs a colon at its end.",
        consequence="The listing does not run as printed.",
    ),
    *(
        Claim(
            f"004/backward-d{name}",
            "2.2 convolution backward",
            f"The backward loops compute the gradient with respect to {name}.",
            layer="conv2d",
            question=f"d{name} of conv2d",
            says=gradient(conv2d, i),
            examples=CONV,
        )
        for i, name in enumerate("xwb")
    ),
    Claim(
        "004/pool-size",
        "3.1 pooling forward",
        "The height of the output is H' = 1 + (H - pool_height) / stride.",
        layer="max_pool2d",
        question="shape of max_pool2d",
        says=pool_size_formula,
        examples=({"x": (1, 1, 3, 3), "kernel_size": 2, "stride": 2},),
        corrected=pool_size_floor,
        correction="The quotient is rounded down, as in the code.",
        consequence="If the stride does not divide H - pool_height, the formula gives no whole number.",
        condition="the stride divides H - pool_height",
        under=tuple(
            {"x": (1, 1, n, n), "kernel_size": k, "stride": s} for n, k, s in ((4, 2, 2), (3, 2, 1), (5, 3, 2))
        ),
    ),
    Claim(
        "004/pool-forward",
        "3.1 pooling forward",
        "The loops compute the largest element of each window.",
        layer="max_pool2d",
        question="y of max_pool2d",
        says=value(max_pool2d),
        examples=POOLS,
    ),
    Claim(
        "004/pool-overlap",
        "3.2 pooling backward",
        "In the backward pass, each window of dx is set to the gradient at its largest element.",
        layer="max_pool2d",
        formula="dx[window] = (window == max) * dout",
        question="dx of max_pool2d",
        says=gradient(max_pool2d),
        examples=(
            {"x": np.array([[[[1.0, 2.0, 0.0]]]]), "kernel_size": (1, 2), "stride": 1},
            {"x": DISTINCT, "kernel_size": 2, "stride": 1},
        ),
        corrected=gradient(max_pool2d_corrected),
        correction="The line must add: dx[window] += ...",
        consequence="If windows overlap, each window overwrites the gradient of the window before.",
        condition="the windows do not overlap and no elements tie",
        under=({"x": DISTINCT, "kernel_size": 2, "stride": 2}, {"x": DISTINCT, "kernel_size": 1, "stride": 1}),
        tried=True,
    ),
    Claim(
        "004/pool-ties",
        "3.2 pooling backward",
        "The gradient goes to all places that equal the largest element.",
        layer="max_pool2d",
        formula="window == max",
        question="dx of max_pool2d",
        says=gradient(max_pool2d),
        examples=(
            {"x": np.ones((1, 1, 1, 2)), "kernel_size": (1, 2), "stride": 2},
            {"x": np.zeros((1, 1, 2, 2)), "kernel_size": 2},
        ),
        corrected=gradient(max_pool2d_corrected),
        correction="The gradient goes to one of these places, or to several with shares that sum to 1.",
        consequence="After a ReLU, all elements of a window are often 0. Then each of them gets the whole gradient, "
        "which is up to four times too much in total.",
        condition="no elements tie",
        under=({"x": DISTINCT, "kernel_size": 2, "stride": 2},),
        tried=True,
    ),
    Claim(
        "004/composed",
        "4 composed layers",
        "The composed layer is a convolution, a ReLU and a 2 x 2 max pooling.",
        layer="conv_relu_pool",
        question="convolution, ReLU and 2 x 2 max pooling",
        says=composed,
        examples=({"x": (1, 1, 2, 2), "w": (1, 1, 1, 1), "b": (1,)}, {"x": (2, 2, 4, 5), "w": (3, 2, 3, 3), "b": (3,)}),
    ),
    Claim(
        "004/architecture",
        "5.1 architecture",
        "The network is conv - relu - 2 x 2 max pool - affine - relu - affine - softmax.",
        question="the scores of the three-layer convnet",
        says=of_convnet("scores"),
        examples=(NETWORK,),
    ),
    Claim(
        "004/w2",
        "5.2 constructor",
        "W2 has num_filters H W // 4 rows.",
        question="features after 2 x 2 pooling",
        says=features,
        examples=({"input_dim": [1, 3, 3], "num_filters": 1}, {"input_dim": [3, 5, 5], "num_filters": 4}),
        corrected=features_corrected,
        correction="W2 has num_filters (H // 2)(W // 2) rows.",
        consequence="For odd sizes, the pooled maps and W2 do not fit.",
        condition="the height and the width are even and the convolution keeps the size",
        under=({"input_dim": [3, 32, 32], "num_filters": 32}, {"input_dim": [1, 2, 6], "num_filters": 3}),
    ),
    Claim(
        "004/b1",
        "5.2 constructor",
        "The bias of the convolution has the shape (1, num_filters).",
        layer="conv2d",
        question="the shape of a 1 x 1 convolution's output",
        says=bias_meets_convolution,
        examples=({"num_filters": 2},),
        corrected=bias_corrected,
        correction="The shape must be (num_filters,), as section 2.1 requires.",
        consequence="Then b[f] is a row, or its index is out of range. The naive convolution stops.",
    ),
    Claim(
        "004/initial",
        "5.2 constructor",
        "The weights are Gaussian with standard deviation weight_scale, and the biases are 0.",
        question="standard deviation and mean of initial weights",
        says=lambda scale: (lambda w: np.round([w.std() / scale, w.mean() / scale], 1))(
            scale * np.random.default_rng(0).standard_normal(20000)
        ),
        examples=({"scale": 1e-3}, {"scale": 2.0}),
    ),
    Claim(
        "004/scores",
        "5.3.1 loss forward",
        "The scores are the result of the composed layers, one after the other.",
        question="the scores of the three-layer convnet",
        says=of_convnet("scores"),
        examples=(NETWORK | {"reg": 0.0},),
    ),
    Claim(
        "004/loss",
        "5.3.2 loss backward",
        "The loss is the softmax loss plus half of reg times the sum of the squared weights.",
        formula="loss = softmax loss + 0.5 reg sum of W^2",
        question="the loss of the three-layer convnet",
        says=of_convnet("loss"),
        examples=(NETWORK,),
    ),
    Claim(
        "004/gradients",
        "5.3.2 loss backward",
        "The document gives the gradients of this loss. reg W is added to the gradients of the weights.",
        question="the gradients of the three-layer convnet",
        says=of_convnet("w1", "b1", "w2", "b2", "w3", "b3"),
        examples=(NETWORK,),
    ),
    Claim(
        "004/reg-value",
        "5.3.2 loss backward",
        "The penalty is half of reg times the sum of squares.",
        layer="l2_penalty",
        question="y of l2_penalty",
        says=value(l2_penalty),
        examples=({"w": (2, 2), "weight": 0.5},),
    ),
    Claim(
        "004/reg-gradient",
        "5.3.2 loss backward",
        "The gradient of the penalty is reg W.",
        layer="l2_penalty",
        question="dw of l2_penalty",
        says=gradient(l2_penalty),
        examples=({"w": (2, 2), "weight": 0.5},),
    ),
    Claim(
        "004/requirements",
        "6.1 spatial batch normalisation",
        "The document shows what the notebook asks for.",
        why_not="it was a picture, which is lost",
    ),
    Claim(
        "004/spatial",
        "6.2 its forward",
        "The channels are moved to the last axis and the other axes are flattened. Then the normalisation"
        " of a matrix is enough.",
        layer="batch_norm",
        question="y of batch_norm",
        says=value(spatial_batch_norm),
        examples=SPATIAL,
    ),
    Claim(
        "004/momentum",
        "6.2 its forward",
        "With momentum 0, every step forgets the old statistics. With momentum 1, new statistics never enter.",
        layer="batch_norm",
        formula="running = momentum running + (1 - momentum) mean",
        question="new_running_mean of batch_norm",
        says=running_mean_after,
        examples=tuple(
            {"x": (2, 2, 1, 2), "running_mean": (2,), "running_var": np.ones(2), "momentum": m} for m in (1.0, 0.0, 0.1)
        ),
    ),
    *(
        Claim(
            f"004/spatial-d{name}",
            "6.3 its backward",
            f"The same steps in reverse compute the gradient with respect to {name}.",
            layer="batch_norm",
            question=f"d{name} of batch_norm",
            says=gradient(spatial_batch_norm, i),
            examples=SPATIAL,
        )
        for i, name in enumerate(("x", "gamma", "beta"))
    ),
    Claim(
        "004/bn-axes",
        "7.1 group normalisation",
        "Batch normalisation works over N, H, W.",
        layer="batch_norm",
        question="y of batch_norm",
        says=over_axes(0, 2, 3),
        examples=(IMAGES,),
    ),
    Claim(
        "004/ln-axes",
        "7.1 group normalisation",
        "Layer normalisation works over C, H, W.",
        layer="layer_norm",
        question="y of layer_norm",
        says=over_axes(1, 2, 3),
        examples=(IMAGES | {"normalized_ndim": 3},),
    ),
    Claim(
        "004/in-axes",
        "7.1 group normalisation",
        "Instance normalisation works over H, W.",
        layer="instance_norm",
        question="y of instance_norm",
        says=over_axes(2, 3),
        examples=(IMAGES,),
    ),
    Claim(
        "004/gn-axes",
        "7.1 group normalisation",
        "Group normalisation works over C / G, H, W of (N, G, C / G, H, W).",
        layer="group_norm",
        question="y of group_norm",
        says=by_groups,
        examples=(IMAGES | {"groups": 2},),
    ),
    Claim(
        "004/gn-is-ln",
        "7.1 group normalisation",
        "Group normalisation lies between two other normalisations. With one group, it is layer normalisation.",
        layer="group_norm",
        question="y of group_norm",
        says=over_axes(1, 2, 3),
        examples=(IMAGES | {"groups": 1},),
    ),
    Claim(
        "004/gn-is-in",
        "7.1 group normalisation",
        "If each channel is its own group, group normalisation is instance normalisation.",
        layer="group_norm",
        question="y of group_norm",
        says=over_axes(2, 3),
        examples=(IMAGES | {"groups": 4},),
    ),
    Claim(
        "004/gn-picture",
        "7.1 group normalisation",
        "A figure shows the four normalisations.",
        why_not="the figure was a picture, which is lost",
    ),
    Claim(
        "004/group-forward",
        "7.2 its forward",
        "Each group becomes a column. The columns are normalised and shaped back, and each channel is "
        "scaled and shifted.",
        layer="group_norm",
        question="y of group_norm",
        says=value(group_norm),
        examples=GROUPED,
    ),
    Claim(
        "004/group-eps",
        "7.2 its forward",
        "The listing uses only names that its inputs or its earlier lines define.",
        question="names used before they are defined",
        says=lambda: ("eps",),
        corrected=lambda: (),
        correction="eps = gn_param.get('eps', 1e-5) must come before the first use.",
        consequence="The listing stops with a NameError.",
    ),
    Claim(
        "004/returns",
        "7.2 its forward",
        "The listings of the normalisations return what their sections promise.",
        question="listings without a return",
        says=lambda: ("6.2", "6.3", "7.2", "7.3"),
        corrected=lambda: (),
        correction="The listings need return out, cache and return dx, dgamma, dbeta.",
        consequence="A reader who completes the four functions as printed gets None from each.",
    ),
    Claim(
        "004/group-dx",
        "7.3 its backward",
        "The document gives the gradient with respect to x.",
        layer="group_norm",
        formula="dx = inv / D (D dx_hat - sum(dx_hat) x_hat - sum(dx_hat))",
        question="dx of group_norm",
        says=gradient(group_norm),
        examples=GROUPED,
        corrected=gradient(group_norm_corrected),
        correction="dx = inv / D (D dx_hat - sum(dx_hat x_hat) x_hat - sum(dx_hat)).",
        consequence="The part of the gradient that changes the spread is not removed. Training continues with wrong "
        "gradients.",
        tried=True,
    ),
    Claim(
        "004/group-dgamma",
        "7.3 its backward",
        "dgamma has the shape (C,).",
        layer="group_norm",
        question="dgamma of group_norm",
        says=gradient(group_norm, 1),
        examples=GROUPED,
        corrected=gradient(group_norm_corrected, 1),
        correction="The listing uses keepdims and gets (1, C, 1, 1). Without keepdims, the shape is (C,).",
        consequence="gamma - rate * dgamma gets the shape (1, C, 1, C) without an error, or the program stops.",
        tried=True,
    ),
    Claim(
        "004/group-dbeta",
        "7.3 its backward",
        "dbeta has the shape (C,).",
        layer="group_norm",
        question="dbeta of group_norm",
        says=gradient(group_norm, 2),
        examples=GROUPED,
        corrected=gradient(group_norm_corrected, 2),
        correction="The listing uses keepdims and gets (1, C, 1, 1). Without keepdims, the shape is (C,).",
        consequence="The consequence is the same as for dgamma.",
        tried=True,
    ),
    Claim(
        "004/thanks",
        "8 the author's words",
        "The author thanks the readers.",
        why_not="it makes no statement about the subject",
    ),
)
