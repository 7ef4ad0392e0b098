"""Training: a step as a pure function, the loop around it, and ``python -m impl.train``.

    history = fit(convnet((1, 8, 8)), digits(), optimiser=Adam(), epochs=10, engine="jax")

One code for two engines. ``numpy`` runs eagerly; ``jax`` jits the whole step (forward, hand-derived backward, optimiser),
donates its buffers, and shares the batch among several devices where asked to.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from impl import functional as F
from impl.array import Array, namespace
from impl.checkpoint import Checkpoint, History, Progress, TrainingError
from impl.data import Augmentation, Data, DataError, digits, flip, mnist_format, npz, shifted_crop
from impl.draw import draw_curve
from impl.models import convnet, mlp, resnet20
from impl.nn import Module, observed
from impl.optim import Adam, Optimiser, Schedule, clipped, cosine
from impl.tree import Tree, flat, leaves, to_jax, to_numpy, tree_map

ENGINES = ("numpy", "jax")


# -- the step ---------------------------------------------------------------------------------------------------------


def loss_and_gradients(
    network: Module, parameters: Tree, state: Tree, x: Array, y: Array, l2: float = 0.0, seed: Any = None
) -> tuple[Array, Tree, Tree, Array]:
    """Mean cross-entropy plus l2 / 2 times the squares of all weights of more than one axis, in training mode.

    Gives the loss, the new state, the gradients by hand, and the logits.
    """
    logits, new_state, pullback = network.vjp(parameters, state, x, training=True, seed=seed)
    loss, loss_back = F.cross_entropy.vjp(logits, y)
    dlogits = loss_back(namespace(loss).ones_like(loss))[0]
    _, gradients = pullback(dlogits, False)
    if l2:
        loss = loss + sum(F.l2_penalty(w, weight=l2) for w in leaves(parameters) if w.ndim > 1)
        gradients = tree_map(lambda g, w: g + l2 * w if w.ndim > 1 else g, gradients, parameters)
    return loss, new_state, gradients, logits


def make_step(
    network: Module, optimiser: Optimiser, *, l2: float = 0.0, clip: float | None = None, engine: str = "numpy"
) -> Callable[..., Any]:
    """step(parameters, state, slots, x, y, rate, seed) -> (parameters, state, slots, loss, correct answers).

    On ``jax`` it is jitted and the first three are donated: their buffers are used for the results. A loss that is not
    finite leaves all three as they were, so that its cause can be looked for.
    """

    def step(parameters: Tree, state: Tree, slots: Tree, x: Array, y: Array, rate: Any, seed: Any) -> Any:
        loss, new_state, gradients, logits = loss_and_gradients(network, parameters, state, x, y, l2, seed)
        if clip is not None:
            gradients = clipped(gradients, clip)
        new, new_slots = optimiser.update(gradients, slots, parameters, rate)
        good = namespace(loss).isfinite(loss)
        trees = zip((new, new_state, new_slots), (parameters, state, slots), strict=True)
        kept = (either(good, after, before) for after, before in trees)
        return (*kept, loss, (logits.argmax(axis=1) == y).sum())

    def either(good: Array, after: Tree, before: Tree) -> Tree:
        if engine == "numpy":
            return after if good else before
        return tree_map(lambda a, b: namespace(a).where(good, a, b), after, before)

    if engine == "numpy":
        return step
    import jax

    return jax.jit(step, donate_argnums=(0, 1, 2))


class Engine:
    """Where arrays live and how the step runs."""

    def __init__(self, name: str, devices: int = 1) -> None:
        if name not in ENGINES:
            raise TrainingError(f"engine must be numpy or jax, got {name!r}")
        if devices < 1 or (name == "numpy" and devices > 1):
            raise TrainingError(f"devices must be 1 on numpy and at least 1 on jax, got {devices}")
        self.name, self.devices, self.batch_sharding, self.replicated = name, devices, None, None
        if devices > 1:
            import jax
            from jax.sharding import Mesh, NamedSharding, PartitionSpec

            if devices > len(jax.devices()):
                raise TrainingError(f"{devices} devices are asked for but JAX has {len(jax.devices())}")
            mesh = Mesh(np.array(jax.devices()[:devices]), ("batch",))
            self.batch_sharding = NamedSharding(mesh, PartitionSpec("batch"))
            self.replicated = NamedSharding(mesh, PartitionSpec())

    def place(self, tree: Tree) -> Tree:
        """Parameters, state and slots, on every device."""
        if self.name == "numpy":
            return to_numpy(tree)
        import jax

        return jax.device_put(to_jax(tree), self.replicated) if self.replicated is not None else to_jax(tree)

    def share(self, x: np.ndarray) -> Array:
        """A batch, its samples shared among the devices; the statistics of a normalisation are over all of them."""
        if self.name == "numpy":
            return x
        import jax

        if self.batch_sharding is not None and len(x) % self.devices == 0:
            return jax.device_put(x, self.batch_sharding)
        return jax.device_put(x, self.replicated)

    def seed(self, seed: int, step: int) -> Any:
        """What dropout draws from at a step."""
        if self.name == "numpy":
            return np.random.default_rng([seed, step])
        import jax

        return jax.random.fold_in(jax.random.key(seed), step)


# -- the loop ---------------------------------------------------------------------------------------------------------


def evaluate(network: Module, parameters: Tree, state: Tree, data: Data, batch_size: int = 256) -> tuple[float, float]:
    """Mean loss and accuracy in evaluation mode."""
    total, correct = 0.0, 0
    for i in range(0, len(data), batch_size):
        x, y = data.x[i : i + batch_size], data.y[i : i + batch_size]
        x = namespace(*leaves(parameters)).asarray(x)
        logits = network(parameters, state, x)
        total += float(F.cross_entropy(logits, namespace(x).asarray(y))) * len(y)
        correct += int((logits.argmax(axis=1) == namespace(x).asarray(y)).sum())
    return total / max(1, len(data)), correct / max(1, len(data))


def fit(
    network: Module,
    data: Data,
    *,
    optimiser: Optimiser | None = None,
    epochs: int = 10,
    batch_size: int = 64,
    validation: Data | None = None,
    engine: str = "numpy",
    devices: int = 1,
    seed: int = 0,
    schedule: Schedule | None = None,
    l2: float = 0.0,
    clip: float | None = None,
    augment: Augmentation | None = None,
    patience: int | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    progress: bool = False,
) -> History:
    """Train a network to classify; gives the history of the epochs and the final parameters and state.

    The order of the batches, the augmentation and dropout follow from the seed. With a ``checkpoint`` (a directory) the
    run is stored after every epoch, and where Ctrl-C stops it; ``resume`` goes on from there to the same numbers bit for
    bit on one engine. ``patience`` stops after so many epochs without a better validation loss. A loss that is not
    finite stops the run with a TrainingError that names the layer which was first to give such a value.

    Raises TrainingError for options that do not fit and a checkpoint that cannot be used, before any work.
    """
    optimiser = Adam() if optimiser is None else optimiser
    for name, value in (("epochs", epochs), ("batch_size", batch_size), ("the number of samples", len(data))):
        if value < 1:
            raise TrainingError(f"{name} must be at least 1, got {value}")
    if patience is not None and validation is None:
        raise TrainingError("patience needs validation data")
    if resume and checkpoint is None:
        raise TrainingError("resume needs a checkpoint")
    where = Engine(engine, devices)
    parameters, state = network.init(seed, data.x.dtype)
    run = Progress(parameters, state, optimiser.init(parameters))
    history = History()
    settings = {"optimiser": repr(optimiser), "batch_size": batch_size, "seed": seed, "samples": len(data), "l2": l2}
    store = None if checkpoint is None else Checkpoint(Path(checkpoint), settings)
    if store is not None and resume:
        store.read(run, history)
    elif store is not None:
        store.prepare()
    run.parameters, run.state, run.slots = map(where.place, (run.parameters, run.state, run.slots))
    step = make_step(network, optimiser, l2=l2, clip=clip, engine=engine)
    total = epochs * -(-len(data) // batch_size)
    with _interruptible() as interrupted, _bar(progress, total, run.step) as advance:
        while run.epoch < epochs and not history.stopped:
            for batch in data.batches(batch_size, [seed, run.epoch], run.batch, augment):
                rate = np.asarray(optimiser.rate if schedule is None else schedule(run.step), data.x.dtype)
                x, y = where.share(batch.x), where.share(batch.y)
                new = step(run.parameters, run.state, run.slots, x, y, rate, where.seed(seed, run.step))
                run.parameters, run.state, run.slots, loss, right = new
                run.losses.append(loss * len(batch))
                run.correct.append(right)
                run.batch, run.step = run.batch + 1, run.step + 1
                if not np.isfinite(loss):
                    raise TrainingError(_not_finite(network, run, batch))
                advance(run.epoch)
                if interrupted():
                    history.stopped = f"interrupted in epoch {run.epoch + 1}, after step {run.step}"
                    break
            if not history.stopped or run.batch * batch_size >= len(data):
                _end_epoch(history, run, network, len(data), validation)
                if patience is not None and _worse_for(history, patience):
                    history.stopped = history.stopped or f"no better validation loss for {patience} epochs"
            if store is not None:
                store.write(run, history)
    history.parameters, history.state = to_numpy(run.parameters), to_numpy(run.state)
    return history


def _end_epoch(history: History, run: Progress, network: Module, count: int, validation: Data | None) -> None:
    """The metrics of an epoch."""
    total = sum(map(float, run.losses))
    record = {"epoch": run.epoch + 1, "loss": total / count, "accuracy": sum(map(int, run.correct)) / count}
    if validation is not None:
        found = evaluate(network, run.parameters, run.state, validation)
        record["validation_loss"], record["validation_accuracy"] = found
    history.epochs.append(record)
    run.epoch, run.batch, run.losses, run.correct = run.epoch + 1, 0, [], []


def _worse_for(history: History, patience: int) -> bool:
    losses = [record["validation_loss"] for record in history.epochs]
    return len(losses) > patience and min(losses[-patience:]) >= min(losses[:-patience])


def _not_finite(network: Module, run: Progress, batch: Data) -> str:
    """Which layer was first to give a value that is not finite, by going forward once more on NumPy."""
    parameters, state, step = to_numpy(run.parameters), to_numpy(run.state), run.step
    first: list[str] = []

    def watch(path: str, y: Array) -> None:
        if not first and not np.isfinite(y).all():
            first.append(path)

    spoilt = [name for name, w in flat(parameters).items() if not np.isfinite(w).all()]
    if not np.isfinite(batch.x).all():
        return f"the loss is not finite at step {step}: the batch itself is not"
    if spoilt:
        return f"the loss is not finite at step {step}: the parameter {spoilt[0]} is not"
    with observed(watch):
        network.vjp(parameters, state, batch.x, training=True, seed=np.random.default_rng(0))
    return f"the loss is not finite at step {step}: first in layer {first[0] if first else '(the loss itself)'}"


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Ctrl-C lets the step that is under way end; a second one stops at once."""
    asked: list[bool] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return

    def ask(number: int, frame: Any) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(True)

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: bool(asked)
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _bar(shown: bool, total: int, done: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal's standard error."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=console, disable=not (shown and console.is_terminal), transient=True) as bar:
        task = bar.add_task("training", total=total, completed=done)
        yield lambda epoch: bar.update(task, advance=1, description=f"epoch {epoch + 1}")


# -- the command ------------------------------------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> int:
    """``python -m impl.train``: train one of the documents' networks; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m impl.train", description=main.__doc__)
    parser.add_argument("--model", choices=("convnet", "mlp", "resnet20"), default="convnet")
    parser.add_argument("--data", default="digits", help="digits, FILE.npz (x, y), or IMAGES.idx,LABELS.idx")
    parser.add_argument("--engine", choices=ENGINES, default="numpy")
    parser.add_argument("--devices", type=int, default=1, help="share each batch among so many JAX devices")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--l2", type=float, default=1e-4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shift", type=int, default=0, help="augment by moving images by so many pixels")
    parser.add_argument("--flip", action="store_true", help="augment by mirroring images")
    parser.add_argument("--test-share", type=float, default=0.2, help="share of the samples kept for testing")
    parser.add_argument("--out", type=Path, default=Path("training"), help="where curve and checkpoint are written")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    options = parser.parse_args(arguments)
    try:
        train, test = read_data(options.data).split(options.test_share, options.seed)
        steps = max(1, options.epochs * -(-len(train) // max(1, options.batch_size)))
        history = fit(
            network_for(options.model, train), train, optimiser=Adam(rate=options.rate), epochs=options.epochs,
            batch_size=options.batch_size, validation=test, engine=options.engine, devices=options.devices,
            seed=options.seed, schedule=cosine(options.rate, steps + 1), l2=options.l2,
            augment=augmentation(options.shift, options.flip), checkpoint=options.out, resume=options.resume,
            progress=True,
        )  # fmt: skip
        for record in history.epochs:
            print("  ".join(f"{name} {value:.4g}" for name, value in record.items()))
        if history.epochs:
            draw_curve(history, options.out / "curve.png")
            print(f"test accuracy {history.epochs[-1]['validation_accuracy']:.4f}; {options.out / 'curve.png'}")
    except (TrainingError, DataError, ValueError) as error:
        print(f"impl.train: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    if history.stopped:
        print(f"impl.train: {history.stopped}; --resume goes on", file=sys.stderr)
        return 130
    return 0


def read_data(name: str) -> Data:
    """The data that ``--data`` names."""
    if name == "digits":
        return digits()
    if name.endswith(".npz"):
        return npz(name)
    images, _, labels = name.partition(",")
    if not labels:
        raise DataError(f"--data must be digits, FILE.npz or IMAGES,LABELS (IDX files), got {name!r}")
    return mnist_format(images, labels)


def network_for(model: str, data: Data) -> Module:
    """A network of the documents for images of the data's size."""
    if model == "mlp":
        return mlp([int(np.prod(data.x.shape[1:])), 64, data.classes])
    if data.x.ndim != 4:
        raise DataError(f"{model} needs images (N, C, H, W), got shape {data.x.shape}")
    _, channels, height, width = data.x.shape
    if model == "resnet20":
        return resnet20(data.classes, channels)
    return convnet((channels, height, width), num_filters=32, filter_size=3, hidden_dim=64, num_classes=data.classes)


def augmentation(shift: int, mirrored: bool) -> Augmentation | None:
    """Shifts, mirroring, both, or none."""
    parts = ([shifted_crop(shift)] if shift else []) + ([flip] if mirrored else [])
    if not parts:
        return None

    def augment(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        for part in parts:
            x = part(x, rng)
        return x

    return augment


if __name__ == "__main__":
    sys.exit(main())
