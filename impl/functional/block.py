"""Layers composed of layers: rules built from rules. Going back, the parts' pullbacks are called in reverse order."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ParamSpec

from impl.array import Array
from impl.functional.activation import relu
from impl.functional.checks import PaddingOption, PerAxis, per_axis, shaped, spatial
from impl.functional.conv import conv2d
from impl.functional.linear import affine
from impl.functional.norm import batch_norm
from impl.functional.pool import max_pool2d
from impl.rule import Rule, refuse, rule

P = ParamSpec("P")


@rule
def affine_relu(x: Array, w: Array, b: Array | None = None, /) -> tuple[Array, Any]:
    """Apply relu(affine(x, w, b)).

    y = max(a, 0) with a = x @ w + b.
    da = dy if a > 0, else 0; then dx, dw, db as in ``affine``.

    Shapes: x (N, ...) flattened to (N, D); w (D, M); b (M), optional; y (N, M).
    Raises ValueError if x, w and b do not fit. Source: document 004, section 5.3.

    >>> y, pullback = F.affine_relu.vjp(np.array([[1.0, 2.0]]), np.array([[1.0, -1.0], [1.0, -1.0]]), np.zeros(2))
    >>> y, pullback(np.array([[10.0, 10.0]]))
    (array([[3., 0.]]), (array([[10., 10.]]), array([[10.,  0.],
           [20.,  0.]]), array([10.,  0.])))
    """
    a, affine_kept = affine.forward(x, w, b)
    y, relu_kept = relu.forward(a)
    return y, (affine_kept, relu_kept)


@affine_relu.pullback
def _(residuals: Any, dy: Array) -> tuple[Any, ...]:
    affine_kept, relu_kept = residuals
    (da,) = relu.backward(relu_kept, dy)
    return affine.backward(affine_kept, da)


@rule
def conv_relu_pool(
    x: Array,
    w: Array,
    b: Array | None = None,
    /,
    *,
    stride: PerAxis = 1,
    padding: PaddingOption = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    kernel_size: PerAxis = 2,
    pool_stride: PerAxis | None = None,
) -> tuple[Array, Any]:
    """Apply max_pool2d(relu(conv2d(x, w, b))).

    The options stride to groups belong to the convolution, the others to the pooling.
    y = max_pool2d(h) with h = max(a, 0), a = conv2d(x, w, b).
    dh = dx of the pooling, da = dh if a > 0, else 0; then dx, dw, db as in ``conv2d``.

    Shapes: x (N, C, H, W); w (F, C/groups, KH, KW); b (F), optional; y (N, F, OH, OW).
    Raises ValueError if shapes or options do not fit. Source: document 004, sections 4 and 5.3.

    >>> x, w = np.array([[[[1.0, 2.0], [3.0, 4.0]]]]), np.array([[[[2.0]]]])
    >>> y, pullback = F.conv_relu_pool.vjp(x, w)
    >>> dx, dw, db = pullback(np.ones_like(y))
    >>> y.ravel(), dx.ravel(), dw.ravel()
    (array([8.]), array([0., 0., 0., 2.]), array([4.]))
    """
    if pool_stride is not None:
        per_axis("pool_stride", pool_stride, 2, 1)
    a, conv_kept = conv2d.forward(x, w, b, stride=stride, padding=padding, dilation=dilation, groups=groups)
    h, relu_kept = relu.forward(a)
    y, pool_kept = max_pool2d.forward(h, kernel_size=kernel_size, stride=pool_stride)
    return y, (conv_kept, relu_kept, pool_kept)


@conv_relu_pool.pullback
def _(
    residuals: Any,
    dy: Array,
    *,
    stride: PerAxis,
    padding: PaddingOption,
    dilation: PerAxis,
    groups: int,
    kernel_size: PerAxis,
    pool_stride: PerAxis | None,
) -> tuple[Any, ...]:
    conv_kept, relu_kept, pool_kept = residuals
    (dh,) = max_pool2d.backward(pool_kept, dy, kernel_size=kernel_size, stride=pool_stride)
    (da,) = relu.backward(relu_kept, dh)
    return conv2d.backward(conv_kept, da, stride=stride, padding=padding, dilation=dilation, groups=groups)


@rule(no_gradient=("running_mean", "running_var"))
def conv_bn_relu(
    x: Array,
    w: Array,
    b: Array | None = None,
    gamma: Array | None = None,
    beta: Array | None = None,
    running_mean: Array | None = None,
    running_var: Array | None = None,
    /,
    *,
    stride: PerAxis = 1,
    padding: PaddingOption = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    training: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> tuple[tuple[Array, Array | None, Array | None], Any]:
    """Apply relu(batch_norm(conv2d(x, w, b))); the value is (y, new_running_mean, new_running_var).

    y = max(h, 0) with h = batch_norm(a), a = conv2d(x, w, b).
    dh = dy if h > 0, else 0; then da, dgamma, dbeta as in ``batch_norm``; then dx, dw, db as in ``conv2d``.

    Shapes: x (N, C, H, W); w (F, C/groups, KH, KW); b, gamma, beta, running_mean, running_var (F), each optional;
    y (N, F, OH, OW). Raises ValueError if shapes or options do not fit.
    Source: document 000, sections 4.9 and 5.3.

    >>> x, w = np.array([[[[1.0, -1.0]]]]), np.array([[[[2.0]]]])
    >>> arrays = (x, w, None, None, None, np.zeros(1), np.ones(1))
    >>> (y, mean, var), pullback = F.conv_bn_relu.vjp(*arrays, training=False, eps=0.0)
    >>> dx, dw, *_ = pullback(np.ones_like(y))
    >>> y.ravel(), dx.ravel(), dw.ravel()
    (array([2., 0.]), array([2., 0.]), array([1.]))
    """
    a, conv_kept = conv2d.forward(x, w, b, stride=stride, padding=padding, dilation=dilation, groups=groups)
    (h, mean, var), norm_kept = batch_norm.forward(
        a, gamma, beta, running_mean, running_var, training=training, momentum=momentum, eps=eps
    )
    y, relu_kept = relu.forward(h)
    return (y, mean, var), (conv_kept, norm_kept, relu_kept)


@conv_bn_relu.pullback
def _(
    residuals: Any,
    dy: Array,
    *,
    stride: PerAxis,
    padding: PaddingOption,
    dilation: PerAxis,
    groups: int,
    training: bool,
) -> tuple[Any, ...]:
    conv_kept, norm_kept, relu_kept = residuals
    (dh,) = relu.backward(relu_kept, dy)
    da, dgamma, dbeta, _, _ = batch_norm.backward(norm_kept, dh, training=training)
    dx, dw, db = conv2d.backward(conv_kept, da, stride=stride, padding=padding, dilation=dilation, groups=groups)
    return dx, dw, db, dgamma, dbeta, None, None


# -- residual blocks --------------------------------------------------------------------------------------------------

SHORTCUT = "_shortcut"  # the ending of the names of the shortcut's arrays
POSITIONAL_ONLY, KEYWORD_ONLY = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.KEYWORD_ONLY


@dataclass(frozen=True)
class ResidualBlock:
    """A residual block as data. The names and the order of all its arrays follow from the endings of these names.

    ``convolutions`` holds the ending of each convolution's arrays, in order; the one of ``strided`` has the stride.
    """

    convolutions: tuple[str, ...]
    strided: str

    @property
    def running(self) -> tuple[str, ...]:
        """Name the running statistics, which take no gradient."""
        ends = (*self.convolutions, SHORTCUT)
        return tuple(f"running_{what}{end}" for end in ends for what in ("mean", "var"))

    @property
    def arrays(self) -> tuple[str, ...]:
        """Name all arrays, in the order of a call."""
        kernels = (f"w{end}" for end in self.convolutions)
        scales = (f"{what}{end}" for end in self.convolutions for what in ("gamma", "beta"))
        shortcut = (f"{what}{SHORTCUT}" for what in ("w", "gamma", "beta"))
        return ("x", *kernels, *scales, *shortcut, *self.running)

    def strides(self, stride: PerAxis) -> dict[str, PerAxis]:
        """Return the stride of each convolution; the shortcut's is always that of the block."""
        return {end: stride if end == self.strided else 1 for end in self.convolutions} | {SHORTCUT: stride}

    def rule(self, forward: Callable[P, tuple[Any, Any]]) -> Rule[P]:
        """Make the rule of a forward that takes x, the kernels and ``*others``; a decorator.

        The signature of the rule names the others, too.
        """
        given = inspect.signature(forward).parameters.values()
        required, options = [[p for p in given if p.kind is kind] for kind in (POSITIONAL_ONLY, KEYWORD_ONLY)]
        others = [
            inspect.Parameter(name, POSITIONAL_ONLY, default=None, annotation="Array | None")
            for name in self.arrays[len(required) :]
        ]
        made = Rule(forward, self.running, signature=inspect.Signature([*required, *others, *options]))
        made.pullback(functools.partial(_block_back, self))
        return made


