"""What the framework costs, beside JAX's own gradients and PyTorch: float32, (32, 64, 32, 32), medians of one run.

    pytest tests/benchmarks/test_framework_cost.py --benchmark-enable -n 0 --benchmark-columns=median,rounds

Within a group the table gives each median's ratio to the fastest.
"""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from impl import functional as F
from impl.models import convnet, resnet20
from impl.optim import SGD
from impl.train import Engine, make_step
from oracle.layers import LAYERS

SHAPE = (32, 64, 32, 32)
ROUNDS = {"rounds": 11, "iterations": 1, "warmup_rounds": 2}


def normal(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


CASES = {
    **{
        name: ([normal(*SHAPE)], {})
        for name in (
            "relu", "leaky_relu", "elu", "gelu", "silu", "sigmoid", "tanh", "softplus", "softmax", "log_softmax",
            "global_avg_pool", "global_max_pool", "l2_penalty",
        )
    },
    "conv2d": ([normal(*SHAPE), normal(64, 64, 3, 3), normal(64)], {"padding": 1}),
    "conv_transpose2d": ([normal(*SHAPE), normal(64, 64, 3, 3), normal(64)], {"padding": 1}),
    "max_pool2d": ([normal(*SHAPE)], {"kernel_size": 2}),
    "avg_pool2d": ([normal(*SHAPE)], {"kernel_size": 2}),
    "adaptive_avg_pool": ([normal(*SHAPE)], {"output_size": 8}),
    "batch_norm": ([normal(*SHAPE), normal(64), normal(64)], {}),
    "group_norm": ([normal(*SHAPE), normal(64), normal(64)], {"groups": 8}),
    "instance_norm": ([normal(*SHAPE), normal(64), normal(64)], {}),
    "layer_norm": ([normal(*SHAPE), normal(*SHAPE[1:]), normal(*SHAPE[1:])], {"normalized_ndim": 3}),
    "rms_norm": ([normal(*SHAPE), normal(*SHAPE[1:])], {"normalized_ndim": 3}),
    "affine": ([normal(*SHAPE), normal(64 * 1024, 10), normal(10)], {}),
    "linear": ([normal(*SHAPE), normal(32, 32), normal(32)], {}),
    "cross_entropy": ([normal(*SHAPE), np.random.default_rng(0).integers(0, 64, (32, 32, 32))], {}),
    "binary_cross_entropy": ([np.clip(abs(normal(*SHAPE)), 0.1, 0.9)] * 2, {}),
    "mse_loss": ([normal(*SHAPE), normal(*SHAPE)], {}),
    "pad": ([normal(*SHAPE)], {"padding": 1}),
    "dropout": ([normal(*SHAPE), (normal(*SHAPE) > 0).astype(np.float32)], {}),
    "add": ([normal(*SHAPE), normal(*SHAPE)], {}),
}  # fmt: skip


def first(value):
    return value[0] if isinstance(value, tuple) else value


def by_hand(name, options, wanted):
    def function(dy, *arrays):
        value, pullback = getattr(F, name).vjp(*arrays, **options)
        cotangents = pullback(dy)
        return first(value), [cotangents[i] for i in wanted]

    return function


def by_jax(name, options, wanted):
    def function(dy, *arrays):
        def of_wanted(*chosen):
            full = list(arrays)
            for i, x in zip(wanted, chosen, strict=True):
                full[i] = x
            return first(LAYERS[name].mathematics(*full, **options))

        value, pullback = jax.vjp(of_wanted, *(arrays[i] for i in wanted))
        return value, pullback(dy)

    return function


@pytest.mark.parametrize("who", [by_hand, by_jax])
@pytest.mark.parametrize("name", CASES)
def test_jitted_forward_and_backward(benchmark, name, who):
    benchmark.group = f"jax: {name}"
    arrays, options = CASES[name]
    arrays = [jnp.asarray(a) for a in arrays]
    layer = LAYERS[name]
    wanted = [i for i in range(len(arrays)) if layer.arrays[i] not in layer.no_gradient]
    value = first(getattr(F, name)(*arrays, **options))
    dy = jnp.asarray(normal(*value.shape))
    function = jax.jit(who(name, options, wanted))
    benchmark.pedantic(lambda: jax.block_until_ready(function(dy, *arrays)), **ROUNDS)


X, W = normal(*SHAPE), normal(64, 64, 3, 3)


def conv_of_impl():
    y, pullback = F.conv2d.vjp(X, W, padding=1)
    return pullback(y)


def conv_of_torch():
    torch = pytest.importorskip("torch")
    x, w = (torch.tensor(a, requires_grad=True) for a in (X, W))
    y = torch.nn.functional.conv2d(x, w, padding=1)
    y.backward(y.detach())


def conv_of_mygrad():
    mygrad = pytest.importorskip("mygrad")
    from mygrad.nnet.layers import conv_nd

    x, w = mygrad.tensor(X), mygrad.tensor(W)
    y = conv_nd(x, w, stride=1, padding=1)
    y.backward(y.data)


def conv_of_autograd():
    numpy = pytest.importorskip("autograd.numpy")
    from autograd import make_vjp
    from autograd.scipy.signal import convolve

    def convolution(both):
        x, w = both
        x = numpy.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)], mode="constant")
        return convolve(x, w, axes=([2, 3], [2, 3]), dot_axes=([1], [1]), mode="valid")

    pullback, y = make_vjp(convolution)((X, W))
    pullback(y)


