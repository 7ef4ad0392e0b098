"""Arrays and configurations as JSON has them, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from oracle.cases import numpy_dtype
from oracle.results.text import json_number, shown


class Array(BaseModel):
    """An array as nested lists. Elements that JSON has no number for are strings: text, and complex numbers too."""

    model_config = ConfigDict(extra="forbid")

    dtype: str
    shape: list[int]
    data: Any

    @classmethod
    def of(cls, x: np.ndarray) -> Array:
        """Store a NumPy array."""
        return cls(dtype="str" if x.dtype.kind == "U" else x.dtype.name, shape=list(x.shape), data=listed(x))

    def numpy(self) -> np.ndarray:
        """Return the NumPy array."""
        dtype = numpy_dtype(self.dtype)
        data = np.array(self.data, dtype=dtype if dtype.kind in "iubcU" else np.float64)
        return data.reshape(self.shape).astype(dtype)

    @property
    def text(self) -> str:
        """The elements as an aligned matrix."""
        return shown(self.data)


def listed(x: np.ndarray) -> Any:
    """Write an array as nested lists, with NaN and infinity as strings."""
    if x.dtype.kind in "cU":
        return x.astype(str).tolist()
    with np.errstate(over="ignore"):  # a wider dtype may hold more than float64
        wide = x if x.dtype.kind in "iub" else np.asarray(x, np.float64)
    return _plain(wide.tolist())


def _plain(value: Any) -> Any:
    return [_plain(v) for v in value] if isinstance(value, list) else json_number(value)


def tuples(value: Any) -> Any:
    """Turn lists into tuples: JSON has lists where a configuration has tuples."""
    return tuple(map(tuples, value)) if isinstance(value, list) else value
