"""Faults of convolution and of its transpose."""

from tests.faults.planted import fault


@fault("conv2d", "dx: the kernel is not flipped", "impl.functional.conv.conv_dx", diagnosis="rotated by 180 degrees")
def _(right, dy, w, *geometry):
    return right(dy, w[..., ::-1, ::-1], *geometry)


@fault("conv3d", "dx: only the last axis of the kernel is flipped", "impl.functional.conv.conv_dx")
def _(right, dy, w, *geometry):
    return right(dy, w[..., ::-1, ::-1, :], *geometry)


@fault("conv2d", "dx: padding is taken on the wrong side", "impl.functional.conv.conv_dx")
def _(right, dy, w, size, stride, padding, dilation, groups):
    exchanged = [(after, before) for before, after in padding]
    return right(dy, w, size, stride, exchanged, dilation, groups)


@fault("conv1d", "dw: the stride is forgotten", "impl.functional.conv.correlate_kernel")
def _(right, x, dy, kernel, *, stride, **geometry):
    return right(x, dy, kernel, stride=(1,) * len(kernel), **geometry)


@fault("conv2d", "dw: stride and dilation are exchanged", "impl.functional.conv.correlate_kernel")
def _(right, x, dy, kernel, *, stride, dilation, padding, groups):
    wide = [(before, after + 99) for before, after in padding]  # no window reaches past it
    return right(x, dy, kernel, stride=dilation, dilation=stride, padding=wide, groups=groups)


@fault("conv2d", "dw: what the stride leaves over is left out at the start", "impl.functional.conv.correlate_kernel")
def _(right, x, dy, kernel, *, stride, dilation, padding, groups):
    before, after = padding[-1]
    room = x.shape[-1] + before + after - dilation[-1] * (kernel[-1] - 1) - 1
    late = [*padding[:-1], (before - room % stride[-1], after)]
    return right(x, dy, kernel, stride=stride, dilation=dilation, padding=late, groups=groups)


@fault("conv2d", "dw: rotated by 180 degrees", "impl.functional.conv.conv_dw", diagnosis="rotated")
def _(right, *call):
    return right(*call)[..., ::-1, ::-1]


@fault("conv2d", "db: the mean over the batch, not the sum", "impl.functional.conv.conv2d.backward")
def _(right, kept, dy, wanted=None, **options):
    dx, dw, db = right(kept, dy, wanted, **options)
    return dx, dw, None if db is None else dy.sum(axis=(2, 3)).mean(axis=0)


@fault("conv2d", "a dilation of 3 reads as 2, forward and backward agree", "impl.functional.conv.per_axis")
def _(right, name, value, rank, least):
    entries = right(name, value, rank, least)
    return tuple(min(entry, 2) for entry in entries) if name == "dilation" else entries


@fault("conv2d", "groups: channels are interleaved, not in blocks", "impl.functional.conv.conv_dx")
def _(right, dy, w, size, stride, padding, dilation, groups):
    interleaved = w.reshape(w.shape[0] // groups, groups, *w.shape[1:]).swapaxes(0, 1).reshape(w.shape)
    return right(dy, interleaved, size, stride, padding, dilation, groups)


@fault("conv2d", '"same" pads an even kernel before', "impl.functional.conv.resolve_padding")
def _(right, padding, *geometry):
    edges = right(padding, *geometry)
    return [(after, before) for before, after in edges] if padding == "same" else edges


@fault("conv_transpose2d", "output_padding is added before", "impl.functional.conv.conv_dx")
def _(right, x, w, size, stride, padding, dilation, groups):
    shifted = []
    for n, m, k, s, d, (before, after) in zip(size, x.shape[2:], w.shape[2:], stride, dilation, padding, strict=True):
        extra = n - ((m - 1) * s + d * (k - 1) + 1 - before - after)
        shifted.append((before + extra, after))
    return right(x, w, size, stride, shifted, dilation, groups)


@fault(
    "conv_transpose2d",
    "dw: its last axis is reversed, as if x and dy had not changed places",
    "impl.functional.conv.conv_dw",
)
def _(right, *call):
    return right(*call)[..., ::-1]


@fault("conv_transpose1d", "the bias is forgotten", "impl.functional.conv.conv_transpose1d.forward")
def _(right, x, w, b=None, **options):
    _, kept = right(x, w, b, **options)
    y, _ = right(x, w, **options)
    return y, kept
