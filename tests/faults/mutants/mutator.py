"""Make systematic mutants of impl: in each, one expression or statement of one function is another.

A mutant is known by its file, its function, its kind, and the text before and after the change, so that it stays the same
when lines move. ``source`` renders the whole module with the change in it.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import impl
from tests.faults.mutants.changes import changes_of, for_jax_only

ROOT = Path(impl.__file__).parent
FILES = (*sorted(f"functional/{path.name}" for path in (ROOT / "functional").glob("[!_]*.py")), "array.py")


@dataclass(frozen=True)
class Mutant:
    """One change of one file of impl.

    ``lines`` are the first and the last of the smallest statement that holds it, ``around`` those of the body of
    its function.
    """

    file: str
    function: str
    kind: str
    before: str
    after: str
    again: int  # how many changes of the same text stand before it in the function
    lines: tuple[int, int]
    around: tuple[int, int]
    number: int  # among the changes of the file

    @property
    def key(self) -> str:
        """What it is known by."""
        again = f" (again {self.again})" if self.again else ""
        return f"{self.file} {self.function}: {self.kind}: {self.before} -> {self.after}{again}"

    @property
    def module(self) -> str:
        """The name of the module that it changes."""
        return "impl." + self.file.removesuffix(".py").replace("/", ".")

    def source(self) -> str:
        """Return the source of the changed module."""
        tree = _parsed(self.file)
        place, _, new = list(_changes(tree))[self.number]
        place.put(new)
        return ast.unparse(ast.fix_missing_locations(tree))


@functools.cache
def mutants() -> tuple[Mutant, ...]:
    """Return all mutants, in the order of a shuffle that a change of impl leaves as it is for all others."""
    found = [mutant for file in FILES for mutant in _mutants_of(file)]
    return tuple(sorted(found, key=lambda mutant: (crc32(mutant.key.encode()), mutant.key)))


def _mutants_of(file: str) -> Iterator[Mutant]:
    seen: dict[tuple[str, ...], int] = {}
    for number, (place, kind, new) in enumerate(_changes(_parsed(file))):
        text = (place.function, kind, _text(place.old), _text(new))
        seen[text] = seen.get(text, -1) + 1
        yield Mutant(file, *text, seen[text], place.lines, place.around, number)


class _Place(NamedTuple):
    """A node, where it stands in the tree, and in which function and statement."""

    owner: ast.AST
    field: str
    index: int | None
    old: ast.AST
    function: str
    lines: tuple[int, int]
    around: tuple[int, int]

    def put(self, new: ast.AST) -> None:
        """Put another node in its place."""
        if self.index is None:
            setattr(self.owner, self.field, new)
        else:
            getattr(self.owner, self.field)[self.index] = new


def _changes(tree: ast.Module) -> Iterator[tuple[_Place, str, ast.AST]]:
    for place in _places(tree, "", (0, 0), (0, 0)):
        if place.function:
            for kind, new in changes_of(place.old, place.owner, place.field):
                yield place, kind, new


def _places(node: ast.AST, function: str, lines: tuple[int, int], around: tuple[int, int]) -> Iterator[_Place]:
    """Yield every node below a node that may be changed, outer ones first."""
    for field, value in ast.iter_fields(node):
        for i, child in enumerate(value if isinstance(value, list) else [value]):
            if not isinstance(child, ast.AST) or _left_as_it_is(node, field, child):
                continue
            name, here, outer = function, lines, around
            if isinstance(child, ast.stmt):
                here = (child.lineno, child.end_lineno or child.lineno)
            if isinstance(child, (ast.FunctionDef, ast.ClassDef)):
                name, outer = f"{function}.{_name(child)}".strip("."), (child.body[0].lineno, here[1])
            elif isinstance(node, ast.Module):
                name, outer = _constant(child), here
            yield _Place(node, field, i if isinstance(value, list) else None, child, name, here, outer)
            yield from _places(child, name, here, outer)


def _left_as_it_is(owner: ast.AST, field: str, node: ast.AST) -> bool:
    """Whether a node has no meaning for the numbers of NumPy arrays: texts, types, what only JAX arrays come to."""
    if field in ("annotation", "returns", "bases", "ctx"):
        return True
    if isinstance(node, (ast.Import, ast.ImportFrom, ast.JoinedStr)):
        return True
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True
    if isinstance(node, ast.ClassDef) and any(_text(base) == "Protocol" for base in node.bases):
        return True
    if isinstance(owner, ast.If) and field in ("test", "body") and for_jax_only(owner):
        return True
    return isinstance(owner, ast.Call) and field == "args" and _text(owner.func) in ("refuse", "refuse_type")


def _name(node: ast.FunctionDef | ast.ClassDef) -> str:
    """Return the name of a function, or of the rule whose pullback it is."""
    if node.name == "_" and isinstance(node, ast.FunctionDef) and node.decorator_list:
        return _text(node.decorator_list[0])
    return node.name


def _constant(node: ast.AST) -> str:
    """Return the name of a module's constant that is written in capitals, or nothing."""
    target = node.targets[0] if isinstance(node, ast.Assign) else None
    return target.id if isinstance(target, ast.Name) and target.id.isupper() else ""


def _text(node: Any) -> str:
    return " ".join(ast.unparse(node).split())


def _parsed(file: str) -> ast.Module:
    return ast.parse((ROOT / file).read_text(encoding="utf-8"))
