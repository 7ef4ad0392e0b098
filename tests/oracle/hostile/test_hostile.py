"""Whatever a target does: the right verdict for that case, and every other verdict as it would have been."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from oracle.cases import Subject
from oracle.run.run import Options, Where, run
from oracle.run.store import Store
from oracle.targets.find import TargetError
from oracle.targets.messages import Limits
from oracle.targets.process import TargetProcess
from oracle.trial.trial import Task, perform
from tests.oracle.hostile.targets import TARGETS

HERE = Path(__file__).parent
FILE = HERE / "targets.py"
LIMITS = Limits(timeout=20, memory=700)
SHORT = Limits(timeout=1, memory=700)
EXAMPLES = 30

CONFORMS = ("conforms", None)
CRASHED, TIMED_OUT = ("crashed", "process"), ("timed_out", "process")
RAISED = ("error", "error")

# What each comes to: the verdict on relu, the check of its first discrepancy, and another check that finds it as well: wrong
# numbers are listed before a breach of the contract. tanh conforms beside every one of them.
VERDICTS = {
    "raises": RAISED,
    "raises_in_the_pullback": RAISED,
    "raises_what_is_no_exception": RAISED,
    "raises_an_exception_that_cannot_be_printed": RAISED,
    "exits": RAISED,
    "exits_at_once": CRASHED,
    "exits_at_once_as_if_all_were_well": CRASHED,
    "aborts": CRASHED,
    "reads_address_zero": CRASHED,
    "kills_itself": CRASHED,
    "kills_its_group": CRASHED,
    "kills_its_parent": CRASHED,
    "dies_by_an_alarm": CRASHED,
    "dies_in_a_thread": CRASHED,
    "loops_for_ever": TIMED_OUT,
    "loops_for_ever_in_the_pullback": TIMED_OUT,
    "sleeps_and_ignores_signals": TIMED_OUT,
    "waits_for_input": TIMED_OUT,
    "recurses_for_ever": RAISED,
    "recurses_off_the_stack": CRASHED,
    "takes_all_memory": RAISED,
    "returns_more_than_fits": ("wrong", "type"),
    "prints": CONFORMS,
    "closes_standard_output": CONFORMS,
    "closes_every_file": CRASHED,
    "replaces_standard_output": CONFORMS,
    "changes_numpy": CONFORMS,
    "replaces_numpy": CONFORMS,
    "changes_jax": CONFORMS,
    "changes_directory": CONFORMS,
    "changes_the_environment": CONFORMS,
    "forks": CONFORMS,
    "forks_and_stays": CONFORMS,
    "writes_to_every_pipe": CRASHED,
    "frees_its_input": CRASHED,
    "shrinks_its_input": ("wrong", "gradient", "mutation"),
    "returns_nothing": ("wrong", "arity"),
    "returns_none_as_its_value": ("wrong", "type"),
    "returns_a_list": ("wrong", "type"),
    "returns_a_list_as_cotangent": ("wrong", "type"),
    "returns_a_string": ("wrong", "type"),
    "returns_objects": ("wrong", "type"),
    "returns_a_complex_cotangent": ("wrong", "type"),
    "returns_records": ("wrong", "type"),
    "returns_dates": ("wrong", "type"),
    "returns_truth_values": ("wrong", "gradient", "dtype"),
    "returns_a_dictionary": ("wrong", "type"),
    "returns_a_proxy": ("wrong", "type"),
    "returns_a_proxy_that_cannot_be_read": ("wrong", "type"),
    "makes_its_input_read_only": CONFORMS,
    "returns_another_shape": ("wrong", "shape"),
    "returns_another_dtype": ("wrong", "gradient", "dtype"),
    "returns_read_only_arrays": CONFORMS,
    "returns_its_workspace": ("wrong", "repeatability"),
    "returns_its_input": ("wrong", "mutation"),
    "returns_uninitialised_memory": ("wrong", "gradient"),
    "returns_what_refuses_to_be_pickled": CONFORMS,
}


def test_every_target_is_in_the_table():
    assert set(VERDICTS) == set(TARGETS)
    assert len(VERDICTS) >= 40


def trial_of(name, layer, limits=LIMITS):
    examples = EXAMPLES if layer == "relu" else 5  # tanh is there to show that the process of the next layer is whole
    return perform(Task(Subject(f"{FILE}:{name}", layer, "float32"), examples, 0, limits)).trial


def without_times(trial):
    return trial.model_dump(exclude={"target", "seconds"})


@pytest.fixture(scope="module")
def harmless():
    return {layer: trial_of("harmless", layer) for layer in ("relu", "tanh")}


@pytest.mark.parametrize("name", VERDICTS)
def test_survived(name, harmless, capfd, monkeypatch):
    verdict, first, *others = VERDICTS[name]
    monkeypatch.setattr("oracle.trial.search.MOST_CRASHED", 3)  # enough to see that it goes on
    monkeypatch.setattr("oracle.trial.search.MOST_TIMED_OUT", 2)
    limits = SHORT if verdict == "timed_out" else LIMITS
    relu, tanh = trial_of(name, "relu", limits), trial_of(name, "tanh")
    checks = [discrepancy.check for discrepancy in relu.discrepancies] or [None]
    assert (relu.verdict, checks[0]) == (verdict, first), relu
    assert set(others) <= set(checks), relu
    if verdict == "conforms":
        assert without_times(relu) == without_times(harmless["relu"])
    elif verdict == "crashed":
        assert "died 3 times" in relu.note
    elif verdict == "timed_out":
        assert "2 cases" in relu.note
    else:
        assert relu.examples >= EXAMPLES  # it went on, to as many cases as were asked for
    assert without_times(tanh) == without_times(harmless["tanh"])
    assert capfd.readouterr().out == ""


def test_a_run_over_many_of_them_at_once(tmp_path):
    """Side by side in two workers, among a harmless target and a built-in one: each gets what it gets alone."""
    names = [
        "kills_its_parent",
        "writes_to_every_pipe",
        "loops_for_ever",
        "changes_numpy",
        "returns_a_list",
        "harmless",
    ]
    targets = tuple(f"{FILE}:{name}" for name in names)
    options = Options((*targets, "impl"), ("relu", "tanh"), ("float32",), 4, 0, Limits(2, 700), Where(jobs=2))
    store = Store(tmp_path, options.identity(), resume=False)
    results = run(options, store)
    store.close()
    found = {(t.target, t.layer): t.verdict for t in results.trials}
    for target, name in zip(targets, names, strict=True):
        assert found[target, "relu"] == VERDICTS.get(name, CONFORMS)[0], name
        assert found[target, "tanh"] == "conforms"
    assert found["impl", "relu"] == found["impl", "tanh"] == "conforms"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import sys; sys.exit(0)", "SystemExit: 0"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("import os; os._exit(0)", "exit code 0"),
        ("import ctypes; ctypes.string_at(0)", "SIGSEGV"),
        ("import os; os.killpg(os.getpgid(0), 9)", "SIGKILL"),
        ("import os\nos.closerange(0, 4096)", "the process"),
        ("import numpy\nblocks = []\nwhile True: blocks.append(numpy.ones(2**24))", "MemoryError"),
    ],
)
def test_importing_it_does_no_harm(source, words, tmp_path):
    path = tmp_path / "bad.py"
    path.write_text(source)
    process = TargetProcess(str(path), Limits(memory=500))
    with pytest.raises(TargetError) as caught:
        process.offer()
    process.close()
    line = str(caught.value)
    assert line.startswith(f"target {path}") and words in line and "\n" not in line


def test_importing_it_may_break_numpy_in_its_own_process(tmp_path):
    (tmp_path / "bad.py").write_text("import numpy\nnumpy.ndarray = numpy.array = numpy.asarray = None")
    process = TargetProcess(str(tmp_path / "bad.py"), Limits(memory=500))
    assert process.offer().layers == ()
    process.close()
    assert np.asarray([1]).shape == (1,)


def test_the_command_says_in_one_line_what_an_import_did(tmp_path):
    (tmp_path / "bad.py").write_text("print('noise')\nimport os\nos._exit(3)")
    command = [sys.executable, "-c", "from oracle.cli import main; main()", "run", "--target", "bad.py"]
    result = subprocess.run([*command, "--memory", "500"], cwd=tmp_path, capture_output=True, text=True, timeout=200)
    assert (result.returncode, result.stdout) == (2, ""), result
    *noise, line = result.stderr.splitlines()
    assert line.startswith("backproof: target bad.py") and "exit code 3" in line
    assert noise in ([], ["noise"])


def test_an_import_that_never_ends(tmp_path, monkeypatch):
    (tmp_path / "bad.py").write_text("while True: pass")
    monkeypatch.setattr("oracle.targets.process.START_SECONDS", 2)
    with pytest.raises(TargetError, match=r"bad\.py .*2 s"):
        TargetProcess(str(tmp_path / "bad.py"), LIMITS).offer()


def test_a_target_that_kills_its_judge(tmp_path):
    """No isolation of a process can hinder that: that trial is given up after three attempts, and the run goes on."""
    source = """
import os, signal
from pathlib import Path
from impl.functional import tanh

def relu(x):
    for process in Path("/proc").glob("[0-9]*"):  # every worker of this run, by the directory that it works in
        try:
            mine = (process / "cwd").resolve() == Path.cwd() and b"spawn_main" in (process / "cmdline").read_bytes()
        except OSError:
            continue
        if mine:
            os.kill(int(process.name), signal.SIGKILL)
"""
    (tmp_path / "mine.py").write_text(source)
    command = [sys.executable, "-c", "from oracle.cli import main; main()", "run", "--target", "mine.py"]
    options = ["--layers", "relu,tanh", "--dtype", "float32", "--examples", "5", "--jobs", "1"]
    result = subprocess.run([*command, *options], cwd=tmp_path, capture_output=True, text=True, timeout=200)
    assert result.returncode == 1, result.stderr
    trials = json.loads((tmp_path / "backproof-report/results.json").read_text())["trials"]
    assert [(t["layer"], t["verdict"]) for t in trials] == [("relu", "crashed"), ("tanh", "conforms")]
    assert "died 3 times" in trials[0]["note"]
