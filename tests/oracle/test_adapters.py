"""Adapters: code of every shape becomes a target that conforms, and keeps its faults; frameworks that install are tried."""

import shutil
import textwrap
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

from oracle import adapters
from oracle.cases import Case
from oracle.judge import judge
from oracle.targets.ask import InProcess
from oracle.targets.find import resolve
from oracle.trial.search import Search


def verdict(layer, name, dtype="float64", examples=60):
    """Return the checks that fail in a search, which has to try something."""
    search = Search(InProcess(layer), name, dtype, sizes="small")  # an adapter does not look at lengths
    search.run(examples, 0)
    assert search.judged, "nothing was judged"
    return {fault.check for fault, _ in search.found}


# -- a solution of the assignment, from its formulas ------------------------------------------------------------------


def affine_forward(x, w, b):
    return x.reshape(len(x), -1) @ w + b, (x, w)


def affine_backward(dout, cache):
    x, w = cache
    return (dout @ w.T).reshape(x.shape), x.reshape(len(x), -1).T @ dout, dout.sum(0)


def conv_forward_naive(x, w, b, conv_param):
    s, p = conv_param["stride"], conv_param["pad"]
    wide = np.pad(x, [(0, 0), (0, 0), (p, p), (p, p)])
    windows = np.lib.stride_tricks.sliding_window_view(wide, w.shape[2:], (2, 3))[:, :, ::s, ::s]
    return np.einsum("nchwij,fcij->nfhw", windows, w) + b[:, None, None], (x, w, b, conv_param)


def conv_backward_naive(dout, cache, adding=True):
    x, w, _, conv_param = cache
    s, p = conv_param["stride"], conv_param["pad"]
    wide = np.pad(x, [(0, 0), (0, 0), (p, p), (p, p)])
    d, dw = np.zeros_like(wide), np.zeros_like(w)
    for n, f, i, j in np.ndindex(dout.shape):
        at = (n, slice(None), slice(i * s, i * s + w.shape[2]), slice(j * s, j * s + w.shape[3]))
        dw[f] += dout[n, f, i, j] * wide[at]
        d[at] = (d[at] if adding else 0) + dout[n, f, i, j] * w[f]
    return d[:, :, p : p + x.shape[2], p : p + x.shape[3]], dw, dout.sum((0, 2, 3))


def max_pool_forward_naive(x, pool_param):
    h, w, s = (pool_param[k] for k in ("pool_height", "pool_width", "stride"))
    windows = np.lib.stride_tricks.sliding_window_view(x, (h, w), (2, 3))[:, :, ::s, ::s]
    return windows.max((4, 5)), (x, pool_param)


def max_pool_backward_naive(dout, cache):
    x, pool_param = cache
    h, w, s = (pool_param[k] for k in ("pool_height", "pool_width", "stride"))
    dx = np.zeros_like(x)
    for n, c, i, j in np.ndindex(dout.shape):
        part = x[n, c, i * s : i * s + h, j * s : j * s + w]
        a, b = np.unravel_index(part.argmax(), part.shape)
        dx[n, c, i * s + a, j * s + b] += dout[n, c, i, j]
    return dx


def batchnorm_forward(x, gamma, beta, bn_param):
    eps, momentum = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    mean, var = (
        bn_param.get("running_mean", np.zeros(x.shape[1], x.dtype)),
        bn_param.get("running_var", np.zeros(x.shape[1], x.dtype)),
    )
    if bn_param["mode"] == "train":
        m, v = x.mean(0), x.var(0)
        bn_param["running_mean"], bn_param["running_var"] = (
            momentum * old + (1 - momentum) * new for old, new in ((mean, m), (var, v))
        )
    else:
        m, v = mean, var
    inv = 1 / np.sqrt(v + eps)
    x_hat = (x - m) * inv
    return gamma * x_hat + beta, (x_hat, inv, gamma)


