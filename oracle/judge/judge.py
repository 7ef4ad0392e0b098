"""The judge: one case, one target, every check."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from oracle.cases.case import Case, numpy_dtype
from oracle.judge.subgradient import is_subgradient
from oracle.layers import LAYERS
from oracle.targets.answers import Answers, Arrays, LayerFunction, NotAnArray, Question, Said, perform
from oracle.truth import Bounded, Pair, Precision, derive, evaluate


@dataclass(frozen=True)
class Finding:
    """One thing that a target got wrong in one case."""

    verdict: str
    check: str
    output: str
    message: str
    expected: Any = None
    got: Any = None
    error_over_bound: float | None = None

    @property
    def signature(self) -> tuple[str, str, str]:
        """What makes two findings the same fault."""
        return self.verdict, self.check, self.output


@dataclass
class Judgement:
    """What came of one case."""

    findings: list[Finding] = field(default_factory=list)
    checks: int = 0
    worst: tuple[str, float] | None = None
    unsupported: bool = False
    undecided: int = 0

    def compared(self, output: str, ratio: float) -> None:
        """Remember the largest error over bound."""
        if self.worst is None or ratio > self.worst[1]:
            self.worst = (output, ratio)


@dataclass(frozen=True)
class Truth:
    """Outputs and gradients of a case as pairs of value and bound, and how many comparisons were undecided."""

    pairs: dict[str, Pair]
    outputs: tuple[str, ...]
    gradients: tuple[str, ...]
    undecided: int


def truth_of(case: Case, arrays: Arrays, dy: np.ndarray) -> Truth:
    """The truth of a case: each output, each gradient (named d + array), and their bounds in the case's dtype."""
    derivation = derive(case.layer, case.shapes, case.configuration)
    numbers = Bounded(Precision.of(numpy_dtype(case.dtype)), integers_exact=not derivation.divides)
    given = [numbers.exactly(x) for x in (*arrays, dy) if x is not None]
    results = evaluate(derivation.jaxpr, given, numbers)
    names = (*derivation.outputs, *("d" + name for name in derivation.gradients))
    # The truth is itself rounded: to float64, or to extended precision for a float64 target.
    own = float(np.finfo(numbers.values.dtype).eps) / numbers.precision.unit_roundoff
    pairs = {name: Pair(x.value, x.error * (1 + own)) for name, x in zip(names, results, strict=True)}
    return Truth(pairs, derivation.outputs, names[len(derivation.outputs) :], numbers.undecided)


@functools.lru_cache(maxsize=512)
def drawn(case: Case) -> tuple[Arrays, np.ndarray, Truth]:
    """The arrays, the cotangent and the truth of a drawn case; the same for every target."""
    arrays = case.arrays()
    dy = case.cotangent(derive(case.layer, case.shapes, case.configuration).value_shape)
    return arrays, dy, truth_of(case, arrays, dy)


def judge(
    layer: LayerFunction | Asked, case: Case, arrays: Arrays | None = None, dy: np.ndarray | None = None
) -> Judgement:
    """Try a target's layer on a case (or on given arrays in its place) and compare everything it says with the truth.

    A plain function is asked in this process, ``Asked`` wherever it is.
    """
    if arrays is None or dy is None:
        arrays, dy, truth = drawn(case)
    else:
        truth = truth_of(case, arrays, dy)
    scaled = case.values not in ("tiny", "nan", "infinite")
    question = Question(arrays, case.configuration, dy, case.memory, scaled, case.dtype == "float64")
    judgement = Judgement(undecided=truth.undecided)
    _Trial(ask(layer, question), case, arrays, dy, truth, judgement).run()
    return judgement


class Asked(Protocol):
    """A layer that answers from elsewhere: a worker process."""

    def ask(self, question: Question) -> Answers:
        """What it says."""


def ask(layer: LayerFunction | Asked, question: Question) -> Answers:
    """Put the question where the layer is."""
    elsewhere = getattr(layer, "ask", None)
    return elsewhere(question) if elsewhere else perform(layer, question)  # type: ignore[arg-type]


