"""A stored discrepancy run again, on the arrays that it was stored with."""

from __future__ import annotations

from typing import Any

import numpy as np

from oracle.cases.case import Case, numpy_dtype
from oracle.judge.judge import Finding, judge, judge_refusals
from oracle.layers import LAYERS
from oracle.results.model import Array, Discrepancy, Trial
from oracle.targets.process import Isolated, Limits, TargetProcess


def run_again(trial: Trial, discrepancy: Discrepancy, limits: Limits) -> Finding | None:
    """What is found now in its place, or None where it no longer occurs; the target runs in a process of its own.

    Raises ValueError for a discrepancy without arrays and for a layer that the target no longer has, TargetError for a
    target that cannot be had.
    """
    process = TargetProcess(trial.target, limits)
    try:
        if trial.layer not in process.offer().layers:
            raise ValueError(f"target {trial.target} no longer offers {trial.layer}")
        return _found_again(Isolated(process, trial.layer), trial, discrepancy)
    finally:
        process.close()


def _found_again(function: Isolated, trial: Trial, discrepancy: Discrepancy) -> Finding | None:
    if discrepancy.check == "refusal":
        found = judge_refusals(function, trial.layer, trial.dtype).findings
        return next((f for f in found if f.message == discrepancy.message), None)
    if "dy" not in discrepancy.arrays:
        raise ValueError(f"{discrepancy.id} has no arrays to run again")
    arrays = [_array(discrepancy.arrays.get(name)) for name in LAYERS[trial.layer].arrays]
    dy = _array(discrepancy.arrays["dy"])
    assert dy is not None
    configuration = {key: _tuples(value) for key, value in discrepancy.configuration.items()}
    memory = configuration.pop("(memory)", "contiguous")
    shapes = tuple(None if x is None else x.shape for x in arrays)
    case = Case(trial.layer, trial.dtype, shapes, configuration, _kind(arrays), memory)
    found = judge(function, case, arrays, dy).findings
    return next((f for f in found if f.output == discrepancy.output), found[0] if found else None)


def _array(stored: Array | None) -> np.ndarray | None:
    if stored is None:
        return None
    dtype = numpy_dtype(stored.dtype)
    data = np.array(stored.data, dtype=np.float64 if dtype.kind not in "iub" else dtype)
    return data.reshape(stored.shape).astype(dtype)


def _tuples(value: Any) -> Any:
    """JSON has lists where a configuration has tuples."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _kind(arrays: list[np.ndarray | None]) -> str:
    """The class of values, which says how NaN and infinity are judged."""
    real = [x.astype(np.float64) for x in arrays if x is not None and x.dtype.kind not in "iub"]
    if any(np.isnan(x).any() for x in real):
        return "nan"
    return "infinite" if any(np.isinf(x).any() for x in real) else "normal"
