"""README's page "Put your code on trial", followed word by word in an empty directory."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"


def backproof(*arguments, cwd):
    command = [sys.executable, "-c", "from oracle.cli import main; main()", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def page():
    if not README.exists():
        pytest.skip("not run: there is no README beside the tests")
    text = README.read_text(encoding="utf-8")
    return text[text.index("## Put your code on trial") : text.index("## The documents on trial")]


def test_put_your_code_on_trial(page, tmp_path):
    code, guard = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[:2]
    assert code.startswith("# mine.py")
    (tmp_path / "mine.py").write_text(code)
    run = re.search(r"^    backproof (run --target mine.py)$", page, re.MULTILINE).group(1).split()
    began = time.monotonic()
    result = backproof(*run, cwd=tmp_path)
    assert time.monotonic() - began < 60
    assert result.returncode == 1, result.stderr
    shown = page[page.index("    mine.py conv2d float32, backproof replay") : page.index("    ...\n")]
    assert "\n".join(line[4:] for line in shown.splitlines()) in result.stdout
    assert "a kernel larger than the image was accepted" in page and "the kernel is larger than x" in result.stdout
    replay = re.search(r"^    backproof (replay \w+)$", page, re.MULTILINE).group(1).split()
    assert backproof(*replay, cwd=tmp_path).returncode == 1
    assert "`dx[window] += ...`" in page
    mended = code.replace("dx[window] = ", "dx[window] += ")
    (tmp_path / "mine.py").write_text(mended)
    assert "no longer occurs" in backproof(*replay, cwd=tmp_path).stdout
    mended = mended.replace("    padded =", guard + "    padded =")
    (tmp_path / "mine.py").write_text(mended)
    result = backproof(*run, cwd=tmp_path)
    assert result.returncode == 0, result.stdout
    assert "everything conforms" in result.stdout


def test_every_option_and_every_command_is_named():
    text = README.read_text(encoding="utf-8") if README.exists() else pytest.skip("not run: there is no README")
    for option in re.findall(r"--[a-z]+", backproof("run", "--help", cwd=README.parent).stdout):
        if option != "--help":
            assert option in text, option
    for command in ("run", "documents", "report", "replay", "layers", "new", "schema"):
        assert f"backproof {command}" in text, command
