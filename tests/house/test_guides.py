"""README and the guides: every code block is run, every link leads somewhere, and nothing that a user can type is missing.

A block belongs to the file that it stands in. The blocks of a file are run in order, in one process and one directory:

- ``python`` is executed; with ``>>>`` it is an example whose output is compared, as in a docstring. If it begins with a
  comment that names a file, ``# mine.py``, it is written there instead.
- ``console`` holds commands behind ``$``, and below each what it prints; ``...`` stands for any text.

A comment before a block says that it is not run, and why (``<!-- not run: it needs a cluster -->``), or that it is run only
if a package is installed (``<!-- needs: torch -->``).
"""

import doctest
import importlib.util
import inspect
import os
import re
import subprocess
import sys
import traceback
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
GUIDES = sorted((ROOT / "reports" / "guides").glob("*.md"))
PAGES = [README, *GUIDES, ROOT / ".github" / "CONTRIBUTING.md"]
FLAGS = doctest.ELLIPSIS
RUN = ("python", "console")
SHOWN = ("text", "yaml")
COMMANDS = ("run", "documents", "report", "replay", "layers", "new", "schema")


class Block(NamedTuple):
    """A block of code: its language, its lines, the line that it begins at, and the comment before it."""

    language: str
    code: str
    line: int
    comment: str

    @property
    def reason(self):
        """Why it is not run, or None."""
        if not self.comment.startswith("not run"):
            return None
        return self.comment.removeprefix("not run").strip(": ")

    @property
    def package(self):
        """The package that it needs, or None."""
        return self.comment.removeprefix("needs:").strip() if self.comment.startswith("needs:") else None


def blocks(text):
    """Read the blocks of a page: between fences, or indented by four spaces."""
    found, lines, i, comment = [], text.splitlines(), 0, ""
    while i < len(lines):
        line = lines[i]
        if line.startswith("```"):
            end = lines.index("```", i + 1)
            found.append(Block(line[3:], "\n".join(lines[i + 1 : end]) + "\n", i + 2, comment))
            i, comment = end, ""
        elif line.startswith("    "):
            end = next(
                (j for j in range(i, len(lines)) if lines[j].strip() and not lines[j].startswith("    ")), len(lines)
            )
            found.append(Block("indented", inspect.cleandoc("\n".join(lines[i:end])) + "\n", i + 1, comment))
            i, comment = end - 1, ""
        elif line.startswith("<!--"):
            comment = line.removeprefix("<!--").removesuffix("-->").strip()
        elif line.strip():
            comment = ""
        i += 1
    return found


def commands(code):
    """Read a console block: each command behind ``$``, with what it prints."""
    for part in re.split(r"^\$ ", code, flags=re.MULTILINE)[1:]:
        command, _, printed = part.partition("\n")
        yield command, printed


# -- in a process of its own: run the blocks of one page ---------------------------------------------------------------


class Failed(Exception):
    """A block that does not do what the page says."""


def run_page(page):
    """Run the blocks of a page in the working directory. Raises Failed at the first that fails."""
    namespace = {"__name__": "page"}
    sys.path.insert(0, "")
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.reason is not None or block.language in SHOWN:
            continue
        if block.package is not None and importlib.util.find_spec(block.package) is None:
            continue
        where = f"{page.name}, line {block.line}"
        if block.language == "console":
            for command, printed in commands(block.code):
                run_command(command, printed, where)
        else:
            run_python(block.code, namespace, where)


def run_python(code, namespace, where):
    file = re.match(r"# (\w+\.py)\n", code)
    if file:
        Path(file[1]).write_text(code, encoding="utf-8")
    elif ">>>" in code:
        test = doctest.DocTestParser().get_doctest(code, namespace, where, where, 0)
        said: list[str] = []
        doctest.DocTestRunner(optionflags=FLAGS).run(test, out=said.append, clear_globs=False)
        namespace.update(test.globs)
        if said:
            raise Failed("".join(said))
    else:
        try:
            exec(compile(code, where, "exec"), namespace)
        except Exception:
            raise Failed(f"{where}\n{traceback.format_exc()}") from None


def run_command(command, printed, where):
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=300)
    got = "".join(line.rstrip() + "\n" for line in result.stdout.splitlines())
    # 1 is the exit code of a command that found something, which the page must then show.
    right = result.returncode == 0 or (result.returncode == 1 and printed.strip(" .\n"))
    if not right or "Traceback" in result.stderr:
        raise Failed(f"{where}: {command}\nexit code {result.returncode}\n{result.stdout}\n{result.stderr}")
    if printed and not doctest.OutputChecker().check_output(printed, got, FLAGS):
        raise Failed(f"{where}: {command}\nexpected\n{printed}\ngot\n{got}\n{result.stderr}")


# -- the tests ---------------------------------------------------------------------------------------------------------


def environment(directory):
    """Return an environment with the commands of this Python in front, and without what pytest has put into ours."""
    programs = directory / "programs"
    programs.mkdir()
    for name, arguments in (
        ("backproof", "-c 'from oracle.cli import main; main()'"),
        ("pytest", "-m pytest"),
        ("python", ""),
    ):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
        (programs / name).chmod(0o755)
    ours = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "GITHUB_"))}
    paths = [str(ROOT), *filter(None, [ours.get("PYTHONPATH")])]
    return ours | {"PATH": f"{programs}{os.pathsep}{ours['PATH']}", "PYTHONPATH": os.pathsep.join(paths)}


def run_apart(page, directory):
    """Run a page in a process and a directory of its own."""
    here = directory / "here"
    here.mkdir()
    command = [sys.executable, __file__, str(page)]
    return subprocess.run(
        command, cwd=here, env=environment(directory), capture_output=True, text=True, timeout=300, check=False
    )


