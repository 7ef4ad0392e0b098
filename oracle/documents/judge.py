"""Judge the claims of the documents: compare what each claim says with what the oracle answers."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from oracle.documents.draws import DRAWS, Draw, simpler
from oracle.documents.kinds import Arguments, Miss, Question, Raised, Says, question
from oracle.results.errata import ClaimVerdict, Counterexample, Errata, JudgedClaim, JudgedDocument, Section
from oracle.siblings import import_sibling


def judge_documents() -> Errata:
    """Judge every claim of ``reference``. It is found by name, because the oracle does not import what it judges."""
    reference = import_sibling("reference")
    judged = []
    for number, document in reference.DOCUMENTS.items():
        claims = [judge_claim(claim, document.file) for claim in reference.CLAIMS if claim.document == number]
        sections = [Section(title=t, claims=[c for c in claims if c.section == t]) for t in document.sections]
        judged.append(JudgedDocument(file=document.file, title=document.title, sections=sections))
    return Errata(documents=judged)


def judge_claim(claim: Any, file: str) -> JudgedClaim:
    """Judge one claim. If it fails, judge also its correction, and the condition under which it holds."""
    result = JudgedClaim(
        id=claim.id, document=file, section=claim.section, layer=claim.layer, statement=claim.statement,
        verdict="not_checkable", formula=claim.formula or None, reason=claim.why_not or None,
    )  # fmt: skip
    if not claim.question:
        return result
    asked = question(claim.question)
    result.examples, miss = _first_miss(asked, claim.says, claim.examples)
    verdict: ClaimVerdict = "holds" if miss is None else "fails"
    result.verdict = verdict
    if miss is not None:
        result.counterexample = _counterexample(_simplified(asked, claim.says, miss))
        result.correction, result.consequence = claim.correction, claim.consequence
        result.correction_holds = _holds(asked, claim.corrected, claim.examples)
        if claim.condition:
            result.condition = claim.condition
            result.condition_holds = _holds(asked, claim.says, claim.under)
    return result


def _holds(asked: Question, says: Says, examples: Iterable[Arguments]) -> bool:
    return _first_miss(asked, says, examples)[1] is None


def _first_miss(asked: Question, says: Says, examples: Iterable[Arguments]) -> tuple[int, Miss | None]:
    """Try the examples up to the first miss. Return the number of examples that were tried, and the miss."""
    tried = 0
    for example in examples:
        for attempt in range(DRAWS):
            arguments = asked.complete(example, Draw(attempt))
            drawn = frozenset(name for name in arguments if arguments[name] is not example.get(name))
            tried += 1
            miss = asked.miss(says, arguments)
            if miss is not None:
                return tried, replace(miss, drawn=drawn)
            if not drawn:
                break  # every attempt would be the same
    return tried, None


# -- the counterexample -----------------------------------------------------------------------------------------------


def _simplified(asked: Question, says: Says, miss: Miss) -> Miss:
    """Replace drawn arrays by simpler ones for as long as the document's answer stays wrong in the same way."""
    for name in sorted(miss.drawn):
        x = miss.arguments[name]
        if not (isinstance(x, np.ndarray) and x.size <= 64):
            continue
        for candidate in simpler(x):
            again = asked.miss(says, miss.arguments | {name: candidate})
            if again is not None and _as_telling(again, miss):
                miss = replace(again, drawn=miss.drawn)
                break
    return miss


def _as_telling(candidate: Miss, miss: Miss) -> bool:
    """Tell whether a simpler miss shows as much: an exception of the same kind, or finite numbers that are not all 0."""
    if isinstance(miss.said, Raised) or isinstance(candidate.said, Raised):
        return _kind(candidate.said) == _kind(miss.said)
    if isinstance(miss.true, str):
        return bool(candidate.said == miss.said)
    try:
        said, true = (np.asarray(np.ma.filled(v, 0.0), np.float64) for v in (candidate.said, candidate.true))
    except (TypeError, ValueError):
        return False
    finite = bool(np.isfinite(said).all() and np.isfinite(true).all())
    return finite and (bool(true.any()) or (said.shape == true.shape and bool(said.any())) or not np.any(miss.true))


def _kind(said: Any) -> str | None:
    return said.kind if isinstance(said, Raised) else None


def _counterexample(miss: Miss) -> Counterexample:
    arguments = {name: _plain(x) for name, x in miss.arguments.items()}
    said = f"raises {miss.said.text}" if isinstance(miss.said, Raised) else _plain(miss.said)
    return Counterexample(arguments=arguments, document_gives=said, true=_plain(miss.true))


def _plain(x: Any) -> Any:
    """Convert a value for JSON: arrays to nested lists, masked entries to None, and what JSON does not have to text."""
    if isinstance(x, np.ma.MaskedArray):
        return _plain(x.tolist())
    if isinstance(x, (np.ndarray, np.generic, jax.Array)):
        return _plain(np.asarray(x).tolist())
    if isinstance(x, (list, tuple)):
        return [_plain(v) for v in x]
    if isinstance(x, dict):
        return {str(k): _plain(v) for k, v in x.items()}
    if isinstance(x, float) and not math.isfinite(x):
        return str(x)
    return x if isinstance(x, (int, float, str, bool)) or x is None else inspect.cleandoc(repr(x))
