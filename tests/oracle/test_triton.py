"""Triton's kernels on trial in Triton's interpreter: what is patched there, what the adapter takes, and the guide's kernels."""

import importlib
import json
import re
import sys
from math import prod
from pathlib import Path

import numpy as np
import pytest

from oracle import adapters
from oracle.cases import Subject
from oracle.targets.ask import InProcess
from oracle.trial.trial import put_on_trial
from tests.house.test_guides import ROOT, blocks

pytestmark = pytest.mark.framework("triton")

adapter = importlib.import_module("oracle.targets.adapters.triton")  # the package has a function of this name

KERNELS = '''
import torch
import triton
import triton.language as tl
from triton.runtime import driver


@triton.jit
def doubled(y, x, n, BLOCK: tl.constexpr):
    at = tl.arange(0, BLOCK)
    a = tl.load(x + at, mask=at < n, other=0.0)
    tl.store(y + at, a + a, mask=at < n)


@triton.jit
def copied(y, x, n, BLOCK: tl.constexpr):
    at = tl.arange(0, BLOCK)
    tl.store(y + at, tl.load(x + at, mask=at < n, other=0.0), mask=at < n)


@triton.jit
def inner(y, x, n, BLOCK: tl.constexpr):
    at = tl.arange(0, BLOCK)
    tl.store(y + at, tl.load(x + at, mask=(at > 0) and (at < n), other=7.0), mask=at < BLOCK)


@triton.jit
def outer(y, x, n, BLOCK: tl.constexpr):
    at = tl.arange(0, BLOCK)
    tl.store(y + at, tl.load(x + at, mask=(at < 1) or (at > n), other=7.0), mask=at < BLOCK)


@triton.jit
def unlike(y, x, n, BLOCK: tl.constexpr):
    at = tl.arange(0, BLOCK)
    tl.store(y + at, tl.load(x + at, mask=not (at < n), other=7.0), mask=at < BLOCK)


@triton.jit
def decided(y, x, n, BLOCK: tl.constexpr):
    at = tl.arange(0, BLOCK)
    if x is None or BLOCK > 2 and not n < 0:
        tl.store(y + at, tl.load(x + at), mask=at < n)


@triton.jit
def product(y, x, n, BLOCK: tl.constexpr):
    at = tl.arange(0, BLOCK)
    a = tl.load(x + at[:, None] * BLOCK + at[None, :])
    tl.store(y + at[:, None] * BLOCK + at[None, :], tl.dot(a, a).to(tl.bfloat16))


@triton.jit
def total(y, x, n, BLOCK: tl.constexpr):
    at = tl.arange(0, BLOCK)
    tl.store(y + tl.program_id(0), tl.sum(tl.load(x + at, mask=at < n, other=0.0), 0))


def run(kernel, x, dtype=None, n=None):
    y = torch.full_like(x, -1, dtype=dtype)
    kernel[(1,)](y, x, len(x) if n is None else n, BLOCK=len(x))
    return y.float().tolist()


def bfloat16(kernel, values, **options):
    return run(kernel, torch.tensor(values, dtype=torch.bfloat16), **options)


def autotuned():
    y = torch.empty(4)
    configurations = [triton.Config({"BLOCK": 4}), triton.Config({"BLOCK": 8})]
    triton.autotune(configurations, key=["n"])(doubled)[(1,)](y, FOUR, 4)
    return y.tolist()


def totals():
    y, x = torch.empty(3), torch.arange(4.0)
    total[(3,)](y, x, 4, BLOCK=4)
    return y.tolist()


def processors():
    return driver.active.utils.get_device_properties(driver.active.get_current_device())["multiprocessor_count"]


def processors_of_torch():
    with torch.cuda.device(torch.zeros(1).device):
        return torch.cuda.get_device_properties(torch.cuda.current_device()).multi_processor_count


FOUR = torch.arange(4.0)


class Rectified(torch.autograd.Function):
    """Compute relu; backward writes into dy, and into what forward has saved."""

    @staticmethod
    def forward(ctx, x, approximate="none"):
        if approximate != "none":
            raise NotImplementedError
        x = x.contiguous()
        slope = (x > 0).to(x.dtype)
        ctx.save_for_backward(slope)
        return x.relu()

    @staticmethod
    def backward(ctx, dy):
        (slope,) = ctx.saved_tensors
        if dy.is_contiguous():
            overwritten[(1,)](dy, slope, dy.numel(), BLOCK=triton.next_power_of_2(max(dy.numel(), 1)))
            return dy, None
        return torch.where(slope > 0, dy, 0 * slope), None


@triton.jit
def overwritten(dy, slope, n, BLOCK: tl.constexpr):
    at = tl.arange(0, BLOCK)
    s = tl.load(slope + at, mask=at < n, other=0.0)
    tl.store(dy + at, tl.where(s > 0, tl.load(dy + at, mask=at < n, other=0.0), 0.0), mask=at < n)
    tl.store(slope + at, s * 0, mask=at < n)


def plain(x, *, power=1):
    return x ** power
'''


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    """The module of the kernels above, imported as the adapter imports a kernel by its name."""
    directory = tmp_path_factory.mktemp("kernels")
    (directory / "kernels_of_the_tests.py").write_text(KERNELS)
    sys.path.insert(0, str(directory))
    try:
        adapters.triton("kernels_of_the_tests:Rectified")
        yield sys.modules["kernels_of_the_tests"]
    finally:
        sys.path.remove(str(directory))


