"""A training run between two steps, and its checkpoint in a directory."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from impl.nn import StorageError, load, save
from impl.tree import Tree


class TrainingError(Exception):
    """Training that cannot begin or go on; one line."""


@dataclass
class Progress:
    """All that a run consists of, between two steps; losses and correct are those of the epoch's batches so far."""

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
    """What a run recorded for each epoch, and the arrays that it ended with."""

    epochs: list[dict[str, float]] = field(default_factory=list)
    parameters: Tree = field(default_factory=dict)
    state: Tree = field(default_factory=dict)
    stopped: str = ""


class Checkpoint:
    """A run in a directory: arrays.safetensors and run.json, the second written last and naming the first."""

    def __init__(self, directory: Path, settings: dict[str, Any]) -> None:
        self.directory, self.settings = directory, settings

    def prepare(self) -> None:
        """Make the directory, before any work."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            probe = self.directory / ".probe"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise TrainingError(f"{self.directory} cannot be written: {error.strerror}") from None

    def write(self, run: Progress, history: History) -> None:
        """Store the run; what was stored before stays until this is whole."""
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
        """Fill a run from the directory. Raises TrainingError where there is none, or one of other settings."""
        path = self.directory / "run.json"
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise TrainingError(f"{path} cannot be read: {error.strerror}") from None
        except ValueError:
            raise TrainingError(f"{path} is damaged: it is no JSON") from None
        for name, value in self.settings.items():
            if record["settings"].get(name) != value:
                raise TrainingError(f"{path} is of a run with {name} {record['settings'].get(name)!r}, not {value!r}")
        try:
            trees = load(self.directory / record["arrays"], parameters=run.parameters, state=run.state, slots=run.slots)
        except StorageError as error:
            raise TrainingError(str(error)) from None
        run.parameters, run.state, run.slots = trees["parameters"], trees["state"], trees["slots"]
        run.epoch, run.batch, run.step = record["epoch"], record["batch"], record["step"]
        run.losses, run.correct = record["losses"], record["correct"]
        history.epochs = record["epochs"]
