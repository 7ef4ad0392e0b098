"""Judge the claims of the documents: what each says, beside what the oracle answers."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from oracle.cases import Case
from oracle.documents.questions import PREDICATES, QUESTIONS
from oracle.judge.subgradient import is_subgradient
from oracle.layers import LAYERS, Layer
from oracle.results.errata import ClaimVerdict, Counterexample, Errata, JudgedClaim, JudgedDocument, Section
from oracle.siblings import import_sibling
from oracle.truth import Precision, derive, truth_of

Arguments = dict[str, Any]
DOUBLE = Precision.of(np.float64)
DRAWS = 5


@dataclass(frozen=True)
class Miss:
    """An example on which what was said is not true."""

    arguments: Arguments
    said: Any
    true: Any
    drawn: frozenset[str] = frozenset()


def judge_documents() -> Errata:
    """Every claim of ``reference``, which is found by name: the oracle does not import what it judges."""
    reference = import_sibling("reference")
    judged = []
    for number, document in reference.DOCUMENTS.items():
        claims = [judge_claim(claim, document.file) for claim in reference.CLAIMS if claim.document == number]
        sections = [Section(title=t, claims=[c for c in claims if c.section == t]) for t in document.sections]
        judged.append(JudgedDocument(file=document.file, title=document.title, sections=sections))
    return Errata(documents=judged)


def judge_claim(claim: Any, file: str) -> JudgedClaim:
    """One claim: its verdict; for one that fails also its correction, and the condition under which it holds."""
    examples, miss = 0, None
    verdict: ClaimVerdict = "not_checkable"
    if claim.question:
        examples, miss = _first_miss(claim.question, claim.says, claim.examples)
        verdict = "holds" if miss is None else "fails"
    result = JudgedClaim(
        id=claim.id, document=file, section=claim.section, layer=claim.layer, statement=claim.statement,
        verdict=verdict, formula=claim.formula or None, reason=claim.why_not or None, examples=examples,
    )  # fmt: skip
    if miss is not None:
        miss = _simplified(claim.question, claim.says, miss)
        given = {name: _plain(x) for name, x in miss.arguments.items()}
        result.counterexample = Counterexample(
            arguments=given, document_gives=_plain(miss.said), true=_plain(miss.true)
        )
        result.correction, result.consequence = claim.correction, claim.consequence
        result.correction_holds = _first_miss(claim.question, claim.corrected, claim.examples)[1] is None
        if claim.condition:
            result.condition = claim.condition
            result.condition_holds = _first_miss(claim.question, claim.says, claim.under)[1] is None
    return result


def _first_miss(question: str, says: Any, examples: Any) -> tuple[int, Miss | None]:
    """How many examples were tried, up to the first on which what is said is not true."""
    tried = 0
    for example in examples:
        for arguments in _drawn(question, example):
            tried += 1
            miss = _miss(question, says, arguments)
            if miss is not None:
                drawn = frozenset(name for name in arguments if arguments[name] is not example.get(name))
                return tried, replace(miss, drawn=drawn)
    return tried, None


# -- asking -----------------------------------------------------------------------------------------------------------


def _layer_of(question: str) -> tuple[str, Layer | None]:
    """The output and the layer of a question like "dx of conv2d"; no layer for the oracle's own questions."""
    output, _, name = question.partition(" of ")
    return output, None if question in QUESTIONS or question in PREDICATES else LAYERS[name]


def _miss(question: str, says: Any, arguments: Arguments) -> Miss | None:
    """None where what is said of the arguments is true."""
    output, layer = _layer_of(question)
    if layer is not None and output == "shape":
        return _compared(says, arguments, _value_shape(layer, arguments))
    if layer is not None:
        return _layer_miss(output, layer, says, arguments)
    with jax.enable_x64(True):
        if question in PREDICATES:
            said, failure = _said(says, arguments)
            wrong = failure or PREDICATES[question](said, **arguments)
            return Miss(arguments, said, wrong if failure is None else "an answer") if wrong else None
        given = {k: jax.tree.map(jnp.asarray, v) if _holds_arrays(v) else v for k, v in arguments.items()}
        true = QUESTIONS[question](**given)
    return _compared(says, arguments, true if isinstance(true, (str, tuple)) else np.asarray(true))


def _holds_arrays(x: Any) -> bool:
    return isinstance(x, np.ndarray) or (isinstance(x, list) and any(isinstance(v, np.ndarray) for v in x))


def _said(says: Any, arguments: Arguments) -> tuple[Any, str | None]:
    """What is said, or that saying it raised an exception."""
    try:
        with np.errstate(all="ignore"):
            return says(**{k: _copy(v) for k, v in arguments.items()}), None
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        return f"raises {text}", text


def _copy(x: Any) -> Any:
    return x.copy() if isinstance(x, np.ndarray) else x


def _compared(says: Any, arguments: Arguments, true: Any) -> Miss | None:
    said, failure = _said(says, arguments)
    if failure is None and _agrees(said, true):
        return None
    return Miss(arguments, said, true)


def _agrees(said: Any, true: Any, bound: Any = 0.0) -> bool:
    """Equal; for arrays, up to the bound or half of the digits. Masked entries say nothing."""
    if isinstance(true, (str, tuple)):
        return bool(said == true)
    mask = np.ma.getmaskarray(said) if isinstance(said, np.ma.MaskedArray) else False
    got = np.asarray(said, np.float64) if mask is False else np.asarray(said.filled(0.0), np.float64)
    true = np.asarray(true, np.float64)
    if got.shape != true.shape:
        return False
    finite = np.abs(true[np.isfinite(true)])
    room = np.maximum(bound, math.sqrt(DOUBLE.unit_roundoff) * (finite.max() if finite.size else 0.0))
    with np.errstate(invalid="ignore"):
        same = (np.abs(got - true) <= room) | (got == true) | (np.isnan(got) & np.isnan(true))
    return bool(np.all(same | mask))


