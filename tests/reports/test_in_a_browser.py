"""The report opened in a headless browser: it renders, and a picture of it can be taken."""

import shutil
import subprocess

import pytest

from reports import html
from tests.reports.results import results

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


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