class _Trial:
    """The checks of one case, in the order in which a person would make them."""

    def __init__(
        self, answers: Answers, case: Case, arrays: Arrays, dy: np.ndarray, truth: Truth, judgement: Judgement
    ) -> None:
        self.answers, self.case, self.arrays, self.dy, self.truth = answers, case, arrays, dy, truth
        self.judgement = judgement
        self.layer = LAYERS[case.layer]
        self.dtype = numpy_dtype(case.dtype)

    def run(self) -> None:
        answers = self.answers
        if answers.lost is not None:
            verdict, message = answers.lost
            self._found(Finding(verdict, "process", "y", message))
        elif answers.unsupported:
            self.judgement.unsupported = True
        elif answers.malformed is not None:
            self._found(Finding("wrong", "arity", "y", answers.malformed))
        else:
            try:
                if answers.value is not None and answers.cotangents is not None:
                    self._judge(answers.value, answers.cotangents)
            except _Malformed as malformed:
                self._found(malformed.finding)
            if answers.raised is not None and not self.judgement.findings:
                message = f"raised on a valid case: {answers.raised}"
                self._found(Finding("error", "error", "y", message, got=answers.raised))

    def _judge(self, value: Said, cotangents: Said) -> None:
        self._unchanged()
        outputs, gradients = self._outputs(value), self._cotangents(cotangents)
        if not self._compare_all(outputs, gradients):
            return
        self._repeatable(gradients)
        self._linear(gradients)
        self._same_value_again(outputs)
        self._kept(value, cotangents)

    # -- what was said, in its places ---------------------------------------------------------------------------------

    def _outputs(self, said: Said) -> dict[str, np.ndarray]:
        values = [y for y in said if y is not None] if len(said) > 1 else said
        names = self.truth.outputs
        if len(values) != len(names):
            message = f"the value holds {len(values)} arrays; expected {len(names)}: {', '.join(names)}"
            raise _Malformed(Finding("wrong", "arity", "y", message))
        return {name: self._well_formed(name, y) for name, y in zip(names, values, strict=True)}

    def _cotangents(self, said: Said) -> dict[str, np.ndarray]:
        if len(said) > len(self.layer.arrays):
            message = (
                f"the pullback gave {len(said)} cotangents; expected one for each of {len(self.layer.arrays)} arrays"
            )
            raise _Malformed(Finding("wrong", "arity", "d" + self.layer.arrays[-1], message))
        found = {}
        for i, name in enumerate(self.layer.arrays):
            if "d" + name in self.truth.gradients:
                part = said[i] if i < len(said) else None
                if part is None:
                    message = f"the pullback gave no cotangent for {name}; it gives one for each array, in order"
                    raise _Malformed(Finding("wrong", "arity", "d" + name, message))
                found["d" + name] = self._well_formed("d" + name, part)
        return found

    def _well_formed(self, name: str, got: np.ndarray | NotAnArray | None) -> np.ndarray:
        """The array that was given for an output; none, or one of wrong shape or dtype, ends the case."""
        expected = self.truth.pairs[name].value
        self.judgement.checks += 2
        if not isinstance(got, np.ndarray):
            what = "None" if got is None else f"of type {got.what}"
            message = f"{name} is {what}; expected an array of shape {expected.shape}"
            raise _Malformed(Finding("wrong", "type", name, message, list(expected.shape), what))
        if got.shape != expected.shape:
            message = f"{name} has shape {got.shape}; expected {expected.shape}"
            raise _Malformed(Finding("wrong", "shape", name, message, list(expected.shape), list(got.shape)))
        if got.dtype != self.dtype:
            message = f"{name} has dtype {got.dtype}; expected {self.dtype}, that of the inputs"
            raise _Malformed(Finding("wrong", "dtype", name, message, str(self.dtype), str(got.dtype)))
        return got

    # -- the checks ---------------------------------------------------------------------------------------------------

    def _compare_all(self, outputs: dict[str, np.ndarray], cotangents: dict[str, np.ndarray]) -> bool:
        for name, got in outputs.items():
            self._compare("value", name, got)
        # A loss that is 0 / 0 (every label ignored) has no gradient; one that NaN went into has, at the other places.
        undefined = np.isnan(self.truth.pairs[self.truth.outputs[0]].value)
        if self.case.values == "nan" or undefined.ndim > 0 or not undefined:
            for name, got in cotangents.items():
                self._compare("gradient", name, got)
        return not self.judgement.findings

    def _compare(self, check: str, name: str, got: np.ndarray) -> None:
        self.judgement.checks += 1
        truth = self.truth.pairs[name]
        ratio, miss = self._excess(truth, got, gradient=check == "gradient")
        if not ratio.size or ratio.max() <= 1:
            self.judgement.compared(name, float(ratio.max()) if ratio.size else 0.0)
            return
        if name == "d" + self.layer.arrays[0] and self.layer.ties and self.arrays[0] is not None:
            windows = self.layer.ties(self.case.configuration, self.case.shapes)
            if is_subgradient(got, self.arrays[0], self.dy, windows, Precision.of(self.dtype)):
                return
            if self.case.values in ("ties", "zeros", "integers", "tiny"):
                check = "subgradient"
        finite = np.abs(truth.value[np.isfinite(truth.value)].astype(np.float64))
        size = finite.max() if finite.size else 0.0
        accurate = bool(np.all(miss <= np.sqrt(Precision.of(self.dtype).unit_roundoff) * size))
        verdict = "inexact" if accurate else "wrong"
        worst = int(np.argmax(ratio))
        place = tuple(int(i) for i in np.unravel_index(worst, ratio.shape))
        expected = np.asarray(truth.value, np.float64)
        message = f"{name}{list(place)} is {got[place]!s}; expected {expected[place]!s}"
        if np.isfinite(ratio.max()):
            self.judgement.compared(name, float(ratio.max()))
        self._found(Finding(verdict, check, name, message, expected, got, float(ratio.max())))

    def _excess(self, truth: Pair, got: np.ndarray, gradient: bool) -> tuple[np.ndarray, np.ndarray]:
        """|got - truth| / bound and |got - truth| for each element; 0 where it is not judged."""
        precision = Precision.of(self.dtype)
        wide = got.astype(truth.value.dtype)
        with np.errstate(all="ignore"):
            finite = np.isfinite(truth.value)
            miss = np.abs(wide - truth.value).astype(np.float64)
            tiny = (np.abs(truth.value) < precision.smallest_normal) & (truth.value != 0)
            bound = truth.error + tiny * precision.smallest_normal
            ratio = np.where(miss == 0, 0.0, miss / bound)
            ratio = np.where(np.isnan(ratio) & finite, np.inf, ratio)
            ratio = np.where(np.isinf(bound), 0.0, ratio)
            # Where the mathematics is infinite or NaN the value must be too; gradients are judged where it is finite.
            # NaN that infinities alone make (inf - inf) is indeterminate: a limit may be as good an answer.
            lost = np.isnan(truth.value) & np.isnan(wide) | (wide == truth.value)
            if self.case.values == "infinite":
                lost |= np.isnan(truth.value)
            other = np.where(lost | np.isinf(bound) | gradient, 0.0, np.inf)
            ratio = np.where(finite, ratio, other)
            if self.layer.nan_may_spread and self.case.values in ("nan", "infinite"):
                # An algorithm that pads or groups by zeros multiplies them with NaN: XLA's grouped convolution does.
                ratio = np.where(finite & ~np.isfinite(wide), 0.0, ratio)
        return ratio, np.where(ratio > 1, np.where(np.isfinite(miss), miss, np.inf), 0.0)

    def _unchanged(self) -> None:
        names = (*self.layer.arrays, "dy")
        for name, before, after in zip(names, (*self.arrays, self.dy), self.answers.inputs or (), strict=False):
            if before is None:
                continue
            self.judgement.checks += 1
            if not (isinstance(after, np.ndarray) and _same(before, after)):
                self._found(Finding("wrong", "mutation", name, f"{name} was changed by the call", before, after))

    def _repeatable(self, first: dict[str, np.ndarray]) -> None:
        if self.answers.again is not None:
            for name, got in self._cotangents(self.answers.again).items():
                message = "a second call of the pullback gives another answer"
                self._agree("repeatability", name, first[name], got, message)

    def _linear(self, first: dict[str, np.ndarray]) -> None:
        """pullback(-2 dy) = -2 pullback(dy): the factor is exact, so nothing but rounding may differ."""
        if self.answers.scaled is not None:
            for name, got in self._cotangents(self.answers.scaled).items():
                half = np.asarray(got * self.dtype.type(-0.5)).astype(self.dtype)
                message = "the pullback is not linear: pullback(-2 dy) is not -2 pullback(dy)"
                self._agree("linearity", name, first[name], half, message)

    def _same_value_again(self, first: dict[str, np.ndarray]) -> None:
        if self.answers.value_again is not None:
            for name, got in self._outputs(self.answers.value_again).items():
                message = "a second call of the layer gives another answer"
                self._agree("repeatability", name, first[name], got, message)

    def _kept(self, value: Said, cotangents: Said) -> None:
        """What was returned stays as it is: no later call writes into it."""
        if self.answers.kept is None:
            return
        kept_value, kept_cotangents = self.answers.kept
        pairs = [
            *zip(self.truth.outputs, value, kept_value, strict=False),
            *zip(("d" + name for name in self.layer.arrays), cotangents, kept_cotangents, strict=False),
        ]
        for name, before, after in pairs:
            self.judgement.checks += 1
            if isinstance(before, np.ndarray) and isinstance(after, np.ndarray) and not _same(before, after):
                message = f"{name} was changed by a later call, after it had been returned"
                self._found(Finding("wrong", "repeatability", name, message, before, after))

    def _agree(self, check: str, name: str, first: np.ndarray, got: np.ndarray, message: str) -> None:
        """Two answers to one question differ by no more than both may be off."""
        self.judgement.checks += 1
        bound = self.truth.pairs[name].error
        with np.errstate(all="ignore"):
            miss = np.abs(first.astype(np.longdouble) - got.astype(np.longdouble))
            tiny = Precision.of(self.dtype).smallest_normal
            bad = (miss > 2 * bound + 2 * tiny) & np.isfinite(first) & ~np.isinf(bound)
            bad |= np.isfinite(first) & ~np.isfinite(got) & ~np.isinf(bound)
        if bad.any():
            self._found(Finding("wrong", check, name, message, first, got))

    def _found(self, finding: Finding) -> None:
        self.judgement.findings.append(finding)