def batchnorm_backward(dout, cache):
    x_hat, inv, gamma = cache
    d = dout * gamma
    return inv * (d - d.mean(0) - x_hat * (d * x_hat).mean(0)), (dout * x_hat).sum(0), dout.sum(0)


def rows(x):
    return x.transpose(0, 2, 3, 1).reshape(-1, x.shape[1])


def spatial_batchnorm_forward(x, gamma, beta, bn_param):
    y, cache = batchnorm_forward(rows(x), gamma, beta, bn_param)
    n, c, h, w = x.shape
    return y.reshape(n, h, w, c).transpose(0, 3, 1, 2), cache


def spatial_batchnorm_backward(dout, cache):
    dx, dgamma, dbeta = batchnorm_backward(rows(dout), cache)
    n, c, h, w = dout.shape
    return dx.reshape(n, h, w, c).transpose(0, 3, 1, 2), dgamma, dbeta


def layernorm_forward(x, gamma, beta, ln_param):
    inv = 1 / np.sqrt(x.var(1, keepdims=True) + ln_param["eps"])
    x_hat = (x - x.mean(1, keepdims=True)) * inv
    return gamma * x_hat + beta, (x_hat, inv, gamma)


def layernorm_backward(dout, cache):
    x_hat, inv, gamma = cache
    d = dout * gamma
    dx = inv * (d - d.mean(1, keepdims=True) - x_hat * (d * x_hat).mean(1, keepdims=True))
    return dx, (dout * x_hat).sum(0), dout.sum(0)


def spatial_groupnorm_forward(x, gamma, beta, g, gn_param):
    parts = x.reshape(len(x) * g, -1)
    inv = 1 / np.sqrt(parts.var(1, keepdims=True) + gn_param["eps"])
    x_hat = (parts - parts.mean(1, keepdims=True)) * inv
    return gamma * x_hat.reshape(x.shape) + beta, (x_hat, inv, gamma)


def spatial_groupnorm_backward(dout, cache):
    x_hat, inv, gamma = cache
    d = (dout * gamma).reshape(x_hat.shape)
    dx = inv * (d - d.mean(1, keepdims=True) - x_hat * (d * x_hat).mean(1, keepdims=True))
    axes = (0, 2, 3)
    return (
        dx.reshape(dout.shape),
        (dout * x_hat.reshape(dout.shape)).sum(axes, keepdims=True),
        dout.sum(axes, keepdims=True),
    )