# -- questions about layers -------------------------------------------------------------------------------------------


def _configuration(layer: Layer, arguments: Arguments) -> Arguments:
    return {k: v for k, v in arguments.items() if k not in (*layer.arrays, "dy")}


def _value_shape(layer: Layer, shapes: Arguments) -> tuple[int, ...]:
    given = tuple(shapes.get(name) for name in layer.arrays)
    return derive(layer.name, given, _configuration(layer, shapes)).value_shape


def _layer_miss(output: str, layer: Layer, says: Any, arguments: Arguments) -> Miss | None:
    arrays = [arguments.get(name) for name in layer.arrays]
    shapes = tuple(None if x is None else x.shape for x in arrays)
    case = Case(layer.name, "float64", shapes, _configuration(layer, arguments))
    truth = truth_of(case, arrays, arguments["dy"])
    true = truth.pairs[output]
    asked = arguments if output in truth.gradients else {k: v for k, v in arguments.items() if k != "dy"}
    said, failure = _said(says, asked)
    if failure is None and _agrees(said, true.value, true.error):
        return None
    if failure is None and layer.ties and output in truth.gradients and arrays[0] is not None:
        windows = layer.ties(case.configuration, case.shapes)
        dx = np.asarray(said, np.float64)
        if dx.shape == true.value.shape and is_subgradient(dx, arrays[0], arguments["dy"], windows, DOUBLE):
            return None
    return Miss(arguments, said, np.asarray(true.value, np.float64))


# -- examples ---------------------------------------------------------------------------------------------------------


def _drawn(question: str, example: Any) -> Iterator[Arguments]:
    """The example's arguments, arrays drawn in the place of shapes: 1, 2, 3 ... first, then small and other numbers."""
    output, layer = _layer_of(question)
    if layer is not None and output == "shape":
        yield dict(example)
        return
    for attempt in range(DRAWS):
        rng = np.random.default_rng(attempt)
        arguments = {}
        for name, x in example.items():
            is_array = layer is None or name in layer.arrays or name == "dy"
            kind = "real" if layer is None else layer.kinds.get(name, "real")
            arguments[name] = _array(x, kind, attempt, rng) if is_array else x
        if layer is not None:
            arguments = {k: np.asarray(v) if k in (*layer.arrays, "dy") else v for k, v in arguments.items()}
            if "dy" not in arguments:
                shapes = {k: v.shape if k in layer.arrays else v for k, v in arguments.items()}
                arguments["dy"] = np.asarray(_array(_value_shape(layer, shapes), "real", attempt, rng), np.float64)
        yield arguments
        if arguments.keys() == example.keys() and all(arguments[k] is example[k] for k in example):
            return  # nothing was drawn


def _array(x: Any, kind: str, attempt: int, rng: np.random.Generator) -> Any:
    if isinstance(x, list) and x and isinstance(x[0], tuple):
        return [_array(v, kind, attempt, rng) for v in x]
    if not (isinstance(x, tuple) and all(isinstance(n, int) for n in x)):
        return x
    size = math.prod(x)
    if kind in ("probability", "fraction", "positive"):
        return ((np.arange(size) * (attempt + 1)) % 7 + 1.0).reshape(x) / 8
    if attempt == 0:
        return np.arange(1.0, size + 1).reshape(x)
    if attempt < DRAWS - 1:
        return rng.integers(-3, 4, x).astype(np.float64)
    return np.asarray(rng.standard_normal(x))


def _simplified(question: str, says: Any, miss: Miss) -> Miss:
    """The same kind of miss with zeros, ones and a single 1 in the place of drawn arrays, wherever it stays."""
    for name in sorted(miss.drawn):
        x = miss.arguments[name]
        if not (isinstance(x, np.ndarray) and x.size <= 64):
            continue
        for simpler in _simpler(x):
            again = _miss(question, says, miss.arguments | {name: simpler})
            if again is not None and _as_telling(again, miss):
                miss = replace(again, drawn=miss.drawn)
                break
    return miss


def _as_telling(simpler: Miss, miss: Miss) -> bool:
    """Whether a simpler miss shows as much: finite numbers that are not all 0, or an exception of the same kind."""
    if isinstance(miss.said, str) or isinstance(miss.true, str):
        return str(simpler.said).partition(":")[0] == str(miss.said).partition(":")[0]
    try:
        said, true = (np.asarray(np.ma.filled(v, 0.0), np.float64) for v in (simpler.said, simpler.true))
    except (TypeError, ValueError):
        return False
    finite = bool(np.isfinite(said).all() and np.isfinite(true).all())
    return finite and (bool(true.any()) or (said.shape == true.shape and bool(said.any())) or not np.any(miss.true))


def _simpler(x: np.ndarray) -> Iterator[np.ndarray]:
    yield np.zeros_like(x)
    for i in range(x.size):
        one_hot = np.zeros_like(x)
        one_hot.flat[i] = 1
        yield one_hot
    yield np.ones_like(x)
    yield np.arange(1.0, x.size + 1).reshape(x.shape)


def _plain(x: Any) -> Any:
    """For JSON: nested lists, masked entries as None, odd numbers as text."""
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
