"""The judge: one case, one target, every check."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from oracle.layers import LAYERS
from oracle.trial.case import Case, laid_out, numpy_dtype
from oracle.trial.subgradient import is_subgradient
from oracle.trial.target import LayerFunction
from oracle.truth import Bounded, Pair, Precision, derive, evaluate

Arrays = list[np.ndarray | None]


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


def judge(function: LayerFunction, case: Case, arrays: Arrays | None = None, dy: np.ndarray | None = None) -> Judgement:
    """Try a target's layer on a case (or on given arrays in its place) and compare everything it says with the truth."""
    if arrays is None or dy is None:
        arrays, dy, truth = drawn(case)
    else:
        truth = truth_of(case, arrays, dy)
    judgement = Judgement(undecided=truth.undecided)
    with jax.enable_x64(case.dtype == "float64"), _unwarned():
        _Trial(function, case, arrays, dy, truth, judgement).run()
    return judgement


@contextmanager
def _unwarned() -> Iterator[None]:
    """What a target warns of while it is fed NaN is not news, and no error where its caller makes warnings errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class _Trial:
    """The checks of one case, in the order in which a person would make them."""

    def __init__(
        self, function: LayerFunction, case: Case, arrays: Arrays, dy: np.ndarray, truth: Truth, judgement: Judgement
    ) -> None:
        self.function, self.case, self.arrays, self.dy, self.truth = function, case, arrays, dy, truth
        self.judgement = judgement
        self.layer = LAYERS[case.layer]
        self.dtype = numpy_dtype(case.dtype)

    def run(self) -> None:
        try:
            inputs = self._inputs()
            value, pullback = self._answer(inputs)
            outputs = self._outputs(value)
            _dirty_memory(self.dy, *self.arrays)
            given_dy = laid_out(self.dy, self.case.memory)
            cotangents = self._cotangents(pullback(given_dy))
            self._unchanged(inputs, given_dy)
            if not self._compare_all(outputs, cotangents):
                return
            self._repeatable(pullback, cotangents)
            self._linear(pullback, cotangents)
            self._same_value_again(outputs)
        except NotImplementedError:
            self.judgement.unsupported = True
        except _Malformed as malformed:
            self._found(malformed.finding)
        except Exception as error:
            text = (str(error).splitlines() or [""])[0]
            message = f"raised {type(error).__name__} on a valid case: {text}"
            self._found(Finding("error", "error", "y", message, got=f"{type(error).__name__}: {text}"))

    # -- asking the target --------------------------------------------------------------------------------------------

    def _inputs(self) -> Arrays:
        return [None if x is None else laid_out(x, self.case.memory) for x in self.arrays]

    def _answer(self, inputs: Arrays) -> tuple[Any, Any]:
        answer = self.function(*inputs, **self.case.configuration)
        if not (isinstance(answer, tuple) and len(answer) == 2 and callable(answer[1])):
            raise _Malformed(Finding("wrong", "arity", "y", "the layer must return (value, pullback)"))
        return answer

    def _outputs(self, value: Any) -> dict[str, np.ndarray]:
        values = [y for y in value if y is not None] if isinstance(value, tuple) else [value]
        names = self.truth.outputs
        if len(values) != len(names):
            message = f"the value holds {len(values)} arrays; expected {len(names)}: {', '.join(names)}"
            raise _Malformed(Finding("wrong", "arity", "y", message))
        return {name: self._well_formed(name, y) for name, y in zip(names, values, strict=True)}

    def _cotangents(self, answer: Any) -> dict[str, np.ndarray]:
        parts = answer if isinstance(answer, (tuple, list)) else (answer,)
        if len(parts) > len(self.layer.arrays):
            message = (
                f"the pullback gave {len(parts)} cotangents; expected one for each of {len(self.layer.arrays)} arrays"
            )
            raise _Malformed(Finding("wrong", "arity", "d" + self.layer.arrays[-1], message))
        found = {}
        for i, name in enumerate(self.layer.arrays):
            if "d" + name in self.truth.gradients:
                part = parts[i] if i < len(parts) else None
                if part is None:
                    message = f"the pullback gave no cotangent for {name}; it gives one for each array, in order"
                    raise _Malformed(Finding("wrong", "arity", "d" + name, message))
                found["d" + name] = self._well_formed("d" + name, part)
        return found

    def _well_formed(self, name: str, got: Any) -> np.ndarray:
        """The array that was given for an output; wrong shape or dtype ends the case."""
        expected = self.truth.pairs[name].value
        array = np.asarray(got)
        self.judgement.checks += 2
        if array.shape != expected.shape:
            message = f"{name} has shape {array.shape}; expected {expected.shape}"
            raise _Malformed(Finding("wrong", "shape", name, message, list(expected.shape), list(array.shape)))
        if array.dtype != self.dtype:
            message = f"{name} has dtype {array.dtype}; expected {self.dtype}, that of the inputs"
            raise _Malformed(Finding("wrong", "dtype", name, message, str(self.dtype), str(array.dtype)))
        return np.array(array)

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
            if self.layer.linear and self.case.values in ("nan", "infinite"):
                # An algorithm that pads or groups by zeros multiplies them with NaN: XLA's grouped convolution does.
                ratio = np.where(finite & ~np.isfinite(wide), 0.0, ratio)
        return ratio, np.where(ratio > 1, np.where(np.isfinite(miss), miss, np.inf), 0.0)

    def _unchanged(self, inputs: Arrays, dy: np.ndarray) -> None:
        names = (*self.layer.arrays, "dy")
        for name, before, after in zip(names, (*self.arrays, self.dy), (*inputs, dy), strict=True):
            if before is None:
                continue
            self.judgement.checks += 1
            if np.ascontiguousarray(before).tobytes() != np.ascontiguousarray(after).tobytes():
                message = f"{name} was changed by the call"
                self._found(Finding("wrong", "mutation", name, message, before, np.array(after)))

    def _repeatable(self, pullback: Any, first: dict[str, np.ndarray]) -> None:
        _dirty_memory(self.dy, *self.arrays)
        again = self._cotangents(pullback(laid_out(self.dy, "contiguous")))
        for name, got in again.items():
            self._agree("repeatability", name, first[name], got, "a second call of the pullback gives another answer")

    def _linear(self, pullback: Any, first: dict[str, np.ndarray]) -> None:
        """pullback(-2 dy) = -2 pullback(dy): the factor is exact, so nothing but rounding may differ."""
        if self.case.values in ("tiny", "nan", "infinite"):
            return
        scaled = self._cotangents(pullback(np.asarray(self.dy * self.dtype.type(-2)).astype(self.dtype)))
        for name, got in scaled.items():
            half = np.asarray(got * self.dtype.type(-0.5)).astype(self.dtype)
            message = "the pullback is not linear: pullback(-2 dy) is not -2 pullback(dy)"
            self._agree("linearity", name, first[name], half, message)

    def _same_value_again(self, first: dict[str, np.ndarray]) -> None:
        _dirty_memory(self.dy, *self.arrays)
        value, _ = self._answer(self._inputs())
        for name, got in self._outputs(value).items():
            self._agree("repeatability", name, first[name], got, "a second call of the layer gives another answer")

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


def _dirty_memory(*like: np.ndarray | None) -> None:
    """Leave NaN in freed memory of the sizes that the target will ask for: who reads what it never wrote shows."""
    blocks = [np.full(x.shape, np.nan) for x in like if x is not None for _ in range(2)]
    blocks += [np.full(x.shape, np.nan, np.float32) for x in like if x is not None for _ in range(2)]
    del blocks


def judge_refusals(function: LayerFunction, layer_name: str, dtype: str) -> Judgement:
    """What must be refused is refused: every call of the layer's list has to raise."""
    layer, judgement = LAYERS[layer_name], Judgement()
    for refusal in layer.refusals:
        case = Case(layer_name, dtype, refusal.shapes, refusal.configuration)
        judgement.checks += 1
        with jax.enable_x64(dtype == "float64"), _unwarned():
            try:
                function(*case.arrays(), **refusal.configuration)
            except Exception:
                continue
        message = f"accepted what it must refuse: {refusal.why}"
        shapes = [None if s is None else list(s) for s in refusal.shapes]
        got = f"a value, for arrays of shapes {shapes} with {refusal.configuration}"
        judgement.findings.append(Finding("error", "refusal", "y", message, "an exception", got))
    return judgement
