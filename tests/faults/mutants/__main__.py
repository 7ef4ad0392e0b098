"""Try mutants and say how many are found: ``python -m tests.faults.mutants [COUNT] [RESULTS.jsonl]``.

Each outcome is stored as it comes; what a file has already is not tried again.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from tests.faults.mutants.reach import applying
from tests.faults.mutants.survivors import DRAWN, reason
from tests.faults.mutants.trial import Outcome, outcomes


def main(count: int = DRAWN, results: str = "mutants.jsonl") -> None:
    """Try mutants, store the outcomes, and print a summary."""
    path, drawn = Path(results), applying()[:count]
    known = _stored(path)
    with path.open("a", encoding="utf-8") as file:
        for outcome in outcomes([mutant for mutant in drawn if mutant.key not in known]):
            print(json.dumps(asdict(outcome)), file=file, flush=True)
    known = _stored(path)
    _summarise([known[mutant.key] for mutant in drawn])


def _stored(path: Path) -> dict[str, Outcome]:
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return {outcome.key: outcome for outcome in (Outcome(**json.loads(line)) for line in lines)}


def _summarise(found: list[Outcome]) -> None:
    survived = [outcome.key for outcome in found if outcome.seen is None]
    equivalent = [key for key in survived if reason(key).startswith("equivalent")]
    killed = [outcome for outcome in found if outcome.seen is not None]
    share = len(killed) / (len(found) - len(equivalent))
    print(f"{len(found)} mutants: {len(killed)} found, {len(equivalent)} equivalent; {share:.1%} of the others found")
    judged = [outcome.judged for outcome in killed if outcome.judged]
    print(f"judged cases until found: median {statistics.median(judged):g}, at most {max(judged)}")
    print(Counter(" ".join((outcome.seen or "").split()[:2]) for outcome in killed))
    for key in survived:
        print(f"survived: {key}\n    {reason(key) or 'NOT LISTED'}")


if __name__ == "__main__":
    main(*[int(argument) if argument.isdigit() else argument for argument in sys.argv[1:]])