def softmax_loss(x, y):
    shifted = x - x.max(1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    dx = np.exp(log_p)
    dx[np.arange(len(y)), y] -= 1
    return -log_p[np.arange(len(y)), y].mean(), dx / len(y)


SOLUTION = SimpleNamespace(
    **{name: value for name, value in globals().items() if name.endswith(("_forward", "_backward", "_naive", "_loss"))},
    relu_forward=lambda x: (np.maximum(0, x), x),
    relu_backward=lambda dout, cache: dout * (cache > 0),
)


@pytest.mark.parametrize("name", ["affine", "relu", "conv2d", "max_pool2d", "layer_norm", "group_norm"])
def test_a_right_solution_of_cs231n_conforms(name):
    """Finite values: the assignment says nothing of NaN in an empty or infinite batch."""
    layer = adapters.cs231n(SOLUTION)[name]
    assert verdict(ordinary(layer), name) == set()


@pytest.mark.parametrize(("name", "examples"), [("batch_norm", 150), ("cross_entropy", 300)])
def test_statistics_and_loss_of_cs231n_conform(name, examples):
    """Few of the cases are offered."""
    layer = adapters.cs231n(SOLUTION)[name]
    assert verdict(ordinary(layer), name, examples=examples) == set()


def ordinary(layer):
    """Offered for finite, non-empty arrays of a spread."""

    def wrapped(*arrays, **configuration):
        x = arrays[0]
        if x.size == 0 or not np.isfinite(x).all():
            raise NotImplementedError
        return layer(*arrays, **configuration)

    return wrapped


def test_the_everyday_mistake_of_cs231n_is_found():
    wrong = SimpleNamespace(
        conv_forward_naive=conv_forward_naive,
        conv_backward_naive=lambda dout, cache: conv_backward_naive(dout, cache, adding=False),
    )
    assert "gradient" in verdict(ordinary(adapters.cs231n(wrong)["conv2d"]), "conv2d")


def test_a_module_without_any_of_the_functions_is_refused():
    with pytest.raises(ValueError, match="none of the assignment's functions"):
        adapters.cs231n(SimpleNamespace())


# -- the other shapes -------------------------------------------------------------------------------------------------


class Dense:
    def forward(self, x):
        self.x = x
        y = x @ self.weight.T
        return y if self.bias is None else y + self.bias

    def backward(self, dy):
        flat_dy, flat_x = dy.reshape(-1, dy.shape[-1]), self.x.reshape(-1, self.x.shape[-1])
        self.dweight, self.dbias = flat_dy.T @ flat_x, flat_dy.sum(0)
        return dy @ self.weight


def test_stateful_objects():
    layer = adapters.stateful(
        Dense, parameters={"w": "weight", "b": "bias"}, gradients={"w": "dweight", "b": "dbias"}
    )  # fmt: skip
    assert verdict(ordinary(lambda x, w, b=None: layer(x, w, b)), "linear") == set()
    with pytest.raises(ValueError, match="has 3 arrays after x"):
        layer(*[np.ones((2, 2))] * 4)


class Leaky:
    negative_slope = 0.01

    def forward(self, x):
        self.x = x
        return np.where(x > 0, x, (x * self.negative_slope).astype(x.dtype))

    def backward(self, dy):
        return np.where(self.x > 0, dy, (dy * self.negative_slope).astype(dy.dtype))


@pytest.mark.parametrize(
    "thing", [Leaky(), lambda negative_slope=0.01: with_slope(negative_slope)], ids=["one", "made"]
)
def test_one_object_or_one_for_each_configuration(thing):
    assert verdict(adapters.stateful(thing), "leaky_relu") == set()


def with_slope(negative_slope):
    layer = Leaky()
    layer.negative_slope = negative_slope
    return layer


def test_an_option_that_the_object_lacks_is_not_offered():
    layer = adapters.stateful(Leaky())
    with pytest.raises(NotImplementedError):
        layer(np.ones(3), slope=2.0)


def test_forward_backward_with_a_cache():
    pair = adapters.forward_backward(lambda x: (np.tanh(x), np.tanh(x)), lambda dy, y: dy * (1 - y) * (1 + y))
    assert verdict(pair, "tanh") == set()


def test_channels_last():
    def pool(x, size, step):  # (N, H, W, C), windows that do not overlap
        n, h, w, c = x.shape
        if size != step or h % size or w % size or not np.isfinite(x).all():
            raise NotImplementedError
        parts = x.reshape(n, h // size, size, w // size, size, c)

        def back(dy):
            return (np.broadcast_to(dy[:, :, None, :, None] / size**2, parts.shape).reshape(x.shape).astype(x.dtype),)

        return parts.mean((2, 4)), back

    def layer(x, *, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
        if not isinstance(kernel_size, int) or padding != 0 or not (stride is None or isinstance(stride, int)):
            raise NotImplementedError
        made = adapters.renamed(adapters.channels_last(pool), kernel_size="size", stride="step")
        return made(x, kernel_size=kernel_size, stride=stride or kernel_size)

    assert verdict(layer, "avg_pool2d") == set()


def test_convolution_in_another_layout():
    import jax
    from jax import lax

    def nhwc(x, w):
        def function(x, w):
            return lax.conv_general_dilated(x, w, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))

        y, back = jax.vjp(function, jnp.asarray(x), jnp.asarray(w))
        return np.array(y), lambda dy: (*map(np.array, back(jnp.asarray(dy))), None)

    def layer(x, w, b=None, **configuration):
        if configuration or b is not None:
            raise NotImplementedError
        if x.shape[2] < w.shape[2] or x.shape[3] < w.shape[3]:
            raise ValueError("too small")
        return adapters.channels_last(nhwc)(x, w)

    def with_zero_bias(x, w, b=None, **configuration):
        if configuration or b is None:
            return layer(x, w, b, **configuration)
        y, back = layer(x, w)
        return y + b[:, None, None], lambda dy: (*back(dy)[:2], dy.sum((0, 2, 3)))

    assert verdict(with_zero_bias, "conv2d", "float32") == set()


def test_autograd_jax():
    def outside(logits, labels, *rest, **configuration):
        if (
            logits.ndim != 2
            or not np.isfinite(logits).all()
            or (labels == configuration.get("ignore_index", -100)).any()
        ):
            raise NotImplementedError
        return adapters.autograd_jax(loss_without_checks)(logits, labels, *rest, **configuration)

    def loss_without_checks(logits, labels, weight=None, **configuration):
        import jax

        if weight is not None or set(configuration) - {"ignore_index"} or not len(labels):
            raise NotImplementedError
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], 1).mean()

    assert verdict(outside, "cross_entropy", examples=150) == set()


