"""The words of a verdict: what came of a trial, and to which aspect of a layer a discrepancy belongs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

Verdict = Literal[
    "conforms", "inexact", "wrong", "error", "crashed", "timed_out", "unproven", "not_implemented", "not_loaded"
]
GRAVEST_FIRST: tuple[Verdict, ...] = (
    "wrong",
    "error",
    "crashed",
    "timed_out",
    "not_loaded",
    "inexact",
    "unproven",
    "conforms",
    "not_implemented",
)

Aspect = Literal["mathematics", "accuracy", "edges", "contract"]
ASPECTS: tuple[Aspect, ...] = get_args(Aspect)


def worst_verdict(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the gravest of several verdicts. It is "not_implemented" only if all are."""
    return min(verdicts, key=GRAVEST_FIRST.index, default="not_implemented")


def aspects_named(text: str) -> tuple[Aspect, ...]:
    """Read a list of aspects, separated by commas. Raises ValueError, in one line, for an unknown word or none."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    for word in words:
        if word not in ASPECTS:
            raise ValueError(f"there is no aspect {word!r}; there are {', '.join(ASPECTS)}")
    if not words:
        raise ValueError(f"no aspect is required; choose from {', '.join(ASPECTS)}")
    return tuple(aspect for aspect in ASPECTS if aspect in words)
