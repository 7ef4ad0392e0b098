"""Layers composed of layers: rules built from rules. Going back, the parts' pullbacks are called in reverse."""

from __future__ import annotations

from typing import Any

from impl.array import Array
from impl.functional.activation import relu
from impl.functional.conv import conv2d
from impl.functional.linear import affine
from impl.functional.norm import batch_norm
from impl.functional.pool import max_pool2d
from impl.rule import refuse, rule


@rule
def affine_relu(x: Array, w: Array, b: Array | None = None) -> Any:
    """relu(affine(x, w, b)): y = max(x @ w + b, 0).

    da = dy where a > 0, then dx, dw, db as in ``affine``.

    Shapes: x (N, ...) flattened to (N, D); w (D, M); b (M), optional; y (N, M).
    Raises ValueError where x, w and b do not fit. Source: document 004, section 5.3.
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
    *,
    stride=1,
    padding=0,
    dilation=1,
    groups=1,
    kernel_size=2,
    pool_stride=None,
) -> Any:
    """max_pool2d(relu(conv2d(x, w, b))); stride to groups are the convolution's, the rest the pooling's.

    dh = the pooling's dx, da = dh where a > 0, then dx, dw, db as in ``conv2d``.

    Shapes: x (N, C, H, W); w (F, C/groups, KH, KW); b (F), optional; y (N, F, OH, OW).
    Raises ValueError where shapes or options do not fit. Source: document 004, sections 4 and 5.3.
    """
    a, conv_kept = conv2d.forward(x, w, b, stride=stride, padding=padding, dilation=dilation, groups=groups)
    h, relu_kept = relu.forward(a)
    y, pool_kept = max_pool2d.forward(h, kernel_size=kernel_size, stride=pool_stride)
    return y, (conv_kept, relu_kept, pool_kept)


@conv_relu_pool.pullback
def _(
    residuals: Any,
    dy: Array,
    *,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
    kernel_size: Any,
    pool_stride: Any,
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
    *,
    stride=1,
    padding=0,
    dilation=1,
    groups=1,
    training=True,
    momentum=0.1,
    eps=1e-5,
) -> Any:
    """relu(batch_norm(conv2d(x, w, b))); the value is (y, new_running_mean, new_running_var).

    dh = dy where h > 0, then da, dgamma, dbeta as in ``batch_norm``, then dx, dw, db as in ``conv2d``.

    Shapes: x (N, C, H, W); w (F, C/groups, KH, KW); b, gamma, beta, running_mean, running_var (F), each optional;
    y (N, F, OH, OW). Raises ValueError where shapes or options do not fit.
    Source: document 000, sections 4.9 and 5.3.
    """
    a, conv_kept = conv2d.forward(x, w, b, stride=stride, padding=padding, dilation=dilation, groups=groups)
    (h, mean, var), norm_kept = batch_norm.forward(
        a, gamma, beta, running_mean, running_var, training=training, momentum=momentum, eps=eps
    )
    y, relu_kept = relu.forward(h)
    return (y, mean, var), (conv_kept, norm_kept, relu_kept)


@conv_bn_relu.pullback
def _(
    residuals: Any, dy: Array, *, stride: Any, padding: Any, dilation: Any, groups: int, training: bool
) -> tuple[Any, ...]:
    conv_kept, norm_kept, relu_kept = residuals
    (dh,) = relu.backward(relu_kept, dy)
    da, dgamma, dbeta, _, _ = batch_norm.backward(norm_kept, dh, training=training)
    dx, dw, db = conv2d.backward(conv_kept, da, stride=stride, padding=padding, dilation=dilation, groups=groups)
    return dx, dw, db, dgamma, dbeta, None, None


# -- residual blocks --------------------------------------------------------------------------------------------------


def _convolved(
    x: Array, w: Array, norm: tuple[Array | None, ...], stride: Any, options: dict[str, Any]
) -> tuple[Any, Any]:
    """batch_norm(conv2d(x, w)), the kernel's size kept; norm is (gamma, beta, running_mean, running_var)."""
    a, conv_kept = conv2d.forward(x, w, stride=stride, padding=tuple(k // 2 for k in w.shape[2:]))
    value, norm_kept = batch_norm.forward(a, *norm, **options)
    return value, (conv_kept, norm_kept)


def _convolved_back(kept: Any, dy: Array, stride: Any, training: bool) -> tuple[Any, ...]:
    """dx, dw, dgamma and dbeta."""
    conv_kept, norm_kept = kept
    da, dgamma, dbeta, _, _ = batch_norm.backward(norm_kept, dy, training=training)
    w = conv_kept[0][1]
    dx, dw, _ = conv2d.backward(conv_kept, da, stride=stride, padding=tuple(k // 2 for k in w.shape[2:]))
    return dx, dw, dgamma, dbeta


def _block(
    x: Array, kernels: list[Array], norms: list[Any], strides: list[Any], shortcut: Any, stride: Any, options: Any
) -> tuple[Any, Any]:
    """relu(block(x) + shortcut(x)): convolutions with their normalisations, ReLU between."""
    filters = kernels[-1].shape[0]
    if shortcut[0] is None and (x.ndim != 4 or x.shape[1] != filters or stride not in (1, (1, 1), [1, 1])):
        refuse(
            f"x of shape {tuple(x.shape)} becomes {filters} channels at stride {stride}: "
            f"w_shortcut of shape ({filters}, channels, 1, 1) is needed"
        )
    h, kept, running = x, [], []
    for i, (w, norm, s) in enumerate(zip(kernels, norms, strides, strict=True)):
        (h, mean, var), part = _convolved(h, w, norm, s, options)
        running += [mean, var]
        gate = None
        if i < len(kernels) - 1:
            h, gate = relu.forward(h)
        kept.append((part, gate))
    by, by_kept = x, None
    if shortcut[0] is not None:
        (by, mean, var), by_kept = _convolved(x, shortcut[0], shortcut[1:], stride, options)
        running += [mean, var]
    else:
        running += [None, None]
    y, last = relu.forward(h + by)
    return (y, *running), (kept, by_kept, last)


def _block_back(residuals: Any, dy: Array, strides: list[Any], stride: Any, training: bool) -> tuple[Any, ...]:
    """dx, the parts' (dw, dgamma, dbeta) in order, and the shortcut's, None where there is none."""
    kept, by_kept, last = residuals
    (total,) = relu.backward(last, dy)
    dh = total
    parts: list[Any] = []
    for (part, gate), s in zip(reversed(kept), reversed(strides), strict=True):
        if gate is not None:
            (dh,) = relu.backward(gate, dh)
        dh, *rest = _convolved_back(part, dh, s, training)
        parts.insert(0, rest)
    by, projected = total, (None, None, None)
    if by_kept is not None:
        by, *rest = _convolved_back(by_kept, total, stride, training)
        projected = tuple(rest)
    return dh + by, parts, projected


def _running(*which: str) -> tuple[str, ...]:
    return tuple(f"running_{what}{w}" for w in (*which, "_shortcut") for what in ("mean", "var"))


@rule(no_gradient=_running("1", "2"))
def residual_block(
    x: Array,
    w1: Array,
    w2: Array,
    gamma1: Array | None = None,
    beta1: Array | None = None,
    gamma2: Array | None = None,
    beta2: Array | None = None,
    w_shortcut: Array | None = None,
    gamma_shortcut: Array | None = None,
    beta_shortcut: Array | None = None,
    running_mean1: Array | None = None,
    running_var1: Array | None = None,
    running_mean2: Array | None = None,
    running_var2: Array | None = None,
    running_mean_shortcut: Array | None = None,
    running_var_shortcut: Array | None = None,
    *,
    stride=1,
    training=True,
    momentum=0.1,
    eps=1e-5,
) -> Any:
    """The basic residual block: y = relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut(x)).

    The convolutions keep the size (padding K // 2) but for the stride of the first; the shortcut is x itself, or
    bn(conv(x)) with w_shortcut at the same stride where shape or stride differ. Going back, dy (where the sum was
    positive) goes through the block and through the shortcut, and dx is the sum of the two.

    Shapes: x (N, C, H, W); w1 (F, C, K, K), w2 (F, F, K, K), w_shortcut (F, C, 1, 1); the normalisations' arrays (F);
    y (N, F, ceil(H / stride), ceil(W / stride)) for odd K. The value is (y, and the new running mean and variance of
    each normalisation, None where none were given).
    Raises ValueError where shapes do not fit, or a shortcut is needed and none is given.
    Source: document 000, sections 5.1 and 5.2; He et al., arXiv:1512.03385.
    """
    options = {"training": training, "momentum": momentum, "eps": eps}
    norms = [(gamma1, beta1, running_mean1, running_var1), (gamma2, beta2, running_mean2, running_var2)]
    shortcut = (w_shortcut, gamma_shortcut, beta_shortcut, running_mean_shortcut, running_var_shortcut)
    return _block(x, [w1, w2], norms, [stride, 1], shortcut, stride, options)


@residual_block.pullback
def _(residuals: Any, dy: Array, *, stride: Any, training: bool) -> tuple[Any, ...]:
    dx, ((dw1, dg1, db1), (dw2, dg2, db2)), projected = _block_back(residuals, dy, [stride, 1], stride, training)
    return (dx, dw1, dw2, dg1, db1, dg2, db2, *projected, *[None] * 6)


@rule(no_gradient=_running("1", "2", "3"))
def bottleneck_block(
    x: Array,
    w1: Array,
    w2: Array,
    w3: Array,
    gamma1: Array | None = None,
    beta1: Array | None = None,
    gamma2: Array | None = None,
    beta2: Array | None = None,
    gamma3: Array | None = None,
    beta3: Array | None = None,
    w_shortcut: Array | None = None,
    gamma_shortcut: Array | None = None,
    beta_shortcut: Array | None = None,
    running_mean1: Array | None = None,
    running_var1: Array | None = None,
    running_mean2: Array | None = None,
    running_var2: Array | None = None,
    running_mean3: Array | None = None,
    running_var3: Array | None = None,
    running_mean_shortcut: Array | None = None,
    running_var_shortcut: Array | None = None,
    *,
    stride=1,
    training=True,
    momentum=0.1,
    eps=1e-5,
) -> Any:
    """The bottleneck residual block: y = relu(bn3(conv3(relu(bn2(conv2(relu(bn1(conv1(x)))))))) + shortcut(x)).

    1 x 1 to few channels, 3 x 3 at the stride, 1 x 1 to many.

    As ``residual_block``, with three convolutions; the stride is the second's.

    Shapes: x (N, C, H, W); w1 (K, C, 1, 1), w2 (K, K, 3, 3), w3 (F, K, 1, 1), w_shortcut (F, C, 1, 1); the
    normalisations' arrays as many as their kernel's filters; y (N, F, ceil(H / stride), ceil(W / stride)).
    Raises ValueError where shapes do not fit, or a shortcut is needed and none is given.
    Source: document 000, section 5.2; He et al., arXiv:1512.03385.
    """
    options = {"training": training, "momentum": momentum, "eps": eps}
    norms = [
        (gamma1, beta1, running_mean1, running_var1),
        (gamma2, beta2, running_mean2, running_var2),
        (gamma3, beta3, running_mean3, running_var3),
    ]
    shortcut = (w_shortcut, gamma_shortcut, beta_shortcut, running_mean_shortcut, running_var_shortcut)
    return _block(x, [w1, w2, w3], norms, [1, stride, 1], shortcut, stride, options)


@bottleneck_block.pullback
def _(residuals: Any, dy: Array, *, stride: Any, training: bool) -> tuple[Any, ...]:
    dx, parts, projected = _block_back(residuals, dy, [1, stride, 1], stride, training)
    (dw1, dg1, db1), (dw2, dg2, db2), (dw3, dg3, db3) = parts
    return (dx, dw1, dw2, dw3, dg1, db1, dg2, db2, dg3, db3, *projected, *[None] * 8)
