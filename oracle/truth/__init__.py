"""The truth of a configuration: its value, every cotangent, and a rounding bound per element."""

from oracle.truth.accuracy import Usual, grade, usual_error
from oracle.truth.autodiff import Derivation, derive
from oracle.truth.bounded import Bounded
from oracle.truth.case import Drawn, Truth, drawn, truth_of
from oracle.truth.interpreter import Exact, Floating, evaluate
from oracle.truth.rounding import Pair, Precision
from oracle.truth.values import Uninterpretable

__all__ = [
    "Bounded",
    "Derivation",
    "Drawn",
    "Exact",
    "Floating",
    "Pair",
    "Precision",
    "Truth",
    "Uninterpretable",
    "Usual",
    "derive",
    "drawn",
    "evaluate",
    "grade",
    "truth_of",
    "usual_error",
]
