"""The truth of a configuration: value, every cotangent, and a rounding bound for each element."""

from oracle.truth.autodiff import Derivation, derive
from oracle.truth.case import Drawn, Truth, drawn, truth_of
from oracle.truth.interpreter import Exact, Floating, Uninterpretable, evaluate
from oracle.truth.rounding import Bounded, Pair, Precision

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
    "derive",
    "drawn",
    "evaluate",
    "truth_of",
]
