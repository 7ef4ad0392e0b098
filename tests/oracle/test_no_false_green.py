"""A run says "everything conforms", with exit code 0, only if everything that was asked for was judged."""

import contextlib
import json
import signal
import subprocess
import sys
import time
from xml.etree import ElementTree

import backproof
import numpy as np
import pytest

from oracle.results import Strength, Trial
from oracle.run import run as run_module
from oracle.run.executors import worker
from oracle.targets.messages import Offer
from oracle.testing import assert_conforms
from oracle.trial import search
from oracle.trial import trial as trial_module
from oracle.trial.trial import Outcome

RELU = """
import numpy as np
def right(x):
    return np.maximum(x, 0), lambda dy: (np.where(x > 0, dy, 0).astype(x.dtype),)
"""
RUN = ["run", "--examples", "20", "--dtype", "float32"]


def results(directory):
    return json.loads((directory / "backproof-report" / "results.json").read_text())


@pytest.mark.parametrize(
    ("source", "arguments", "says"),
    [
        (RELU + "ReLU = right", ["--layers", "relu"], ["mine.py offers no relu", "ReLU", "did you mean"]),
        (RELU + "relu = right", ["--layers", "relu,tanh"], ["mine.py offers no tanh"]),
        (RELU, [], ["mine.py offers none of the layers"]),
        (
            RELU + "def relu(x):\n    raise NotImplementedError",
            ["--layers", "relu"],
            ["NotImplementedError in every case"],
        ),
    ],
    ids=["another name", "one of two layers", "no layer", "no configuration"],
)
def test_what_is_not_offered_is_not_proven(source, arguments, says, tmp_path, command):
    (tmp_path / "mine.py").write_text(source)
    result = command(*RUN, "--target", "mine.py", *arguments, cwd=tmp_path)
    assert result.returncode == 1, result.stderr
    assert all(words in result.stdout for words in says), result.stdout
    assert "everything conforms" not in result.stdout
    assert results(tmp_path)["trials"]
    page = (tmp_path / "backproof-report" / "index.html").read_text()
    assert all(words in page for words in says)


def test_a_target_that_cannot_be_loaded_is_a_row_and_the_others_are_judged(tmp_path, command):
    (tmp_path / "mine.py").write_text(RELU + "relu = right")
    (tmp_path / "broken.py").write_text("raise RuntimeError('no such luck')")
    both = ["--target", "broken.py", "--target", "mine.py", "--layers", "relu", "--junit", "junit.xml"]
    result = command(*RUN, *both, cwd=tmp_path)
    assert result.returncode == 1, result.stderr
    assert "no such luck" in result.stdout
    assert "everything conforms" not in result.stdout
    verdicts = {trial["target"]: trial["verdict"] for trial in results(tmp_path)["trials"]}
    assert verdicts == {"broken.py": "not_loaded", "mine.py": "conforms"}
    suites = {suite.get("name"): suite for suite in ElementTree.parse(tmp_path / "junit.xml").getroot()}
    assert (suites["broken.py"].get("errors"), suites["mine.py"].get("errors")) == ("1", "0")
    (tmp_path / "broken.py").write_text(RELU + "relu = right")
    assert command(*RUN, *both, cwd=tmp_path).returncode == 0


