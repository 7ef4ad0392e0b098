"""Run a stored discrepancy again, on the arrays that it was stored with."""

from __future__ import annotations

from oracle.judge import Fault, Finding, judge, judge_refusal
from oracle.layers import LAYERS
from oracle.results import Discrepancy, Trial
from oracle.targets.ask import Asked
from oracle.targets.messages import Limits
from oracle.targets.process import Isolated, TargetProcess


def run_again(trial: Trial, discrepancy: Discrepancy, limits: Limits) -> Finding | None:
    """Return what is found now, or None if nothing is. The target runs in a process of its own.

    If the stored fault is gone but the case shows another one, that one is returned. Raises ValueError for a discrepancy
    without arrays and for a layer that the target no longer offers, TargetError for a target that cannot be loaded.
    """
    process = TargetProcess(trial.target, limits)
    try:
        if trial.layer not in process.offer().layers:
            raise ValueError(f"target {trial.target} no longer offers {trial.layer}")
        return found_again(Isolated(process, trial.layer), trial, discrepancy)
    finally:
        process.close()


def found_again(layer: Asked, trial: Trial, discrepancy: Discrepancy) -> Finding | None:
    """Put the stored case, or the stored bad call, to a layer."""
    if discrepancy.refusal is not None:
        refusals = {refusal.key: refusal for refusal in LAYERS[trial.layer].refusals}
        if discrepancy.refusal not in refusals:
            raise ValueError(f"{discrepancy.id}: {trial.layer} no longer has the refusal {discrepancy.refusal!r}")
        return judge_refusal(layer, trial.layer, trial.dtype, refusals[discrepancy.refusal])
    stored = dict(discrepancy.arrays)
    dy = stored.pop("dy", None)
    if dy is None:
        raise ValueError(f"{discrepancy.id} has no arrays to run again")
    arrays = [None if array is None else array.numpy() for array in stored.values()]
    found = judge(layer, discrepancy.case(trial.subject), arrays, dy.numpy()).findings
    fault = Fault(discrepancy.verdict, discrepancy.check, discrepancy.output)
    same = [f for f in found if f.fault == fault] or [f for f in found if f.output == fault.output] or found
    return same[0] if same else None
