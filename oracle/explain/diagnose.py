"""Name the slip that reproduces what a target returned."""

from __future__ import annotations

import numpy as np

from oracle.cases import Arrays, Case
from oracle.judge import Finding
from oracle.slips import Circumstances, slips_at
from oracle.truth import truth_of


def diagnose(case: Case, arrays: Arrays, dy: np.ndarray, finding: Finding) -> str | None:
    """Return a sentence that names the slip behind a wrong value or gradient, or None if no known slip reproduces it.

    The first slip is named that agrees with what the target returned and not with the truth.
    """
    if finding.check not in ("value", "gradient", "subgradient") or not isinstance(finding.got, np.ndarray):
        return None
    got, truth = finding.got.astype(np.float64), np.asarray(finding.expected, np.float64)
    if not got.size or not np.isfinite(truth).all():
        return None
    tolerance = 1e-2 if case.dtype in ("float16", "bfloat16") else 1e-4
    size = np.abs(truth).max()
    with np.errstate(all="ignore"):  # what a slip computes may overflow
        for slip, answers in slips_at(Circumstances(case, arrays, dy, truth_of(case, arrays, dy))):
            answer = answers.get(finding.output)
            if answer is None or answer.shape != got.shape or not np.isfinite(answer).all():
                continue
            room = tolerance * max(size, np.abs(answer).max())
            miss, distance = np.abs(answer - got).max(), np.abs(answer - truth).max()
            if miss <= room < distance / 2 or miss <= room * 1e-2 < distance:
                return slip.sentence
    return None
