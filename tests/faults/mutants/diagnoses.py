"""Print what the trial says about mutants: ``python -m tests.faults.mutants.diagnoses RESULTS.jsonl [COUNT]``.

RESULTS.jsonl has the outcomes that ``python -m tests.faults.mutants`` stores. Mutants whose numbers were found wrong are drawn
from it with a fixed seed. A person reads the sentences. The last time, the first 107 mutants were read: 35 of them get a
sentence, 48 sentences in all, and all of these are right. Nothing is said about the other 72.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path

from oracle.explain.diagnose import diagnose
from oracle.judge import Fault
from oracle.targets.ask import InProcess
from oracle.trial.search import Search
from tests.faults.mutants.load import mutated
from tests.faults.mutants.mutator import mutants
from tests.faults.mutants.trial import DEFAULTS, Limited, NotAsked, Outcome

SEED = 10
OF_NUMBERS = ("value", "gradient", "subgradient")


def drawn(results: Path) -> list[Outcome]:
    """Return the outcomes of wrong numbers, shuffled."""
    outcomes = [Outcome(**json.loads(line)) for line in results.read_text(encoding="utf-8").splitlines()]
    known = {mutant.key for mutant in mutants()}
    wrong = [o for o in outcomes if o.key in known and o.seen and o.seen.split()[1] in OF_NUMBERS]
    shuffled = sorted(wrong, key=lambda outcome: outcome.key)
    random.Random(SEED).shuffle(shuffled)
    return shuffled


def diagnoses(outcome: Outcome) -> Iterator[tuple[Fault, str | None]]:
    """Search as a trial does, and yield each fault with what is said about it."""
    mutant = next(mutant for mutant in mutants() if mutant.key == outcome.key)
    with mutated(mutant) as functional:
        asked = Limited(InProcess(getattr(functional, outcome.layer).vjp))
        search = Search(asked, outcome.layer, outcome.dtype)
        search.strength = NotAsked(outcome.layer, outcome.dtype)
        search.run(DEFAULTS.examples, DEFAULTS.seed)
        for fault in dict.fromkeys(fault for fault, _ in search.found):
            found = diagnose(asked, fault, search.failing(fault), search.right)
            yield fault, found.text if found else None


def main(results: str, count: str = "100") -> None:
    """Print the mutants, and what is said about each of their faults."""
    for outcome in drawn(Path(results))[: int(count)]:
        print(f"{outcome.key} ({outcome.layer})")
        for fault, text in diagnoses(outcome):
            print(f"    {fault.check} of {fault.output}: {text or '-'}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
