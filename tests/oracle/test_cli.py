"""The command line as a user meets it: exit codes, files, one-line refusals, the same seed twice."""

import json
import os
import re
import subprocess
import sys
from math import prod
from xml.etree import ElementTree

import jsonschema
import pytest

from oracle import __version__
from oracle.targets.find import TargetError
from oracle.targets.messages import Limits
from oracle.targets.process import TargetProcess

QUICK = ["--layers", "relu,linear", "--dtype", "float32", "--examples", "40", "--jobs", "1"]

WRONG_TARGET = """
import numpy as np
from impl import functional as F


def linear(x, w, b=None):
    y, pullback = F.linear.vjp(x, w, b)

    def wrong(dy):
        dx, dw, db = pullback(dy)
        return dx, dw * 2, db

    return y, wrong


def relu(x):
    raise NotImplementedError


class Nested:
    relu = F.relu
"""


def backproof(*arguments, cwd, **options):
    command = [sys.executable, "-c", "from oracle.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, **options)


def one_line(result, *words):
    assert result.returncode == 2, result
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1, result.stderr
    for word in words:
        assert word in result.stderr


@pytest.fixture(scope="module")
def wrong(tmp_path_factory):
    """A run of a target with one fault, in a directory of its own."""
    where = tmp_path_factory.mktemp("wrong")
    (where / "mine.py").write_text(WRONG_TARGET)
    files = ("--json", "copy.json", "--junit", "junit.xml")
    github = os.environ | {"GITHUB_STEP_SUMMARY": str(where / "summary.md")}
    return where, backproof("run", "--target", "mine.py", *QUICK, *files, cwd=where, env=github)


def test_impl_conforms_and_results_follow_the_schema(tmp_path, command):
    result = backproof("run", *QUICK, "--out", "deep/er", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "everything conforms" in result.stdout
    assert result.stderr == ""  # progress goes only to a terminal
    results = json.loads((tmp_path / "deep/er/results.json").read_text())
    schema = json.loads(command("schema", cwd=tmp_path).stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(results, schema)
    assert (results["schema"], results["seed"]) == (3, 0)
    assert [t["layer"] for t in results["trials"]] == ["relu", "linear"]
    assert all(t["verdict"] == "conforms" and t["configurations"] > 20 for t in results["trials"])
    page = (tmp_path / "deep/er/index.html").read_text()
    rows = re.findall(r'<th scope="row">(.*?)</th>', page)
    assert rows == ["relu", "linear"]


def test_a_wrong_gradient_is_found_explained_and_reproduced(wrong):
    where, result = wrong
    assert result.returncode == 1
    results = json.loads((where / "backproof-report/results.json").read_text())
    assert results == json.loads((where / "copy.json").read_text())
    relu, linear = results["trials"]
    assert relu["verdict"] == "not_implemented" and relu["unsupported"] > 0
    assert linear["verdict"] == "wrong"
    (found,) = linear["discrepancies"]
    assert (found["check"], found["output"]) == ("gradient", "dw")
    assert found["diagnosis"] == "dw is twice what it should be"
    assert prod(found["arrays"]["x"]["shape"]) <= 2
    script = subprocess.run(
        [sys.executable, "-c", found["reproduce"]], cwd=where.parent, capture_output=True, text=True, timeout=120
    )
    assert script.returncode == 0, script.stderr
    numbers = re.findall(r"-?\d+\.?\d*", script.stdout)
    expected, got = numbers[: len(numbers) // 2], numbers[len(numbers) // 2 :]
    assert [2 * float(number) for number in expected] == list(map(float, got)) and any(map(float, got))
    page = (where / "backproof-report/index.html").read_text()
    assert found["id"] in page and "dw is twice what it should be" in page and "Reproduce" in page


def test_the_same_run_again_gives_the_same_and_what_is_expected_does_not_count(wrong, tmp_path, command):
    where, _ = wrong
    (tmp_path / "known").write_text("# ours\nmine.py linear float32  # twice\nmine.py relu float32\n")
    expect = ("--expect", tmp_path / "known", "--out", tmp_path)
    result = command("run", "--target", "mine.py", *QUICK, *expect, cwd=where)
    assert result.returncode == 0, result.stderr
    first, second = (json.loads(p.read_text())["trials"] for p in (where / "copy.json", tmp_path / "results.json"))
    for trial in (*first, *second):
        del trial["seconds"]
    for discrepancy in second[1]["discrepancies"]:
        assert discrepancy["known"]
        discrepancy["known"] = False
    assert first == second
    (row,) = (line for line in result.stdout.splitlines() if line.split()[:2] == ["mine.py", "linear"])
    assert "gradient of dw (expected)" in row
    assert "everything conforms" in result.stdout
    (unmet,) = (line for line in result.stdout.splitlines() if "no longer" in line)
    assert unmet.endswith("mine.py relu float32")


def test_an_expected_line_that_matches_no_trial_is_said(tmp_path, command):
    (tmp_path / "known").write_text("impl relu float32\nimpl tanh float32\nmine.py relu float64\n")
    quick = ("--layers", "relu", "--dtype", "float32", "--examples", "30", "--jobs", "1")
    result = command("run", *quick, "--expect", "known", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    said = [line for line in result.stdout.splitlines() if "has no such trial" in line]
    assert [line.partition(": ")[2] for line in said] == ["impl tanh float32", "mine.py relu float64"]
    results = json.loads((tmp_path / "backproof-report/results.json").read_text())
    assert (results["unmet"], len(results["unmatched"])) == (["impl relu float32"], 2)


def test_the_summary_says_what_was_not_tried(tmp_path, command):
    quick = ("--layers", "relu", "--dtype", "float32,bfloat16", "--examples", "3", "--jobs", "1", "--sizes", "small")
    result = command("run", *quick, cwd=tmp_path)
    (said,) = (line for line in result.stdout.splitlines() if line.startswith("not tried: "))
    for fact in ("dtypes: float16, float64", "axes as long as a tile", "anything but the CPU", "45 layers"):
        assert fact in said
    page = (tmp_path / "backproof-report/index.html").read_text()
    assert "Not tried: dtypes: float16, float64" in page and "conv2d, " in page


ACCEPTS = """
import numpy as np
from impl import functional as F

def max_pool2d(x, **configuration):
    try:
        return F.max_pool2d.vjp(x, **configuration)
    except (ValueError, TypeError):
        return np.zeros(1), lambda dy: (np.zeros_like(x),)
"""


def test_what_is_required_chooses_what_counts(tmp_path, command):
    """A right layer that accepts a kernel larger than the image: only its contract is broken."""
    (tmp_path / "mine.py").write_text(ACCEPTS)
    quick = (
        "run",
        "--target",
        "mine.py",
        "--layers",
        "max_pool2d",
        "--examples",
        "30",
        "--jobs",
        "1",
        "--junit",
        "j.xml",
    )
    result = command(*quick, cwd=tmp_path)
    assert result.returncode == 1 and "everything conforms" not in result.stdout
    words = " ".join(result.stdout.split())
    assert "mathematics right, accuracy right, edges right, contract: accepts what it must refuse" in words
    assert "float32, float64, backproof replay" in words
    (failure,) = ElementTree.parse(tmp_path / "j.xml").getroot().iter("failure")
    assert failure.get("type") == "contract" and "accepted what it must refuse" in failure.text
    result = command(*quick, "--require", "edges,mathematics", cwd=tmp_path)
    assert result.returncode == 0, result.stdout
    assert "everything conforms in what was required: mathematics, edges" in result.stdout
    assert not list(ElementTree.parse(tmp_path / "j.xml").getroot().iter("failure"))
    page = (tmp_path / "backproof-report/index.html").read_text()
    assert "(not required)" in page and "Only this was required:" in page
    stored = json.loads((tmp_path / "backproof-report/results.json").read_text())
    assert stored["required"] == ["mathematics", "edges"]
    marks = {"mathematics": "conforms", "accuracy": "conforms", "edges": "conforms", "contract": "error"}
    assert all(trial["aspects"] == marks for trial in stored["trials"])
    assert command(*quick, "--require", "contract", cwd=tmp_path).returncode == 1


def test_attribute_of_a_file_as_a_target(wrong, tmp_path, command):
    where, _ = wrong
    arguments = ("--layers", "relu,linear", "--dtype", "float32", "--examples", "30", "--jobs", "1", "--out", tmp_path)
    result = command("run", "--target", "mine.py:Nested", *arguments, cwd=where)
    assert result.returncode == 1, result.stderr  # linear was asked for, and it is not offered
    trials = json.loads((tmp_path / "results.json").read_text())["trials"]
    assert [(t["layer"], t["verdict"]) for t in trials] == [("relu", "conforms"), ("linear", "not_implemented")]
    assert "mine.py:Nested offers no linear" in result.stdout


def test_report_of_one_and_of_several(wrong, tmp_path, command):
    where, _ = wrong
    results = where / "backproof-report/results.json"
    assert command("report", results, "--out", tmp_path / "one", cwd=tmp_path).returncode == 0
    page = (tmp_path / "one/index.html").read_text()
    assert re.findall(r'<th scope="col">(.*?)</th>', page) == ["layer", "mine.py"]
    assert command("report", results, where / "copy.json", "--out", tmp_path / "two", cwd=tmp_path).returncode == 0
    page = (tmp_path / "two/index.html").read_text()
    titles = re.findall(r'<th scope="col">(.*?)</th>', page)
    assert titles == ["layer", "backproof-report: mine.py", f"{where.name}: mine.py"]


def test_layers_lists_all(tmp_path, command):
    rows = json.loads(command("layers", "--json", cwd=tmp_path).stdout)
    assert len(rows) == 46
    conv = next(row for row in rows if row["layer"] == "conv2d")
    assert conv["arrays"] == ["x", "w", "b?"]
    assert conv["configuration"] == {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
    table = command("layers", cwd=tmp_path).stdout.splitlines()
    assert {row["layer"] for row in rows} <= {line.split()[0] for line in table if line.strip()}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--layers", "conv9d"], ["conv9d", "conv2d"]),
        (["--dtype", "int8"], ["int8", "float32"]),
        (["--dtype", ","], ["--dtype"]),
        (["--examples", "0"], ["--examples", "at least 1", "0"]),
        (["--examples", "many"], ["--examples", "integer"]),
        (["--jobs", "-1"], ["--jobs", "at least 0", "-1"]),
        (["--timeout", "0"], ["--timeout", "more than 0"]),
        (["--memory", "1"], ["--memory", "at least 64", "1"]),
        (["--junit", "file/x.xml"], ["file", "written"]),
        (["--out", "file"], ["file", "written"]),
        (["--json", "file/x.json"], ["file", "written"]),
        (["--expect", "missing"], ["missing", "read"]),
        (["--expect", "bad"], ["bad", "line 1", "impl relu"]),
        (["--expect", "another layer"], ["line 2", "ReLU", "did you mean relu"]),
        (["--expect", "another dtype"], ["line 1", "int8", "float16, bfloat16, float32, float64"]),
        (["--sizes", "huge"], ["--sizes", "small, tiles or large", "huge"]),
        (["--require", "mathematics,style"], ["--require", "style", "mathematics, accuracy, edges, contract"]),
        (["--require", ","], ["--require", "mathematics"]),
        (["--no-such-option"], ["--no-such-option"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_input_of_run(arguments, words, tmp_path, command):
    (tmp_path / "file").write_text("")
    (tmp_path / "bad").write_text("impl relu\n")
    (tmp_path / "another layer").write_text("impl relu float32\nimpl ReLU float32\n")
    (tmp_path / "another dtype").write_text("impl relu int8\n")
    one_line(command("run", *arguments, cwd=tmp_path), *words)
    assert not list(tmp_path.glob("**/results.json"))


@pytest.mark.parametrize(
    ("target", "device", "words"),
    [
        ("nowhere", None, ["nowhere", "import"]),
        ("nowhere.py", None, ["nowhere.py", "file"]),
        ("json:dumps.deep", None, ["json", "dumps.deep"]),
        ("tests.oracle.hostile.targets:harmless", "abacus", ["abacus", "cpu:0"]),
        ("jax", "cpu:99", ["cpu:99", "cpu:0"]),
    ],
)
def test_a_target_that_cannot_be_loaded(target, device, words):
    """In one line, which the command prints and ends with code 2, as the next test shows of one."""
    process = TargetProcess(target, Limits(device=device))
    with pytest.raises(TargetError) as caught:
        process.offer()
    process.close()
    assert len(str(caught.value).splitlines()) == 1
    assert all(word in str(caught.value) for word in words)


def test_a_refusal_is_one_line_of_the_command_itself(tmp_path):
    (tmp_path / "broken.py").write_text("1 / 0\n")
    one_line(backproof("run", "--target", "broken.py", cwd=tmp_path), "broken.py", "ZeroDivisionError")
    assert not list(tmp_path.glob("**/results.json"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ["read"]),
        ("{", ["JSON", "line 1"]),
        ("{}", ["backproof"]),
        (b"\xff\xfe", ["UTF-8"]),
        ('{"schema": 2}', ["schema 2", "schema 3"]),
    ],
)
def test_bad_input_of_report(content, words, tmp_path, command):
    path = tmp_path / "results.json"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    one_line(command("report", path, cwd=tmp_path), str(path), *words)


def test_the_results_say_what_ran_where(tmp_path):
    """JAX is made to see two devices of the CPU; the target is put on the second."""
    flags = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    result = backproof(
        "run", "--target", "impl:jax", "--target", "impl", "--device", "cpu:1", "--layers", "linear", "--dtype", "float32",
        "--examples", "30", "--jobs", "1", cwd=tmp_path, env=flags,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    environment = json.loads((tmp_path / "backproof-report/results.json").read_text())["environment"]
    assert environment["devices"] == ["cpu:0 (cpu)", "cpu:1 (cpu)"]
    assert environment["ran_on"] == {"impl:jax": "cpu:1 (cpu)", "impl": "cpu"}
    page = (tmp_path / "backproof-report/index.html").read_text()
    assert "no accelerator was there" in page and "impl:jax on cpu:1" in page


def test_junit_and_the_summary_of_github(wrong):
    where, _ = wrong
    suite = ElementTree.parse(where / "junit.xml").getroot().find("testsuite")
    counts = [suite.get(name) for name in ("name", "tests", "failures", "skipped")]
    assert counts == ["mine.py", "2", "1", "1"]
    (failure,) = suite.iter("failure")
    assert failure.get("type") == "mathematics" and "dw is twice what it should be" in failure.text
    summary = (where / "summary.md").read_text()
    assert "1 discrepancy." in summary
    assert "| `mine.py` | `linear` | wrong |" in summary and "| `mine.py` | `relu` | not implemented |" in summary
    assert "<details><summary><code>mine.py</code> <code>linear</code> float32: mathematics: gradient of dw" in summary


def test_a_target_that_dies_costs_only_its_layer(tmp_path, command):
    source = "import os\ndef relu(x):\n    os._exit(3)\ndef tanh(x):\n    import time; time.sleep(99)\n"
    (tmp_path / "dies.py").write_text(source + "from impl.functional import sigmoid\n")
    result = command(
        "run", "--target", "dies.py", "--layers", "relu,tanh,sigmoid", "--examples", "40", "--timeout", "1",
        "--jobs", "2", cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == 1, result.stderr
    trials = json.loads((tmp_path / "backproof-report/results.json").read_text())["trials"]
    verdicts = {t["layer"]: t["verdict"] for t in trials}
    assert verdicts == {"relu": "crashed", "tanh": "timed_out", "sigmoid": "conforms"}
    found = {t["layer"]: d for t in trials for d in t["discrepancies"]}
    assert "exit code 3" in found["relu"]["message"]
    assert "1 s" in found["tanh"]["message"]
    assert prod(found["relu"]["arrays"]["x"]["shape"]) <= 12  # a small case
    notes = {t["layer"]: t["note"] for t in trials}
    assert "3 cases" in notes["tanh"] and notes["sigmoid"] is None


def test_version_and_help(tmp_path, command):
    assert command("--version", cwd=tmp_path).stdout == f"backproof {__version__}\n"
    text = command("--help", cwd=tmp_path).stdout
    assert all(name in text for name in ("run", "documents", "report", "layers", "new", "replay", "schema"))
