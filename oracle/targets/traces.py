"""The part of a traceback that concerns a target: its own lines, and not those of the judge or of a library."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path

MOST_FRAMES = 5
MOST_CHARACTERS = 2000

_PACKAGE = Path(__file__).parents[1]
_BUILT_IN = Path(__file__).parent / "builtin"
_LIBRARIES = [Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib")]


def last_lines(error: BaseException) -> str:
    """Return the last frames of an error's traceback with file and line, and the error, as Python prints them.

    If frames of the target's own files are known, those of libraries are left out, except the last one.
    """
    try:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _of_the_judge(frame.filename)]
        own = [frame for frame in frames if not any(Path(frame.filename).is_relative_to(x) for x in _LIBRARIES)]
        shown = own[-MOST_FRAMES:] + [frame for frame in frames[-1:] if frame not in own] if own else frames
        lines = traceback.format_list(shown[-MOST_FRAMES - 1 :]) + traceback.format_exception_only(error)
        return "".join(lines).rstrip()[-MOST_CHARACTERS:]
    except Exception:  # the target may have broken anything in its process
        return ""


def _of_the_judge(filename: str) -> bool:
    path = Path(filename)
    return filename.startswith("<frozen") or (path.is_relative_to(_PACKAGE) and not path.is_relative_to(_BUILT_IN))