def test_the_only_target_that_cannot_be_loaded_is_one_line(tmp_path, command):
    (tmp_path / "broken.py").write_text("raise RuntimeError('no such luck')")
    result = command(*RUN, "--target", "broken.py", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1
    assert "no such luck" in result.stderr


@pytest.mark.skipif(not hasattr(signal, "SIGINT"), reason="not run: there are no signals to interrupt with")
def test_an_interrupted_run_does_not_say_that_everything_conforms(tmp_path):
    (tmp_path / "mine.py").write_text(
        RELU + "import time\nrelu = right\ndef tanh(x):\n    open('started', 'w').close()\n    time.sleep(60)"
    )
    command = [sys.executable, "-c", "from oracle.cli import main; main()", *RUN, "--target", "mine.py"]
    command += ["--layers", "relu,tanh", "--jobs", "1"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    # Leaving the block closes the pipes: a pipe left open is a warning, which fails whatever test runs later.
    with subprocess.Popen(command, cwd=tmp_path, text=True, **pipes) as process:
        try:
            for _ in range(1200):
                if (tmp_path / "started").exists() or process.poll() is not None:
                    break
                time.sleep(0.1)
            assert process.poll() is None, process.communicate()
            assert (tmp_path / "started").exists(), "tanh was not called within two minutes"
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130, errors
    assert "everything conforms" not in output
    assert "interrupted" in output
    assert [trial["layer"] for trial in results(tmp_path)["trials"]] == ["relu"]


def test_a_function_that_offers_nothing_does_not_conform():
    def relu(x):
        raise NotImplementedError

    with pytest.raises(AssertionError, match=r"relu in float32.*NotImplementedError"):
        assert_conforms("relu", relu, examples=10)


# -- a mistake of ours, and what is unproven --------------------------------------------------------------------------


class Here:
    """An executor in this process, so that our own judge can be made to fail."""

    def call(self, function, *args):
        return function(*args)

    def outcomes(self, tasks):
        return map(worker.attempt, tasks)


@pytest.fixture
def here(monkeypatch):
    @contextlib.contextmanager
    def executor(*arguments):
        yield Here()

    monkeypatch.setattr(run_module, "executor", executor)


def test_an_error_of_our_own_costs_one_trial(here, monkeypatch, tmp_path, command):
    judge = search.judge

    def broken(asked, case):
        if case.layer == "tanh":
            raise ZeroDivisionError("our own mistake")
        return judge(asked, case)

    monkeypatch.setattr(search, "judge", broken)
    result = command(*RUN, "--layers", "tanh,relu", "--junit", "junit.xml", cwd=tmp_path)
    assert result.returncode == 2, result.stderr
    assert "everything conforms" not in result.stdout
    assert "internal error in the trial of impl tanh float32" in result.stdout and "report it" in result.stdout
    assert "ZeroDivisionError: our own mistake" in result.stdout
    repeat = "backproof run --target impl --layers tanh --dtype float32 --examples 20 --seed 0 --sizes tiles"
    assert repeat in result.stdout
    tanh, relu = results(tmp_path)["trials"]
    assert relu["verdict"] == "conforms" and relu["internal_error"] is None
    assert "broken" in tanh["internal_error"]["traceback"] and tanh["internal_error"]["repeat"] == repeat
    assert set(tanh["aspects"].values()) == {"unproven"}
    page = (tmp_path / "backproof-report" / "index.html").read_text()
    assert "Internal error in the trial of impl" in page and "every layer that a target offers conforms" not in page
    (error,) = ElementTree.parse(tmp_path / "junit.xml").getroot().iter("error")
    assert error.get("type") == "internal"


def test_a_target_that_breaks_later_costs_only_what_was_left(here, monkeypatch, tmp_path, command):
    """It could be loaded when the run began."""
    perform = worker.perform

    def gone(task):
        if task.subject.layer == "tanh":
            raise worker.TargetError("impl is gone", "File mine.py, line 3")
        return perform(task)

    monkeypatch.setattr(worker, "perform", gone)
    result = command(*RUN, "--layers", "tanh,relu", cwd=tmp_path)
    assert result.returncode == 1
    assert "impl is gone" in result.stdout and "File mine.py, line 3" in result.stdout
    assert [trial["verdict"] for trial in results(tmp_path)["trials"]] == ["not_loaded", "conforms"]


def unproven(task, **more):
    strength = Strength(slips=64, excluded=62, open=["only the first 128 elements are added up", "eps is left out"])
    return Outcome(Trial(**task.subject._asdict(), verdict="unproven", examples=5, judged=5, strength=strength, **more))


def test_what_is_unproven_is_never_green(here, monkeypatch, tmp_path, command):
    monkeypatch.setattr(worker, "perform", lambda task: unproven(task, lacks=["dilation", "padding given as pairs"]))
    result = command(*RUN, "--dtype", "float32,float64", "--layers", "relu", "--require", "contract", cwd=tmp_path)
    assert result.returncode == 1
    assert "everything conforms" not in result.stdout and "not everything is proven" in result.stdout
    assert "relu of impl in float32, float64 is unproven" in result.stdout
    assert "2 known slips: only the first 128 elements are added up; eps is left out" in result.stdout
    (row,) = (line for line in result.stdout.splitlines() if line.split()[:2] == ["impl", "relu"])
    for fact in ("10; offers no dilation, no padding given as", "62 of 64", "mathematics unproven"):
        assert fact in row
    page = (tmp_path / "backproof-report" / "index.html").read_text()
    assert "eps is left out" in page and "62 of 64 slips excluded" in page


def test_an_unproven_function_does_not_conform(monkeypatch):
    monkeypatch.setattr(
        "oracle.testing.put_on_trial", lambda subject, *rest, **more: unproven(trial_module.Task(subject, 5, 0))
    )
    with pytest.raises(AssertionError, match=r"relu in float32 is unproven(.|\n)*eps is left out"):
        assert_conforms("relu", lambda x: None, require=["edges"])


# -- what is required ------------------------------------------------------------------------------------------------


def changes_its_input(x):
    value = np.maximum(x, 0)
    x *= 1.5
    return value, lambda dy: (dy * (value > 0),)


def test_a_function_is_judged_by_what_is_required():
    assert_conforms("relu", changes_its_input, examples=30, require=["mathematics", "accuracy", "edges"])
    with pytest.raises(AssertionError, match="mutation of x"):
        assert_conforms("relu", changes_its_input, examples=30)
    with pytest.raises(ValueError, match=r"'style'; there are mathematics, accuracy, edges, contract"):
        assert_conforms("relu", changes_its_input, require=["style"])
    with pytest.raises(ValueError, match=r"'huge'; there are small, tiles, large"):
        assert_conforms("relu", changes_its_input, sizes="huge")


def test_a_run_from_python_is_proven_in_what_is_required(here):
    quick = {"layers": ["relu"], "dtypes": ["float32"], "examples": 20, "jobs": 1}
    target = f"{__name__}:Changing"
    found = backproof.run(target, **quick, sizes="small")
    assert not found.proven and found.conclusion == "1 discrepancy"
    assert [fault.shown.aspect for fault in found.faults] == ["contract"]
    assert backproof.run(target, **quick, require=["mathematics"]).proven
    with pytest.raises(ValueError, match="style"):
        backproof.run(target, require=["style"])
    with pytest.raises(ValueError, match="huge"):
        backproof.run(target, sizes="huge")


class Changing:
    relu = staticmethod(changes_its_input)


@pytest.mark.parametrize(
    ("names", "layer", "similar"),
    [
        (("ReLU", "conv"), "relu", "ReLU"),
        (("Conv2D",), "conv2d", "Conv2D"),
        (("BatchNorm", "LayerNorm"), "layer_norm", "LayerNorm"),
        (("_relu", "sigmoid"), "relu", None),
    ],
)
def test_similar_names(names, layer, similar):
    assert Offer((), "cpu", names).similar(layer) == similar
