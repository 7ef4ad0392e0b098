"""Nothing is lost: killed at any moment, a run goes on where it was, and ends as if it had never been cut off."""

import contextlib
import json
import multiprocessing
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from oracle.cases import Subject
from oracle.results import Trial
from oracle.run import run as run_module
from oracle.run.run import Options, run
from oracle.run.store import Store, StoreError
from oracle.targets.ask import InProcess
from oracle.targets.find import resolve
from oracle.targets.messages import Offer
from oracle.trial.trial import Outcome, put_on_trial

WRONG = """
from impl import functional as F
from impl.functional import relu, sigmoid, add, flatten, silu, identity


def tanh(x):
    y, pullback = F.tanh.vjp(x)
    return y, lambda dy: (pullback(dy)[0] * (1 if x.ndim < 2 else 2),)
"""
LAYERS = ("relu", "tanh", "sigmoid", "add", "flatten", "silu", "identity")


def options_of(directory):
    return Options((str(directory / "mine.py"),), LAYERS, ("float32", "float64"), 30, 0)


class Here:
    """An executor in this process that writes down what it begins."""

    def __init__(self, log):
        self.log = log

    def call(self, function, *args):
        targets, _ = args
        return {target: Offer(LAYERS, "cpu") for target in targets}, ()

    def outcomes(self, tasks):
        for task in tasks:
            with self.log.open("a") as log:
                log.write(f"{task.subject}\n")
            layer = InProcess(resolve(task.subject.target).layer(task.subject.layer))
            yield put_on_trial(task.subject, layer, task.examples, task.seed, task.known)


def go_on(directory, resume=True):
    """Make the run in this process, which may be killed meanwhile, and write its results at the end."""
    options = options_of(directory)

    @contextlib.contextmanager
    def here(*arguments):
        yield Here(directory / "log")

    run_module.executor = here
    store = Store(directory, options.identity(), resume)
    results = run(options, store)
    store.close()
    (directory / "results.json").write_text(results.to_json())


def without_times(path):
    results = json.loads(path.read_text())
    for trial in results["trials"]:
        del trial["seconds"]
    del results["started"], results["seconds"]
    return results


def finished(directory):
    with contextlib.closing(sqlite3.connect(directory / "run.sqlite")) as connection:
        return {" ".join(row) for row in connection.execute("SELECT target, layer, dtype FROM outcomes")}


def clear(directory):
    for name in ("run.sqlite", "run.sqlite-wal", "run.sqlite-shm", "log", "results.json"):
        (directory / name).unlink(missing_ok=True)
    shutil.rmtree(directory / "failed", ignore_errors=True)


@pytest.mark.parametrize("seed", range(2))
def test_killed_at_25_random_moments(seed, tmp_path):
    """What was finished is not begun again, and the end is that of an uninterrupted run."""
    (tmp_path / "mine.py").write_text(WRONG)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["oracle.run.run", "impl", __name__])
    rng, done, kills = random.Random(seed), set(), 0
    clear(tmp_path)
    while True:
        process = context.Process(target=go_on, args=(tmp_path,))
        process.start()
        process.join(rng.uniform(0.02, 0.25) if kills < 25 else 120)
        process.kill()
        process.join()
        begun = (tmp_path / "log").read_text().splitlines() if (tmp_path / "log").exists() else []
        assert not done & set(begun), "done twice"
        assert len(begun) == len(set(begun))
        if process.exitcode == 0 and kills >= 25:
            break
        if process.exitcode == 0:  # it came to its end before we did: from the start
            clear(tmp_path)
            done = set()
            continue
        assert process.exitcode == -signal.SIGKILL
        kills += 1
        if (tmp_path / "run.sqlite").exists():
            with contextlib.suppress(sqlite3.OperationalError):  # killed before there were tables
                assert finished(tmp_path) >= done, "lost"
                done = finished(tmp_path)
        (tmp_path / "log").unlink(missing_ok=True)
    cut_off = without_times(tmp_path / "results.json")
    clear(tmp_path)
    process = context.Process(target=go_on, args=(tmp_path, False))
    process.start()
    process.join(120)
    assert cut_off == without_times(tmp_path / "results.json")
    assert [t["verdict"] for t in cut_off["trials"] if t["layer"] == "tanh"] == ["wrong", "wrong"]


def backproof(*arguments, cwd, first=""):
    command = [sys.executable, "-c", f"{first}\nfrom oracle.cli import main; main()", *map(str, arguments)]
    return subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process):
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


COMMAND = ("run", "--target", "mine.py", "--layers", ",".join(LAYERS), "--examples", "30", "--jobs", "2")


def until_something_is_finished(directory, process):
    for _ in range(600):
        if process.poll() is not None:
            pytest.fail(str(process.communicate()))
        # The run holds the file; a look at its write-ahead log tells that outcomes have come.
        wal = directory / "backproof-report/run.sqlite-wal"
        if wal.exists() and wal.stat().st_size > 30_000:
            return
        time.sleep(0.02)
    pytest.fail("nothing was stored within 12 s")


