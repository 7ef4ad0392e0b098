"""The mutants that survive, each with the reason: it is equivalent, or it is missed."""

from __future__ import annotations

import json
from pathlib import Path

DRAWN = 600
SURVIVORS: dict[str, str] = json.loads((Path(__file__).parent / "survivors.json").read_text(encoding="utf-8"))


def reason(key: str) -> str:
    """Return why a mutant survives; nothing if it is not listed."""
    return SURVIVORS.get(key, "")
