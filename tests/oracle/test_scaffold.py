"""From nothing to a verdict: ``backproof new``, ``backproof replay``, and ``assert_conforms`` in a test of your own."""

import json
import subprocess
import sys

import numpy as np
import pytest

from impl import functional as F
from oracle.cli.scaffold import target_source
from oracle.layers import LAYERS
from oracle.testing import assert_conforms


def backproof(*arguments, cwd):
    command = [sys.executable, "-c", "from oracle.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)


def test_a_new_target_conforms_as_it_stands(tmp_path):
    result = backproof("new", "mine.py", "--layers", "conv2d,cross_entropy,batch_norm", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    last = result.stdout.splitlines()[-1].split()
    assert last[:4] == ["backproof", "run", "--target", "mine.py"]
    run = backproof(*last[1:], "--examples", "40", cwd=tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr
    again = backproof("new", "mine.py", cwd=tmp_path)
    assert again.returncode == 2 and "exists already; nothing was written" in again.stderr


def test_new_can_write_every_layer():
    source = target_source("all.py", tuple(LAYERS))
    members = {}
    exec(compile(source, "all.py", "exec"), members)
    y, pullback = members["conv2d"](np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2)), stride=1)
    assert len(pullback(y)) == 3
    assert set(LAYERS) <= set(members)
    for layer in LAYERS.values():
        listed = [line.strip() for line in members[layer.name].__doc__.splitlines()]
        for array in layer.signature.arrays:
            (line,) = (line for line in listed if line.startswith(f"{array.name}: "))
            assert array.shape in line and line.endswith("optional") == array.optional
    assert "labels: (N, *S), integers from 0 to K - 1" in members["cross_entropy"].__doc__
    assert "value: y (N, F, *O:2)" in members["conv2d"].__doc__


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["new", "mine.txt"], "must end in .py"), (["new", "no/such/mine.py"], "cannot be written"), (["new", "m.py", "--layers", "cov2d"], "there is no layer 'cov2d'"),
     (["new", "m.py", "--layers", ","], "--layers is empty"), (["replay", "1"], "cannot be read")],
)  # fmt: skip
def test_refusals_are_one_line(tmp_path, arguments, message):
    result = backproof(*arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert message in result.stderr and len(result.stderr.splitlines()) == 1


def test_assert_conforms_passes_and_explains():
    assert_conforms("softmax", F.softmax.vjp, dtype="float64", examples=60)

    def twice(w, *, weight=1.0):
        y, pullback = F.l2_penalty.vjp(w, weight=weight)
        return y, lambda dy: (2 * pullback(dy)[0],)

    with pytest.raises(AssertionError) as caught:
        assert_conforms("l2_penalty", twice)
    text = str(caught.value)
    for part in (
        "l2_penalty in float32 is wrong",
        "gradient of dw",
        "configuration:",
        "w =",
        "expected dw =",
        "got dw =",
        "twice",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": "cov2d"}, "there is no layer"),
        ({"dtype": "int8"}, "there is no dtype"),
        ({"examples": 0}, "at least 1"),
    ],
)
def test_assert_conforms_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        assert_conforms(**{"layer": "relu", "function": F.relu.vjp} | options)


def test_a_crash_and_a_hang_are_replayed(tmp_path):
    """They run in a process of their own, and the command says what happened to it."""
    source = "import os, time\n\ndef relu(x):\n    os._exit(7)\n\ndef tanh(x):\n    time.sleep(100)\n"
    (tmp_path / "mine.py").write_text(source)
    quick = ("--layers", "relu,tanh", "--dtype", "float32", "--examples", "5", "--timeout", "1")
    assert backproof("run", "--target", "mine.py", *quick, cwd=tmp_path).returncode == 1
    trials = json.loads((tmp_path / "backproof-report/results.json").read_text())["trials"]
    ids = {t["layer"]: t["discrepancies"][0]["id"] for t in trials}
    crashed, timed_out = (backproof("replay", ids[layer], cwd=tmp_path) for layer in ("relu", "tanh"))
    assert crashed.returncode == timed_out.returncode == 1
    assert "run again: crashed, process of y: the process ended by itself, with exit code 7" in crashed.stdout
    assert "run again: timed_out, process of y: no answer within 1 s" in timed_out.stdout
    (tmp_path / "mine.py").write_text("from impl.functional import relu\n")
    assert "it no longer occurs" in backproof("replay", ids["relu"], cwd=tmp_path).stdout
    unknown = backproof("replay", "00000000", cwd=tmp_path)
    assert unknown.returncode == 2 and ids["relu"] in unknown.stderr
    gone = backproof("replay", ids["tanh"], cwd=tmp_path)
    assert gone.returncode == 2 and "no longer offers tanh" in gone.stderr
