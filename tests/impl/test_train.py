"""Training: engines that agree, resuming bit for bit, Ctrl-C, NaN, early stop, threads, several devices, the command."""

import json
import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from xml.etree import ElementTree

import numpy as np
import pytest

from impl import nn
from impl.data import Data
from impl.draw import draw_heatmaps
from impl.models import convnet, mlp, train_minimal
from impl.optim import SGD, Adam, cosine
from impl.train import Checkpoint, Engine, History, Recipe, TrainingError, evaluate, fit, make_step
from impl.train.command import main
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


def options(engine, augment=None):
    recipe = Recipe(schedule=cosine(1e-2, 60), clip=1.0, augment=augment)
    return {
        "optimiser": Adam(rate=1e-2), "batch_size": 16, "engine": engine, "validation": blobs(48, 1), "recipe": recipe,
    }  # fmt: skip


@pytest.fixture(scope="module", params=["numpy", "jax"])
def whole(request):
    """An engine, and a run of eight epochs on it that nothing interrupted. On JAX each run is compiled anew."""
    return request.param, fit(network(), blobs(), epochs=8, **options(request.param))


def test_a_network_learns(whole):
    _, history = whole
    first, last = history.epochs[0], history.epochs[-1]
    assert [record["epoch"] for record in history.epochs] == list(range(1, 9)) and history.stopped == ""
    assert last["validation_accuracy"] > 0.9 and last["loss"] < 0.5 * first["loss"]
    found = evaluate(network(), history.parameters, history.state, blobs(48, 1), batch_size=7)
    assert found == pytest.approx((last["validation_loss"], last["validation_accuracy"]), rel=1e-5)


def test_the_engines_agree_for_fifty_steps():
    """In float64 the rounding grows over the steps, but stays far below the effect of a wrong gradient."""
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


def test_a_run_that_resumes_after_an_epoch_and_after_ctrl_c_ends_with_the_same_bits(whole, tmp_path):
    """It ends after the first epoch, Ctrl-C stops it in the middle of the third, and then it goes on to the end."""
    engine, uninterrupted = whole
    handler = signal.getsignal(signal.SIGINT)
    fit(network(), blobs(), epochs=1, checkpoint=str(tmp_path), **options(engine))
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".json", ".safetensors"]
    resumed = Checkpoint(tmp_path, resume=True)
    seen = []

    def interrupting(x, rng):
        seen.append(1)
        if len(seen) == 9:
            os.kill(os.getpid(), signal.SIGINT)
        return x

    stopped = fit(network(), blobs(), epochs=8, checkpoint=resumed, **options(engine, interrupting))
    assert stopped.stopped == "interrupted in epoch 3, after step 15"
    assert stopped.epochs == uninterrupted.epochs[:2]
    assert signal.getsignal(signal.SIGINT) is handler
    record = json.loads((tmp_path / "run.json").read_text())
    assert (record["epoch"], record["batch"], record["step"], len(record["losses"])) == (2, 3, 15, 3)
    rest = fit(network(), blobs(), epochs=8, checkpoint=resumed, **options(engine))
    assert rest.epochs == uninterrupted.epochs
    assert same(rest.parameters, uninterrupted.parameters) and same(rest.state, uninterrupted.state)


