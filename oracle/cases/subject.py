"""What is on trial."""

from __future__ import annotations

from typing import NamedTuple


class Subject(NamedTuple):
    """One layer of one target in one dtype. A trial has one subject, and its results are stored under it."""

    target: str
    layer: str
    dtype: str

    def __str__(self) -> str:
        """Write it as a line of the file of ``--expect`` does."""
        return " ".join(self)
