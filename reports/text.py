"""Results as text: a discrepancy for a terminal, JUnit XML for continuous integration, Markdown for GitHub."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from oracle.results.model import Discrepancy, Results, Trial, worst_verdict
from reports.html import ratio, shown

# XML 1.0 has no way to write the other control characters.
UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def described(discrepancy: Discrepancy) -> str:
    """A discrepancy as a person reads it: what is wrong, on which numbers, and why where that is known."""
    options = ", ".join(f"{key}={value!r}" for key, value in discrepancy.configuration.items()) or "(defaults)"
    lines = [f"{discrepancy.verdict}, {discrepancy.check} of {discrepancy.output}: {discrepancy.message}"]
    if discrepancy.diagnosis:
        lines.append(f"diagnosis: {discrepancy.diagnosis}")
    lines.append(f"configuration: {options}")
    for name, array in discrepancy.arrays.items():
        if array is not None and discrepancy.check == "refusal":
            lines.append(f"{name}: shape {tuple(array.shape)}")
        elif array is not None:
            lines += [f"{name} =", _indented(shown(array))]
    for what, value in (("expected", discrepancy.expected), ("got", discrepancy.got)):
        if value is not None:
            lines += [f"{what} {discrepancy.output} =", _indented(shown(value))]
    return "\n".join(lines)


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


def junit(results: Results) -> bytes:
    """JUnit XML: a suite a target, a case a layer and dtype; expected discrepancies do not fail."""
    root = ElementTree.Element("testsuites", name="backproof")
    for target in dict.fromkeys(trial.target for trial in results.trials):
        trials = [trial for trial in results.trials if trial.target == target]
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=target,
            tests=str(len(trials)),
            failures=str(sum(map(_fails, trials))),
            errors="0",
            skipped=str(sum(trial.verdict == "not_implemented" for trial in trials)),
            time=f"{sum(trial.seconds for trial in trials):.3f}",
            timestamp=results.started,
        )
        for trial in trials:
            case = ElementTree.SubElement(
                suite, "testcase", classname=f"{target}.{trial.layer}", name=trial.dtype, time=f"{trial.seconds:.3f}"
            )
            if trial.verdict == "not_implemented":
                ElementTree.SubElement(case, "skipped", message="not implemented")
            if _fails(trial):
                new = [d for d in trial.discrepancies if not d.known]
                message = UNWRITABLE.sub("?", f"{trial.verdict}: {new[0].message}")
                failure = ElementTree.SubElement(case, "failure", type=trial.verdict, message=message)
                failure.text = UNWRITABLE.sub("?", "\n\n".join(map(described, new)))
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)


def _fails(trial: Trial) -> bool:
    return any(not discrepancy.known for discrepancy in trial.discrepancies)


def markdown(results: Results) -> str:
    """A table a target, and each discrepancy that counts, folded."""
    count = len(results.failing)
    lines = [
        "## Backproof",
        "",
        f"{count} discrepanc{'y' if count == 1 else 'ies'}." if count else "Everything conforms.",
        "",
    ]
    lines += ["| target | layer | verdict | configurations | worst / bound |", "|---|---|---|---|---|"]
    for (target, layer), trials in results.by_layer().items():
        verdict = worst_verdict([trial.verdict for trial in trials]).replace("_", " ")
        known = " (expected)" if any(t.discrepancies for t in trials) and not any(map(_fails, trials)) else ""
        worst = max((t.worst.error_over_bound for t in trials if t.worst), default=None)
        configurations = sum(trial.configurations for trial in trials)
        lines.append(f"| `{target}` | `{layer}` | {verdict}{known} | {configurations} | {ratio(worst)} |")
    for trial, d in results.failing:
        title = f"<code>{trial.target}</code> <code>{trial.layer}</code> {trial.dtype}: {d.check} of {d.output}"
        lines += ["", f"<details><summary>{title} ({d.verdict})</summary>", ""]
        lines += ["```", described(d).replace("```", "'''"), "```", "", "</details>"]
    return "\n".join(lines) + "\n"
