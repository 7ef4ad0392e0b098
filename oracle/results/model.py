"""The data model of the results of a run: what ``results.json`` holds.

NaN and infinity have no JSON number. They are written as the strings "NaN", "Infinity" and "-Infinity".
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from pydantic import ConfigDict, Field

from oracle.cases import DTYPES
from oracle.layers import LAYERS
from oracle.results.discrepancy import Strict
from oracle.results.rows import FaultLine, Row, fault_lines
from oracle.results.trial import Trial
from oracle.results.verdict import ASPECTS, Aspect

SCHEMA_VERSION = 3


class Environment(Strict):
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


class NotTried(NamedTuple):
    """What a run did not try: dtypes, sizes, devices or layers, and which."""

    what: str
    which: list[str]

    @property
    def text(self) -> str:
        """All of it."""
        return f"{self.what}: {', '.join(self.which)}"

    @property
    def short(self) -> str:
        """The names if they are few, else their number."""
        return self.text if len(self.which) <= 4 else f"{len(self.which)} {self.what}"


BEYOND = {
    "small": ["axes as long as a tile (--sizes tiles)", "shapes of real networks (--sizes large)"],
    "tiles": ["shapes of real networks (--sizes large)"],
    "large": [],
}


class Results(Strict):
    """A run."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    version: int = Field(SCHEMA_VERSION, alias="schema")
    backproof: str
    started: str
    seconds: float
    seed: int
    options: dict[str, Any]
    required: list[Aspect] = Field(list(ASPECTS), description="the aspects that count")
    environment: Environment
    trials: list[Trial]
    interrupted: bool = Field(False, description="some trials are missing; --resume continues")
    not_offered: list[str] = Field([], description="layers that were named and that no target offers, a sentence each")
    unmet: list[str] = Field([], description="lines of the file of --expect that no longer occur")
    unmatched: list[str] = Field([], description="lines of the file of --expect that match no trial of the run")

    def to_json(self) -> str:
        """Write the results as JSON text."""
        return json.dumps(self.model_dump(mode="json", by_alias=True), indent=1, allow_nan=False) + "\n"

    def rows(self) -> list[Row]:
        """Return a row per target and layer, in the order of the run."""
        groups: dict[tuple[str, str], list[Trial]] = {}
        for trial in self.trials:
            groups.setdefault((trial.target, trial.layer), []).append(trial)
        return [Row(target, layer, trials) for (target, layer), trials in groups.items()]

    @property
    def faults(self) -> list[FaultLine]:
        """Everything that was found, a line per fault: mathematics first, the gravest first, what is known last."""
        return fault_lines(self.trials)

    @property
    def failing(self) -> list[FaultLine]:
        """The faults that count: those in a required aspect that are not known."""
        return [fault for fault in self.faults if self.counts(fault)]

    def counts(self, fault: FaultLine) -> bool:
        """Whether a fault counts."""
        return not fault.known and fault.shown.aspect in self.required

    @property
    def internal_errors(self) -> list[Trial]:
        """The trials in which our own judge failed."""
        return [trial for trial in self.trials if trial.internal_error is not None]

    @property
    def not_loaded(self) -> list[Trial]:
        """A trial per target that cannot be loaded; its traceback says why."""
        return list({trial.target: trial for trial in self.trials if trial.verdict == "not_loaded"}.values())

    @property
    def shortfalls(self) -> list[str]:
        """Why not everything that was asked for is proven, beside the discrepancies: a sentence for each reason."""
        rows, reasons = self.rows(), []
        for target in dict.fromkeys(row.target for row in rows):
            mine = [row for row in rows if row.target == target]
            not_loaded = [t for row in mine for t in row.trials if t.verdict == "not_loaded"]
            if not_loaded:
                reasons.append(not_loaded[0].note or f"target {target} cannot be loaded")
            elif any(row.tried for row in mine) and all(row.verdict == "not_implemented" for row in mine):
                reasons.append(f"target {target} raised NotImplementedError in every case")
            elif all(row.verdict == "not_implemented" for row in mine):
                reasons.append(f"target {target} offers none of the layers that were asked for")
        reasons += [row.unproven for row in rows if row.unproven]
        reasons += self.not_offered
        if self.interrupted:
            reasons.append("the run was interrupted, some trials are missing")
        return reasons

    @property
    def proven(self) -> bool:
        """Whether everything that was asked for is proven."""
        found = any(trial.failing_aspects(self.required) for trial in self.trials)
        return not (found or self.shortfalls or self.internal_errors)

    @property
    def conclusion(self) -> str:
        """What came of the run, in a few words."""
        count = len(self.failing)
        if count:
            return f"{count} discrepanc{'y' if count == 1 else 'ies'}"
        if not self.proven:
            return "not everything is proven"
        if set(self.required) == set(ASPECTS):
            return "everything conforms"
        return f"everything conforms in what was required: {', '.join(self.required)}"

    @property
    def not_tried(self) -> list[NotTried]:
        """What a reader may take for tried and was not: dtypes, sizes, devices, layers."""
        missing = [
            NotTried("dtypes", [dtype for dtype in DTYPES if dtype not in {t.dtype for t in self.trials}]),
            NotTried("sizes", BEYOND.get(self.options.get("sizes", "small"), [])),
            NotTried("devices", [] if self.environment.accelerated else ["anything but the CPU"]),
            NotTried("layers", [layer for layer in LAYERS if layer not in {r.layer for r in self.rows() if r.tried}]),
        ]
        return [entry for entry in missing if entry.which]
