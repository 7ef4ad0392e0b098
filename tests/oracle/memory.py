"""Measure how much memory a large case takes, in units of the arrays of the case.

    python -m tests.oracle.memory [--dtype DTYPE] [LAYER ...]

The unit is the size of what a target is given and what it returns, each once and in the dtype of the target: the arrays, dy,
the outputs and the gradients. A line has the peak while the truth is computed and while the target is asked and judged, both
in the judge's process, and the peak in the process of the target, here ``impl``. The judge's peaks are what NumPy and Python
have allocated at once, so they do not depend on what the system's allocator keeps. They contain the arrays and the truth
themselves. The target's peak is its largest resident memory less what it was before the question.
"""

from __future__ import annotations

import argparse
import gc
import sys
import tracemalloc
from contextlib import suppress
from math import prod
from pathlib import Path
from typing import NamedTuple

from oracle.cases import DTYPES, Case, numpy_dtype
from oracle.cases.large import LARGE
from oracle.judge import judge
from oracle.layers import LAYERS
from oracle.targets.messages import Limits
from oracle.targets.process import Isolated, TargetProcess
from oracle.trial.afterwards import Attentive
from oracle.truth import derive, drawn


class Factors(NamedTuple):
    """The peaks of one case, in units of its arrays, and the unit in bytes."""

    unit: int
    truth: float
    judge: float
    target: float


def unit_of(case: Case) -> int:
    """Return the bytes of the arrays of a case: what goes in and what comes out."""
    jaxpr = derive(case.layer, case.shapes, case.configuration).jaxpr.jaxpr
    elements = sum(prod(variable.aval.shape) for variable in (*jaxpr.invars, *jaxpr.outvars))
    return elements * numpy_dtype(case.dtype).itemsize


def factors(case: Case, target: str = "impl") -> Factors:
    """Compute the truth of a case, ask a target in a process of its own, judge it, and return the peaks."""
    process = TargetProcess(target, Limits())
    try:
        asked = Attentive(Isolated(process, case.layer))
        edge = LAYERS[case.layer].edges[-1]
        judge(
            asked, Case(case.layer, case.dtype, edge.shapes, edge.configuration)
        )  # what is imported at the first case
        unit = unit_of(case)
        pid = process._process.pid
        before = _resident(pid, "VmRSS")
        with suppress(OSError):
            Path(f"/proc/{pid}/clear_refs").write_text("5")  # forget the peak
        gc.collect()
        tracemalloc.start()
        drawn(case)
        truth = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        judgement = judge(asked, case)
        peak = tracemalloc.get_traced_memory()[1]
        assert judgement.offered and not judgement.findings, judgement.findings
        return Factors(unit, truth / unit, peak / unit, (_resident(pid, "VmHWM") - before) / unit)
    finally:
        tracemalloc.stop()
        process.close()


def _resident(pid: int, key: str) -> int:
    path = Path(f"/proc/{pid}/status")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(key)), 0)


def main() -> None:
    """Print a line per layer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    parser.add_argument("layers", nargs="*", metavar="LAYER")
    given = parser.parse_args()
    print(f"{'layer':18} {'MB':>6} {'truth':>6} {'judge':>6} {'target':>6}   {given.dtype}")
    for layer in given.layers or LARGE:
        edge = LARGE[layer]
        found = factors(Case(layer, given.dtype, edge.shapes, edge.configuration))
        numbers = f"{found.unit / 1e6:6.1f} {found.truth:6.1f} {found.judge:6.1f} {found.target:6.1f}"
        print(f"{layer:18} {numbers}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
