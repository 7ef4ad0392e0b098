"""A training run between two steps, what it recorded, and how it is stored in a directory."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from impl.nn import StorageError, load, save
from impl.tree import Tree


class TrainingError(Exception):
    """Training cannot begin or go on. The message is one line."""


@dataclass(frozen=True)
class Checkpoint:
    """Where a run is stored, and whether it continues the run that is stored there.

    >>> Checkpoint("run", resume=True).directory
    'run'
    """

    directory: str | Path
    resume: bool = False


@dataclass
class Progress:
    """Everything that a run consists of between two steps.

    ``epoch``, ``batch`` and ``step`` count what is complete: epochs, batches of the current epoch, and steps of the whole
    run. ``losses`` and ``correct`` hold the sum of losses and the number of correct answers of each batch of this epoch.
    """

    parameters: Tree
    state: Tree
    slots: Tree
    epoch: int = 0
    batch: int = 0
    step: int = 0
    losses: list[Any] = field(default_factory=list)
    correct: list[Any] = field(default_factory=list)


@dataclass
class History:
    """What a run recorded, and the arrays with which it ended.

    ``epochs`` has a dict per epoch: epoch (from 1), loss, accuracy (0 to 1) and, with validation data,
    validation_loss and validation_accuracy. ``stopped`` says why a run ended early, and is empty otherwise.
    """

    epochs: list[dict[str, float]] = field(default_factory=list)
    parameters: Tree = field(default_factory=dict, repr=False)
    state: Tree = field(default_factory=dict, repr=False)
    stopped: str = ""


class Store:
    """A stored run: arrays-STEP.safetensors and run.json, which is written last and names the other file.

    A run can only be continued with the same ``settings``.
    """

    def __init__(self, directory: Path, settings: dict[str, Any]) -> None:
        self.directory, self.settings = directory, settings

    @staticmethod
    def open(where: str | Path | Checkpoint, settings: dict[str, Any], run: Progress, history: History) -> Store:
        """Prepare a directory before any work, and fill ``run`` and ``history`` from it if the run resumes.

        Raises TrainingError if it cannot be written, or cannot be resumed from.
        """
        checkpoint = where if isinstance(where, Checkpoint) else Checkpoint(where)
        store = Store(Path(checkpoint.directory), settings)
        if checkpoint.resume:
            store.read(run, history)
        else:
            store.prepare()
        return store

    def prepare(self) -> None:
        """Make the directory. Raises TrainingError if it cannot be written."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            probe = self.directory / ".probe"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise TrainingError(f"{self.directory} cannot be written: {error.strerror}") from None

    def write(self, run: Progress, history: History) -> None:
        """Store the run. What was stored before stays until the new files are complete.

        Raises TrainingError if the directory cannot be written.
        """
        arrays = f"arrays-{run.step}.safetensors"
        record = {
            "settings": self.settings,
            "arrays": arrays,
            "epoch": run.epoch,
            "batch": run.batch,
            "step": run.step,
            "losses": [float(v) for v in run.losses],
            "correct": [int(v) for v in run.correct],
            "epochs": history.epochs,
        }
        try:
            save(self.directory / arrays, parameters=run.parameters, state=run.state, slots=run.slots)
            partial = self.directory / "run.json.partial"
            partial.write_text(json.dumps(record, indent=1), encoding="utf-8")
            partial.replace(self.directory / "run.json")
            for old in self.directory.glob("arrays-*.safetensors"):
                if old.name != arrays:
                    old.unlink()
        except OSError as error:
            raise TrainingError(f"{self.directory} cannot be written: {error.strerror}") from None
        except StorageError as error:
            raise TrainingError(str(error)) from None

    def read(self, run: Progress, history: History) -> None:
        """Fill a run and its history from the directory.

        Raises TrainingError if there is no run, if it is damaged, or if it had other settings.
        """
        path = self.directory / "run.json"
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise TrainingError(f"{path} cannot be read: {error.strerror}") from None
        except ValueError:
            raise TrainingError(f"{path} is damaged: it is not JSON") from None
        for name, value in self.settings.items():
            if record["settings"].get(name) != value:
                raise TrainingError(
                    f"{path} belongs to a run with {name} {record['settings'].get(name)!r}, not {value!r}"
                )
        try:
            trees = load(self.directory / record["arrays"], parameters=run.parameters, state=run.state, slots=run.slots)
        except StorageError as error:
            raise TrainingError(str(error)) from None
        run.parameters, run.state, run.slots = trees["parameters"], trees["state"], trees["slots"]
        run.epoch, run.batch, run.step = record["epoch"], record["batch"], record["step"]
        run.losses, run.correct = record["losses"], record["correct"]
        history.epochs = record["epochs"]
