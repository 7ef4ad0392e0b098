"""Faults of code that works in blocks: it is right up to one block, and wrong beyond it."""

import numpy as np

from impl import array
from tests.faults.planted import fault


def up_to(x, block, axis=-1):
    """Return the first elements along an axis, one block of them."""
    return np.moveaxis(np.moveaxis(x, axis, 0)[:block], 0, axis)


def whole_blocks(n, block):
    """Return the length without what is beyond the last whole block; the length itself if it is less than a block."""
    return n - n % block if n > block else n


def nothing_beyond(x, end, axis=-1):
    """Return a copy that is zero from a place on along an axis."""
    x = np.array(x)
    np.moveaxis(x, axis, 0)[end:] = 0
    return x


# -- convolution ------------------------------------------------------------------------------------------------------


def blocks_of(x, kernel, *, stride, dilation, padding, groups):
    """Return the samples and the rows of dy that are unfolded at a time."""
    padded = array.spread(x, (1,) * len(kernel), padding)
    output = [
        (n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(padded.shape[2:], kernel, stride, dilation, strict=True)
    ]
    return [place for *place, _ in array._unfolded(padded, output, tuple(kernel), stride, dilation, groups)]


def of_last_block(right, x, dy, kernel, **geometry):
    """Return dw of the last block only."""
    *_, (samples, rows) = [(slice(0, 0), slice(0, 0)), *blocks_of(x, kernel, **geometry)]
    kept = np.zeros_like(dy)
    kept[samples, :, rows] = dy[samples, :, rows]
    return right(x, kept, kernel, **geometry)


for name in ("conv1d", "conv2d", "conv3d"):
    fault(name, "dw: = for += where blocks are unfolded", "impl.functional.conv.correlate_kernel")(of_last_block)


@fault("conv2d", "y: the last block that is unfolded is not computed", "impl.functional.conv.conv")
def _(right, x, w, stride, padding, dilation, groups):
    y = right(x, w, stride, padding, dilation, groups)
    geometry = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    for samples, rows in blocks_of(x, w.shape[2:], **geometry)[1:][-1:]:
        y[samples, :, rows] = 0
    return y


@fault("conv_transpose2d", "dx, dw: the first block of rows is unfolded again for each", "impl.array._unfolded")
def _(right, *arguments):
    first = None
    for samples, rows, columns in right(*arguments):
        first = columns.copy() if first is None else first
        fits = first.shape == columns.shape
        yield samples, rows, first if fits else columns


@fault("conv1d", "only the first 64 channels are summed", "impl.functional.conv.conv")
def _(right, x, w, stride, padding, dilation, groups):
    if groups > 1:
        return right(x, w, stride, padding, dilation, groups)
    return right(up_to(x, 64, axis=1), up_to(w, 64, axis=1), stride, padding, dilation, groups)


@fault("conv2d", "dx: filters beyond a multiple of 8 are left out", "impl.functional.conv.conv_dx")
def _(right, dy, w, size, stride, padding, dilation, groups):
    end = whole_blocks(w.shape[0], 8)
    return right(nothing_beyond(dy, end, axis=1), w, size, stride, padding, dilation, groups)


@fault("conv3d", "db: only the first 128 filters", "impl.functional.conv.conv3d.backward")
def _(right, kept, dy, wanted=None, **options):
    dx, dw, db = right(kept, dy, wanted, **options)
    return dx, dw, None if db is None else nothing_beyond(db, 128)


# -- products ---------------------------------------------------------------------------------------------------------


@fault("linear", "dw: the first 64 rows only", "impl.functional.linear.linear.backward")
def _(right, kept, dy, wanted=None):
    (x, *_), _ = kept
    dx, _, db = right(kept, dy, wanted)
    rows, more = up_to(x.reshape(-1, x.shape[-1]), 64, 0), up_to(dy.reshape(-1, dy.shape[-1]), 64, 0)
    return dx, more.T @ rows, db


@fault("affine", "y: features beyond a multiple of 64 are left out", "impl.functional.linear.affine.forward")
def _(right, x, w, b=None):
    _, kept = right(x, w, b)
    end = whole_blocks(w.shape[0], 64)
    y, _ = right(x, nothing_beyond(w, end, axis=0), b)
    return y, kept


# -- rows -------------------------------------------------------------------------------------------------------------


@fault("softmax", "the first 1024 exponentials are summed", "impl.functional.activation._shifted_exp")
def _(right, x, axis):
    shifted, e, _, axis = right(x, axis)
    return shifted, e, up_to(e, 1024, axis).sum(axis=axis, keepdims=True), axis


@fault(
    "log_softmax",
    "the sum is not scaled when a later block has a larger element",
    "impl.functional.activation._shifted_exp",
)
def _(right, x, axis):
    shifted, e, total, axis = right(x, axis)
    largest, total = -np.inf, 0 * total
    for start in range(0, x.shape[axis], 128):
        block = up_to(np.moveaxis(np.moveaxis(x, axis, 0)[start:], 0, axis), 128, axis)
        largest = np.maximum(largest, block.max(axis=axis, keepdims=True))
        total = total + np.exp(block - largest).sum(axis=axis, keepdims=True)
    return shifted, e, total, axis


@fault("layer_norm", "the statistics leave out what is beyond a multiple of 256", "impl.functional.norm.standardise")
def _(right, x, axes, eps):
    _, inv_std, mean, var = right(up_to(x, whole_blocks(x.shape[-1], 256)), axes, eps)
    return (x - mean) * inv_std, inv_std, mean, var


@fault("batch_norm", "dgamma: the first 128 samples only", "impl.functional.norm.batch_norm.backward")
def _(right, kept, dy, wanted=None, **options):
    dx, _, *others = right(kept, dy, wanted, **options)
    _, dgamma, *_ = right(kept, nothing_beyond(dy, 128, axis=0), wanted, **options)
    return dx, dgamma, *others


@fault("instance_norm", "beyond 64 channels gamma is 1", "impl.functional.norm.instance_norm.vjp")
def _(right, x, gamma=None, beta=None, **options):
    if gamma is not None:
        gamma = np.where(np.arange(len(gamma)) < 64, gamma, 1).astype(gamma.dtype)
    return right(x, gamma, beta, **options)


@fault("rms_norm", "the mean square is that of the first 1024", "impl.functional.norm._mean")
def _(right, x, axes):
    return right(up_to(x, 1024), axes)


# -- elements ---------------------------------------------------------------------------------------------------------


@fault("relu", "dx is not written beyond a multiple of 16", "impl.functional.activation.relu.backward")
def _(right, kept, dy, wanted=None):
    (dx,) = right(kept, dy, wanted)
    return (nothing_beyond(dx, whole_blocks(dx.shape[-1], 16)) if dx.ndim else dx,)


@fault("dropout", "the mask of the first 32 is used again", "impl.functional.dropout.dropout.vjp")
def _(right, x, mask, **options):
    if mask.ndim:
        mask = mask[..., np.arange(mask.shape[-1]) % 32]
    return right(x, mask, **options)


@fault("add", "the gradient of what was broadcast sums 64 rows only", "impl.functional.shape._summed_to")
def _(right, dy, shape):
    broadcast = dy.ndim and (len(shape) < dy.ndim or shape[0] < dy.shape[0])
    return right(nothing_beyond(dy, 64, axis=0) if broadcast else dy, shape)


@fault("cross_entropy", "classes beyond 256 get no gradient", "impl.functional.loss.cross_entropy.backward")
def _(right, kept, dy, wanted=None, **options):
    dlogits, *none = right(kept, dy, wanted, **options)
    return nothing_beyond(dlogits, 256, axis=1), *none


@fault("mse_loss", "the square of an element beyond 1024 is not added", "impl.functional.loss._reduced")
def _(right, losses, reduction):
    return right(losses if reduction == "none" or not losses.ndim else nothing_beyond(losses, 1024), reduction)


# -- windows ----------------------------------------------------------------------------------------------------------


@fault(
    "max_pool2d",
    "dx: windows beyond a multiple of 8 along the width are left out",
    "impl.functional.window.Windows.gather_back",
)
def _(right, windows, parts, x):
    return right(windows, [nothing_beyond(part, whole_blocks(part.shape[-1], 8)) for part in parts], x)


@fault(
    "global_avg_pool",
    "y: the first 256 places along the width are added",
    "impl.functional.pool.global_avg_pool.forward",
)
def _(right, x):
    _, kept = right(x)
    y, _ = right(nothing_beyond(x, 256))
    return y, kept
