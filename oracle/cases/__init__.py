"""Cases: one configuration of a layer, the kind of values that it is fed, and how they lie in memory."""

from oracle.cases.case import Arrays, Case
from oracle.cases.draw import cases, edge_cases
from oracle.cases.dtypes import DTYPES, numpy_dtype
from oracle.cases.memory import Memory
from oracle.cases.subject import Subject
from oracle.cases.values import Values

__all__ = ["DTYPES", "Arrays", "Case", "Memory", "Subject", "Values", "cases", "edge_cases", "numpy_dtype"]
