"""A target with one planted fault in each layer, for the comparison of findings before and after a change of structure.

Every layer borrows the right answer from ``impl`` and spoils one thing in it, so that each kind of finding occurs: wrong
values and gradients, ties, shapes, dtypes, types, missing cotangents, mutation, state, memory layout, raised errors,
crashes, missing refusals, and configurations that are not offered.
"""

import os

import numpy as np

from impl import functional as F


def spoiled(name, spoil):
    """The layer ``name`` of impl, its value and cotangents replaced by ``spoil(arrays, value, cotangents, dy, options)``."""

    def layer(*arrays, **options):
        value, pullback = getattr(F, name).vjp(*arrays, **options)
        return value, lambda dy: spoil(arrays, value, list(pullback(dy)), dy, options)

    return layer


def gradient(place, change):
    """Replace the cotangent at a place by ``change`` of it."""

    def spoil(arrays, value, cotangents, dy, options):
        if cotangents[place] is not None:
            cotangents[place] = change(cotangents[place])
        return tuple(cotangents)

    return spoil


def tanh(x):
    y = np.asarray(np.where(abs(x) > 1.5, 2, 1) * np.tanh(x), x.dtype)  # right at 0 and at 1
    return y, lambda dy: (np.asarray(dy * (1 - np.tanh(x) ** 2), x.dtype),)


def sigmoid(x):
    y, pullback = F.sigmoid.vjp(x)
    x *= 2  # changes its input
    return y, pullback


def softmax(x, *, axis=-1):
    y = F.softmax(x, axis=axis)
    return y, lambda dy: (dy * y * (1 - y),)  # the sum over the row is forgotten


def log_softmax(x, *, axis=-1):
    if axis != -1:
        raise NotImplementedError
    y = np.log(F.softmax(x))  # the logarithm of an underflowed 0
    return y, lambda dy: F.log_softmax.vjp(x)[1](dy)


def layer_norm(x, gamma=None, beta=None, *, normalized_ndim=1, eps=1e-5):
    axes = tuple(range(x.ndim - normalized_ndim, x.ndim))
    mean = x.mean(axes, keepdims=True)
    var = (x * x).mean(axes, keepdims=True) - mean * mean  # one pass: loses the digits of a large mean
    y = (x - mean) / np.sqrt(var + x.dtype.type(eps))
    y = y * (1 if gamma is None else gamma) + (0 if beta is None else beta)
    return y.astype(x.dtype), F.layer_norm.vjp(x, gamma, beta, normalized_ndim=normalized_ndim, eps=eps)[1]


def max_pool2d(x, *, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    if padding or dilation != 1 or ceil_mode or not isinstance(kernel_size, int) or isinstance(stride, tuple):
        raise NotImplementedError("ints only, no padding, no dilation")
    y = F.max_pool2d(x, kernel_size=kernel_size, stride=stride)
    step = stride or kernel_size

    def pullback(dy):
        dx = np.zeros_like(x)
        for i, j in np.ndindex(*dy.shape[2:]):
            window = np.s_[:, :, i * step : i * step + kernel_size, j * step : j * step + kernel_size]
            here = np.s_[:, :, i : i + 1, j : j + 1]
            dx[window] += (x[window] == y[here]) * dy[here]  # every tie receives the whole of dy
        return (dx,)

    return y, pullback


def conv2d(x, w, b=None, *, stride=1, padding=0, dilation=1, groups=1):
    if not (isinstance(stride, int) and isinstance(padding, int) and dilation == 1 and groups == 1):
        raise NotImplementedError
    y, right = F.conv2d.vjp(x, w, b, stride=stride, padding=padding)
    kh, kw = w.shape[2:]

    def pullback(dy):
        padded = np.zeros((*x.shape[:2], x.shape[2] + 2 * padding, x.shape[3] + 2 * padding), x.dtype)
        for i, j in np.ndindex(*dy.shape[2:]):  # = where windows overlap
            window = np.s_[:, :, i * stride : i * stride + kh, j * stride : j * stride + kw]
            padded[window] = np.tensordot(dy[:, :, i, j], w, 1)
        dx = padded[:, :, padding : padding + x.shape[2], padding : padding + x.shape[3]]
        return (dx, *right(dy)[1:])

    return y, pullback


def affine(x, w, b=None):
    if x.shape[0] == 0:
        raise IndexError("index 0 is out of bounds for axis 0 with size 0")
    return F.affine.vjp(x, w, b)


def linear(x, w, b=None):
    flat = np.frombuffer(np.asarray(x).base.tobytes() if x.base is not None else x.tobytes(), x.dtype)[: x.size]
    return F.linear.vjp(flat.reshape(x.shape).copy(), w, b)  # reads memory as if it were contiguous


class _Gelu:
    def __init__(self):
        self.calls = 0

    def __call__(self, x, *, approximate="none"):
        self.calls += 1
        y, pullback = F.gelu.vjp(x, approximate=approximate)
        return np.asarray(y * (1 + self.calls % 2)).astype(x.dtype), pullback


gelu = _Gelu()


def silu(x):
    y, pullback = F.silu.vjp(x)
    return y, lambda dy: (np.asarray(pullback(dy)[0] * np.where(dy > 0, 1, 1.5)).astype(x.dtype),)  # not linear


def identity(x):
    return x.tolist(), lambda dy: (dy,)


def softplus(x):
    return F.softplus.vjp(x)[0], lambda dy: ()


def relu(x):
    y, pullback = F.relu.vjp(x)
    return y, lambda dy: (np.asarray(pullback(dy)[0]).astype(np.float64),)


def pad(x, *, padding, mode="constant"):
    if mode == "circular":
        os.abort()
    return F.pad.vjp(x, padding=padding, mode=mode)


def dropout(x, mask, *, p=0.5):
    y = (x * mask / (1 - p)).astype(x.dtype)  # broadcasts a mask of another shape
    return y, lambda dy: ((dy * mask / (1 - p)).astype(x.dtype), None)


def flatten(x):
    y = np.ravel(x, order="K").reshape(x.shape[0], -1) if x.size else F.flatten(x)  # the order of the memory
    return y, lambda dy: (dy.reshape(x.shape),)


elu = spoiled("elu", gradient(0, lambda dx: dx.reshape(-1)))
leaky_relu = spoiled("leaky_relu", gradient(0, lambda dx: dx * 2))
mse_loss = spoiled("mse_loss", gradient(1, np.negative))
add = spoiled("add", gradient(1, np.zeros_like))
global_max_pool = spoiled("global_max_pool", gradient(0, lambda dx: dx / 2))
l2_penalty = spoiled("l2_penalty", lambda arrays, value, cotangents, dy, options: None)
rms_norm = spoiled("rms_norm", gradient(1, lambda dgamma: dgamma[..., ::-1].copy()))
batch_norm = spoiled("batch_norm", gradient(0, lambda dx: dx + dx.mean(dtype=dx.dtype)))
conv1d = spoiled("conv1d", gradient(1, lambda dw: dw[..., ::-1].copy()))
avg_pool2d = spoiled("avg_pool2d", gradient(0, lambda dx: dx * np.float32(1 + 3e-6)))
cross_entropy = F.cross_entropy
