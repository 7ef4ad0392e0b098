"""Training: engines that agree, resuming bit for bit, Ctrl-C, NaN, early stop, several devices, the command."""

import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

from impl import nn
from impl.checkpoint import TrainingError
from impl.data import Data
from impl.draw import draw_heatmaps
from impl.models import convnet, mlp, train_minimal
from impl.optim import SGD, Adam, cosine
from impl.train import Engine, fit, make_step
from impl.tree import leaves


def blobs(count=96, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, count)
    x = rng.standard_normal((count, 1, 6, 6)) * 0.5
    for n, label in enumerate(y):
        x[n, 0, 2 * label : 2 * label + 2] += 1
    return Data(x.astype(np.float32), y)


def network():
    return nn.Sequential(
        conv=nn.Conv2d(1, 4, 3, padding=1, bias=False), norm=nn.BatchNorm(4), relu=nn.ReLU(), pool=nn.MaxPool2d(2),
        drop=nn.Dropout(0.1), out=nn.Affine(36, 3),
    )  # fmt: skip


def same(a, b):
    return all(np.array_equal(u, v) for u, v in zip(leaves(a), leaves(b), strict=True))


@pytest.mark.parametrize("engine", ["numpy", "jax"])
def test_a_network_learns_and_the_same_seed_gives_the_same(engine):
    runs = [
        fit(
            network(),
            blobs(),
            epochs=8,
            batch_size=16,
            engine=engine,
            validation=blobs(48, 1),
            optimiser=Adam(rate=1e-2),
        )
        for _ in range(2)
    ]
    assert runs[0].epochs == runs[1].epochs
    assert same(runs[0].parameters, runs[1].parameters)
    assert runs[0].epochs[-1]["validation_accuracy"] > 0.9
    assert runs[0].epochs[-1]["loss"] < 0.5 * runs[0].epochs[0]["loss"]


def test_the_engines_agree_for_fifty_steps():
    """float64: rounding grows over the steps, and stays far below what a wrong gradient would do."""
    import jax

    data = blobs()
    data = Data(data.x.astype(np.float64), data.y)
    net = nn.Sequential(**{k: v for k, v in network().modules.items() if k != "drop"})
    losses = {}
    for engine in ("numpy", "jax"):
        with jax.enable_x64(True):
            where, optimiser = Engine(engine), SGD(rate=0.05, momentum=0.9)
            parameters, state = net.init(0, np.float64)
            run = [where.place(t) for t in (parameters, state, optimiser.init(parameters))]
            step = make_step(net, optimiser, l2=1e-3, clip=1.0, engine=engine)
            losses[engine] = []
            for i in range(50):
                batch = next(data.batches(32, [0, i]))
                *run, loss, _ = step(
                    *run, where.share(batch.x), where.share(batch.y), np.float64(0.05), where.seed(0, i)
                )
                losses[engine].append(float(loss))
    np.testing.assert_allclose(losses["numpy"], losses["jax"], rtol=1e-9)
    assert losses["numpy"][-1] < losses["numpy"][0]


@pytest.mark.parametrize("engine", ["numpy", "jax"])
def test_a_run_that_resumes_ends_with_the_same_bits(engine, tmp_path):
    options = {
        "optimiser": Adam(rate=3e-3), "batch_size": 16, "engine": engine, "schedule": cosine(3e-3, 40), "clip": 1.0,
        "validation": blobs(30, 1),
    }  # fmt: skip
    whole = fit(network(), blobs(), epochs=5, **options)
    fit(network(), blobs(), epochs=2, checkpoint=tmp_path, **options)
    rest = fit(network(), blobs(), epochs=5, checkpoint=tmp_path, resume=True, **options)
    assert rest.epochs == whole.epochs
    assert same(rest.parameters, whole.parameters) and same(rest.state, whole.state)
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".json", ".safetensors"]


@pytest.mark.parametrize("engine", ["numpy", "jax"])
def test_interrupt_in_the_middle_of_an_epoch_loses_nothing(engine, tmp_path):
    options = {"batch_size": 16, "engine": engine, "epochs": 3, "augment": None}
    handler = signal.getsignal(signal.SIGINT)
    whole = fit(network(), blobs(), **options)
    seen = []

    def interrupting(x, rng):
        seen.append(1)
        if len(seen) == 9:
            os.kill(os.getpid(), signal.SIGINT)
        return x

    stopped = fit(network(), blobs(), checkpoint=tmp_path, **options | {"augment": interrupting})
    assert re.match(r"interrupted in epoch 2, after step 9", stopped.stopped)
    assert len(stopped.epochs) == 1
    rest = fit(network(), blobs(), checkpoint=tmp_path, resume=True, **options)
    assert rest.epochs == whole.epochs and same(rest.parameters, whole.parameters)
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.mark.parametrize("engine", ["numpy", "jax"])
def test_a_loss_that_is_not_finite_names_the_first_layer(engine):
    class Explosive(nn.Module):
        def vjp(self, parameters, state, x, *, training=False, seed=None):
            return x * np.float32(np.inf), {}, lambda dy, dx=True: (dy, {})

    net = nn.Sequential(inside=nn.Sequential(flatten=nn.Flatten(), bad=Explosive()), out=nn.Affine(36, 3))
    with pytest.raises(TrainingError, match=r"not finite at step 1: first in layer inside\.bad"):
        fit(net, blobs(), epochs=1, engine=engine)
    nan = blobs()
    nan.x[3] = np.nan
    with pytest.raises(TrainingError, match="the batch itself is not"):
        fit(mlp([36, 3]), nan, epochs=1, engine=engine)


