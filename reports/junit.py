"""Results as JUnit XML, for continuous integration."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

if TYPE_CHECKING:
    from oracle.results import Results, Trial

# XML 1.0 has no way to write the other control characters.
UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(results: Results) -> bytes:
    """Write a suite per target, and a case per layer and dtype. Expected discrepancies do not fail."""
    root = ElementTree.Element("testsuites", name="backproof")
    for target in dict.fromkeys(trial.target for trial in results.trials):
        trials = [trial for trial in results.trials if trial.target == target]
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=target,
            tests=str(len(trials)),
            failures=str(sum(bool(trial.failing) for trial in trials)),
            errors=str(sum(trial.verdict == "not_loaded" for trial in trials)),
            skipped=str(sum(trial.verdict == "not_implemented" for trial in trials)),
            time=f"{sum(trial.seconds for trial in trials):.3f}",
            timestamp=results.started,
        )
        for trial in trials:
            _add_case(suite, trial)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)


def _add_case(suite: ElementTree.Element, trial: Trial) -> None:
    case = ElementTree.SubElement(
        suite, "testcase", classname=f"{trial.target}.{trial.layer}", name=trial.dtype, time=f"{trial.seconds:.3f}"
    )
    if trial.verdict == "not_implemented":
        ElementTree.SubElement(case, "skipped", message="not implemented")
    if trial.verdict == "not_loaded":
        ElementTree.SubElement(case, "error", message=UNWRITABLE.sub("?", trial.note or "the target cannot be loaded"))
    if trial.failing:
        message = UNWRITABLE.sub("?", f"{trial.verdict}: {trial.failing[0].message}")
        failure = ElementTree.SubElement(case, "failure", type=trial.verdict, message=message)
        failure.text = UNWRITABLE.sub("?", "\n\n".join(d.text for d in trial.failing))