@pytest.mark.framework("torch")
def test_the_example_of_autograd_torch():
    """The others are doctests; this one needs PyTorch."""
    example = textwrap.dedent(adapters.autograd_torch.__doc__.partition("Example:\n")[2])
    exec(example, names := {"np": np, "autograd_torch": adapters.autograd_torch})
    assert names["dx"].shape == (1,)


@pytest.mark.framework("torch")
def test_autograd_torch():
    import torch

    layer = adapters.autograd_torch(lambda x: x * torch.sigmoid(x))
    assert verdict(layer, "silu") == set()
    wrong = adapters.autograd_torch(lambda x: x * torch.sigmoid(x.detach()))
    assert verdict(wrong, "silu") == {"gradient"}


@pytest.mark.framework("autograd")
def test_autograd_of_hips():
    from autograd import make_vjp, numpy

    def layer(x):
        back, y = make_vjp(lambda v: numpy.tanh(v))(x)
        return y, lambda dy: (back(dy),)

    assert verdict(layer, "tanh") == set()


@pytest.mark.framework("mygrad")
def test_mygrad():
    import mygrad

    def layer(x):
        x = mygrad.tensor(x)
        y = mygrad.tanh(x)

        def pullback(dy):
            x.null_grad()
            again = mygrad.tanh(x)
            again.backward(dy)
            return (x.grad.copy(),)

        return y.data.copy(), pullback

    assert verdict(layer, "tanh", "float64") == set()


@pytest.mark.framework("tinygrad")
def test_tinygrad(monkeypatch):
    if shutil.which("clang") is None:
        monkeypatch.setenv("DEV", "PYTHON")  # its interpreter; its other devices on a CPU need a compiler
    import tinygrad

    def layer(x, w, b=None):
        if 0 in (*x.shape, *w.shape) or not np.isfinite(x).all():
            raise NotImplementedError
        given = [tinygrad.Tensor(np.ascontiguousarray(a)) for a in (x, w, b) if a is not None]
        y = given[0] @ given[1].T if b is None else given[0] @ given[1].T + given[2]

        def pullback(dy):
            found = [d.numpy() for d in y.gradient(*given, gradient=tinygrad.Tensor(np.ascontiguousarray(dy)))]
            return (*found, None) if b is None else tuple(found)

        return y.numpy(), pullback

    assert verdict(layer, "linear", "float32", 20) == set()


def test_a_built_in_residual_block_pads_each_axis_by_its_own_kernel():
    shapes = ((2, 2, 3, 9), (3, 2, 3, 5), (3, 3, 3, 7), *[(3,)] * 4, (3, 2, 1, 1), *[(3,)] * 8)
    case = Case("residual_block", "float32", shapes, {"training": False, "stride": 2})
    assert judge(InProcess(resolve("jax").layer("residual_block")), case).findings == []
