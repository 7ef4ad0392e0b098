"""Say in which line of the mathematics an equation of a jaxpr was made."""

from __future__ import annotations

import functools
import linecache
import os
import sysconfig
from typing import Any, NamedTuple

import jax

from oracle.truth import autodiff

LONGEST = 76
_LIBRARIES = tuple(os.path.join(folder, "") for folder in (os.path.dirname(jax.__file__), sysconfig.get_path("stdlib")))
_SITE = tuple(os.path.join(folder, "") for folder in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})


class Frame(NamedTuple):
    """A call on the way from the layer's function to an equation: the function that made it, and where it stands."""

    file: str
    function: str
    line: int
    last_line: int
    column: int
    end: int

    @property
    def text(self) -> str:
        """The statement if it is one short line that gives the result a name, else the expression within it."""
        lines = [linecache.getline(self.file, n) for n in range(self.line, self.last_line + 1)]
        statement = _code(lines[0])
        if len(lines) == 1 and 0 < len(statement) <= LONGEST and not statement.startswith("return"):
            return statement
        lines[-1] = _bytes(lines[-1], 0, self.end)
        lines[0] = _bytes(lines[0], self.column, None)
        text = " ".join(_code(line) for line in lines) or f"line {self.line}"
        return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


Frames = tuple[Frame, ...]  # the innermost first


def frames_of(equation: Any) -> Frames:
    """Return the frames of the mathematics that made an equation: those outside JAX and inside the layer's function."""
    frames: list[Frame] = []
    for code, instruction in _raw(equation):
        if code.co_filename == autodiff.__file__:
            break
        if not _library(code.co_filename):
            frames.append(_frame(code, instruction))
    return tuple(frames)


def frames_in(equation: Any, function: str) -> Frames:
    """Return the frames that lie inside a called function of this name.

    JAX traces a called function once and uses it again, so what lies outside may be from another call.
    """
    frames = frames_of(equation)
    inside = next((i + 1 for i, frame in enumerate(frames) if frame.function == function), 0)
    return frames[:inside]


@functools.cache
def place(frames: Frames) -> str:
    """Describe a place: its statement, the statement that called that, and the first one in another file."""
    if not frames:
        return ""
    shown = list(dict.fromkeys(frame.text for frame in frames[:2]))
    elsewhere = next((frame for frame in frames[2:] if frame.file != frames[1].file), None)
    if elsewhere is not None:
        shown.append(elsewhere.text)
    files = dict.fromkeys(os.path.basename(f.file) for f in (*frames[:2], elsewhere) if f is not None)
    return f"`{'`, called by `'.join(shown)}` ({', '.join(files)})"


def _bytes(line: str, start: int, end: int | None) -> str:
    """Cut a line at columns, which count the bytes of its text."""
    return line.encode()[start:end].decode(errors="replace")


def _code(line: str) -> str:
    """Return a line without its indentation and without a comment at its end."""
    return line.partition("  #")[0].strip()


def _raw(equation: Any) -> list[tuple[Any, int]]:
    """Return the code and the instruction of each frame, or nothing if this version of JAX does not tell them."""
    traceback = getattr(getattr(equation, "source_info", None), "traceback", None)
    raw = getattr(traceback, "raw_frames", None)
    return [] if raw is None else list(zip(*raw(), strict=True))


@functools.cache
def _library(file: str) -> bool:
    return file.startswith("<frozen") or (file.startswith(_LIBRARIES) and not _installed(file))


def _installed(file: str) -> bool:
    """Whether a file of an installed package other than JAX; these lie inside the standard library's folder."""
    return file.startswith(_SITE) and not file.startswith(_LIBRARIES[0])


@functools.cache
def _frame(code: Any, instruction: int) -> Frame:
    line, last_line, column, end = list(code.co_positions())[instruction // 2]
    line = line or code.co_firstlineno
    return Frame(code.co_filename, code.co_name, line, last_line or line, column or 0, end or 0)
