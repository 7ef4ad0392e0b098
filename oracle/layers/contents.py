"""What an array must not hold: elements of a dtype that means nothing there, or a number beyond those that it may hold.

>>> from oracle.layers.signature import parse
>>> labels = parse("logits (N, K); labels int 0..K (N) -> ()").arrays[1]
>>> for content, why in wrong_contents(labels, {"N": 2, "K": 4}):
...     print(content.key, "|", why)
labels: float32 | labels holds floating-point numbers, but must hold integers from 0 to K - 1
labels: complex64 | labels holds complex numbers, but must hold integers from 0 to K - 1
labels: text | labels holds text, but must hold integers from 0 to K - 1
labels: -1 | labels holds -1, but must hold integers from 0 to K - 1
labels: 4 | labels holds 4, but must hold integers from 0 to K - 1
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from oracle.layers.fit import length_of
from oracle.layers.signature import Array

_DTYPES = {"float32": "floating-point numbers", "complex64": "complex numbers", "text": "text"}
_REFUSED = {"int": tuple(_DTYPES), "binary": ("complex64", "text"), "bool": ("complex64", "text")}
"""The dtypes that every implementation must refuse, for each kind of array that does not hold real numbers."""


@dataclass(frozen=True)
class Content:
    """What one array of a call holds in place of what it should: all elements in another dtype, or one other number."""

    array: str
    dtype: str = ""
    number: int | None = None

    @property
    def key(self) -> str:
        """What it is known by."""
        return f"{self.array}: {self.dtype or self.number}"

    def put_into(self, x: np.ndarray) -> np.ndarray:
        """Return the array with this content. A number takes the last place."""
        if self.number is not None:
            x = x.copy()
            x.flat[-1] = self.number
            return x
        return x.astype(int).astype("U") if self.dtype == "text" else x.astype(self.dtype)


def wrong_contents(array: Array, sizes: Mapping[str, Any]) -> Iterator[tuple[Content, str]]:
    """Yield what an array must not hold, and why: a few dtypes, and the whole numbers next to those that it may hold."""
    if array.kind is None:
        return
    found = [(Content(array.name, dtype), _DTYPES[dtype]) for dtype in _REFUSED.get(array.kind.word, ())]
    if array.kind.low is not None and array.kind.high is not None:
        low, high = length_of(array.kind.low, sizes), length_of(array.kind.high, sizes)
        numbers = [int(n) for n in ((low or 0) - 1, high) if n is not None]
        found += [(Content(array.name, number=number), str(number)) for number in numbers]
    for content, what in found:
        yield content, f"{array.name} holds {what}, but must hold {array.kind.meaning}"


def has_meaning(array: Array, dtype: Any) -> bool:
    """Tell whether elements of a dtype mean something in an array, so that it need not be refused."""
    kind = np.dtype(dtype).kind
    refused = _REFUSED.get("" if array.kind is None else array.kind.word, ())
    return not ((kind == "f" and "float32" in refused) or (kind == "c" and "complex64" in refused))
