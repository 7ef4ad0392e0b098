"""The strength of a trial: which known slips its judged cases exclude."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from oracle.cases import Case, Values
from oracle.cases.large import is_large
from oracle.judge.apart import told_apart
from oracle.slips import Answers, Circumstances, slips_at, slips_of
from oracle.trial.plan import Equivalent, equivalent_slips

EXACT = 1e-9


class Strength:
    """The slips of a layer that are still open, and those that are excluded.

    The slips of the catalogue are open from the start. Those that are derived from a case (from its jaxpr, from the lengths
    of its axes, from its memory layouts) become open when they change something in a planned case. What is drawn at random
    opens nothing, so that what is asked for stays the same for every seed.
    """

    def __init__(self, layer: str, dtype: str, stored: Equivalent | None = None) -> None:
        self.equivalent, no_effect = equivalent_slips(layer, dtype) if stored is None else stored
        self.left_out = {*self.equivalent, *no_effect}
        self.open = {slip.sentence for slip in slips_of(layer)} - self.left_out
        self.excluded: set[str] = set()
        self.with_effect: set[str] = set()

    def judged(self, case: Case, outputs: Collection[str] | None = None, planned: bool = True) -> set[str]:
        """Exclude what a judged case tells from the truth, in the outputs that were found right, or in all."""
        found = self.would_exclude(case, outputs, planned)
        self.open -= found
        self.excluded |= found
        return found

    def would_exclude(self, case: Case, outputs: Collection[str] | None = None, planned: bool = False) -> set[str]:
        """Return the open slips that a case tells from the truth. This needs no answer of the target.

        A large case is only judged. It takes far more memory to compute every slip of it, and smaller cases show the slips.
        """
        if is_large(case) or (not planned and not self.open):
            return set()
        at = Circumstances.of(case)
        judged = at.names if outputs is None else outputs
        found = set()
        with np.errstate(all="ignore"):  # what a slip computes may overflow
            for slip in slips_at(at):
                name = slip.sentence
                if name in self.excluded or name in self.left_out or not (planned or name in self.open):
                    continue
                answers = slip.answers(at)
                if planned and name not in self.with_effect and _changes(answers, at):
                    self.with_effect.add(name)
                    self.open.add(name)
                if name in self.open and told_apart(answers, judged, case, at.arrays, at.dy, at.truth):
                    found.add(name)
        return found


def _changes(answers: Answers, at: Circumstances) -> bool:
    """Whether a slip changes anything, beyond the rounding of float64, where nothing overflows or underflows."""
    if not at.case.values.finite or at.case.values in (Values.EXTREME, Values.TINY):
        return False
    for name, answer in answers.items():
        truth = at.true(name)
        size = np.abs(truth[np.isfinite(truth)]).max(initial=0.0)
        if answer.shape != truth.shape or not np.allclose(answer, truth, rtol=EXACT, atol=EXACT * size, equal_nan=True):
            return True
    return False
