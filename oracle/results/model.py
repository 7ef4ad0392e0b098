"""The data model of the results of a run: what ``results.json`` holds.

NaN and infinity have no JSON number. They are written as the strings "NaN", "Infinity" and "-Infinity".
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from oracle.cases import Case, Memory, Subject, Values
from oracle.results.codec import Array, tuples
from oracle.results.text import configured, indented, json_number, shown

Verdict = Literal["conforms", "inexact", "wrong", "error", "crashed", "timed_out", "not_implemented", "not_loaded"]
SCHEMA_VERSION = 2
GRAVEST_FIRST: tuple[Verdict, ...] = (
    "wrong",
    "error",
    "crashed",
    "timed_out",
    "not_loaded",
    "inexact",
    "conforms",
    "not_implemented",
)


def worst_verdict(verdicts: list[Verdict]) -> Verdict:
    """Return the gravest of several verdicts. It is "not_implemented" only if all are."""
    return min(verdicts, key=GRAVEST_FIRST.index, default="not_implemented")


Number = Annotated[
    float,
    BeforeValidator(float),
    PlainSerializer(json_number, when_used="json"),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"]}]}),
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


def as_written(case: Case) -> Memory | dict[str, Memory]:
    """Return the memory layouts of a case as the results have them: one if all are the same, else one per array and dy."""
    by_name = case.memory_by_name
    return case.memory[-1] if len(set(by_name.values())) == 1 else by_name


class Discrepancy(_Strict):
    """One thing that a target got wrong, with the smallest case on which it does."""

    id: str
    verdict: Verdict
    check: str
    output: str
    message: str
    configuration: dict[str, Any]
    memory: Memory | dict[str, Memory] = Field(
        Memory.CONTIGUOUS, description="the layout of all arrays and dy, or the layout of each by its name"
    )
    values: Values = Values.NORMAL
    arrays: dict[str, Array | None] = Field(
        description="by name, and dy; simpler than what was drawn if that fails too"
    )
    refusal: str | None = Field(None, description="the key of the bad call that was not refused")
    expected: Any = None
    got: Any = None
    error_over_bound: Number | None = None
    diagnosis: str | None = None
    reproduce: str
    known: bool = Field(False, description="listed in the file of --expect; does not count")

    def case(self, subject: Subject) -> Case:
        """Return the case. Its shapes are those of the arrays."""
        given = (array for name, array in self.arrays.items() if name != "dy")
        shapes = tuple(None if array is None else tuple(array.shape) for array in given)
        configuration = {name: tuples(value) for name, value in self.configuration.items()}
        names = [*(name for name in self.arrays if name != "dy"), "dy"]
        by_name = self.memory if isinstance(self.memory, dict) else dict.fromkeys(names, self.memory)
        memory = tuple(by_name.get(name, Memory.CONTIGUOUS) for name in names)
        return Case(subject.layer, subject.dtype, shapes, configuration, self.values, memory)

    @property
    def configuration_text(self) -> str:
        """The configuration as it stands in a call."""
        return configured(self.configuration)

    @property
    def memory_text(self) -> str:
        """The memory layout, or that of each array; the empty string if all arrays are contiguous."""
        if isinstance(self.memory, dict):
            return ", ".join(f"{name} {layout}" for name, layout in self.memory.items())
        return "" if self.memory is Memory.CONTIGUOUS else str(self.memory)

    @property
    def expected_text(self) -> str:
        """What was expected, as an aligned matrix."""
        return shown(self.expected)

    @property
    def got_text(self) -> str:
        """What came, as an aligned matrix."""
        return shown(self.got)

    @property
    def text(self) -> str:
        """The discrepancy as a person reads it: what is wrong, on which numbers, and why if that is known."""
        lines = [f"{self.verdict}, {self.check} of {self.output}: {self.message}"]
        if self.diagnosis:
            lines.append(f"diagnosis: {self.diagnosis}")
        lines.append(f"configuration: {self.configuration_text}")
        if self.memory_text:
            lines.append(f"memory layout: {self.memory_text}")
        for name, array in self.arrays.items():
            if array is not None and self.refusal is not None:
                lines.append(f"{name}: shape {tuple(array.shape)}")
            elif array is not None:
                lines += [f"{name} =", indented(array.text)]
        if self.expected is not None:
            lines += [f"expected {self.output} =", indented(self.expected_text)]
        if self.got is not None:
            lines += [f"got {self.output} =", indented(self.got_text)]
        return "\n".join(lines)


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

    @property
    def subject(self) -> Subject:
        """What was on trial."""
        return Subject(self.target, self.layer, self.dtype)

    @property
    def failing(self) -> list[Discrepancy]:
        """The discrepancies that count."""
        return [d for d in self.discrepancies if not d.known]


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


@dataclass(frozen=True)
class Row:
    """One layer of one target over all dtypes: a row of every summary."""

    target: str
    layer: str
    trials: list[Trial]

    @property
    def verdict(self) -> Verdict:
        """The gravest verdict."""
        return worst_verdict([t.verdict for t in self.trials])

    @property
    def tried(self) -> bool:
        """Whether the target was asked at all."""
        return any(t.examples or t.discrepancies for t in self.trials)

    @property
    def configurations(self) -> int:
        """How many configurations were tried."""
        return sum(t.configurations for t in self.trials)

    @property
    def unsupported(self) -> int:
        """For how many cases the target raised NotImplementedError."""
        return sum(t.unsupported for t in self.trials)

    @property
    def worst(self) -> float | None:
        """The largest finite error over bound."""
        return max((t.worst.error_over_bound for t in self.trials if t.worst), default=None)

    @property
    def discrepancies(self) -> list[Discrepancy]:
        """Everything that was found."""
        return [d for t in self.trials for d in t.discrepancies]

    @property
    def all_known(self) -> bool:
        """Whether something was found, and all of it was expected."""
        return bool(self.discrepancies) and all(d.known for d in self.discrepancies)


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
    interrupted: bool = Field(False, description="some trials are missing; --resume continues")
    not_offered: list[str] = Field([], description="layers that were named and that no target offers, a sentence each")
    unmet: list[str] = Field([], description="lines of the file of --expect that no longer occur")

    def to_json(self) -> str:
        """Write the results as JSON text."""
        return json.dumps(self.model_dump(mode="json", by_alias=True), indent=1, allow_nan=False) + "\n"

    @property
    def failing(self) -> list[tuple[Trial, Discrepancy]]:
        """The discrepancies that count, each with its trial."""
        return [(t, d) for t in self.trials for d in t.failing]

    @property
    def shortfalls(self) -> list[str]:
        """Why not everything that was asked for is proven, beside the discrepancies: a sentence for each reason."""
        rows, reasons = self.rows(), []
        for target in dict.fromkeys(row.target for row in rows):
            mine = [row for row in rows if row.target == target]
            if all(row.verdict == "not_loaded" for row in mine):
                reasons.append(mine[0].trials[0].note or f"target {target} cannot be loaded")
            elif any(row.tried for row in mine) and all(row.verdict == "not_implemented" for row in mine):
                reasons.append(f"target {target} raised NotImplementedError in every case")
            elif all(row.verdict == "not_implemented" for row in mine):
                reasons.append(f"target {target} offers none of the layers that were asked for")
        reasons += self.not_offered
        if self.interrupted:
            reasons.append("the run was interrupted, some trials are missing")
        return reasons

    def rows(self) -> list[Row]:
        """Return a row per target and layer, in the order of the run."""
        groups: dict[tuple[str, str], list[Trial]] = {}
        for trial in self.trials:
            groups.setdefault((trial.target, trial.layer), []).append(trial)
        return [Row(target, layer, trials) for (target, layer), trials in groups.items()]
