"""JUnit, Markdown and HTML of the same results: the facts are there, hostile names do no harm, the oracle is not needed."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from oracle.results import InternalError, Strength, Trial
from reports import html
from reports.junit import junit
from reports.markdown import markdown
from tests.reports.results import HOSTILE, discrepancy, results

# -- JUnit ------------------------------------------------------------------------------------------------------------


def suites(of):
    return ElementTree.fromstring(junit(of)).findall("testsuite")


def test_junit_counts():
    (suite,) = suites(results())
    names = ("name", "tests", "failures", "errors", "skipped", "time", "timestamp")
    assert [suite.get(name) for name in names] == ["mine", "4", "1", "0", "1", "6.000", "2026-01-01T00:00:00"]
    cases = {case.get("name"): case for case in suite.iter("testcase")}
    assert {case.get("classname") for case in cases.values()} == {"mine"}
    children = {name: [child.tag for child in case] for name, case in cases.items()}
    assert children == {"conv2d": ["failure"], "relu": [], "tanh": [], "elu": ["skipped"]}


def test_junit_tells_what_is_wrong():
    (failure,) = suites(results())[0].iter("failure")
    assert failure.get("type") == "mathematics" and "wrong: dx[0] is <b>2</b>; expected 1" in failure.get("message")
    for fact in ("gradient of dx", "twice", "stride=2", "strided", "expected dx", "got dx"):
        assert fact in failure.text


def test_junit_has_a_suite_per_target():
    both = results().model_copy(update={"trials": results("a").trials + results("b").trials[:1]})
    assert [(suite.get("name"), suite.get("tests")) for suite in suites(both)] == [("a", "4"), ("b", "1")]


def test_junit_writes_names_and_characters_that_xml_does_not_have():
    (suite,) = suites(results(HOSTILE, message="\x00\x1b[31m\ufffe <b>"))
    assert suite.get("name") == HOSTILE
    (failure,) = suite.iter("failure")
    assert "??[31m? <b>" in failure.get("message") and "??[31m? <b>" in failure.text


# -- Markdown ---------------------------------------------------------------------------------------------------------


def test_markdown_rows_and_count():
    text = markdown(results())
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| ")
    ]
    assert rows[1:] == [
        ["`mine`", "`conv2d`", "wrong", "wrong", *3 * ["conforms"], "2; offers no dilation, no ceil_mode", "", ""],
        ["`mine`", "`relu`", "conforms", *4 * ["conforms"], "9", "64 of 64 slips excluded (3 equivalent)", "0.25"],
        ["`mine`", "`tanh`", "wrong (expected)", "wrong", *3 * ["conforms"], "5", "", ""],
        ["`mine`", "`elu`", "not implemented", *4 * [""], "", "", ""],
    ]
    assert "1 discrepancy." in text
    assert text.count("<details>") == 1 and "gradient of dx (wrong)" in text


def test_markdown_counts_only_what_is_not_expected():
    known = results(known=True)
    assert "conforms." in markdown(known) and "<details>" not in markdown(known)
    trial = results().trials[0].model_copy(update={"discrepancies": [discrepancy(), discrepancy(id="1")]})
    assert "2 discrepancies." in markdown(results().model_copy(update={"trials": [trial]}))


def test_a_discrepancy_cannot_end_its_block_in_markdown():
    text = markdown(results(message="```\n# mine"))
    assert text.count("```") == 2


# -- HTML -------------------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """The elements of a page, and the text of its tables' cells and of its headings."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.links, self.texts, self._open = (
            [],
            [],
            [],
            {"td": [], "th": [], "h3": [], "pre": [], "p": []},
            None,
        )
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        given = dict(attributes)
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given[name] for name in ("href", "src") if name in given]
        if tag == "br":
            self.handle_data(" ")
        if tag in self.texts:
            self._open = tag
            self.texts[tag].append("")

    def handle_endtag(self, tag):
        if tag == self._open:
            self._open = None

    def handle_data(self, data):
        if self._open:
            self.texts[self._open][-1] += data

    def words(self, tag):
        return [" ".join(text.split()) for text in self.texts[tag]]