def backproof(*arguments):
    command = [sys.executable, "-c", "from oracle.cli import main; main()", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=True).stdout


@pytest.fixture(scope="module")
def everything():
    return "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


@pytest.mark.parametrize("page", [README, *GUIDES], ids=lambda page: page.name)
def test_the_code_on_a_page_does_what_the_page_says(page, tmp_path):
    result = run_apart(page, tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_is_run_or_says_why_not(page):
    for block in blocks(page.read_text(encoding="utf-8")):
        assert block.language in (*RUN, *SHOWN, "indented"), f"{page.name}, line {block.line}: {block.language!r}"
        if block.language == "indented" or (block.language in RUN and page not in [README, *GUIDES]):
            assert block.reason is not None, f"{page.name}, line {block.line}: it is not run, and no comment says why"
        if block.reason is not None:
            assert len(block.reason.split()) > 2, f"{page.name}, line {block.line}: why is it not run?"


NOT_RUN = [
    pytest.param(block, id=f"{page.name}, line {block.line}")
    for page in PAGES
    for block in blocks(page.read_text(encoding="utf-8"))
    if block.reason or (block.package and importlib.util.find_spec(block.package) is None)
]


@pytest.mark.parametrize("block", NOT_RUN)
def test_what_is_not_run(block):
    pytest.skip(f"not run: {block.reason or f'it needs {block.package}, which is not installed'}")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("```python\n1 / 0\n```\n", "ZeroDivisionError"),
        ("```python\n>>> 1 + 1\n3\n```\n", "Got:\n    2"),
        ("```console\n$ echo no\nyes\n```\n", "got\nno"),
        ("```console\n$ exit 1\n```\n", "exit code 1"),
        ("```console\n$ echo yes; exit 2\nyes\n```\n", "exit code 2"),
        ("<!-- needs: json -->\n\n```python\n1 / 0\n```\n", "ZeroDivisionError"),
        ("<!-- not run: it divides -->\n\n```python\n1 / 0\n```\n", ""),
        ("<!-- needs: no_such_package -->\n\n```python\n1 / 0\n```\n", ""),
        ("```python\n# two.py\nx = 2\n```\n\n```python\n>>> import two\n>>> two.x\n2\n```\n", ""),
    ],
)
def test_a_page_that_says_something_else_fails(text, complaint, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(text)
    result = run_apart(page, tmp_path)
    assert (result.returncode == 1) == bool(complaint), result.stdout + result.stderr
    assert complaint in result.stdout


def test_readme_is_short_and_leads_to_every_guide():
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    assert "\n    pip install -e . && backproof run\n    pip install -e '.[test]' && pytest\n" in text
    assert GUIDES
    for guide in GUIDES:
        assert f"(reports/guides/{guide.name})" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_file(), f"{page.name}: {link}"
        assert not anchor or anchor in anchors(target), f"{page.name}: {link}"


def anchors(page):
    """Return the anchors that GitHub makes of a page's headings."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_command_and_every_option_is_named(everything):
    from oracle import pytest_plugin

    assert set(re.findall(r"^  (\w+)  ", backproof("--help"), re.MULTILINE)) == set(COMMANDS)
    options = {"--version"} | {
        option for command in COMMANDS for option in re.findall(r"--[a-z-]+", backproof(command, "--help"))
    }
    options |= set(re.findall(r'"(--backproof-[a-z]+)"', inspect.getsource(pytest_plugin)))
    assert {"--target", "--json", "--results", "--backproof-target"} < options
    for command in COMMANDS:
        assert f"`backproof {command}" in everything, command
    for option in options - {"--help"}:
        assert re.search(rf"{option}(?![a-z-])", everything), option


def test_every_option_of_the_training_command_is_named():
    from impl.train import command

    guide = (ROOT / "reports" / "guides" / "framework.md").read_text(encoding="utf-8")
    options = re.findall(r'option\("(--[a-z0-9-]+)"', inspect.getsource(command))
    assert "--resume" in options
    for option in options:
        assert f"`{option}`" in guide, option


def test_every_public_name_is_named(everything):
    import backproof as public
    from backproof import adapters

    from oracle.run.executors import EXECUTORS
    from oracle.targets.find import BUILT_IN
    from reports.html import MEANINGS

    for name in public.__all__:
        assert f"backproof.{name}" in everything, name
    for name in adapters.__all__:
        assert f"`{name}(" in everything, name
    for name in (*MEANINGS, *BUILT_IN, *EXECUTORS):
        assert f"`{name}`" in everything, name


def test_the_table_of_the_layers_is_the_one_that_follows_from_their_signatures():
    from oracle.layers.describe import layer_table

    text = (ROOT / "reports" / "guides" / "layers.md").read_text(encoding="utf-8")
    assert between(text, "layer table").strip() == layer_table().strip()


def test_the_table_of_the_documents_is_complete():
    from oracle.layers import LAYERS

    text = (ROOT / "reports" / "guides" / "layers.md").read_text(encoding="utf-8")
    rows = [line.split(" | ")[1].strip(" |") for line in between(text, "document table").splitlines()[2:]]
    cited = {layer.name: layer.documents for layer in LAYERS.values()}
    for name, documents in cited.items():
        numbers = {entry.partition(":")[0] for entry in documents}
        assert {f"{i:03}" for i, row in enumerate(rows) if f"`{name}`" in row} == numbers, name


def between(text, name):
    """Return what stands between the two comments of a name."""
    return text[text.index(f"<!-- {name} -->") : text.index(f"<!-- end of {name} -->")].partition("\n")[2]


if __name__ == "__main__":
    try:
        run_page(Path(sys.argv[1]))
    except Failed as failed:
        sys.exit(print(failed) or 1)