BASIC = ResidualBlock(("1", "2"), strided="1")
BOTTLENECK = ResidualBlock(("1", "2", "3"), strided="2")


def _convolved(
    x: Array, given: dict[str, Any], end: str, stride: PerAxis, options: dict[str, Any]
) -> tuple[tuple[Any, Any, Any], Any]:
    """Return batch_norm(conv2d(x, w)) with the arrays of an ending, the image's size kept at stride 1."""
    w = given[f"w{end}"]
    if w.ndim != 4 or w.shape[1] != x.shape[1]:
        refuse(
            f"w{end} has shape {tuple(w.shape)} but its input with {x.shape[1]} channels needs 4 axes, the second as long"
        )
    norm = []
    for name in (f"{what}{end}" for what in ("gamma", "beta", "running_mean", "running_var")):
        shaped(name, given[name], (w.shape[0],), f"w{end} with {w.shape[0]} filters")
        norm.append(given[name])
    a, conv_kept = conv2d.forward(x, w, stride=stride, padding=tuple(k // 2 for k in w.shape[2:]))
    value, norm_kept = batch_norm.forward(a, *norm, **options)
    return value, (conv_kept, norm_kept)


def _convolved_back(kept: Any, dy: Array, stride: PerAxis, training: bool) -> tuple[Any, ...]:
    """Return dx, dw, dgamma and dbeta."""
    conv_kept, norm_kept = kept
    da, dgamma, dbeta, _, _ = batch_norm.backward(norm_kept, dy, training=training)
    w = conv_kept[0][1]
    dx, dw, _ = conv2d.backward(conv_kept, da, stride=stride, padding=tuple(k // 2 for k in w.shape[2:]))
    return dx, dw, dgamma, dbeta


def _block(
    block: ResidualBlock, arrays: tuple[Array | None, ...], stride: PerAxis, options: dict[str, Any]
) -> tuple[Any, Any]:
    """Return relu(convolutions(x) + shortcut(x)) with the new running statistics, and the residuals."""
    given: dict[str, Any] = dict(zip(block.arrays, arrays, strict=True))
    x, projected = given["x"], given[f"w{SHORTCUT}"] is not None
    spatial(x, 2)
    filters = given[f"w{block.convolutions[-1]}"].shape[0]
    if not projected and (x.shape[1] != filters or per_axis("stride", stride, 2, 1) != (1, 1)):
        refuse(
            f"x of shape {tuple(x.shape)} becomes {filters} channels at stride {stride}: "
            f"w_shortcut of shape ({filters}, channels, 1, 1) is needed"
        )
    h, by, running, kept, strides = x, x, [], {}, block.strides(stride)
    for end in block.convolutions:
        (h, *statistics), part = _convolved(h, given, end, strides[end], options)
        running += statistics
        gate = None
        if end != block.convolutions[-1]:
            h, gate = relu.forward(h)
        kept[end] = (part, gate)
    statistics = [None, None]
    if projected:
        (by, *statistics), part = _convolved(x, given, SHORTCUT, strides[SHORTCUT], options)
        kept[SHORTCUT] = (part, None)
    y, last = relu.forward(h + by)
    return (y, *running, *statistics), (kept, last)


def _block_back(block: ResidualBlock, residuals: Any, dy: Array, *, stride: PerAxis, training: bool) -> tuple[Any, ...]:
    """Return the cotangents of all arrays, in order: those of x through the convolutions and the shortcut are added."""
    kept, last = residuals
    (total,) = relu.backward(last, dy)
    found: dict[str, Any] = {}

    def back(end: str, dh: Any) -> Any:
        part, gate = kept[end]
        if gate is not None:
            (dh,) = relu.backward(gate, dh)
        dh, *gradients = _convolved_back(part, dh, block.strides(stride)[end], training)
        found.update(zip((f"w{end}", f"gamma{end}", f"beta{end}"), gradients, strict=True))
        return dh

    dh = total
    for end in reversed(block.convolutions):
        dh = back(end, dh)
    found["x"] = dh + (back(SHORTCUT, total) if SHORTCUT in kept else total)
    return tuple(found.get(name) for name in block.arrays)


@BASIC.rule
def residual_block(
    x: Array,
    w1: Array,
    w2: Array,
    /,
    *others: Array | None,
    stride: PerAxis = 1,
    training: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> tuple[Any, Any]:
    """Apply the basic residual block.

    y = relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut(x)). The first convolution strides. The shortcut is x itself, or
    bn(conv(x)) with ``w_shortcut`` if it is given.

    dh = dy if y > 0, else 0. It goes back through the convolutions (each with dw, dgamma, dbeta) and through the shortcut,
    and the two are added: dx.

    Shapes: x (N, C, H, W); w1 (F, C, 3, 3), w2 (F, F, 3, 3), w_shortcut (F, C, 1, 1); the arrays of a normalisation
    have as many elements as its kernel has filters; y (N, F, ceil(H / stride), ceil(W / stride)). The value is
    (y, and the new running mean and variance of each normalisation, None if none were given).
    Raises ValueError if shapes do not fit, or if a shortcut is needed and none is given.
    Source: document 000, sections 5.1 and 5.2; He et al., arXiv:1512.03385.

    >>> x, w, mean, var = np.array([[[[1.0, -1.0]]]]), np.array([[[[2.0]]]]), np.zeros(1), np.ones(1)
    >>> arrays = (x, w, w, *[None] * 7, mean, var, mean, var)
    >>> (y, *_), pullback = F.residual_block.vjp(*arrays, training=False, eps=0.0)
    >>> dx, dw1, dw2, *_ = pullback(np.ones_like(y))
    >>> y.ravel(), dx.ravel(), dw1.ravel(), dw2.ravel()
    (array([5., 0.]), array([5., 0.]), array([2.]), array([2.]))
    """
    options = {"training": training, "momentum": momentum, "eps": eps}
    return _block(BASIC, (x, w1, w2, *others), stride, options)


@BOTTLENECK.rule
def bottleneck_block(
    x: Array,
    w1: Array,
    w2: Array,
    w3: Array,
    /,
    *others: Array | None,
    stride: PerAxis = 1,
    training: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> tuple[Any, Any]:
    """Apply the bottleneck residual block: 1 x 1 to few channels, 3 x 3 at the stride, 1 x 1 to many.

    y = relu(bn3(conv3(relu(bn2(conv2(relu(bn1(conv1(x)))))))) + shortcut(x)).

    It is derived as ``residual_block`` (dh, then dw, dgamma, dbeta of each part, and dx), with three convolutions.

    Shapes: x (N, C, H, W); w1 (K, C, 1, 1), w2 (K, K, 3, 3), w3 (F, K, 1, 1), w_shortcut (F, C, 1, 1); the arrays of a
    normalisation have as many elements as its kernel has filters; y (N, F, ceil(H / stride), ceil(W / stride)).
    The value is (y, and the new running mean and variance of each normalisation, None if none were given).
    Raises ValueError if shapes do not fit, or if a shortcut is needed and none is given.
    Source: document 000, section 5.2; He et al., arXiv:1512.03385.

    >>> x, w, mean, var = np.array([[[[1.0, -1.0]]]]), np.array([[[[2.0]]]]), np.zeros(1), np.ones(1)
    >>> arrays = (x, w, w, w, *[None] * 9, mean, var, mean, var, mean, var)
    >>> (y, *_), pullback = F.bottleneck_block.vjp(*arrays, training=False, eps=0.0)
    >>> dx, dw1, dw2, dw3, *_ = pullback(np.ones_like(y))
    >>> y.ravel(), dx.ravel(), dw1.ravel(), dw2.ravel(), dw3.ravel()
    (array([9., 0.]), array([9., 0.]), array([4.]), array([4.]), array([4.]))
    """
    options = {"training": training, "momentum": momentum, "eps": eps}
    return _block(BOTTLENECK, (x, w1, w2, w3, *others), stride, options)
