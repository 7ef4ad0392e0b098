"""The results: their data model, how they are written as JSON and as text, and how they are read."""

from oracle.results.codec import Array, listed
from oracle.results.discrepancy import Discrepancy, as_written
from oracle.results.file import ResultsError, load, schema
from oracle.results.model import Environment, Results
from oracle.results.rows import FaultLine, Row
from oracle.results.text import json_number
from oracle.results.trial import Accuracy, InternalError, Strength, Trial, Worst, failure, marks
from oracle.results.verdict import ASPECTS, Aspect, Verdict, aspects_named, worst_verdict

__all__ = [
    "ASPECTS",
    "Accuracy",
    "Array",
    "Aspect",
    "Discrepancy",
    "Environment",
    "FaultLine",
    "InternalError",
    "Results",
    "ResultsError",
    "Row",
    "Strength",
    "Trial",
    "Verdict",
    "Worst",
    "as_written",
    "aspects_named",
    "failure",
    "json_number",
    "listed",
    "load",
    "marks",
    "schema",
    "worst_verdict",
]
