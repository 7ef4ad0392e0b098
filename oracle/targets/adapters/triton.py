"""Kernels written in Triton as layers, run on the CPU by Triton's own interpreter.

The interpreter of Triton 3.9 differs from its compiler in places that kernels use every day. Each is patched by one
function of PATCHES. The patches hold while a kernel is imported or called, and no longer.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import ml_dtypes
import numpy as np

from oracle.targets.adapters.frameworks import autograd_torch
from oracle.targets.ask import LayerFunction

PROCESSORS = 3  # at one, a reduction across programs would be untested; three seldom divide the number of rows


def triton(
    function: str | Callable[..., Any], no_gradient: tuple[int, ...] = (), *, inplace: bool = False
) -> LayerFunction:
    """Run a function of PyTorch tensors that launches Triton kernels, or a ``torch.autograd.Function``, without a GPU.

    ``function`` is the function itself or its name, ``"kernels:Softmax"``. By its name it is imported under the
    interpreter, and the file of the kernels need not know about it. Otherwise ``TRITON_INTERPRET=1`` has to be set before
    Triton is imported. An option goes to the parameter of its name; an option without one is not offered.

    Arrays of integers take no gradient, nor do those at the places ``no_gradient``. ``inplace`` declares that the kernels
    overwrite what they are given, on purpose: they then work on copies, and forward is run again before each pullback.

    Example:

        from backproof import adapters

        softmax = adapters.triton("kernels:Softmax")
        layer_norm = adapters.triton("kernels:LayerNorm", inplace=True)
    """
    _require_interpreter()
    kernels = _imported(function) if isinstance(function, str) else function
    differentiated = autograd_torch(_with_options(kernels), no_gradient)

    def call(arrays: tuple[Any, ...], configuration: dict[str, Any]) -> tuple[Any, Callable[[Any], Any]]:
        with interpreted():
            return differentiated(*(map(_copied, arrays) if inplace else arrays), **configuration)

    def layer(*arrays: Any, **configuration: Any) -> Any:
        given = tuple(map(_copied, arrays)) if inplace else arrays
        value, back = call(given, configuration)

        def pullback(dy: Any) -> Any:
            pulled = call(given, configuration)[1] if inplace else back
            with interpreted():
                return pulled(_copied(dy) if inplace else dy)

        return value, pullback

    return layer


def _imported(name: str) -> Any:
    module, colon, attribute = name.partition(":")
    if not colon:
        raise ValueError(f"expected a name such as 'kernels:softmax', got {name!r}")
    with interpreted():
        return getattr(importlib.import_module(module), attribute)


def _copied(x: Any) -> Any:
    return None if x is None else x.copy(order="K")


def _with_options(function: Any) -> Callable[..., Any]:
    """Return a function that takes options by keyword. The ``apply`` of an autograd.Function takes none."""
    import torch

    function = getattr(function, "__self__", function) if _name(function) == "apply" else function
    is_class = isinstance(function, type) and issubclass(function, torch.autograd.Function)
    signature = inspect.signature(function.forward if is_class else function)
    any_option = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())

    def called(*tensors: Any, **options: Any) -> Any:
        lacking = [name for name in options if name not in signature.parameters and not any_option]
        if lacking:
            raise NotImplementedError(f"{_name(function)} has no {', '.join(lacking)}")
        if not is_class:
            return function(*tensors, **options)
        bound = signature.bind(None, *tensors, **options)
        bound.apply_defaults()
        return function.apply(*bound.args[1:])

    return called


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", type(function).__name__)


def _require_interpreter() -> None:
    """Have Triton interpret what it decorates from now on. Raise RuntimeError if it was imported to compile."""
    if "triton" not in sys.modules:
        os.environ["TRITON_INTERPRET"] = "1"
    import triton.language as tl
    from triton.runtime.interpreter import InterpretedFunction

    if not isinstance(tl.sum, InterpretedFunction):
        raise RuntimeError(
            "Triton was imported before it was told to interpret: set TRITON_INTERPRET=1 before `import triton`, or give "
            'adapters.triton the name of the function, "kernels:softmax"'
        )


@contextmanager
def interpreted() -> Iterator[None]:
    """Patch Triton's interpreter for as long as the context lasts."""
    with ExitStack() as stack:
        for patch in PATCHES:
            stack.enter_context(patch())
        yield


