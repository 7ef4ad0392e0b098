"""A discrepancy: one thing that a target got wrong, as it is stored and as a person reads it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from oracle.cases import Case, Memory, Subject, Values
from oracle.results.codec import Array, tuples
from oracle.results.text import configured, indented, json_number, shown
from oracle.results.verdict import ASPECTS, GRAVEST_FIRST, Aspect, Verdict

Number = Annotated[
    float,
    BeforeValidator(float),
    PlainSerializer(json_number, when_used="json"),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"]}]}),
]


class Strict(BaseModel):
    """A model that refuses what it does not know."""

    model_config = ConfigDict(extra="forbid")


def as_written(case: Case) -> Memory | dict[str, Memory]:
    """Return the memory layouts of a case as the results have them: one if all are the same, else one per array and dy."""
    by_name = case.memory_by_name
    return case.memory[-1] if len(set(by_name.values())) == 1 else by_name


class Discrepancy(Strict):
    """One thing that a target got wrong, with the smallest case on which it does."""

    id: str
    verdict: Verdict
    aspect: Aspect
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
    traceback: str | None = Field(None, description="the last lines of the target's own traceback, if it raised")
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
    def kind(self) -> str:
        """What kind of thing is wrong, in a few words, without the numbers."""
        what = {"crashed": "crashes", "timed_out": "does not answer in time"}.get(self.verdict, "fails")
        if self.check == "refusal":
            return "accepts what it must refuse" if self.verdict == "error" else f"{what} on what it must refuse"
        if self.check == "process":
            return what
        return "raises on a valid case" if self.check == "error" else f"{self.check} of {self.output}"

    @property
    def rank(self) -> tuple[int, int]:
        """The place in a list: mathematics first, and the gravest first within an aspect."""
        return ASPECTS.index(self.aspect), GRAVEST_FIRST.index(self.verdict)

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
        if self.traceback:
            lines += ["the target's traceback ends with", indented(self.traceback)]
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