@pytest.mark.parametrize("who", [conv_of_impl, conv_of_torch, conv_of_mygrad, conv_of_autograd])
def test_numpy_convolution(benchmark, who):
    benchmark.group = "numpy: conv2d 3x3 forward and backward"
    rounds = {"rounds": 2, "iterations": 1} if who in (conv_of_mygrad, conv_of_autograd) else ROUNDS
    benchmark.pedantic(who, **rounds)


def convnet_of_torch(torch):
    nn = torch.nn
    return nn.Sequential(
        nn.Conv2d(3, 32, 7, padding=3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32 * 256, 100), nn.ReLU(),
        nn.Linear(100, 10),
    )  # fmt: skip


def resnet20_of_torch(torch):
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self, channels, filters, stride):
            super().__init__()
            self.body = nn.Sequential(
                nn.Conv2d(channels, filters, 3, stride, 1, bias=False), nn.BatchNorm2d(filters), nn.ReLU(),
                nn.Conv2d(filters, filters, 3, 1, 1, bias=False), nn.BatchNorm2d(filters),
            )  # fmt: skip
            projected = nn.Sequential(nn.Conv2d(channels, filters, 1, stride, bias=False), nn.BatchNorm2d(filters))
            self.shortcut = nn.Identity() if stride == 1 and channels == filters else projected

        def forward(self, x):
            return torch.relu(self.body(x) + self.shortcut(x))

    blocks, channels = [], 16
    for stage in range(3):
        for i in range(3):
            filters = 16 * 2**stage
            blocks.append(Block(channels, filters, 2 if stage and not i else 1))
            channels = filters
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), *blocks, nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip


NETWORKS = {"convnet": (convnet, convnet_of_torch), "resnet20": (resnet20, resnet20_of_torch)}


def our_step(network, engine):
    where, optimiser = Engine(engine), SGD(rate=0.01, momentum=0.9)
    parameters, state = network.init(0)
    run = [where.place(t) for t in (parameters, state, optimiser.init(parameters))]
    x, y = where.share(normal(64, 3, 32, 32)), where.share(np.arange(64) % 10)
    step = make_step(network, optimiser, engine=engine)

    def once():
        *run[:], loss, _ = step(*run, x, y, np.float32(0.01), None)
        return float(loss)

    return once


def torch_step(network):
    torch = pytest.importorskip("torch")
    model = network(torch)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    x, y = torch.tensor(normal(64, 3, 32, 32)), torch.arange(64) % 10

    def once():
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimiser.step()
        return float(loss.detach())

    return once


@pytest.mark.parametrize("who", ["jax", "numpy", "torch"])
@pytest.mark.parametrize("name", NETWORKS)
def test_training_step(benchmark, name, who):
    benchmark.group = f"training step, batch 64: {name}"
    ours, theirs = NETWORKS[name]
    once = torch_step(theirs) if who == "torch" else our_step(ours(), who)
    benchmark.pedantic(once, **ROUNDS)


MEMORY = """
import resource, sys
from tests.benchmarks.test_framework_cost import NETWORKS, our_step, torch_step
import impl.train
if sys.argv[1] == "torch":
    import torch
ours, theirs = NETWORKS["resnet20"]
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before = peak()
once = torch_step(theirs) if sys.argv[1] == "torch" else our_step(ours(), "numpy")
for _ in range(3): once()
print(peak() - before)
"""


def test_peak_memory_of_a_resnet20_step(benchmark):
    """Not a time: MiB above the imports, in a process of its own each, kept as extra_info."""
    pytest.importorskip("torch")
    found = {}
    for who in ("numpy", "torch"):
        result = subprocess.run([sys.executable, "-c", MEMORY, who], capture_output=True, text=True, check=True)
        found[who] = float(result.stdout.split()[-1])
    benchmark.extra_info |= found
    benchmark.pedantic(lambda: None, rounds=1)
    print(f"\npeak memory of a ResNet-20 step, batch 64: {found}")