# -- the patches ------------------------------------------------------------------------------------------------------

NEAREST = 1 + 2**-7  # of 1 + 2**-8 + 2**-12 in bfloat16

PATCHED = [
    ("bfloat16", "sum", lambda k: k.bfloat16(k.doubled, [1, 2, 3, -4]), [2, 4, 6, -8]),
    (
        "bfloat16",
        "nearest",
        lambda k: k.run(k.copied, k.FOUR * 0 + 1 + 2**-8 + 2**-12, k.torch.bfloat16),
        [NEAREST] * 4,
    ),
    ("words", "and", lambda k: k.run(k.inner, k.FOUR, n=3), [7, 1, 2, 7]),
    ("words", "or", lambda k: k.run(k.outer, k.FOUR, n=2), [0, 7, 7, 3]),
    ("words", "not", lambda k: k.run(k.unlike, k.FOUR, n=2), [7, 7, 2, 3]),
    ("processors", "autotune", lambda k: k.autotuned(), [0, 2, 4, 6]),
    ("processors", "driver", lambda k: k.processors(), 3),
    ("processors", "torch", lambda k: k.processors_of_torch(), 3),
]


def computed(action, kernels):
    try:
        with adapter.interpreted():
            return action(kernels)
    except Exception as error:
        return type(error)


@pytest.mark.parametrize(("patch", "what", "action", "right"), PATCHED, ids=[f"{p}: {w}" for p, w, *_ in PATCHED])
def test_a_patch_is_needed_and_mends(patch, what, action, right, kernels, monkeypatch):
    """If it fails for a newer Triton, the interpreter has been mended there, and the patch can go."""
    assert computed(action, kernels) == right
    without = tuple(p for p in adapter.PATCHES if p.__name__ != patch)
    assert len(without) == len(adapter.PATCHES) - 1
    monkeypatch.setattr(adapter, "PATCHES", without)
    assert computed(action, kernels) != right


def test_the_language_is_prepared_once_and_not_for_each_call_of_its_functions(kernels, monkeypatch):
    from triton.runtime import interpreter

    prepared, prepare = [], interpreter._patch_lang
    monkeypatch.setattr(interpreter, "_patch_lang", lambda fn: prepared.append(fn) or prepare(fn))
    assert computed(lambda k: k.totals(), kernels) == [6, 6, 6]
    assert len(prepared) == 1
    monkeypatch.setattr(adapter, "PATCHES", tuple(p for p in adapter.PATCHES if p is not adapter.language))
    assert computed(lambda k: k.totals(), kernels) == [6, 6, 6]
    assert len(prepared) == 1 + 1 + 3


@pytest.mark.parametrize("n", [4, 0])
def test_a_constant_decides_before_what_comes_after_it_is_computed(kernels, n):
    assert computed(lambda k: k.run(k.decided, k.FOUR, n=n), kernels) == ([0, 1, 2, 3] if n else [-1] * 4)


def test_products_of_bfloat16_are_accumulated_in_float32(kernels):
    x = np.arange(16, dtype=np.float32).reshape(4, 4) / 8
    y = computed(lambda k: k.bfloat16(k.product, x.tolist()), kernels)
    assert y == kernels.torch.tensor(x @ x).bfloat16().float().tolist()


def test_afterwards_everything_is_as_it_was(kernels):
    import torch
    import triton.language as tl
    from triton.runtime import driver, interpreter

    owners = [tl, tl.core, tl.math, tl.tensor, interpreter.InterpretedFunction, interpreter.InterpreterBuilder]
    owners += [interpreter.FunctionRewriter, interpreter, torch.cuda, driver]
    before = [dict(vars(owner)) for owner in owners]
    computed(lambda k: k.totals(), kernels)
    assert [dict(vars(owner)) for owner in owners] == before


# -- the adapter ------------------------------------------------------------------------------------------------------


def trial(layer, name, examples=40, dtype="float32"):
    return put_on_trial(Subject("kernels", name, dtype), InProcess(layer), examples, 0, sizes="small").trial


def test_a_backward_in_place_is_a_mutation_unless_it_is_declared(kernels):
    undeclared = trial(adapters.triton("kernels_of_the_tests:Rectified"), "relu")
    assert "mutation" in {d.check for d in undeclared.discrepancies}, [d.text for d in undeclared.discrepancies]
    declared = trial(adapters.triton("kernels_of_the_tests:Rectified", inplace=True), "relu")
    assert declared.judged and not declared.discrepancies, [d.text for d in declared.discrepancies]


