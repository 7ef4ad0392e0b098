"""What a summary shows: a row per layer of a target, and a line per fault, each over all dtypes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from oracle.results.discrepancy import Discrepancy
from oracle.results.trial import Strength, Trial, unproven_because
from oracle.results.verdict import ASPECTS, Aspect, Verdict, worst_verdict


@dataclass(frozen=True)
class FaultLine:
    """One fault of one layer of one target: the discrepancies that show it, one per dtype."""

    trials: list[Trial]
    discrepancies: list[Discrepancy]

    @property
    def target(self) -> str:
        """The target that has it."""
        return self.trials[0].target

    @property
    def layer(self) -> str:
        """The layer that has it."""
        return self.trials[0].layer

    @property
    def dtypes(self) -> str:
        """The dtypes in which it shows."""
        return ", ".join(trial.dtype for trial in self.trials)

    @property
    def shown(self) -> Discrepancy:
        """The discrepancy to show: the gravest, and one that counts rather than one that is known."""
        return min(self.discrepancies, key=lambda d: (d.known, d.rank))

    @property
    def known(self) -> bool:
        """Whether it is expected in every dtype."""
        return all(d.known for d in self.discrepancies)

    @property
    def title(self) -> str:
        """Where it is and what kind of fault it is."""
        return f"{self.target} {self.layer} {self.dtypes}, {self.shown.aspect}: {self.shown.kind}"

    @property
    def line(self) -> str:
        """Everything about it in one line."""
        return f"{self.title} ({self.shown.verdict}): {self.shown.message}"


def fault_lines(trials: Iterable[Trial]) -> list[FaultLine]:
    """Put together what is the same fault in several dtypes: mathematics first, the gravest first, what is known last."""
    lines: dict[tuple[str | int | None, ...], FaultLine] = {}
    for trial in trials:
        seen: dict[tuple[str | None, ...], int] = {}
        for d in trial.discrepancies:
            fault = (trial.target, trial.layer, d.aspect, d.check, d.output, d.refusal)
            seen[fault] = seen.get(fault, 0) + 1  # two of one kind in one dtype are two faults
            line = lines.setdefault((*fault, seen[fault]), FaultLine([], []))
            line.trials.append(trial)
            line.discrepancies.append(d)
    return sorted(lines.values(), key=lambda line: (line.known, *line.shown.rank))


@dataclass(frozen=True)
class Row:
    """One layer of one target over all dtypes: a row of every summary."""

    target: str
    layer: str
    trials: list[Trial]

    @property
    def verdict(self) -> Verdict:
        """The gravest verdict."""
        return worst_verdict(t.verdict for t in self.trials)

    @property
    def tried(self) -> bool:
        """Whether the target was asked at all, or our own judge failed before it could ask."""
        return any(t.examples or t.discrepancies or t.internal_error for t in self.trials)

    @property
    def configurations(self) -> int:
        """How many configurations were tried."""
        return sum(t.configurations for t in self.trials)

    @property
    def judged(self) -> str:
        """How many cases were judged, what is not offered, and what could not be judged."""
        lacks = dict.fromkeys(word for t in self.trials for word in t.lacks)
        said = [f"judged {sum(t.judged for t in self.trials)}"]
        if lacks:
            said.append(f"offers {', '.join(f'no {word}' for word in lacks)}")
        unsupported = sum(t.unsupported for t in self.trials)
        if unsupported and not lacks:
            said.append(f"{unsupported} not offered")
        without: dict[str, int] = {}
        for trial in self.trials:
            for output, count in trial.not_judged.items():
                without[output] = without.get(output, 0) + count
        said += [f"{count} elements of {output} have no finite bound" for output, count in without.items()]
        return "; ".join(said)

    @property
    def aspects(self) -> dict[Aspect, Verdict]:
        """The gravest mark of each aspect."""
        return {
            aspect: worst_verdict(t.aspects[aspect] for t in self.trials if aspect in t.aspects)
            for aspect in ASPECTS
            if any(aspect in t.aspects for t in self.trials)
        }

    @property
    def strength(self) -> Strength | None:
        """The strength in the dtype in which it is least."""
        return min((t.strength for t in self.trials if t.strength), key=lambda s: s.share, default=None)

    @property
    def worst(self) -> float | None:
        """The largest finite error over bound."""
        return max((t.worst.error_over_bound for t in self.trials if t.worst), default=None)

    @property
    def accuracy(self) -> float | None:
        """The largest error on the statistical scale."""
        return max((t.accuracy.grade for t in self.trials if t.accuracy), default=None)

    @property
    def faults(self) -> list[FaultLine]:
        """Everything that was found, a line per fault."""
        return fault_lines(self.trials)

    @property
    def all_known(self) -> bool:
        """Whether something was found, and all of it was expected."""
        return bool(self.faults) and all(fault.known for fault in self.faults)

    @property
    def unproven(self) -> str | None:
        """What is unproven about it and why, or None. An error of our own judge is not said here."""
        unproven = [t for t in self.trials if t.unproven and t.internal_error is None]
        return unproven_because(unproven) if unproven else None

    @property
    def standing(self) -> str:
        """What is right and what is not, aspect by aspect. If the mathematics is wrong, nothing else is called right."""
        faults, said = self.faults, []
        unsaid = "conforms" if self.aspects.get("mathematics", "conforms") not in ("conforms", "unproven") else None
        for aspect, mark in self.aspects.items():
            kinds = [f.shown.kind + " (expected)" * f.known for f in faults if f.shown.aspect == aspect]
            if kinds or mark not in ("conforms", "unproven"):
                said.append(f"{aspect}: {'; '.join(dict.fromkeys(kinds)) or mark}")
            elif mark != unsaid:
                said.append(f"{aspect} {'right' if mark == 'conforms' else mark}")
        return ", ".join(said)