def test_early_stop():
    noise = Data(np.random.default_rng(0).standard_normal((40, 1, 6, 6)).astype(np.float32), np.arange(40) % 3)
    history = fit(mlp([36, 64, 3]), noise, epochs=200, validation=blobs(30, 5), patience=3)
    assert history.stopped.startswith("no better validation loss for 3 epochs")
    losses = [r["validation_loss"] for r in history.epochs]
    assert len(losses) < 200 and min(losses[-3:]) >= min(losses[:-3])


def test_wrong_checkpoints_and_options_are_refused(tmp_path):
    data = blobs()
    fit(network(), data, epochs=1, checkpoint=tmp_path / "a")
    (tmp_path / "file").touch()
    cases = [
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"batch_size": 0}, "batch_size"),
        ({"patience": 2}, "patience needs validation"),
        ({"resume": True}, "resume needs a checkpoint"),
        ({"engine": "tpu"}, "engine must be numpy or jax"),
        ({"devices": 2}, "devices must be 1 on numpy"),
        ({"engine": "jax", "devices": 1000}, "1000 devices are asked for but JAX has"),
        ({"checkpoint": tmp_path / "file" / "x"}, "cannot be written"),
        ({"checkpoint": tmp_path / "none", "resume": True}, "cannot be read"),
        ({"checkpoint": tmp_path / "a", "resume": True, "batch_size": 8}, "is of a run with batch_size 64, not 8"),
    ]
    for options, message in cases:
        with pytest.raises(TrainingError, match=message):
            fit(network(), data, **{"epochs": 1} | options)
    with pytest.raises(TrainingError, match=r"out\.w is|lacks"):
        fit(mlp([36, 3]), data, epochs=2, checkpoint=tmp_path / "a", resume=True)
    (tmp_path / "a" / "run.json").write_text("{")
    with pytest.raises(TrainingError, match="is damaged"):
        fit(network(), data, epochs=2, checkpoint=tmp_path / "a", resume=True)


SHARDED = """
import numpy as np, sys
sys.path.insert(0, {root!r})
from tests.impl.test_train import blobs, network
from impl.optim import SGD
from impl.train import fit
import jax
assert len(jax.devices()) == 8
for devices in (1, 8):
    h = fit(network().__class__(**{{k: v for k, v in network().modules.items() if k != "drop"}}), blobs(), epochs=4, batch_size=16,
            optimiser=SGD(rate=0.05, momentum=0.9), engine="jax", devices=devices)
    print(*(r["loss"] for r in h.epochs), *(float(abs(v).sum()) for v in h.state["norm"].values()))
"""


def test_eight_devices_give_the_losses_of_one():
    """Data-parallel: statistics of the normalisation are over the whole batch, two samples a device."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu"}
    result = subprocess.run(
        [sys.executable, "-c", SHARDED.format(root=root)], capture_output=True, text=True, timeout=300, env=environment
    )
    assert result.returncode == 0, result.stderr
    one, eight = (np.array(line.split(), float) for line in result.stdout.splitlines())
    np.testing.assert_allclose(one, eight, rtol=2e-4)


def command(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "impl.train", *arguments], cwd=cwd, capture_output=True, text=True, timeout=300
    )


def test_the_command_trains_writes_its_curve_and_resumes(tmp_path):
    pytest.importorskip("matplotlib")
    data = blobs(120)
    np.savez(tmp_path / "d.npz", x=data.x, y=data.y)
    quick = ["--data", "d.npz", "--out", "t", "--batch-size", "32"]
    result = command(*quick, "--epochs", "8", "--shift", "1", "--flip", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert re.search(r"test accuracy \d", result.stdout)
    assert (tmp_path / "t" / "curve.png").read_bytes()[:4] == b"\x89PNG"
    again = command(*quick, "--epochs", "9", "--resume", cwd=tmp_path)
    assert again.returncode == 0 and again.stdout.count("epoch") == 9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "none.npz"], "none.npz cannot be read"),
        (["--data", "nonsense"], "--data must be"),
        (["--epochs", "0"], "epochs must be at least 1"),
        (["--devices", "3"], "devices must be 1 on numpy"),
        (["--resume", "--out", "nowhere"], "cannot be read"),
        (["--out", "file/x"], "cannot be written"),
        (["--test-share", "2"], "share must lie"),
        (["--rate", "-1"], "rate must lie"),
    ],
)
def test_the_command_refuses_in_a_line(tmp_path, arguments, message):
    pytest.importorskip("sklearn")
    (tmp_path / "file").touch()
    result = command(*arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert message in result.stderr and len(result.stderr.splitlines()) == 1


def test_heatmaps(tmp_path):
    pytest.importorskip("matplotlib")
    run = train_minimal(10)
    draw_heatmaps({name: matrix.T for name, matrix in run.items()}, tmp_path / "h.svg")
    assert "<svg" in (tmp_path / "h.svg").read_text()


def test_convnet_of_document_004_learns():
    net = convnet((1, 6, 6), num_filters=4, filter_size=3, hidden_dim=10, num_classes=3, weight_scale=0.1)
    history = fit(net, blobs(), epochs=6, batch_size=16, optimiser=Adam(rate=1e-2), l2=1e-3)
    assert history.epochs[-1]["accuracy"] > 0.9