@pytest.mark.parametrize("of", [lambda function: function, lambda function: function.apply], ids=["class", "apply"])
def test_options_go_to_the_parameters_of_their_names(of, kernels):
    layer = adapters.triton(of(kernels.Rectified))
    assert layer(np.ones(2, np.float32), approximate="none")[0].tolist() == [1, 1]
    with pytest.raises(NotImplementedError):
        layer(np.ones(2, np.float32), approximate="tanh")
    with pytest.raises(NotImplementedError, match="Rectified has no axis"):
        layer(np.ones(2, np.float32), axis=0)


def test_a_function_of_tensors(kernels):
    layer = adapters.triton(kernels.plain)
    y, pullback = layer(np.array([3.0]), power=2)
    assert y.tolist() == [9] and pullback(np.ones(1))[0].tolist() == [6]
    with pytest.raises(NotImplementedError, match="plain has no axis"):
        layer(np.ones(2), axis=0)


@pytest.mark.parametrize("name", ["kernels_of_the_tests", "kernels_of_the_tests:nothing"])
def test_a_name_that_leads_nowhere(kernels, name):
    with pytest.raises((ValueError, AttributeError), match="kernels_of_the_tests"):
        adapters.triton(name)


def test_triton_that_was_imported_to_compile_is_refused(tmp_path, command, monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    (tmp_path / "mine.py").write_text("import triton\nfrom backproof import adapters\nrelu = adapters.triton(print)\n")
    result = command("run", "--target", "mine.py", "--layers", "relu", cwd=tmp_path)
    assert result.returncode == 2
    assert "set TRITON_INTERPRET=1 before `import triton`" in result.stderr


# -- the kernels of the guide -----------------------------------------------------------------------------------------


def files_of_the_guide():
    """Return the files that the guide writes, by name."""
    page = (ROOT / "reports" / "guides" / "kernels.md").read_text(encoding="utf-8")
    named = ((re.match(r"# (\w+\.py)\n", block.code), block.code) for block in blocks(page))
    return {match[1]: code for match, code in named if match}


def on_trial(directory: Path, command, layer, *changes, dtype="float32", options=()):
    """Put a layer of the guide on trial, with changes to the text of its kernels."""
    for name, text in files_of_the_guide().items():
        for old, new in changes if name == "kernels.py" else ():
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        (directory / name).write_text(text, encoding="utf-8")
    command("run", "--target", "trial.py", "--layers", layer, "--dtype", dtype, *options, cwd=directory)
    (found,) = json.loads((directory / "backproof-report" / "results.json").read_text())["trials"]
    return found


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("layer", ["softmax", "layer_norm"])
def test_the_right_kernels_are_not_blamed(layer, dtype, tmp_path, command):
    found = on_trial(tmp_path, command, layer, dtype=dtype, options=("--examples", "30"))
    assert found["verdict"] in ("conforms", "unproven"), found["discrepancies"]
    assert found["judged"] >= 30 and not found["discrepancies"]


PLANTED = {
    "a mask forgotten at the tail block": (
        ("layer_norm", "tl.where(inside, values - m, 0.0)", "values - m"),
        ("value of y", lambda rows, columns: columns == 3, ""),  # one column and two columns are whole blocks
    ),
    "a row sum over one block only": (
        ("softmax", "dot += tl.sum(p * g", "dot = tl.sum(p * g"),
        ("gradient of dx", lambda rows, columns: columns == 129, "wrong from 129 on along axis"),
    ),
    "dgamma and dbeta from the first program only": (
        ("layer_norm", "in range(programs)", "in range(1)"),
        ("gradient of dbeta", lambda rows, columns: rows == 2, ""),
    ),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found_by_default_on_the_smallest_shape(fault, tmp_path, command):
    (layer, *change), (what, smallest, says) = PLANTED[fault]
    found = on_trial(tmp_path, command, layer, change)
    assert found["verdict"] == "wrong"
    shown = {f"{d['check']} of {d['output']}": d for d in found["discrepancies"] if d["aspect"] == "mathematics"}
    assert what in shown, list(shown)
    *rows, columns = shown[what]["arrays"]["x"]["shape"]
    assert smallest(prod(rows), columns), (rows, columns)
    assert says in shown[what]["message"]


def test_a_read_beyond_the_end_of_an_array_is_seen(tmp_path, command):
    change = ('mask=inside, other=-float("inf")', 'mask=row < rows, other=-float("inf")')
    found = on_trial(tmp_path, command, "softmax", change, options=("--examples", "10", "--sizes", "small"))
    said = {d["verdict"]: d["message"] for d in found["discrepancies"]}
    assert {"wrong", "crashed"} <= set(said), said
    assert "reads or writes beyond the end of" in said["crashed"]