def test_page_has_a_row_per_layer_that_was_tried():
    page = Page(html.render([results()]))
    assert page.words("th") == ["layer", "mine", "conv2d", "relu", "tanh"]
    assert page.words("td") == [
        "wrong mathematics: gradient of dx judged 2; offers no dilation, no ceil_mode",
        "conforms mathematics right, accuracy right, edges right, contract right judged 9; 64 of 64 slips excluded (3 equivalent); worst 0.25; accuracy 0.8",
        "wrong (expected) mathematics: gradient of dx (expected) judged 5",
    ]
    (absent,) = [words for words in page.words("p") if "No target offers" in words]
    assert absent.endswith(": elu.")


def test_page_shows_each_discrepancy():
    page = Page(html.render([results()]))
    wrong, expected = page.words("h3")
    for fact in ("mine", "conv2d", "float32", "wrong", "gradient of dx", "0badcafe"):
        assert fact in wrong
    assert "(expected)" not in wrong and "(expected)" in expected and "5ca1ab1e" in expected
    assert page.texts["pre"][:3] == [
        "[[  1    0]\n [  0  NaN]]",
        "[[1  0]\n [0  2]]",
        "[[2  0]\n [0  2]]",
    ]


def test_page_is_self_contained_escaped_and_linked():
    text = html.render([results(HOSTILE, diagnosis=HOSTILE, reproduce=HOSTILE)])
    page = Page(text)
    assert not {"script", "b"} & set(page.tags)
    assert HOSTILE in page.words("th") and "&lt;b&gt;2" in text
    assert page.links and all(link.startswith("#") and link[1:] in page.ids for link in page.links)


def test_pages_side_by_side_tell_the_runs_apart():
    page = Page(html.render([results(), results(id="11111111")], ["before", "after"]))
    assert page.words("th")[:3] == ["layer", "before: mine", "after: mine"]
    assert len(page.ids) == len(set(page.ids))
    assert {"r0-0badcafe", "r1-11111111"} <= set(page.ids)


def test_a_page_without_discrepancies_says_so():
    right = results().model_copy(update={"trials": results().trials[1:2]})
    assert "There are none: every layer" in html.render([right])
    assert "There are none" not in html.render([results()])
    unjudged = results().model_copy(update={"trials": results().trials[3:]})
    assert "There are none: every layer" not in html.render([unjudged])
    assert "Not everything is proven" in html.render([unjudged])


def test_an_interrupted_run_and_what_no_longer_occurs():
    text = html.render([results().model_copy(update={"interrupted": True, "unmet": ["mine relu float64"]})])
    assert "Interrupted" in text and "mine relu float64" in text


def rich_run():
    """A run with a fault in two dtypes, one that is not required, open slips, further faults, and an error of our own."""
    twice = [discrepancy(id="f32"), discrepancy(id="refused", aspect="contract", check="refusal", verdict="error")]
    first = results().trials[0].model_copy(update={"discrepancies": twice, "more": ["wrong, value of y: 7 kinds"]})
    second = first.model_copy(update={"dtype": "float64", "discrepancies": [discrepancy(id="f64")], "more": []})
    strength = Strength(slips=2, excluded=1, open=["eps is left out"])
    unproven = Trial(target="mine", layer="gelu", dtype="float32", verdict="unproven", examples=3, strength=strength)
    failed = InternalError(traceback="ZeroDivisionError: ours", repeat="backproof run --layers silu")
    broken = Trial(target="mine", layer="silu", dtype="float32", verdict="unproven", internal_error=failed)
    return results().model_copy(
        update={"trials": [first, second, unproven, broken], "required": ["mathematics"], "unmatched": ["a b c"]}
    )


