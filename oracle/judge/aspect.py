"""To which aspect of a layer a fault belongs: its mathematics, its accuracy, its edges, or its contract with the caller."""

from __future__ import annotations

from math import prod

from oracle.cases import Case, Values
from oracle.judge.finding import Fault
from oracle.results import Aspect

# These checks look at how a layer deals with its caller, not at the numbers that it computes.
OF_THE_CONTRACT = frozenset(
    {"aliasing", "arity", "bounds", "dtype", "linearity", "mutation", "refusal", "repeatability", "type", "wrapper"}
)
# The other kinds have a magnitude, or a mean, at which a formula that is right on paper overflows or loses its digits.
ORDINARY = frozenset({Values.NORMAL, Values.INTEGERS, Values.TIES, Values.ZEROS, Values.WIDE})


def aspect_of(fault: Fault, case: Case) -> Aspect:
    """Return the aspect of a fault that one case has shown.

    A fault may show in several cases. It belongs to the first of the aspects that they give, in the order of ``ASPECTS``:
    what is wrong on ordinary arrays is a fault of the mathematics, even if one element shows it too.
    """
    if fault.verdict == "inexact":
        return "accuracy"
    if fault.check in OF_THE_CONTRACT:
        return "contract"
    return "edges" if at_the_edge(case) else "mathematics"


def at_the_edge(case: Case) -> bool:
    """Whether a case has an empty array, a first array of one element, or values that are not finite or not ordinary."""
    sizes = [prod(shape) for shape in case.shapes if shape is not None]
    return 0 in sizes or sizes[0] == 1 or case.values not in ORDINARY
