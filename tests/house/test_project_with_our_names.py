"""A project with its own folders ``impl`` and ``reports`` can use Backproof from its root, from a wheel and editable."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RIGHT = """
import numpy as np
def relu(x):
    return np.maximum(x, 0), lambda dy: (np.where(x > 0, dy, 0).astype(x.dtype),)
"""
FEW = ("--layers", "relu", "--examples", "20", "--dtype", "float32")
FILES = {
    "impl/__init__.py": "",
    "impl/layers.py": RIGHT,
    "reports/__init__.py": "raise SystemExit('these are the reports of the project')",
    "mine.py": "from impl.layers import relu",
    "tests/__init__.py": "",
    "tests/test_mine.py": "import impl.layers\nfrom backproof import assert_conforms\n"
    "def test_relu():\n    assert_conforms('relu', impl.layers.relu, examples=20)\n",
}


@pytest.fixture
def project(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "project"


@pytest.fixture
def wheel(tmp_path_factory):
    """The packages of a wheel, in a directory."""
    where = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(where), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if built.returncode:
        pytest.skip(f"not run: pip cannot build a wheel here: {built.stderr.strip().splitlines()[-1]}")
    (file,) = where.glob("backproof-*.whl")
    with zipfile.ZipFile(file) as archive:
        archive.extractall(where / "site")
    return where / "site"


def call(project, *arguments, path=(), code="from oracle.cli import main; main()"):
    """Run our code as the command ``backproof`` does: without the working directory on the path, unless ``path`` has it."""
    entries = [*map(str, path), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, entries))}
    command = [sys.executable, "-c", f"import sys; sys.path.remove(''); {code}", *arguments]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=300, env=environment)


def conforms(project, target, path=()):
    result = call(project, "run", "--target", target, *FEW, path=path)
    assert result.returncode == 0, result.stderr
    assert "everything conforms" in result.stdout
    assert (project / "backproof-report" / "index.html").exists()


@pytest.mark.parametrize("target", ["impl/layers.py", "impl.layers", "mine.py", "impl"])
def test_run(project, target):
    conforms(project, target)


def test_the_wheel_is_what_runs_and_has_all_its_parts(project, wheel):
    code = "import backproof, oracle; print(backproof.__file__, oracle.__file__, backproof.functional.relu)"
    result = call(project, path=[wheel], code=code)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split()[:2] == [str(wheel / name / "__init__.py") for name in ("backproof", "oracle")]
    assert result.stdout.strip().endswith("<rule relu(x)>")
    conforms(project, "mine.py", [wheel])
    conforms(project, "impl", [wheel])
    shipped = {path.relative_to(wheel).as_posix() for path in wheel.rglob("*") if path.is_file()}
    for package in ("impl", "oracle", "reference", "reports"):
        for path in (ROOT / package).rglob("*"):
            if path.suffix in (".py", ".html", ".css", ".md", ".typed") and "public" not in path.parts:
                assert path.relative_to(ROOT).as_posix() in shipped


def test_run_with_the_project_on_the_path(project):
    """As with ``PYTHONPATH=.``: then the project's own ``reports`` is what an ordinary import finds."""
    result = call(project, "run", "--target", "mine.py", *FEW, path=[project])
    assert result.returncode == 0, result.stderr
    again = call(project, "report", "backproof-report/results.json", "--out", "again", path=[project])
    assert again.returncode == 0, again.stderr
    assert "relu" in (project / "again" / "index.html").read_text()


def test_pytest_in_the_project(project):
    """``python -m pytest`` puts the project in front of the path, and the test has imported the project's ``impl``."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    command += ["--backproof-target", "mine.py", "--backproof-layers", "relu", "--backproof-examples", "20"]
    result = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "3 passed" in result.stdout
