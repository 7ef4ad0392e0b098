"""A change of structure changes no finding: the default trial of impl and of a faulty target beside what it found before.

``findings.json`` holds what ``backproof run --target impl`` and ``--target tests/house/faulty.py`` found, with seed 0, before
the rooms of the oracle were laid out anew. Refusals are left out: their list is derived from the layers' signatures now.
"""

import json
from pathlib import Path

import hypothesis
import jax
import numpy as np
import pytest

from oracle.cases import Subject
from oracle.trial.trial import Task, perform

STORED = json.loads(Path(__file__).with_name("findings.json").read_text(encoding="utf-8"))
HERE = {"hypothesis": hypothesis.__version__, "numpy": np.__version__, "jax": jax.__version__}


def trials():
    """Every trial of impl. Of the faulty target, float64 only where it does not repeat what float32 shows."""
    kinds = {}
    for trial in STORED["trials"]:
        if trial["target"] != "impl":
            kind = trial["verdict"], sorted(finding[1:] for finding in trial["findings"])
            if kinds.setdefault(trial["layer"], kind) == kind and trial["dtype"] != "float32":
                continue
        yield trial


def found(trial):
    return sorted([d.id, d.verdict, d.check, d.output] for d in trial.discrepancies if d.check != "refusal")


@pytest.mark.parametrize(
    "before", list(trials()), ids=lambda t: f"{t['target'].split('/')[-1]} {t['layer']} {t['dtype']}"
)
def test_the_findings_are_the_same(before, monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[2])  # the target's name, which is part of the ids, is a path from the root
    subject = Subject(before["target"], before["layer"], before["dtype"])
    trial = perform(Task(subject, STORED["examples"], STORED["seed"])).trial
    expected = sorted(finding for finding in before["findings"] if finding[2] != "refusal")
    assert (trial.verdict, found(trial)) == (before["verdict"], expected)
    if STORED["versions"] == HERE:  # what is drawn follows from the version of Hypothesis
        counts = {name: getattr(trial, name) for name in ("examples", "configurations", "unsupported")}
        assert counts == {name: before[name] for name in counts}
