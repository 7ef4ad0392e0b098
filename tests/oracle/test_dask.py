"""On a cluster of Dask: the same verdicts and ids as with processes, also where workers come and go."""

import json
import re
import subprocess
import sys
import time

import pytest

pytest.importorskip("distributed")

MINE = """
from impl import functional as F
from impl.functional import relu, add, flatten, silu, identity


def tanh(x):
    y, pullback = F.tanh.vjp(x)
    return y, lambda dy: (pullback(dy)[0] * 2,)


def gelu(x, **configuration):
    import os
    if x.ndim == 2:
        os._exit(9)
    return F.gelu.vjp(x, **configuration)
"""
RUN = (
    "run",
    "--target",
    "mine.py",
    "--layers",
    "relu,sigmoid,add,flatten,silu,identity,elu,tanh,gelu",
    "--examples",
    "20",  # the edges of gelu and no more: after a crash, Hypothesis draws for as long as its clock says
)


def backproof(*arguments, cwd):
    command = [sys.executable, "-c", "from oracle.cli import main; main()", *map(str, arguments)]
    return subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process):
    out, err = process.communicate(timeout=240)
    return process.returncode, out, err


def trials(path):
    found = json.loads((path / "results.json").read_text())["trials"]
    for trial in found:
        del trial["seconds"]
    return found


@pytest.fixture(scope="module")
def by_processes(tmp_path_factory):
    where = tmp_path_factory.mktemp("processes")
    (where / "mine.py").write_text(MINE)
    assert ended(backproof(*RUN, "--jobs", "2", cwd=where))[0] == 1
    return where, trials(where / "backproof-report")


@pytest.fixture
def cluster(tmp_path):
    """A scheduler in a process of its own; start(*options) adds a worker in another one."""
    started = []

    def start(*arguments):
        command = [sys.executable, "-m", "distributed.cli." + arguments[0], *arguments[1:]]
        started.append(
            subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        )
        return started[-1]

    scheduler = start("dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
    for line in scheduler.stdout:
        found = re.search(r"tcp://[\d.]+:\d+", line)
        if found:
            break
    address = found.group()
    yield address, lambda *options: start("dask_worker", address, "--nthreads", "1", "--no-dashboard", *options)
    for process in reversed(started):
        process.kill()
        process.communicate()


def test_a_worker_dies_and_another_comes(by_processes, cluster, tmp_path):
    """Two workers, one of them under a nanny, which makes it daemonic. The other is killed at work, and a third comes late."""
    where, expected = by_processes
    address, start = cluster
    dies, _ = start("--no-nanny"), start("--nworkers", "1")
    out = tmp_path / "report"
    process = backproof(*RUN, "--executor", "dask", "--scheduler", address, "--out", out, cwd=where)
    wal = out / "run.sqlite-wal"
    for _ in range(2000):
        if wal.exists() and wal.stat().st_size > 30_000:  # some trials are in, others at work
            break
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    dies.kill()
    start("--no-nanny")
    code, _, err = ended(process)
    assert (code, err) == (1, "")
    assert trials(out) == expected


def test_a_cluster_of_its_own(by_processes, tmp_path):
    where, expected = by_processes
    code, _, err = ended(backproof(*RUN, "--executor", "dask", "--jobs", "2", "--out", tmp_path, cwd=where))
    assert (code, err) == (1, "")
    assert trials(tmp_path) == expected


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--executor", "dask", "--scheduler", "tcp://127.0.0.1:1"], "tcp://127.0.0.1:1"),
        (["--executor", "dask", "--scheduler", "no address"], "no address"),
        (["--executor", "spark"], "spark"),
        (["--scheduler", "tcp://127.0.0.1:1"], "--scheduler"),
    ],
)
def test_bad_input(arguments, words, tmp_path):
    code, out, err = ended(backproof("run", *arguments, cwd=tmp_path))
    assert (code, out) == (2, "")
    assert words in err and len(err.splitlines()) == 1, err
