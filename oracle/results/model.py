"""The results of a run: the data model behind ``results.json``, and its JSON Schema.

NaN and infinity have no JSON number; they are written as the strings "NaN", "Infinity" and "-Infinity".
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError, WithJsonSchema

Verdict = Literal["conforms", "inexact", "wrong", "error", "crashed", "timed_out", "not_implemented"]
SCHEMA_VERSION = 1


def _written(value: float) -> float | str:
    if math.isnan(value):
        return "NaN"
    return value if math.isfinite(value) else ("Infinity" if value > 0 else "-Infinity")


Number = Annotated[
    float,
    BeforeValidator(float),
    PlainSerializer(_written, when_used="json"),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"]}]}),
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Array(_Strict):
    """An array as nested lists; elements that are no JSON number stand as strings."""

    dtype: str
    shape: list[int]
    data: Any


class Discrepancy(_Strict):
    """One thing that a target got wrong, in its smallest form."""

    id: str
    verdict: Verdict
    check: str
    output: str
    message: str
    configuration: dict[str, Any]
    arrays: dict[str, Array | None]
    expected: Any = None
    got: Any = None
    error_over_bound: Number | None = None
    diagnosis: str | None = None
    reproduce: str
    known: bool = Field(False, description="listed in the file of --expect; does not count")


class Worst(_Strict):
    """The output with the largest finite error over bound."""

    output: str
    error_over_bound: Number


class Trial(_Strict):
    """One target, one layer, one dtype."""

    target: str
    layer: str
    dtype: str
    verdict: Verdict
    examples: int = 0
    configurations: int = 0
    checks: int = 0
    seconds: float = 0.0
    unsupported: int = 0
    undecided: int = 0
    worst: Worst | None = None
    discrepancies: list[Discrepancy] = []
    note: str | None = None


class Environment(_Strict):
    """What ran where."""

    python: str
    numpy: str
    jax: str
    platform: str
    devices: list[str] = Field(description="what JAX sees where the targets run")
    ran_on: dict[str, str] = Field({}, description="the device that each target computed on")

    @property
    def accelerated(self) -> bool:
        """Whether there was anything but a CPU."""
        return any(not device.startswith("cpu") for device in (*self.devices, *self.ran_on.values()))


class Results(_Strict):
    """A run."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    version: int = Field(SCHEMA_VERSION, alias="schema")
    backproof: str
    started: str
    seconds: float
    seed: int
    options: dict[str, Any]
    environment: Environment
    trials: list[Trial]
    interrupted: bool = Field(False, description="some trials are missing; --resume goes on")
    unmet: list[str] = Field([], description="lines of the file of --expect that no longer occur")

    def to_json(self) -> str:
        """The results as JSON text."""
        return json.dumps(self.model_dump(mode="json", by_alias=True), indent=1, allow_nan=False) + "\n"

    @property
    def failing(self) -> list[tuple[Trial, Discrepancy]]:
        """The discrepancies that count, each with its trial."""
        return [(t, d) for t in self.trials for d in t.discrepancies if not d.known]

    def by_layer(self) -> dict[tuple[str, str], list[Trial]]:
        """The trials of each target and layer, one a dtype."""
        groups: dict[tuple[str, str], list[Trial]] = {}
        for trial in self.trials:
            groups.setdefault((trial.target, trial.layer), []).append(trial)
        return groups


class ResultsError(Exception):
    """Results that cannot be read; the message is one line for the user."""


def schema() -> dict[str, Any]:
    """The JSON Schema of ``results.json``."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | Results.model_json_schema(by_alias=True)


def load(path: Path) -> Results:
    """Read results; raises ResultsError in one line where the file is missing, no JSON or no results."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ResultsError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ResultsError(f"{path} is not a results file: it is no UTF-8 text") from None
    try:
        return Results.model_validate(json.loads(text))
    except json.JSONDecodeError as error:
        raise ResultsError(f"{path} is not a results file: no JSON ({error.msg}, line {error.lineno})") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the top"
        raise ResultsError(f"{path} is not a results file: {where}: {first['msg']}") from None


VERDICTS: tuple[Verdict, ...] = ("wrong", "error", "crashed", "timed_out", "inexact", "conforms", "not_implemented")


def worst_verdict(verdicts: list[Verdict]) -> Verdict:
    """The gravest of several verdicts; "not_implemented" only where nothing else is."""
    return min(verdicts, key=VERDICTS.index, default="not_implemented")
