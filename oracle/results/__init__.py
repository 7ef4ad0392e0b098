"""The results: their data model, how they are written as JSON and as text, and how they are read."""

from oracle.results.codec import Array, listed
from oracle.results.file import ResultsError, load, schema
from oracle.results.model import (
    Discrepancy,
    Environment,
    Results,
    Row,
    Trial,
    Verdict,
    Worst,
    as_written,
    worst_verdict,
)
from oracle.results.text import json_number

__all__ = [
    "Array",
    "Discrepancy",
    "Environment",
    "Results",
    "ResultsError",
    "Row",
    "Trial",
    "Verdict",
    "Worst",
    "as_written",
    "json_number",
    "listed",
    "load",
    "schema",
    "worst_verdict",
]
