"""What the framework costs, compared with JAX's own gradients and PyTorch: float32, (32, 64, 32, 32), medians of one run.

    pytest tests/benchmarks/test_framework_cost.py --benchmark-enable -n 0 -s --benchmark-columns=median,rounds

The sides of a comparison take turns, one round each. The table at the end shows both medians and their ratio.
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from impl import functional as F
from impl.models import convnet, resnet20
from impl.optim import SGD
from impl.train import Engine, make_step
from oracle.layers import LAYERS

MEASURED = "--benchmark-enable" in sys.argv  # otherwise the tests only run the code, on one or two samples
SHAPE = (32 if MEASURED else 1, 64, 32, 32)
BATCH = 64 if MEASURED else 2


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
    "cross_entropy": ([normal(*SHAPE), np.random.default_rng(0).integers(0, 64, (SHAPE[0], 32, 32))], {}),
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


TABLE: list[tuple[str, str, float, str, float]] = []


@pytest.fixture(scope="module", autouse=True)
def table():
    yield
    if TABLE:
        print("\n\n| what | | ms | compared with | ms | ratio |\n|---|---|---|---|---|---|")
        for what, one, a, other, b in TABLE:
            print(f"| {what} | {one} | {a:.2f} | {other} | {b:.2f} | {a / b:.2f} |")


def in_turns(what, benchmark, rounds=21, **functions):
    """Measure the median milliseconds of each function; they take turns. The benchmark records the first as its own."""
    times = {name: [] for name in functions}
    for function in functions.values():
        function()
        function()
    for _ in range(rounds):
        for name, function in functions.items():
            began = time.perf_counter()
            function()
            times[name].append(1e3 * (time.perf_counter() - began))
    medians = {name: statistics.median(t) for name, t in times.items()}
    benchmark.extra_info |= medians
    first, *others = medians
    TABLE.extend((what, first, medians[first], other, medians[other]) for other in others)
    benchmark.pedantic(functions[first], rounds=1, iterations=1)


@pytest.mark.parametrize("name", CASES)
def test_jitted_forward_and_backward(benchmark, name):
    arrays, options = CASES[name]
    arrays = [jnp.asarray(a) for a in arrays]
    layer = LAYERS[name]
    wanted = [i for i in range(len(arrays)) if layer.arrays[i] not in layer.no_gradient]
    value = first(getattr(F, name)(*arrays, **options))
    dy = jnp.asarray(normal(*value.shape))
    hand, auto = (jax.jit(who(name, options, wanted)) for who in (by_hand, by_jax))
    in_turns(
        name,
        benchmark,
        hand=lambda: jax.block_until_ready(hand(dy, *arrays)),
        jax_grad=lambda: jax.block_until_ready(auto(dy, *arrays)),
    )


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


def test_numpy_convolution(benchmark):
    pytest.importorskip("torch")
    in_turns("conv2d, NumPy", benchmark, impl=conv_of_impl, torch=conv_of_torch)


@pytest.mark.parametrize("peer", [conv_of_mygrad, conv_of_autograd])
def test_numpy_convolution_beside_numpy_peers(benchmark, peer):
    pytest.importorskip(peer.__name__.removeprefix("conv_of_"))
    in_turns("conv2d, NumPy", benchmark, rounds=2, impl=conv_of_impl, **{peer.__name__.removeprefix("conv_of_"): peer})


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
    x, y = where.share(normal(BATCH, 3, 32, 32)), where.share(np.arange(BATCH) % 10)
    step = make_step(network, optimiser, engine=engine)

    def once():
        *run[:], loss, _ = step(*run, x, y, np.float32(0.01), None)
        return float(loss)

    return once


def torch_step(network):
    torch = pytest.importorskip("torch")
    model = network(torch)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    x, y = torch.tensor(normal(BATCH, 3, 32, 32)), torch.arange(BATCH) % 10

    def once():
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimiser.step()
        return float(loss.detach())

    return once


@pytest.mark.parametrize("engine", ["jax", "numpy"])
@pytest.mark.parametrize("name", NETWORKS)
def test_training_step(benchmark, name, engine):
    ours, theirs = NETWORKS[name]
    once = our_step(ours(), engine)
    in_turns(f"step of {name}, batch 64", benchmark, rounds=9, **{engine: once}, torch=torch_step(theirs))


# Channels, size, filters, kernel, stride and number of each convolution of ResNet-20.
CONVOLUTIONS = [
    (3, 32, 16, 3, 1, 1), (16, 32, 16, 3, 1, 6), (16, 32, 32, 3, 2, 1), (16, 32, 32, 1, 2, 1), (32, 16, 32, 3, 1, 5),
    (32, 16, 64, 3, 2, 1), (32, 16, 64, 1, 2, 1), (64, 8, 64, 3, 1, 5),
]  # fmt: skip


def test_what_xla_needs_for_the_convolutions_of_a_resnet20_step(benchmark):
    """The sum of forward, dx and dw of each convolution, by ``lax.conv_general_dilated`` and its vjp, and the whole step."""
    whole, parts = our_step(resnet20(), "jax"), []
    for channels, size, filters, kernel, stride, count in CONVOLUTIONS:
        x, w = jnp.asarray(normal(BATCH, channels, size, size)), jnp.asarray(normal(filters, channels, kernel, kernel))

        def all_three(x, w, stride=stride, pad=kernel // 2):
            y, back = jax.vjp(lambda x, w: lax.conv_general_dilated(x, w, (stride, stride), [(pad, pad)] * 2), x, w)
            return y, back(y)

        parts += [(jax.jit(all_three), x, w)] * count
    in_turns(
        "only the convolutions of a resnet20 step, batch 64", benchmark, rounds=9,
        xla=lambda: [jax.block_until_ready(f(x, w)) for f, x, w in parts], whole_step=whole,
    )  # fmt: skip


MEMORY = """
import sys
from tests.benchmarks.test_framework_cost import NETWORKS, our_step, torch_step
import impl.train
if sys.argv[1] == "torch":
    import torch
ours, theirs = NETWORKS["resnet20"]
def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))
before = peak()
once = torch_step(theirs) if sys.argv[1] == "torch" else our_step(ours(), "numpy")
for _ in range(3): once()
print(peak() - before)
"""


def test_peak_memory_of_a_resnet20_step(benchmark):
    """This is not a time: it is the peak memory in MiB above the imports, each in a new process."""
    pytest.importorskip("torch")
    if not Path("/proc/self/status").exists():
        pytest.skip("not run: the peak memory is read from Linux' /proc")
    found = {}
    for who in ("numpy", "torch"):
        command = [sys.executable, "-c", MEMORY, who, *(["--benchmark-enable"] if MEASURED else [])]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        found[who] = float(result.stdout.split()[-1])
    benchmark.extra_info |= found
    benchmark.pedantic(lambda: None, rounds=1)
    TABLE.append(("peak memory (MiB) of a resnet20 step, batch 64", "numpy", found["numpy"], "torch", found["torch"]))
