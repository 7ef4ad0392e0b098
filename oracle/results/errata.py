"""The judgement of the documents: the data model behind ``documents --json``, and the errata page."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from oracle.results.text import shown

ClaimVerdict = Literal["holds", "fails", "not_checkable"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Counterexample(_Strict):
    """The smallest example on which a claim fails; arrays as nested lists."""

    arguments: dict[str, Any]
    document_gives: Any
    true: Any

    def texts(self) -> dict[str, str]:
        """Everything as aligned matrices: each argument, what the document gives, and what is true."""
        parts = self.arguments | {"the document gives": self.document_gives, "true": self.true}
        return {name: shown(value) for name, value in parts.items()}


class JudgedClaim(_Strict):
    """One claim of a document, and what the oracle found."""

    id: str
    document: str
    section: str
    layer: str | None
    statement: str
    verdict: ClaimVerdict
    counterexample: Counterexample | None = None
    correction: str | None = None
    formula: str | None = None
    consequence: str | None = None
    condition: str | None = None
    reason: str | None = None
    examples: int = 0
    correction_holds: bool | None = None
    condition_holds: bool | None = None


class Section(_Strict):
    """A section of a document and its claims, in reading order."""

    title: str
    claims: list[JudgedClaim]


class JudgedDocument(_Strict):
    """A document: its file, its title in English, and its sections in reading order."""

    file: str
    title: str
    sections: list[Section]

    def count(self, verdict: ClaimVerdict) -> int:
        """How many of its claims have a verdict."""
        return sum(claim.verdict == verdict for section in self.sections for claim in section.claims)


class Errata(_Strict):
    """All documents."""

    documents: list[JudgedDocument]

    @property
    def claims(self) -> list[JudgedClaim]:
        """Every claim, in reading order."""
        return [claim for document in self.documents for section in document.sections for claim in section.claims]

    def to_json(self) -> str:
        """As ``documents --json`` writes it."""
        claims = [claim.model_dump(mode="json") for claim in self.claims]
        return json.dumps({"claims": claims}, indent=1, allow_nan=False) + "\n"
