"""A run says "everything conforms", with exit code 0, only if everything that was asked for was judged."""

import json
import signal
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from oracle.targets.messages import Offer
from oracle.testing import assert_conforms

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
    process = subprocess.Popen(
        [sys.executable, "-c", "from oracle.cli import main; main()", *RUN, "--target", "mine.py", "--layers", "relu,tanh", "--jobs", "1"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        for _ in range(1200):
            if (tmp_path / "started").exists():
                break
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.1)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "everything conforms" not in output
    assert "interrupted" in output
    assert [trial["layer"] for trial in results(tmp_path)["trials"]] == ["relu"]


def test_a_function_that_offers_nothing_does_not_conform():
    def relu(x):
        raise NotImplementedError

    with pytest.raises(AssertionError, match=r"relu in float32.*NotImplementedError"):
        assert_conforms("relu", relu, examples=10)


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
