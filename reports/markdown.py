"""Results as Markdown, for the summary page of GitHub Actions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oracle.results import Results


def markdown(results: Results) -> str:
    """Write a table with a row per target and layer, then each discrepancy that counts, folded."""
    count = len(results.failing)
    said = [f"{count} discrepanc{'y' if count == 1 else 'ies'}."] if count else []
    said += [f"{reason}." for reason in results.shortfalls]
    lines = ["## Backproof", "", " ".join(said) or "Everything conforms.", ""]
    lines += ["| target | layer | verdict | configurations | worst / bound |", "|---|---|---|---|---|"]
    for row in results.rows():
        verdict = row.verdict.replace("_", " ") + " (expected)" * row.all_known
        worst = "" if row.worst is None else f"{row.worst:.3g}"
        lines.append(f"| `{row.target}` | `{row.layer}` | {verdict} | {row.configurations} | {worst} |")
    for trial, d in results.failing:
        title = f"<code>{trial.target}</code> <code>{trial.layer}</code> {trial.dtype}: {d.check} of {d.output}"
        lines += ["", f"<details><summary>{title} ({d.verdict})</summary>", ""]
        lines += ["```", d.text.replace("```", "'''"), "```", "", "</details>"]
    return "\n".join(lines) + "\n"
