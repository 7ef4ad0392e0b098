"""Read results from a file, and the JSON Schema that they follow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from oracle.results.model import SCHEMA_VERSION, Results


class ResultsError(Exception):
    """Results that cannot be read. The message is one line for the user."""


def schema() -> dict[str, Any]:
    """Return the JSON Schema of ``results.json``."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | Results.model_json_schema(by_alias=True)


def load(path: Path) -> Results:
    """Read results. Raises ResultsError, in one line, if the file is missing, or does not hold results of this schema."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ResultsError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ResultsError(f"{path} is not a results file: it is not UTF-8 text") from None
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise ResultsError(f"{path} is not a results file: not JSON ({error.msg}, line {error.lineno})") from None
    version = data.get("schema") if isinstance(data, dict) else None
    if isinstance(version, int) and version != SCHEMA_VERSION:
        raise ResultsError(f"{path} has results of schema {version}; this Backproof reads schema {SCHEMA_VERSION}")
    try:
        return Results.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the top"
        raise ResultsError(f"{path} is not a results file: {where}: {first['msg']}") from None
