"""The training loop: epochs of batches, validation, checkpoints, early stop, and the cause of a loss that is not finite."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from impl import functional as F  # noqa: N812
from impl.array import Array, namespace
from impl.checkpoint import Checkpoint, History, Progress, Store, TrainingError
from impl.data import Augmentation, Data
from impl.nn import Module, observed
from impl.optim import Adam, Optimiser, Schedule
from impl.train.engine import Engine
from impl.train.step import make_step
from impl.train.terminal import bar, interruptible
from impl.tree import Tree, flat, leaves, to_numpy


@dataclass(frozen=True)
class Recipe:
    """What a run does beside the plain steps of its optimiser. By default, nothing.

    - ``schedule``: the learning rate at each step, counted from 0 over the whole run; else it is the optimiser's.
    - ``l2``: the weight of the penalty on large parameters: the loss also has l2 / 2 times the sum of squares of all
      parameters with more than one axis.
    - ``clip``: the largest allowed Euclidean norm of all gradients together; longer ones are scaled down.
    - ``augment``: changes each batch of samples at random, for instance ``impl.data.flip``.
    - ``patience``: the run stops after this many epochs in a row without a lower validation loss.

    Raises TrainingError for a negative ``l2`` or ``clip``, and for a ``patience`` below 1.

    >>> from impl.optim import cosine
    >>> Recipe(schedule=cosine(1e-3, steps=500), l2=1e-4, patience=5).clip is None
    True
    """

    schedule: Schedule | None = None
    l2: float = 0.0
    clip: float | None = None
    augment: Augmentation | None = None
    patience: int | None = None

    def __post_init__(self) -> None:
        for name, value, least in (("l2", self.l2, 0), ("clip", self.clip, 0), ("patience", self.patience, 1)):
            if value is not None and not value >= least:
                raise TrainingError(f"{name} must be at least {least}, got {value}")


def fit(
    network: Module,
    data: Data,
    *,
    optimiser: Optimiser | None = None,
    epochs: int = 10,
    batch_size: int = 64,
    seed: int = 0,
    validation: Data | None = None,
    recipe: Recipe | None = None,
    engine: str | Engine = "numpy",
    checkpoint: str | Path | Checkpoint | None = None,
    progress: bool = False,
) -> History:
    """Train a network to classify, and return the metrics of each epoch with the final parameters and state.

    - ``data``, ``validation``: the samples to train on, and samples that are only evaluated after each epoch.
    - ``optimiser``: how the parameters move; ``Adam()`` unless given.
    - ``epochs``: how often all samples are seen, counted from the beginning of the run also when it resumes.
    - ``batch_size``: samples per step. The last batch of an epoch may be smaller.
    - ``seed``: the first parameters, the order of the batches, augmentation and dropout follow from it.
    - ``recipe``: learning-rate schedule, L2 penalty, clipping, augmentation, early stop; see ``Recipe``.
    - ``engine``: ``"numpy"``, ``"jax"``, or ``Engine("jax", devices=8)``, which shares each batch among devices.
    - ``checkpoint``: a directory. The run is stored there after every epoch, and when Ctrl-C stops it.
      ``Checkpoint(directory, resume=True)`` continues the stored run; on one engine every bit is then the same as if it
      had never stopped.
    - ``progress``: show a progress bar if standard error is a terminal.

    Raises TrainingError, before any work, for options that do not fit and for a checkpoint that cannot be used. Raises
    it later if the loss is not finite; the message names the first layer whose value was not finite.
    """
    optimiser, recipe = optimiser or Adam(), recipe or Recipe()
    for name, value in (("epochs", epochs), ("batch_size", batch_size), ("the number of samples", len(data))):
        if value < 1:
            raise TrainingError(f"{name} must be at least 1, got {value}")
    if recipe.patience is not None and validation is None:
        raise TrainingError("patience needs validation data")
    where = engine if isinstance(engine, Engine) else Engine(engine)
    parameters, state = network.init(seed, data.x.dtype)
    run, history = Progress(parameters, state, optimiser.init(parameters)), History()
    settings = {
        "optimiser": repr(optimiser), "batch_size": batch_size, "seed": seed, "samples": len(data), "l2": recipe.l2,
    }  # fmt: skip
    store = None if checkpoint is None else Store.open(checkpoint, settings, run, history)
    run.parameters, run.state, run.slots = map(where.place, (run.parameters, run.state, run.slots))
    step = make_step(network, optimiser, l2=recipe.l2, clip=recipe.clip, engine=where.name)
    total = epochs * -(-len(data) // batch_size)
    with interruptible() as interrupted, bar(progress, total, run.step) as advance:
        while run.epoch < epochs and not history.stopped:
            for batch in data.batches(batch_size, [seed, run.epoch], run.batch, recipe.augment):
                rate = np.asarray(recipe.schedule(run.step) if recipe.schedule else optimiser.rate, data.x.dtype)
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
                if recipe.patience is not None and _worse_for(history, recipe.patience):
                    history.stopped = history.stopped or f"no better validation loss for {recipe.patience} epochs"
            if store is not None:
                store.write(run, history)
    history.parameters, history.state = to_numpy(run.parameters), to_numpy(run.state)
    return history


def evaluate(network: Module, parameters: Tree, state: Tree, data: Data, batch_size: int = 256) -> tuple[float, float]:
    """Return the mean cross-entropy and the accuracy (0 to 1) of a network on data, in evaluation mode.

    The arrays of ``parameters`` say whether it runs on NumPy or on JAX; ``batch_size`` samples are evaluated at a time.
    """
    total, correct = 0.0, 0
    xp = namespace(*leaves(parameters))
    for i in range(0, len(data), batch_size):
        x, y = xp.asarray(data.x[i : i + batch_size]), xp.asarray(data.y[i : i + batch_size])
        logits = network(parameters, state, x)
        total += float(F.cross_entropy(logits, y)) * len(y)
        correct += int((logits.argmax(axis=1) == y).sum())
    return total / max(1, len(data)), correct / max(1, len(data))


def _end_epoch(history: History, run: Progress, network: Module, count: int, validation: Data | None) -> None:
    """Record the metrics of an epoch, and begin the next."""
    total = sum(map(float, run.losses))
    record = {"epoch": run.epoch + 1, "loss": total / count, "accuracy": sum(map(int, run.correct)) / count}
    if validation is not None:
        found = evaluate(network, run.parameters, run.state, validation)
        record["validation_loss"], record["validation_accuracy"] = found
    history.epochs.append(record)
    run.epoch, run.batch, run.losses, run.correct = run.epoch + 1, 0, [], []


def _worse_for(history: History, patience: int) -> bool:
    """Say whether the validation loss has not become lower for a number of epochs."""
    losses = [record["validation_loss"] for record in history.epochs]
    return len(losses) > patience and min(losses[-patience:]) >= min(losses[:-patience])


def _not_finite(network: Module, run: Progress, batch: Data) -> str:
    """Say which layer was the first whose value was not finite, after one more forward pass on NumPy."""
    parameters, state = to_numpy(run.parameters), to_numpy(run.state)
    first: list[str] = []

    def watch(path: str, y: Array) -> None:
        if not first and not np.isfinite(y).all():
            first.append(path)

    spoilt = [name for name, w in flat(parameters).items() if not np.isfinite(w).all()]
    what = f"the loss is not finite at step {run.step}"
    if not np.isfinite(batch.x).all():
        return f"{what}: the batch itself is not finite"
    if spoilt:
        return f"{what}: the parameter {spoilt[0]} is not finite"
    with observed(watch):
        network.vjp(parameters, state, batch.x, training=True, seed=np.random.default_rng(0))
    return f"{what}: first in layer {first[0] if first else '(the loss itself)'}"
