"""The changes that a mutator makes: for a node of a syntax tree, each kind of change and what takes the node's place."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from typing import Any

Change = tuple[str, ast.AST]

OPERATORS: dict[type[ast.AST], tuple[type[ast.AST], ...]] = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div, ast.Add),
    ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Div, ast.Mult),
    ast.Mod: (ast.FloorDiv,),
    ast.Pow: (ast.Mult,),
    ast.MatMult: (ast.Mult,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,),
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.And: (ast.Or,),
    ast.Or: (ast.And,),
}

NOT_COMMUTATIVE = (ast.Sub, ast.Div, ast.FloorDiv, ast.Mod, ast.MatMult)

NAMES = {
    "maximum": "minimum",
    "max": "min",
    "min": "max",
    "sum": "mean",
    "mean": "sum",
    "any": "all",
    "all": "any",
    "exp": "expm1",
    "expm1": "exp",
    "log": "log1p",
    "tanh": "sin",
    "sqrt": "square",
    "zeros": "ones",
    "ones": "zeros",
    "zeros_like": "ones_like",
    "float32": "float16",
    "int32": "bool_",
    "int64": "int8",
}

FUNCTIONS_OF_ONE = ("exp", "log", "sqrt", "abs", "tanh", "log1p", "erf", "expm1", "reversed", "isnan", "number")
SYMMETRIC = ("max", "min", "maximum", "broadcast_shapes", "result_type", "is_jax", "namespace", "swapaxes")
METHODS_LEFT_OUT = ("astype", "copy", "reshape", "swapaxes")


def changes_of(node: ast.AST, owner: ast.AST, field: str) -> Iterator[Change]:
    """Yield what may take the place of a node, each with the kind of the change."""
    match node:
        case ast.BinOp(left, op, right):
            yield from _operators("operator", node)
            if isinstance(op, NOT_COMMUTATIVE):
                yield "operands exchanged", ast.BinOp(right, op, left)
            yield "operand left out", left
            yield "operand left out", right
        case ast.BoolOp():
            yield from _operators("condition", node)
            for i in range(len(node.values)):
                rest = node.values[:i] + node.values[i + 1 :]
                yield "condition", rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)
        case ast.UnaryOp(ast.USub(), operand):
            yield "sign", operand
        case ast.UnaryOp(ast.Not() | ast.Invert(), operand):
            yield "condition", operand
        case ast.Compare():
            for i, op in enumerate(node.ops):
                for other in OPERATORS[type(op)]:
                    ops = [*node.ops[:i], other(), *node.ops[i + 1 :]]
                    yield "comparison", ast.Compare(node.left, ops, node.comparators)
        case ast.Constant(value) if not (isinstance(owner, ast.keyword) and owner.arg == "strict"):
            yield from _constants(value)
        case ast.IfExp(test, body, orelse):
            yield "condition", ast.IfExp(test, orelse, body)
            yield "branch", body
            yield "branch", orelse
        case ast.Tuple(elements, ast.Load()) | ast.List(elements, ast.Load()) if len(elements) > 1:
            yield from _elements(node)
        case ast.Slice():
            yield from _slices(node)
        case ast.Call():
            yield from _calls(node)
        case ast.Attribute(value, name, context) if name in NAMES:
            yield "function", ast.Attribute(value, NAMES[name], context)
        case ast.Attribute(value, "T", ast.Load()):
            yield "function", value
        case ast.Starred(value, ast.Load()) if not isinstance(owner, ast.Call):
            yield "element", ast.Starred(ast.List([], ast.Load()), ast.Load())
        case ast.stmt():
            yield from _statements(node, owner, field)


def _operators(kind: str, node: ast.BinOp | ast.BoolOp) -> Iterator[Change]:
    for other in OPERATORS.get(type(node.op), ()):
        changed = copy.copy(node)
        changed.op = other()
        yield kind, changed


def _constants(value: object) -> Iterator[Change]:
    if isinstance(value, bool):
        yield "constant", ast.Constant(not value)
    elif isinstance(value, int):
        yield "constant", ast.Constant(value + 1)
        yield "constant", ast.Constant(value - 1)
        if value > 1:
            yield "sign", ast.UnaryOp(ast.USub(), ast.Constant(value))
    elif isinstance(value, float):
        yield "constant", ast.Constant(value * 2 if value else 1.0)
        if value:
            yield "sign", ast.UnaryOp(ast.USub(), ast.Constant(value))


def _elements(node: ast.Tuple | ast.List) -> Iterator[Change]:
    """Leave out each element, and exchange each with the next."""
    items = node.elts
    for i in range(len(items)):
        yield "element", _with(node, elts=items[:i] + items[i + 1 :])
    for i in range(len(items) - 1):
        if ast.dump(items[i]) != ast.dump(items[i + 1]):
            yield "order", _with(node, elts=[*items[:i], items[i + 1], items[i], *items[i + 2 :]])


def _slices(node: ast.Slice) -> Iterator[Change]:
    one = ast.Constant(1)
    if node.lower is not None:
        yield "slice", _with(node, lower=None)
        yield "slice", _with(node, lower=ast.BinOp(node.lower, ast.Add(), one))
    if node.upper is not None:
        yield "slice", _with(node, upper=None)
        yield "slice", _with(node, upper=ast.BinOp(node.upper, ast.Sub(), one))
    if node.step is not None:
        yield "slice", _with(node, step=None)
    if node.lower is node.upper is node.step is None:
        yield "slice", _with(node, lower=one)


def _calls(node: ast.Call) -> Iterator[Change]:
    """Leave out arguments, exchange them, and leave out the call."""
    arguments, name = node.args, ast.unparse(node.func).split(".")[-1]
    if len(arguments) > 1 and name in ("range", "arange", "slice"):
        for i in range(len(arguments)):  # any other call would only fail
            yield "argument", _with(node, args=arguments[:i] + arguments[i + 1 :])
    for i in range(len(arguments) - 1 if name not in SYMMETRIC else 0):
        pair = arguments[i : i + 2]
        if not any(_is_text(a) or isinstance(a, (ast.JoinedStr, ast.Starred)) for a in pair):
            yield "arguments exchanged", _with(node, args=[*arguments[:i], *pair[::-1], *arguments[i + 2 :]])
    for i, keyword in enumerate(node.keywords):
        if keyword.arg != "strict":
            yield "argument", _with(node, keywords=node.keywords[:i] + node.keywords[i + 1 :])
    match node.func:
        case ast.Attribute(value, name) if name in METHODS_LEFT_OUT:
            yield "method", value
        case ast.Attribute(_, name) | ast.Name(name) if name in FUNCTIONS_OF_ONE and arguments:
            yield "function", arguments[1] if name == "number" else arguments[0]
        case ast.Name("range") if len(arguments) == 1:
            yield "range", _with(node, args=[ast.BinOp(arguments[0], ast.Sub(), ast.Constant(1))])
            yield "range", _with(node, args=[ast.Constant(1), arguments[0]])
        case ast.Name(name) if name in ("max", "min"):
            yield "function", _with(node, func=ast.Name(NAMES[name], ast.Load()))
            for argument in arguments:
                yield "argument", argument


def _statements(node: ast.stmt, owner: ast.AST, field: str) -> Iterator[Change]:
    match node:
        case ast.AugAssign(target, op, value):
            stored = copy.copy(target)
            yield "assignment", ast.Assign([stored], value, lineno=node.lineno)
            for other in OPERATORS.get(type(op), ()):
                yield "assignment", ast.AugAssign(target, other(), value)
            yield "statement", ast.Pass()
        case ast.If(test) if not for_jax_only(node):
            kind = "check" if any(_is_refusal(statement) for statement in node.body) else "condition"
            yield kind, _with(node, test=ast.UnaryOp(ast.Not(), test))
            yield kind, _with(node, test=ast.Constant(True))
            if kind == "condition":
                yield kind, _with(node, test=ast.Constant(False))
        case ast.For():
            yield "statement", ast.Pass()
        case ast.Expr():
            yield "check" if _is_refusal(node) else "statement", ast.Pass()
        case ast.Assign(targets=[target]) if not isinstance(owner, (ast.Module, ast.ClassDef)):
            if isinstance(target, ast.Subscript) or _assigned_again(node, owner):
                yield "statement", ast.Pass()


def for_jax_only(node: ast.If) -> bool:
    """Whether only JAX arrays come to the body of an ``if``."""
    return ast.unparse(node.test).startswith("is_jax(")


def _assigned_again(node: ast.Assign, owner: ast.AST) -> bool:
    """Whether what is assigned has another value without the statement, as far as the block and its arguments show."""
    names = {n.id for n in ast.walk(node.targets[0]) if isinstance(n, ast.Name)}
    before = [s for s in getattr(owner, "body", []) if s.lineno < node.lineno]
    known = {n.id for s in before for n in ast.walk(s) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    if isinstance(owner, ast.FunctionDef):
        arguments = owner.args
        known |= {a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
    else:
        known |= {n.id for n in ast.walk(node.value) if isinstance(n, ast.Name)}
    return names <= known


def _is_refusal(node: ast.AST) -> bool:
    """Whether a statement refuses an argument."""
    if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        return False
    return ast.unparse(node.value.func) in ("refuse", "refuse_type", "shaped", "spatial", "choice", "_flat")


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _with(node: Any, **fields: object) -> Any:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed
