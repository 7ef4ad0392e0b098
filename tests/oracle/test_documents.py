"""The documents on trial: every section spoken of, every claim judged, corrections that hold, and the trial agreeing."""

import dataclasses
import json
import re
import subprocess
import sys
from unittest import mock

import numpy as np
import pytest

import reference
from oracle.cases import Subject
from oracle.cli import main
from oracle.documents.judge import judge_claim
from oracle.judge import judge_refusals
from oracle.targets.ask import InProcess
from oracle.targets.find import resolve
from oracle.trial.search import Search
from oracle.trial.trial import put_on_trial

CLAIMS = {claim.id: claim for claim in reference.CLAIMS}
WRONG = [claim.id for claim in reference.CLAIMS if claim.corrected is not None]
RIGHT = [claim.id for claim in reference.CLAIMS if claim.question and claim.corrected is None]
REST = [claim.id for claim in reference.CLAIMS if not claim.question]


def judged(claim):
    return judge_claim(claim, reference.DOCUMENTS[claim.document].file)


@pytest.mark.parametrize("number", reference.DOCUMENTS)
def test_every_section_has_a_claim_or_a_line_that_says_why_not(number):
    spoken_of = {claim.section for claim in reference.CLAIMS if claim.document == number}
    assert spoken_of == set(reference.DOCUMENTS[number].sections)


def test_claims_are_well_formed():
    assert len(CLAIMS) == len(reference.CLAIMS), "an id twice"
    for claim in reference.CLAIMS:
        assert claim.statement.endswith((".", "..."))
        assert bool(claim.question) == (claim.says is not None) == (not claim.why_not), claim.id
        failing = claim.corrected is not None
        assert failing == bool(claim.correction) == bool(claim.consequence), claim.id
        assert bool(claim.condition) == bool(claim.under), claim.id
        assert not claim.tried or (failing and claim.layer), claim.id


@pytest.mark.parametrize("name", RIGHT)
def test_claim_holds(name):
    result = judged(CLAIMS[name])
    assert (result.verdict, result.counterexample) == ("holds", None)
    assert result.examples >= 1


@pytest.mark.parametrize("name", WRONG)
def test_claim_fails_and_its_correction_holds(name):
    """Would the document be right, it would not fail: with the correction in its place the claim holds."""
    claim = CLAIMS[name]
    result = judged(claim)
    assert result.verdict == "fails"
    assert result.counterexample.document_gives != result.counterexample.true
    assert result.correction_holds
    assert result.condition_holds == (True if claim.condition else None)
    right = dataclasses.replace(claim, says=claim.corrected)
    assert judged(right).verdict == "holds"


@pytest.mark.parametrize("name", REST)
def test_claim_that_nobody_can_check_has_a_reason(name):
    result = judged(CLAIMS[name])
    assert result.verdict == "not_checkable"
    assert result.reason == CLAIMS[name].why_not and len(result.reason.split()) > 3


@pytest.mark.parametrize("name", RIGHT)
def test_a_claim_that_holds_would_fail_if_it_said_something_else(name):
    """The judge is not content with anything: what is said, made wrong, fails."""
    claim = CLAIMS[name]

    def altered(**given):
        said = claim.says(**given)
        if isinstance(said, tuple):
            return (*said[:-1], said[-1] + 1)
        if isinstance(said, list):
            return said[::-1]
        return said + 1 if np.ndim(said) == 0 or np.size(said) else said

    assert judged(dataclasses.replace(claim, says=altered)).verdict == "fails"


LAYERS = [
    (number, kind, layer)
    for number, module in reference.MODULES.items()
    for kind in ("AS_WRITTEN", "CORRECTED")
    for layer in getattr(module, kind)
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("number", "kind", "layer"), LAYERS)
def test_claims_and_trial_agree(number, kind, layer, dtype):
    """The trial finds a document's layer wrong exactly if a claim about its program fails; corrected, it conforms."""
    module = reference.MODULES[number]
    slips = {claim.layer for claim in module.CLAIMS if claim.tried}
    asked = InProcess(resolve(f"{module.__name__}:{kind}").layer(layer))
    wrong = kind == "AS_WRITTEN" and layer in slips
    search = Search(asked, layer, dtype, sizes="small")  # no claim is about lengths
    search.strength.open = set()  # nor what is proven
    search.strength.judged = lambda *arguments: set()
    with mock.patch.object(search, "_plan_again"):
        search.run(100 if wrong else 25, 0, until_found=wrong)
    accepted = judge_refusals(asked, layer, dtype).accepted
    assert bool(search.found or accepted) == wrong
    assert search.judged


def test_reference_is_a_target_that_offers_each_layer_of_the_documents():
    offered = set().union(*(module.AS_WRITTEN for module in reference.MODULES.values()))
    assert set(reference.AS_WRITTEN) == offered
    layer = InProcess(resolve("reference").layer("group_norm"))
    trial = put_on_trial(Subject("reference", "group_norm", "float64"), layer, 100, 0).trial
    assert trial.verdict == "wrong"


def test_command_writes_the_claims_as_the_contract_has_them_and_a_page(tmp_path, monkeypatch, capsys):
    """The command runs in this process, which has traced most of the mathematics."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["backproof", "documents", "--out", "e", "--json", "e.json"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    has_all_claims(json.loads((tmp_path / "e.json").read_text())["claims"])
    is_self_contained_and_counts((tmp_path / "e" / "index.html").read_text(), capsys.readouterr().out)


def has_all_claims(claims):
    assert [claim["id"] for claim in claims] == [
        claim.id
        for number, document in reference.DOCUMENTS.items()
        for section in document.sections
        for claim in reference.CLAIMS
        if claim.document == number and claim.section == section
    ]
    keys = {"id", "document", "section", "layer", "statement", "verdict", "counterexample", "correction"}
    for claim in claims:
        assert keys <= set(claim)
        assert claim["verdict"] in ("holds", "fails", "not_checkable")
        assert (
            (claim["verdict"] == "fails") == (claim["counterexample"] is not None) == (claim["correction"] is not None)
        )
        assert re.fullmatch(r"\d{3}_[0-9a-f]{16}\.txt", claim["document"])


def is_self_contained_and_counts(page, printed):
    assert not re.search(r"(src|href)=\"(?!#)", page)
    for claim in reference.CLAIMS:
        assert f'id="{claim.id}"' in page
    counts = [int(n) for n in re.findall(r"<td class=\"fails\">(\d+)</td>", page)]
    assert sum(counts) == len(WRONG)
    rows = [line.split() for line in printed.splitlines() if line.rstrip()[-1:].isdigit()]
    assert [int(row[-2]) for row in rows] == counts  # claims, hold, fail, not checkable


def test_documents_refuses_a_directory_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    command = [sys.executable, "-c", "from oracle.cli import main; main()", "documents", "--out", "file/e"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1 and "file/e" in result.stderr