def test_runs_in_several_threads_train_as_alone():
    def run(seed):
        return fit(network(), blobs(seed=seed), epochs=2, batch_size=16, seed=seed)

    alone = [run(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(run, range(4)))
    for one, other in zip(alone, together, strict=True):
        assert one.epochs == other.epochs and same(one.parameters, other.parameters)
    assert not same(alone[0].parameters, alone[1].parameters)


def test_the_recipe_reaches_the_step():
    """Each part of a recipe is compared with the same run without it, whose numbers must differ, or not change."""

    def run(**recipe):
        history = fit(mlp([36, 3]), blobs(), epochs=1, batch_size=96, optimiser=SGD(rate=0.5), recipe=Recipe(**recipe))
        return history.parameters["affine1"]["w"]

    start, plain = mlp([36, 3]).init(0)[0]["affine1"]["w"], run()
    np.testing.assert_allclose(run(l2=0.1) - plain, -0.5 * 0.1 * start, atol=1e-6)
    np.testing.assert_allclose(run(schedule=lambda step: 0.25) - start, (plain - start) / 2, atol=1e-6)
    np.testing.assert_array_equal(run(clip=1e6), plain)
    clipped = fit(
        mlp([36, 3]), blobs(), epochs=1, batch_size=96, optimiser=SGD(rate=0.5), recipe=Recipe(clip=1e-2)
    ).parameters["affine1"]
    moved = np.concatenate([(clipped["w"] - start).ravel(), clipped["b"]])
    assert np.linalg.norm(moved) == pytest.approx(0.5 * 1e-2, rel=1e-3)
    np.testing.assert_array_equal(run(augment=lambda x, rng: np.zeros_like(x)), start)


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
    with pytest.raises(TrainingError, match="at step 1: the batch itself is not"):
        fit(mlp([36, 3]), nan, epochs=1, batch_size=96, engine=engine)


def test_early_stop():
    noise = Data(np.random.default_rng(0).standard_normal((40, 1, 6, 6)).astype(np.float32), np.arange(40) % 3)
    history = fit(mlp([36, 64, 3]), noise, epochs=200, validation=blobs(30, 5), recipe=Recipe(patience=3))
    assert history.stopped == "no better validation loss for 3 epochs"
    losses = [r["validation_loss"] for r in history.epochs]
    assert len(losses) < 200
    best = int(np.argmin(losses))
    assert len(losses) == best + 1 + 3, "three epochs came after the best one, and no more"


def test_wrong_checkpoints_and_options_are_refused(tmp_path):
    data = blobs()
    fit(network(), data, epochs=1, checkpoint=tmp_path / "a")
    (tmp_path / "file").touch()
    cases = [
        (lambda: {"epochs": 0}, "epochs must be at least 1, got 0"),
        (lambda: {"batch_size": 0}, "batch_size must be at least 1, got 0"),
        (lambda: {"recipe": Recipe(patience=2)}, "patience needs validation"),
        (lambda: {"recipe": Recipe(patience=0)}, "patience must be at least 1, got 0"),
        (lambda: {"recipe": Recipe(l2=-1.0)}, "l2 must be at least 0, got -1"),
        (lambda: {"recipe": Recipe(clip=float("nan"))}, "clip must be at least 0, got nan"),
        (lambda: {"engine": "tpu"}, "engine must be numpy or jax, got 'tpu'"),
        (lambda: {"engine": Engine("numpy", devices=2)}, "devices must be 1 on numpy .* got 2"),
        (lambda: {"engine": Engine("jax", devices=0)}, "devices .* at least 1 on jax, got 0"),
        (lambda: {"engine": Engine("jax", devices=1000)}, "1000 devices .*JAX has"),
        (lambda: {"checkpoint": tmp_path / "file" / "x"}, "file/x cannot be written"),
        (lambda: {"checkpoint": Checkpoint(tmp_path / "none", resume=True)}, "none/run.json cannot be read"),
        (lambda: {"checkpoint": resumed, "batch_size": 8}, "batch_size 64, not 8"),
        (lambda: {"checkpoint": resumed, "recipe": Recipe(l2=0.5)}, "l2 0.0, not 0.5"),
    ]
    resumed = Checkpoint(tmp_path / "a", resume=True)
    for make, message in cases:
        with pytest.raises(TrainingError, match=message):
            fit(network(), data, **{"epochs": 1} | make())
    with pytest.raises(TrainingError, match=r"lacks parameters\.affine1\.w of shape \(36, 3\)"):
        fit(mlp([36, 3]), data, epochs=2, checkpoint=resumed)
    (tmp_path / "a" / "run.json").write_text("{")
    with pytest.raises(TrainingError, match=r"run\.json is damaged"):
        fit(network(), data, epochs=2, checkpoint=resumed)


def test_a_history_is_shown_without_its_arrays():
    text = repr(History([{"epoch": 1, "loss": 0.5}], {"w": np.ones(1000)}, {}, "interrupted"))
    assert text == "History(epochs=[{'epoch': 1, 'loss': 0.5}], stopped='interrupted')"


SHARDED = """
import numpy as np, sys
sys.path.insert(0, {root!r})
from tests.impl.test_train import blobs, network
from impl.optim import SGD
from impl.train import Engine, fit
import jax
assert len(jax.devices()) == 8
for devices in (1, 8):
    h = fit(network().__class__(**{{k: v for k, v in network().modules.items() if k != "drop"}}), blobs(), epochs=4, batch_size=16,
            optimiser=SGD(rate=0.05, momentum=0.9), engine=Engine("jax", devices=devices))
    print(*(r["loss"] for r in h.epochs), *(float(abs(v).sum()) for v in h.state["norm"].values()))
"""


def test_eight_devices_give_the_losses_of_one():
    """The statistics of the normalisation are over the whole batch, although each device has only two samples."""
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
    assert again.returncode == 0
    lines, first_lines = again.stdout.splitlines(), result.stdout.splitlines()
    assert lines[:8] == first_lines[:8] and lines[8].startswith("epoch 9 ") and len(lines) == 10
    refused = command("--data", "none.npz", cwd=tmp_path)
    assert refused.returncode == 2 and refused.stdout == "" and len(refused.stderr.splitlines()) == 1


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
        (["--l2", "-1"], "l2 must be at least 0"),
    ],
)
def test_the_command_refuses_in_a_line(tmp_path, monkeypatch, capsys, arguments, message):
    pytest.importorskip("sklearn")
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    written = capsys.readouterr()
    assert written.out == "" and message in written.err and len(written.err.splitlines()) == 1


def test_heatmaps_show_every_matrix(tmp_path):
    """A heatmap is one image with a colour bar, which is a second image."""
    matplotlib = pytest.importorskip("matplotlib")
    run = train_minimal(10)
    assert {name: matrix.shape for name, matrix in run.items()} == {"out": (10, 2), "w1": (11, 12), "w2": (11, 8)}
    with matplotlib.rc_context({"svg.fonttype": "none"}):  # text stays text
        draw_heatmaps({name: matrix.T for name, matrix in run.items()}, tmp_path / "h.svg")
    svg = ElementTree.parse(tmp_path / "h.svg")
    texts = [text.text for text in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert texts.count("epochs") == 3 and {"out", "w1", "w2"} <= set(texts)
    assert len(list(svg.iter("{http://www.w3.org/2000/svg}image"))) == 6
    (tmp_path / "no").touch()
    with pytest.raises(TrainingError, match=r"no/such\.svg cannot be written"):
        draw_heatmaps({"a": np.eye(2)}, tmp_path / "no/such.svg")


def test_convnet_of_document_004_learns():
    net = convnet((1, 6, 6), num_filters=4, filter_size=3, hidden_dim=10, num_classes=3, weight_scale=0.1)
    history = fit(net, blobs(), epochs=6, batch_size=16, optimiser=Adam(rate=1e-2), recipe=Recipe(l2=1e-3))
    assert history.epochs[-1]["accuracy"] > 0.9
