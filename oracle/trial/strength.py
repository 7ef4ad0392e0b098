"""The strength of a trial: which known slips its judged cases exclude."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import numpy as np

from oracle.cases import Case
from oracle.judge.apart import told_apart
from oracle.slips import Circumstances, Slip, slips_at, slips_of
from oracle.trial.plan import equivalent_slips
from oracle.truth import drawn


class Strength:
    """The slips of a layer that are still open, and those that are excluded.

    The slips of the catalogue are open from the start. Those that are derived from a case (from its jaxpr, from the lengths
    of its axes) become open when a planned case has them: what is drawn at random must not change what is asked for.
    """

    def __init__(self, layer: str, dtype: str, equivalent: Mapping[str, str] | None = None) -> None:
        self.equivalent = equivalent_slips(layer, dtype) if equivalent is None else equivalent
        self.open = {slip.sentence for slip in slips_of(layer)} - set(self.equivalent)
        self.excluded: set[str] = set()

    def judged(self, case: Case, outputs: Collection[str] | None = None, planned: bool = True) -> set[str]:
        """Exclude what a judged case tells from the truth, in the outputs that were found right."""
        found = self.would_exclude(case, outputs, planned)
        self.open -= found
        self.excluded |= found
        return found

    def would_exclude(self, case: Case, outputs: Collection[str] | None = None, planned: bool = False) -> set[str]:
        """Return the open slips that a case tells from the truth. This needs no answer of the target."""
        arrays, dy, truth = drawn(case)
        at = Circumstances(case, arrays, dy, truth)
        judged = tuple(truth.pairs) if outputs is None else outputs
        found = set()
        with np.errstate(all="ignore"):  # what a slip computes may overflow
            for slip in self._of_interest(at, planned):
                if told_apart(slip.answers(at), judged, case, arrays, dy, truth):
                    found.add(slip.sentence)
        return found

    def _of_interest(self, at: Circumstances, planned: bool) -> Iterator[Slip]:
        for slip in slips_at(at):
            if slip.sentence in self.equivalent or slip.sentence in self.excluded:
                continue
            if planned:
                self.open.add(slip.sentence)
            if slip.sentence in self.open:
                yield slip
