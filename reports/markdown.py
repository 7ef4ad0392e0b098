"""Results as Markdown, for the summary page of GitHub Actions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oracle.results import Aspect, Results

ASPECTS: tuple[Aspect, ...] = ("mathematics", "accuracy", "edges", "contract")


def markdown(results: Results) -> str:
    """Write a table with a row per target and layer, then each fault that counts, folded."""
    conclusion = results.conclusion
    said = [f"{conclusion[0].upper()}{conclusion[1:]}.", *(f"{reason}." for reason in results.shortfalls)]
    said += [
        f"Internal error in the trial of {trial.target} {trial.layer} {trial.dtype}: please report it."
        for trial in results.internal_errors
    ]
    lines = ["## Backproof", "", " ".join(said), ""]
    if results.not_tried:
        lines += ["Not tried: " + "; ".join(entry.short for entry in results.not_tried) + ".", ""]
    titles = ["target", "layer", "verdict", *ASPECTS, "judged", "strength", "worst / bound"]
    lines += [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for row in results.rows():
        verdict = row.verdict.replace("_", " ") + " (expected)" * row.all_known
        marks = [row.aspects.get(aspect, "").replace("_", " ") for aspect in ASPECTS]
        judged = row.judged.removeprefix("judged ") if row.tried else ""
        strength = "" if row.strength is None else row.strength.text
        worst = "" if row.worst is None else f"{row.worst:.3g}"
        cells = [f"`{row.target}`", f"`{row.layer}`", verdict, *marks, judged, strength, worst]
        lines.append(f"| {' | '.join(cells)} |")
    for fault in results.failing:
        d = fault.shown
        title = f"<code>{fault.target}</code> <code>{fault.layer}</code> {fault.dtypes}: {d.aspect}: {d.kind}"
        lines += ["", f"<details><summary>{title} ({d.verdict})</summary>", ""]
        lines += ["```", d.text.replace("```", "'''"), "```", "", "</details>"]
    more = [(trial, line) for trial in results.trials if trial.failing_aspects(results.required) for line in trial.more]
    lines += [f"\n`{trial.target}` `{trial.layer}` {trial.dtype}, also: {line}" for trial, line in more]
    return "\n".join(lines) + "\n"
