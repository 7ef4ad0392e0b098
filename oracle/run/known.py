"""Known discrepancies: a file with a line ``target layer dtype`` for each, and ``#`` comments."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

from oracle.cases import DTYPES, Subject
from oracle.layers import LAYERS
from oracle.results import Results


def read_known(path: Path) -> list[Subject]:
    """Read the file. Raises OSError if it cannot be read, ValueError for a line that can match no trial of any run."""
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
        subject = Subject(*words)
        for what, word, there in (("layer", subject.layer, LAYERS), ("dtype", subject.dtype, DTYPES)):
            if word not in there:
                raise ValueError(f"{path}, line {number}: there is no {what} {word!r}; {_meant(word, there)}")
        known.append(subject)
    return known


def _meant(word: str, there: Iterable[str]) -> str:
    near = difflib.get_close_matches(word.lower(), there, 1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(there)}"


def mark_known(results: Results, known: list[Subject]) -> None:
    """Mark the discrepancies that are known. List the lines that no longer occur, and those that match no trial."""
    occurring = set()
    for trial in results.trials:
        if trial.subject in known and trial.discrepancies:
            occurring.add(trial.subject)
            for discrepancy in trial.discrepancies:
                discrepancy.known = True
    tried = {trial.subject for trial in results.trials}
    results.unmet = [str(subject) for subject in known if subject in tried and subject not in occurring]
    results.unmatched = [str(subject) for subject in known if subject not in tried]