def left_over(directory):
    """The processes that have the directory as theirs."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "cwd").resolve() == directory and (process / "cmdline").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ")[:120])
    return found


def test_the_command_killed_and_resumed(tmp_path, command):
    (tmp_path / "mine.py").write_text(WRONG)
    process = backproof(*COMMAND, cwd=tmp_path)
    until_something_is_finished(tmp_path, process)
    process.kill()
    process.communicate()
    stored = finished(tmp_path / "backproof-report")
    assert 0 < len(stored) < 2 * len(LAYERS)
    time.sleep(0.5)
    assert not left_over(tmp_path), "a worker outlived its run"
    code, _, err = ended(backproof(*COMMAND, "--resume", cwd=tmp_path))
    assert (code, err) == (1, ""), err
    assert command(*COMMAND, "--out", "whole", cwd=tmp_path).returncode == 1
    resumed, whole = (without_times(tmp_path / name / "results.json") for name in ("backproof-report", "whole"))
    assert resumed == whole


def test_interrupted_it_keeps_what_is_finished_and_says_so(tmp_path):
    (tmp_path / "mine.py").write_text(WRONG)
    process = backproof(*COMMAND, cwd=tmp_path)
    until_something_is_finished(tmp_path, process)
    process.send_signal(signal.SIGINT)
    code, _, err = ended(process)
    assert code == 130
    assert len(err.splitlines()) == 1 and "interrupted" in err and "--resume" in err
    results = json.loads((tmp_path / "backproof-report/results.json").read_text())
    assert results["interrupted"]
    assert 0 < len(results["trials"]) < 2 * len(LAYERS)
    assert "Interrupted" in (tmp_path / "backproof-report/index.html").read_text()


def test_what_failed_once_is_tried_first(tmp_path, command):
    """The example is remembered by the directory: one drawn example more is enough to find it again."""
    wrong = WRONG.replace("1 if x.ndim < 2 else 2", "2 if x.ndim == 4 else 1")  # no plan begins with four axes
    (tmp_path / "mine.py").write_text(wrong)
    quick = ("run", "--target", "mine.py", "--layers", "tanh", "--dtype", "float64", "--jobs", "1")

    def verdict(*options, out="backproof-report"):
        command(*quick, "--examples", *options, "--out", out, cwd=tmp_path)
        (trial,) = json.loads((tmp_path / out / "results.json").read_text())["trials"]
        return trial["verdict"]

    def remembered():
        return [path for path in (tmp_path / "backproof-report/failed").rglob("*") if path.is_file()]

    assert verdict("60") == "wrong"
    assert remembered()
    assert verdict("1") == "wrong"
    assert verdict("1", out="elsewhere") == "unproven"
    (tmp_path / "mine.py").write_text(wrong.replace("2 if", "1 if"))
    assert verdict("60") == "conforms"
    assert remembered() == []


# -- refusals ---------------------------------------------------------------------------------------------------------


def refused(result, *words):
    assert (result.returncode, result.stdout) == (2, ""), result.stderr
    assert len(result.stderr.splitlines()) == 1, result.stderr
    for word in words:
        assert word in result.stderr, result.stderr


def test_another_run_is_not_resumed(tmp_path, command):
    (tmp_path / "mine.py").write_text(WRONG)
    quick = ("run", "--target", "mine.py", "--layers", "relu", "--dtype", "float32", "--examples", "5", "--jobs", "1")
    assert command(*quick, "--resume", cwd=tmp_path).returncode == 0  # there is nothing yet: it begins
    refused(command(*quick, "--resume", "--seed", "1", cwd=tmp_path), "another run", "seed was 0 and is now 1")
    refused(command(*quick, "--resume", "--sizes", "small", cwd=tmp_path), "another run", 'sizes was "tiles"')
    assert command(*quick, "--resume", "--require", "edges", cwd=tmp_path).returncode == 0  # the trials are the same
    (tmp_path / "mine.py").write_text(WRONG + "\n# mended\n")
    refused(command(*quick, "--resume", cwd=tmp_path), "another run", "digests")
    assert command(*quick, cwd=tmp_path).returncode == 0


def test_two_runs_into_one_directory_do_not_mix(tmp_path, command):
    options = Options(layers=("relu",)).identity()
    first = Store(tmp_path, options, resume=False)
    with pytest.raises(StoreError, match=r"run\.sqlite is in use"):
        Store(tmp_path, options, resume=True)
    refused(command("run", "--layers", "relu", "--out", tmp_path, cwd=tmp_path), "in use", str(tmp_path), "--out")
    first.add(Outcome(Trial(target="impl", layer="relu", dtype="float32", verdict="conforms")), 1.0)
    assert list(first.trials()) == [Subject("impl", "relu", "float32")]
    first.close()
    Store(tmp_path, options, resume=True).close()


def test_what_is_not_a_store_is_refused(tmp_path, command):
    (tmp_path / "run.sqlite").write_text("this is not a database, and long enough to be looked at as one")
    refused(command("run", "--layers", "relu", "--out", tmp_path, cwd=tmp_path), "run.sqlite", "not a database")


def test_a_disk_that_is_full(tmp_path):
    """A file may not grow: as with a full disk, a write fails in the middle of the run."""
    small = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))"
    arguments = ("run", "--layers", "relu,tanh,silu", "--examples", "40", "--jobs", "1")
    code, out, err = ended(backproof(*arguments, cwd=tmp_path, first=small))
    assert (code, out, len(err.splitlines())) == (2, "", 1), err
    assert "backproof-report/run.sqlite" in err


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a directory that not even root can write to")
def test_a_read_only_directory(tmp_path, command):
    refused(command("run", "--layers", "relu", "--out", "/proc/self/report", cwd=tmp_path), "/proc/self/report")
