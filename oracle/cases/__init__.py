"""Cases: one configuration of a layer, the kind of values that it is fed, and how they lie in memory."""

from oracle.cases.case import Arrays, Case
from oracle.cases.draw import again, cases, edge_cases, pool
from oracle.cases.dtypes import DTYPES, numpy_dtype
from oracle.cases.memory import Memory
from oracle.cases.subject import Subject
from oracle.cases.tiles import SIZES, tile_cases
from oracle.cases.values import Values

__all__ = [
    "DTYPES",
    "SIZES",
    "Arrays",
    "Case",
    "Memory",
    "Subject",
    "Values",
    "again",
    "cases",
    "edge_cases",
    "numpy_dtype",
    "pool",
    "tile_cases",
]