def test_junit_has_a_failure_per_required_aspect():
    cases = {case.get("name"): case for case in suites(rich_run())[0].iter("testcase")}
    assert {name: [(x.tag, x.get("type")) for x in case] for name, case in cases.items()} == {
        "conv2d": [("failure", "mathematics")],
        "gelu": [("failure", "unproven")],
        "silu": [("error", "internal")],
    }
    assert "float32, float64" in cases["conv2d"][0].text and "7 kinds" in cases["conv2d"][0].text
    assert "eps is left out" in cases["gelu"][0].get("message")
    everything = rich_run().model_copy(update={"required": ["mathematics", "contract"]})
    assert [x.get("type") for x in suites(everything)[0].find("testcase")] == ["mathematics", "contract"]


def test_markdown_has_one_block_per_fault_and_says_the_rest():
    text = markdown(rich_run())
    assert text.count("<details>") == 1 and "float32, float64: mathematics: gradient of dx (wrong)" in text
    for fact in ("eps is left out", "7 kinds", "Internal error in the trial of mine silu float32", "Not tried: dtypes"):
        assert fact in text


def test_page_has_one_article_per_fault_and_says_the_rest():
    page = Page(html.render([rich_run()]))
    wrong, refused = page.words("h3")
    assert "float32, float64" in wrong and "mathematics" in wrong and "(not required)" in refused
    assert {"r0-f32", "r0-f64", "r0-refused"} <= set(page.ids)
    text = " ".join(page.words("p"))
    for fact in ("eps is left out", "7 kinds", "a b c", "Internal error in the trial of mine", "Not tried: dtypes"):
        assert fact in text
    assert "ZeroDivisionError: ours" in page.words("pre")


def test_write_makes_the_directory(tmp_path):
    assert html.write("<p>\u00e9", tmp_path / "deep/er") == tmp_path / "deep/er/index.html"
    assert (tmp_path / "deep/er/index.html").read_bytes() == "<p>\u00e9".encode()


# -- on their own -----------------------------------------------------------------------------------------------------

ALONE = """
import sys
from types import SimpleNamespace as Some

from reports import html, junit, markdown

trial = Some(target="mine", layer="relu", dtype="float32", verdict="conforms", seconds=1.0, more=[], note=None, internal_error=None,
             failing_aspects=lambda required: [])
row = Some(target="mine", layer="relu", trials=[trial], verdict="conforms", tried=True, judged="judged 3", aspects={}, standing="", strength=None,
           worst=0.5, accuracy=None, faults=[], all_known=False, unproven=None)
run = Some(
    trials=[trial], rows=lambda: [row], faults=[], failing=[], proven=True, conclusion="everything conforms", required=["mathematics"],
    internal_errors=[], not_loaded=[], not_tried=[], shortfalls=[], unmet=[], unmatched=[], interrupted=False, started="now", seconds=1.0,
    seed=0, backproof="0",
    options={"examples": 1, "dtypes": ["float32"]},
    environment=Some(python="3", numpy="2", jax="0", platform="here", devices=["cpu"], ran_on={}, accelerated=False),
)
for rendered in (html.render([run]), junit.junit(run).decode(), markdown.markdown(run)):
    print("relu" in rendered)
print(sorted(name for name in sys.modules if name.partition(".")[0] in ("oracle", "impl", "jax", "numpy", "pydantic")))
"""


def test_reports_need_no_oracle():
    """Another suite may render its own results with them, as long as they have the same attributes."""
    result = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout.split("\n")) == (0, ["True", "True", "True", "[]", ""]), result.stderr


@pytest.mark.parametrize("verdict", html.MEANINGS)
def test_each_verdict_is_explained(verdict):
    meanings = re.findall(r'<dt class="verdict (\w+)">(.*?)</dt><dd>(.+?)</dd>', html.render([results()]))
    assert (verdict, verdict.replace("_", " ")) in [(name, shown) for name, shown, _ in meanings]
