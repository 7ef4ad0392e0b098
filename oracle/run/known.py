"""Known discrepancies: a file with a line ``target layer dtype`` for each, and ``#`` comments."""

from __future__ import annotations

from pathlib import Path

from oracle.cases import Subject
from oracle.results import Results


def read_known(path: Path, layers: tuple[str, ...]) -> list[Subject]:
    """Read the file. Raises OSError if it cannot be read, ValueError for a line of another form."""
    known = []
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise OSError(f"{path} cannot be read: {error.strerror}") from None
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) != 3:
            raise ValueError(f"{path}, line {number}: expected 'target layer dtype', got {line.strip()!r}")
        if words[1] not in layers:
            raise ValueError(f"{path}, line {number}: there is no layer {words[1]!r}")
        known.append(Subject(*words))
    return known


def mark_known(results: Results, known: list[Subject]) -> None:
    """Mark the discrepancies that are known, and list the lines that no longer occur among what was tried."""
    occurring = set()
    for trial in results.trials:
        if trial.subject in known and trial.discrepancies:
            occurring.add(trial.subject)
            for discrepancy in trial.discrepancies:
                discrepancy.known = True
    tried = {trial.subject for trial in results.trials}
    results.unmet = [str(subject) for subject in known if subject in tried and subject not in occurring]
