"""The report opened in a headless browser: it renders, its links lead somewhere, nothing comes from outside."""

import re
import shutil
import subprocess

import pytest

from oracle.results import Array, Discrepancy, Environment, Results, Trial, Worst
from reports import html

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def results():
    found = Discrepancy(
        id="0badcafe",
        verdict="wrong",
        check="gradient",
        output="dx",
        message="dx[0] is <b>2</b>; expected 1",
        configuration={"stride": 2},
        arrays={"x": Array(dtype="float32", shape=[2, 2], data=[[1.0, 0.0], [0.0, "NaN"]]), "b": None},
        expected=[[1.0, 0.0], [0.0, 2.0]],
        got=[[2.0, 0.0], [0.0, 2.0]],
        error_over_bound=float("inf"),
        diagnosis="dx is twice what it should be",
        reproduce="print('hello')\n",
    )
    environment = Environment(python="3", numpy="2", jax="0", platform="here", devices=["cpu: cpu"])
    trials = [
        Trial(target="mine", layer="conv2d", dtype="float32", verdict="wrong", configurations=3, discrepancies=[found]),
        Trial(target="mine", layer="relu", dtype="float32", verdict="conforms", configurations=9,
              worst=Worst(output="y", error_over_bound=0.25)),
    ]  # fmt: skip
    return Results(backproof="0", started="2026-01-01T00:00:00", seconds=1.0, seed=0,
                   options={"examples": 9, "dtypes": ["float32"]}, environment=environment, trials=trials)  # fmt: skip


def test_page_is_self_contained_escaped_and_linked():
    page = html.render([results()])
    assert "<b>2</b>" not in page and "&lt;b&gt;2" in page
    assert not re.search(r"""(src|href)=["'](?!#)""", page)
    for anchor in re.findall(r'href="#([^"]+)"', page):
        assert f'id="{anchor}"' in page


def test_results_survive_json(tmp_path):
    import json

    from oracle.results.model import load

    path = tmp_path / "results.json"
    path.write_text(results().to_json())
    assert json.loads(path.read_text())["trials"][0]["discrepancies"][0]["error_over_bound"] == "Infinity"
    assert load(path) == results()


@pytest.mark.skipif(CHROMIUM is None, reason="not run: there is no chromium")
def test_page_in_chromium(tmp_path):
    path = html.write(html.render([results()]), tmp_path)
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile"]
    dom = subprocess.run([*command, "--dump-dom", path.as_uri()], capture_output=True, text=True, timeout=120).stdout
    assert "dx is twice what it should be" in dom
    picture = tmp_path / "page.png"
    subprocess.run([*command, f"--screenshot={picture}", "--window-size=1200,1600", path.as_uri()],
                   capture_output=True, timeout=120, check=True)  # fmt: skip
    assert picture.stat().st_size > 10_000
