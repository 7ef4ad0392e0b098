"""``pytest --backproof-target``: layers as test items, on their own and beside tests, with and without xdist."""

import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest

MINE = """
from impl import functional as F
from impl.functional import relu


def linear(x, w, b=None):
    y, pullback = F.linear.vjp(x, w, b)

    def wrong(dy):
        dx, dw, db = pullback(dy)
        return dx, dw * 2, db

    return y, wrong


def tanh(x):
    import os
    os._exit(4)
"""
OWN = """
import numpy as np

def test_own(assert_conforms):
    assert_conforms("relu", lambda x: (np.maximum(x, 0), lambda dy: (dy * (x > 0),)), examples=40)
"""


def run(*arguments, cwd):
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--backproof-examples", "15", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)


@pytest.fixture
def where(tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "test_own.py").write_text(OWN)
    return tmp_path


@pytest.mark.parametrize("spread", [[], ["-n", "2"]], ids=["alone", "xdist"])
def test_layers_are_items(spread, where):
    result = run("--backproof-target", "mine.py", "--junitxml", "junit.xml", *spread, cwd=where)
    assert result.returncode == 1, result.stdout + result.stderr
    assert re.search(r"4 failed, 3 passed", result.stdout), result.stdout
    text = result.stdout
    for fact in ("linear of mine.py in float64 is wrong", "dw is twice", "expected dw", "got dw", "exit code 4"):
        assert fact in text
    assert "Traceback" not in text and "runtest" not in text
    cases = ElementTree.parse(where / "junit.xml").getroot().findall(".//testcase")
    assert {case.get("name") for case in cases} >= {"linear[float32]", "relu[float64]", "test_own"}
    assert len(cases) == 7


def test_some_layers_and_some_dtypes(where):
    arguments = ("--backproof-layers", "relu,conv2d", "--backproof-dtype", "float16", "-k", "backproof", "-v")
    result = run("--backproof-target", "mine.py", *arguments, cwd=where)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "backproof::mine.py::relu[float16] PASSED" in result.stdout
    assert "backproof::mine.py::conv2d[float16] FAILED" in result.stdout  # it was named, so it has to be there
    assert "mine.py offers no conv2d" in result.stdout
    assert "1 failed, 1 passed, 1 deselected" in result.stdout


REFUSES_NOTHING = """
import numpy as np
from impl import functional as F

def max_pool2d(x, **configuration):
    try:
        return F.max_pool2d.vjp(x, **configuration)
    except (ValueError, TypeError):
        return np.zeros(1), lambda dy: (np.zeros_like(x),)

def relu(x):
    raise NotImplementedError
"""


def test_what_is_required_and_what_is_never_offered(where):
    (where / "mine.py").write_text(REFUSES_NOTHING)
    only = ("--backproof-target", "mine.py", "--backproof-dtype", "float32", "-k", "backproof", "-rs")
    result = run(*only, cwd=where)
    assert "1 failed, 1 skipped" in result.stdout and "accepted what it must refuse" in result.stdout
    assert "relu of mine.py raised NotImplementedError in every case" in result.stdout
    required = ("--backproof-require", "mathematics,accuracy,edges", "--backproof-layers", "max_pool2d,relu")
    result = run(*only, *required, cwd=where)
    assert "1 failed, 1 passed" in result.stdout  # relu was named


UNPROVEN = """
import oracle.trial.trial as module
from oracle.results import Strength, Trial

def perform(task):
    strength = Strength(slips=9, excluded=8, open=["the tail beyond a multiple of 128 is left out"])
    return module.Outcome(Trial(**task.subject._asdict(), verdict="unproven", examples=3, strength=strength))

module.perform = perform
"""


def test_an_unproven_layer_fails_with_the_slips_that_are_open(where):
    (where / "conftest.py").write_text(UNPROVEN)
    options = (
        "--backproof-layers",
        "relu",
        "--backproof-dtype",
        "float32",
        "--backproof-require",
        "edges",
        "-k",
        "backproof",
    )
    result = run("--backproof-target", "mine.py", *options, cwd=where)
    assert result.returncode == 1
    assert "relu of mine.py in float32 is unproven" in result.stdout
    assert "would not have shown 1 known slip: the tail beyond a multiple of 128 is left out" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--backproof-target", "nowhere.py"], "nowhere.py"),
        (["--backproof-target", "mine.py", "--backproof-layers", "conv9d"], "conv9d"),
        (["--backproof-target", "mine.py", "--backproof-dtype", "int8"], "int8"),
        (["--backproof-target", "mine.py", "--backproof-sizes", "huge"], "huge"),
        (["--backproof-target", "mine.py", "--backproof-require", "style"], "style"),
        (["--backproof-target", "mine.py", "--backproof-examples", "0"], "at least 1 example"),
    ],
)
def test_bad_input_is_one_line(arguments, words, where):
    result = run(*arguments, cwd=where)
    assert result.returncode == 4
    (line,) = (line for line in result.stderr.splitlines() if words in line)
    assert "backproof" in line
    assert "Traceback" not in result.stdout + result.stderr


def test_without_a_target_nothing_is_added(where):
    result = run("-q", cwd=where)
    assert result.returncode == 0 and "1 passed" in result.stdout


def test_loading_the_plugin_costs_no_heavy_import(where):
    script = "import sys, oracle.pytest_plugin; print([m for m in ('jax', 'numpy', 'hypothesis') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", script], cwd=where, capture_output=True, text=True, timeout=60)
    assert result.stdout.strip() == "[]"
