"""Results as JUnit XML, for continuous integration."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

if TYPE_CHECKING:
    from oracle.results import Results, Row

# XML 1.0 has no way to write the other control characters.
UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(results: Results) -> bytes:
    """Write a suite per target, a case per layer, and a failure per required aspect in which something counts."""
    root = ElementTree.Element("testsuites", name="backproof")
    rows = results.rows()
    for target in dict.fromkeys(row.target for row in rows):
        mine = [row for row in rows if row.target == target]
        suite = ElementTree.SubElement(root, "testsuite", name=target)
        cases = [_add_case(suite, row, results) for row in mine]
        counts = {
            "tests": len(cases),
            "failures": sum(case.find("failure") is not None for case in cases),
            "errors": sum(case.find("error") is not None for case in cases),
            "skipped": sum(case.find("skipped") is not None for case in cases),
        }
        for name, count in counts.items():
            suite.set(name, str(count))
        suite.set("time", f"{sum(trial.seconds for row in mine for trial in row.trials):.3f}")
        suite.set("timestamp", results.started)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)


def _add_case(suite: ElementTree.Element, row: Row, results: Results) -> ElementTree.Element:
    seconds = sum(trial.seconds for trial in row.trials)
    case = ElementTree.SubElement(suite, "testcase", classname=row.target, name=row.layer, time=f"{seconds:.3f}")
    if row.verdict == "not_implemented":
        ElementTree.SubElement(case, "skipped", message="not implemented")
    for trial in row.trials:
        if trial.verdict == "not_loaded":
            _add(case, "error", "not_loaded", trial.note or "the target cannot be loaded")
        if trial.internal_error is not None:
            _add(case, "error", "internal", "internal error, please report it", trial.internal_error.traceback)
    for aspect in results.required:
        faults = [fault for fault in row.faults if fault.shown.aspect == aspect and not fault.known]
        more = [line for trial in row.trials if aspect in trial.failing_aspects([aspect]) for line in trial.more]
        if faults:
            first = faults[0].shown
            text = "\n\n".join([*(f"{fault.title}\n{fault.shown.text}" for fault in faults), *more])
            _add(case, "failure", aspect, f"{first.verdict}: {first.message}", text)
        elif more:
            _add(case, "failure", aspect, more[0], "\n".join(more))
    if row.unproven:
        _add(case, "failure", "unproven", row.unproven)
    return case


def _add(case: ElementTree.Element, tag: str, kind: str, message: str, text: str | None = None) -> None:
    element = ElementTree.SubElement(case, tag, type=kind, message=UNWRITABLE.sub("?", message))
    element.text = None if text is None else UNWRITABLE.sub("?", text)
