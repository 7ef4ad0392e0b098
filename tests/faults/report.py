"""Write the rows of the planted faults as Markdown: a table by family, one by what is wrong, and a line per fault."""

from __future__ import annotations

from statistics import median
from typing import Any

from tests.faults.checkers import CHECKERS
from tests.faults.table import DIAGNOSES, SLIP, TILES, WHAT

Rows = list[dict[str, Any]]


def written(found: Rows) -> str:
    """Return the three of them."""
    by_layer = sorted(found, key=lambda r: (r["family"], r["fault"]))
    return "\n".join([_by_family(found), _by_what(found), *map(_line, by_layer)]) + "\n"


def _by_family(found: Rows) -> str:
    heads = ["family", "patches of `impl`", "of these at tile sizes", "slips", "found for every seed"]
    heads += ["median of the judged cases until found", *(f"diagnosis: {word}" for word in DIAGNOSES)]
    families = [(name, [r for r in found if r["family"] == name]) for name in sorted({r["family"] for r in found})]
    return _table([*heads, *CHECKERS], [[name, *_family(rows)] for name, rows in [*families, ("all", found)]])


def _family(rows: Rows) -> list[object]:
    judged = [n for r in rows for n in r["judged"] if n is not None]
    slips, tiles = (sum(r["origin"] == origin for r in rows) for origin in (SLIP, TILES))
    counts: list[object] = [len(rows) - slips, tiles, slips, f"{sum(all(r['found']) for r in rows)} of {len(rows)}"]
    counts.append(f"{median(judged):g}" if judged else "-")
    return [*counts, *(sum(r["diagnosis"] == word for r in rows) for word in DIAGNOSES), *_seen(rows)]


def _by_what(found: Rows) -> str:
    small = [r for r in found if r["origin"] != TILES]
    groups = [(what, [r for r in small if r["what"] == what]) for what in WHAT]
    groups.append(("any number, beyond one block only", [r for r in found if r["origin"] == TILES]))
    lines = [[what, len(rows), *_seen(rows), sum(r["seen in its own case"] for r in rows)] for what, rows in groups]
    return _table(["what is wrong", "faults", *CHECKERS, "`check_grads` in the trial's own case"], lines)


def _seen(rows: Rows) -> list[int]:
    return [sum(r["seen"][i] for r in rows) for i in range(len(CHECKERS))]


def _table(heads: list[str], lines: list[list[object]]) -> str:
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in [heads, ["---"] * len(heads), *lines]) + "\n"


def _line(r: dict[str, Any]) -> str:
    """Return what came of one fault."""
    cases = sorted({n for n in r["judged"] if n is not None})
    found = (
        f"with judged case {', '.join(map(str, cases))}"
        if cases
        else "by its bad calls"
        if all(r["found"])
        else "never"
    )
    said = "; ".join(f"{where}: {text}" for where, text in r["said"].items())
    seen = [name for name, sees in zip(CHECKERS, r["seen"], strict=True) if sees]
    seen += ["`check_grads` in the trial's own case"] if r["seen in its own case"] else []
    return (
        f"- **{r['fault']}** ({r['origin']}). Found {found}, in {', '.join(r['shown'])}. "
        f"Diagnosis {r['diagnosis']}{': ' if said else ''}{said}. Seen by {', '.join(seen) or 'no checker'}."
    )
