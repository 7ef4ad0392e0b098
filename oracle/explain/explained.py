"""Turn a finding into a discrepancy that a person can read: simplified, diagnosed, with a script."""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import Any

import numpy as np

from oracle.cases import Arrays, Case, Subject
from oracle.cases.case import refused_call
from oracle.explain.lengths import shortest
from oracle.explain.script import script
from oracle.explain.simplify import simplified
from oracle.judge import Fault, Finding, aspect_of
from oracle.layers import LAYERS, Refusal
from oracle.results import Array, Aspect, Discrepancy, as_written, listed
from oracle.targets.ask import Asked
from oracle.truth import drawn


def explained(
    subject: Subject,
    layer: Asked,
    case: Case,
    finding: Finding,
    aspect: Aspect | None = None,
    diagnosis: str | None = None,
    again: bool = False,
) -> Discrepancy:
    """Explain a finding of the judge, on the simplest numbers that show it.

    The aspect is that of this case, unless another one is given: the smallest case of a fault is often at an edge, and
    the fault shows on ordinary arrays as well. ``again``: the same output has another fault in another aspect.
    """
    if finding.check == "process":  # to try again costs a process or a time limit each time
        arrays, dy, _ = drawn(case)
    else:
        case, finding, says = shortest(layer, case, finding)
        arrays, dy, finding = simplified(layer, case, finding)
        finding = replace(finding, message="; ".join(filter(None, (finding.message, says))))
    key = aspect if again else None
    return _discrepancy(subject, case, arrays, dy, finding, key, aspect=aspect, diagnosis=diagnosis)


def explained_refusal(subject: Subject, refusal: Refusal, finding: Finding) -> Discrepancy:
    """Explain why a call had to be refused."""
    case, arrays = refused_call(LAYERS[subject.layer], subject.dtype, refusal)
    return _discrepancy(subject, case, arrays, None, finding, refusal.key, refusal=refusal.key)


def _discrepancy(
    subject: Subject,
    case: Case,
    arrays: Arrays,
    dy: np.ndarray | None,
    finding: Finding,
    key: str | None,
    *,
    aspect: Aspect | None = None,
    **more: Any,
) -> Discrepancy:
    shown = dict(zip(LAYERS[case.layer].arrays, arrays, strict=True)) | ({} if dy is None else {"dy": dy})
    return Discrepancy(
        id=identity(subject, finding.fault, key),
        verdict=finding.verdict,
        aspect=aspect or aspect_of(finding.fault, case),
        check=finding.check,
        output=finding.output,
        message=finding.message,
        configuration=case.configuration,
        memory=as_written(case),
        values=case.values,
        arrays={name: None if x is None else Array.of(x) for name, x in shown.items()},
        expected=_plain(finding.expected),
        got=_plain(finding.got),
        error_over_bound=finding.error_over_bound,
        traceback=finding.traceback,
        reproduce=script(subject.target, case, arrays, dy, finding),
        **more,
    )


def identity(subject: Subject, fault: Fault, key: str | None = None) -> str:
    """Return an id that the same fault has in every run."""
    text = "/".join((*subject, *fault, *(() if key is None else (key,))))
    return f"{zlib.crc32(text.encode()):08x}"


def _plain(value: Any) -> Any:
    return listed(value) if isinstance(value, np.ndarray) else value
