"""Known discrepancies: a file of lines ``target layer dtype``, with ``#`` comments."""

from __future__ import annotations

from pathlib import Path

from oracle.results.model import Results

Expected = tuple[str, str, str]


def read_expected(path: Path, layers: tuple[str, ...]) -> list[Expected]:
    """The lines of the file; raises OSError where it cannot be read, ValueError for a line that is none."""
    expected = []
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
        expected.append((words[0], words[1], words[2]))
    return expected


def mark_expected(results: Results, expected: list[Expected]) -> None:
    """Mark the discrepancies that are known, and list the lines that no longer occur among what was tried."""
    occurring = set()
    for trial in results.trials:
        key = (trial.target, trial.layer, trial.dtype)
        if key in expected and trial.discrepancies:
            occurring.add(key)
            for discrepancy in trial.discrepancies:
                discrepancy.known = True
    tried = {(t.target, t.layer, t.dtype) for t in results.trials}
    results.unmet = [" ".join(key) for key in expected if key in tried and key not in occurring]