class _Malformed(Exception):
    """An answer that cannot be compared."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message)
        self.finding = finding


def _same(before: np.ndarray, after: np.ndarray) -> bool:
    """Equal to the last bit, NaN included."""
    return (
        before.shape == after.shape and np.ascontiguousarray(before).tobytes() == np.ascontiguousarray(after).tobytes()
    )


def judge_refusals(function: LayerFunction | Asked, layer_name: str, dtype: str) -> Judgement:
    """What must be refused is refused: every call of the layer's list has to raise."""
    layer, judgement = LAYERS[layer_name], Judgement()
    for refusal in layer.refusals:
        case = Case(layer_name, dtype, refusal.shapes, refusal.configuration)
        judgement.checks += 1
        answers = ask(function, Question(case.arrays(), refusal.configuration, None, wide=dtype == "float64"))
        if answers.raised is not None or answers.unsupported:
            continue
        if answers.lost is not None:
            verdict, message = answers.lost
            text = f"{message}, where it must refuse: {refusal.why}"
            judgement.findings.append(Finding(verdict, "refusal", "y", text, "an exception", message))
            continue
        message = f"accepted what it must refuse: {refusal.why}"
        shapes = [None if s is None else list(s) for s in refusal.shapes]
        got = f"a value, for arrays of shapes {shapes} with {refusal.configuration}"
        judgement.findings.append(Finding("error", "refusal", "y", message, "an exception", got))
    return judgement
