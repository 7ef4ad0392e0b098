"""A trial: one layer of one target in one dtype, what came of it, and how much that proves."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field, model_validator

from oracle.cases import Subject
from oracle.results.discrepancy import Discrepancy, Number, Strict
from oracle.results.verdict import ASPECTS, Aspect, Verdict, worst_verdict


class Worst(Strict):
    """The output with the largest finite error over bound."""

    output: str
    error_over_bound: Number


class Accuracy(Strict):
    """The output with the largest error on the statistical scale. It compares right implementations and fails none."""

    output: str
    grade: Number = Field(description="the error over the unit roundoff and the square root of the number of roundings")


class Strength(Strict):
    """Which of the known slips the judged cases exclude."""

    slips: int = Field(description="known slips that apply to what the target offers, without the equivalent ones")
    excluded: int
    open: list[str] = Field([], description="a sentence for each slip that would not have been seen")
    equivalent: int = Field(0, description="slips that no case can tell from the truth")

    @property
    def share(self) -> float:
        """The share of the slips that are excluded."""
        return self.excluded / self.slips if self.slips else 1.0

    @property
    def text(self) -> str:
        """The numbers as a person reads them."""
        equivalent = f" ({self.equivalent} equivalent)" if self.equivalent else ""
        return f"{self.excluded} of {self.slips} slips excluded{equivalent}"


class InternalError(Strict):
    """An exception inside the judge. It is a mistake of ours and says nothing about the target."""

    traceback: str
    repeat: str = Field(description="the command that repeats it")


class Trial(Strict):
    """One target, one layer, one dtype."""

    target: str
    layer: str
    dtype: str
    verdict: Verdict
    examples: int = 0
    configurations: int = 0
    judged: int = Field(0, description="cases that the target answered and that were judged")
    checks: int = 0
    seconds: float = 0.0
    unsupported: int = 0
    lacks: list[str] = Field([], description="what the target does not offer: options, or values of options")
    undecided: int = 0
    not_judged: dict[str, int] = Field({}, description="by output: elements whose bound is infinite")
    aspects: dict[Aspect, Verdict] = Field({}, description="the mark of each aspect; none if nothing was tried")
    strength: Strength | None = None
    doubts: list[str] = Field([], description="why the trial proves little, beside the open slips")
    worst: Worst | None = None
    accuracy: Accuracy | None = None
    reproducible: bool | None = Field(None, description="whether repeated calls agreed bit for bit, if that was tried")
    discrepancies: list[Discrepancy] = Field([])
    more: list[str] = Field([], description="a line for each further fault, which is not stored with its arrays")
    note: str | None = None
    traceback: str | None = Field(
        None, description="of a target that cannot be loaded: the last lines in its own files"
    )
    internal_error: InternalError | None = None

    @model_validator(mode="after")
    def _marked(self) -> Trial:
        if not self.aspects and self.verdict not in ("not_implemented", "not_loaded"):
            unproven = self.verdict == "unproven" or bool(self.doubts or (self.strength and self.strength.open))
            self.aspects = marks(self.discrepancies, unproven)
            if self.internal_error is not None:
                self.aspects = dict.fromkeys(ASPECTS, "unproven")
        return self

    @property
    def subject(self) -> Subject:
        """What was on trial."""
        return Subject(self.target, self.layer, self.dtype)

    @property
    def unproven(self) -> bool:
        """Whether some known slip would not have been seen, or nothing came of the trial."""
        return "unproven" in self.aspects.values()

    def failing(self, required: Iterable[Aspect] = ASPECTS) -> list[Discrepancy]:
        """Return the discrepancies that count: those in a required aspect that are not known."""
        return [d for d in self.discrepancies if not d.known and d.aspect in required]

    def failing_aspects(self, required: Iterable[Aspect] = ASPECTS) -> list[Aspect]:
        """Return the required aspects in which something counts. It may be known by a line of ``more`` only."""
        failing = {d.aspect for d in self.failing()}
        if self.more and failing:
            failing |= {a for a, mark in self.aspects.items() if mark not in ("conforms", "unproven")}
        return [aspect for aspect in required if aspect in failing]


def marks(discrepancies: Iterable[Discrepancy], unproven: bool = False) -> dict[Aspect, Verdict]:
    """Mark each aspect: "conforms", or the gravest verdict in it. What is unproven is the mathematics."""
    found: dict[Aspect, list[Verdict]] = {aspect: ["conforms"] for aspect in ASPECTS}
    if unproven:
        found["mathematics"].append("unproven")
    for discrepancy in discrepancies:
        found[discrepancy.aspect].append(discrepancy.verdict)
    return {aspect: worst_verdict(verdicts) for aspect, verdicts in found.items()}


def failure(trial: Trial, required: Iterable[Aspect] = ASPECTS) -> str | None:
    """Return why a trial does not prove what is required, in full, or None if it does."""
    said = [d.text for d in in_order(trial.failing(required))]
    if trial.failing_aspects(required):
        said += trial.more
    if trial.unproven:
        said.append(unproven_because([trial]))
    return "\n\n".join(said) or None


def in_order(discrepancies: Iterable[Discrepancy]) -> list[Discrepancy]:
    """Sort discrepancies: mathematics first, and the gravest first within an aspect."""
    return sorted(discrepancies, key=lambda d: d.rank)


def unproven_because(trials: list[Trial]) -> str:
    """Say what is unproven about a layer, and which slips would not have been seen."""
    trials = [trial for trial in trials if trial.unproven]
    dtypes = ", ".join(trial.dtype for trial in trials)
    text = f"{trials[0].layer} of {trials[0].target} in {dtypes} is unproven"
    slips = dict.fromkeys(slip for trial in trials if trial.strength for slip in trial.strength.open)
    if slips:
        text += f": the judged cases would not have shown {len(slips)} known slip{'s' * (len(slips) > 1)}: "
        text += "; ".join(slips)
    text += "".join(f"; {doubt}" for doubt in dict.fromkeys(doubt for trial in trials for doubt in trial.doubts))
    text += "".join(f"; {doubt}" for doubt in dict.fromkeys(doubt for trial in trials for doubt in trial.doubts))
    outputs = dict.fromkeys(output for trial in trials for output in trial.not_judged)
    if outputs:
        text += f"; elements of {', '.join(outputs)} were not judged, because their bound is infinite"
    return text