@contextmanager
def _replaced(owner: Any, **attributes: Any) -> Iterator[None]:
    """Replace attributes of a module, class or object, and put back what was there."""
    missing = object()
    before = {name: vars(owner).get(name, missing) for name in attributes}
    for name, value in attributes.items():
        setattr(owner, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is missing:
                delattr(owner, name)
            else:
                setattr(owner, name, value)


@contextmanager
def bfloat16() -> Iterator[None]:
    """Compute bfloat16 as numbers, rounded to nearest. The interpreter computes on its bits as integers, and truncates."""
    import triton.language as tl
    from triton.runtime import interpreter

    bits, number = np.dtype(np.uint16), np.dtype(ml_dtypes.bfloat16)
    builder, numpy_dtype = interpreter.InterpreterBuilder, interpreter._get_np_dtype
    load, store = builder.create_masked_load, builder.create_masked_store

    def as_numbers(dtype: Any) -> Any:
        return number if dtype.scalar == tl.bfloat16 else numpy_dtype(dtype)

    def as_bits(handle: Any) -> Any:
        if handle is None or handle.data.dtype != number:
            return handle
        return interpreter.TensorHandle(handle.data.view(bits), handle.dtype)

    def loaded(self: Any, pointers: Any, mask: Any, other: Any, *policy: Any) -> Any:
        with _replaced(interpreter, _get_np_dtype=numpy_dtype):  # memory is read as bits
            handle = load(self, pointers, mask, as_bits(other), *policy)
        if handle.dtype == tl.bfloat16:
            handle.data = handle.data.view(number)
        return handle

    def stored(self: Any, pointers: Any, value: Any, *rest: Any) -> Any:
        return store(self, pointers, as_bits(value), *rest)

    def cast(self: Any, source: Any, dtype: Any) -> Any:
        return interpreter.TensorHandle(source.data.astype(as_numbers(dtype)), dtype.scalar)

    with (
        _replaced(interpreter, _get_np_dtype=as_numbers),
        _replaced(builder, create_masked_load=loaded, create_masked_store=stored, cast_impl=cast),
    ):
        yield


@contextmanager
def words() -> Iterator[None]:
    """Apply ``and``, ``or`` and ``not`` to each element, as the compiler does. In the interpreter every block is true."""
    import triton.language as tl
    from triton.runtime import interpreter

    class Transformer(interpreter.ASTTransformer):  # type: ignore[misc, name-defined]
        def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:  # noqa: N802
            self.generic_visit(node)
            word = "logical_and" if isinstance(node.op, ast.And) else "logical_or"
            return ast.copy_location(_call("_combined", ast.Constant(word), *map(_later, node.values)), node)

        def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:  # noqa: N802
            self.generic_visit(node)
            return ast.copy_location(_call("_negated", node.operand), node) if isinstance(node.op, ast.Not) else node

    def combined(word: str, *operands: Callable[[], Any]) -> Any:
        """Return the first constant that decides; if there is none, combine the tensors."""
        tensors, value = [], None
        for operand in operands:
            value = operand()
            if isinstance(value, tl.tensor):
                tensors.append(value)
            elif bool(value) == (word == "logical_or"):
                return value
        return functools.reduce(lambda a, b: getattr(a, word)(b), tensors) if tensors else value

    def negated(value: Any) -> Any:
        return value.__not__() if isinstance(value, tl.tensor) else not value

    with (
        _replaced(interpreter, _combined=combined, _negated=negated),
        _replaced(interpreter.FunctionRewriter, ast_transformer=Transformer()),
        _replaced(interpreter.InterpretedFunction, rewritten_fn=_REWRITTEN),
    ):
        yield


_REWRITTEN: dict[Any, Any] = {}  # kernels as they were rewritten with the transformer of ours


def _call(name: str, *arguments: ast.expr) -> ast.Call:
    return ast.Call(func=ast.Name(id=name, ctx=ast.Load()), args=list(arguments), keywords=[])


def _later(value: ast.expr) -> ast.Lambda:
    """Return ``lambda: value``: what comes after a constant that decides is not computed."""
    empty = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
    return ast.Lambda(args=empty, body=value)


class _Processors:
    """What kernels ask of the driver of a GPU. It has several processors, and tensors stay on the CPU."""

    utils = SimpleNamespace(
        get_device_properties=lambda device: {
            "multiprocessor_count": PROCESSORS,
            "max_shared_mem": 2**16,
            "max_num_regs": 2**16,
            "warpSize": 32,
        }
    )

    def get_current_device(self) -> int:
        return 0

    def get_device_capability(self, device: int = 0) -> tuple[int, int]:
        return (8, 0)

    def get_current_target(self) -> Any:
        from triton.backends.compiler import GPUTarget

        return GPUTarget("cuda", 80, 32)

    def get_active_torch_device(self) -> Any:
        import torch

        return torch.device("cpu")

    def get_benchmarker(self) -> Callable[..., Any]:
        """Return a benchmark that runs each configuration once and prefers none, so that autotuning takes the first."""

        def benchmark(kernel_call: Callable[[], Any], quantiles: Any = (0.5,), **_: Any) -> list[float]:
            kernel_call()
            return [1.0] * len(quantiles)

        return benchmark


@contextmanager
def processors() -> Iterator[None]:
    """Pretend a GPU of several processors, for autotuning and for kernels that launch a program on each processor."""
    import torch
    from triton.runtime import driver

    with (
        _replaced(driver, _active=_Processors()),
        _replaced(
            torch.cuda,
            current_device=lambda: 0,
            get_device_properties=lambda device=None: SimpleNamespace(multi_processor_count=PROCESSORS),
            device=lambda device: nullcontext(),
        ),
    ):
        yield


@contextmanager
def language() -> Iterator[None]:
    """Make Triton's functions interpretable once. The interpreter does it for each call of a function such as tl.sum."""
    import triton.language as tl
    from triton.runtime import interpreter

    both = SimpleNamespace(__globals__={"tl": tl, "core": tl.core})
    scope = interpreter._patch_lang(both)
    try:
        with _replaced(interpreter, _patch_lang=lambda function: interpreter._LangPatchScope()):
            yield
    finally:
        scope.restore()


PATCHES = (bfloat16, words, processors, language)
