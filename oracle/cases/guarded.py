"""Arrays between protected pages: whoever reads or writes beyond the end of such an array is stopped by the system.

The array ends directly before a page that nobody may touch, or begins directly after one. A pattern fills the rest of its
own pages. A write into it does not stop the process, but it shows afterwards.
"""

from __future__ import annotations

import ctypes
import mmap
import sys

import numpy as np

PATTERN = 0xA5
AVAILABLE = sys.platform == "linux"


class _Pages(mmap.mmap):
    """The pages of one array, a protected one before and after them, and where the array lies."""

    first: int
    last: int


def guarded(x: np.ndarray, at_the_end: bool) -> np.ndarray:
    """Return a contiguous copy of x that ends at a protected page, or begins after one. Only Linux can do this."""
    if not AVAILABLE or not x.nbytes:
        return np.array(x)
    page = mmap.PAGESIZE
    room = -(-x.nbytes // page) * page
    pages = _Pages(-1, room + 2 * page, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    pages.first = page + (room - x.nbytes if at_the_end else 0)
    pages.last = pages.first + x.nbytes
    whole = np.frombuffer(pages, np.uint8)
    whole[page:-page] = PATTERN
    laid_out: np.ndarray = np.ndarray(x.shape, x.dtype, buffer=pages, offset=pages.first)
    laid_out[...] = x
    for start in (whole.ctypes.data, whole.ctypes.data + page + room):
        _protect(start, page)
    return laid_out


def written_beyond(x: np.ndarray | None) -> str | None:
    """Say on which side of a guarded array something was written: "before the start", "beyond the end", or None."""
    pages = None if x is None else x.base
    pages = pages.obj if isinstance(pages, memoryview) else pages
    if not isinstance(pages, _Pages):
        return None
    page = mmap.PAGESIZE
    whole = np.frombuffer(pages, np.uint8)
    if (whole[page : pages.first] != PATTERN).any():
        return "before the start"
    return "beyond the end" if (whole[pages.last : -page] != PATTERN).any() else None


def _protect(address: int, length: int) -> None:
    protected = 0  # PROT_NONE: neither read nor write
    library = ctypes.CDLL(None, use_errno=True)
    if library.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(length), protected):
        raise OSError(ctypes.get_errno(), "mprotect failed")
