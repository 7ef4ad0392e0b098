"""The command line in the process of the tests, which saves the seconds that its imports take."""

import gc
import subprocess
import sys

import pytest

from oracle.cli import main


@pytest.fixture
def command(monkeypatch, capsys):
    """Return a function that runs ``backproof`` with arguments in a directory. Its workers are processes as ever."""

    def run(*arguments, cwd):
        monkeypatch.chdir(cwd)
        monkeypatch.setattr(sys, "argv", ["backproof", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        code = ended.value.code
        del ended
        gc.collect()  # a store that was refused is still held by the error; the end of a process would let it go
        return subprocess.CompletedProcess(arguments, code, out, err)

    return run
