"""Systematic mutants of impl are found at default settings; each that survives is listed, with the reason."""

import ast
import itertools

import pytest

from tests.faults.mutants.load import mutated
from tests.faults.mutants.mutator import FILES, ROOT, mutants
from tests.faults.mutants.reach import applying
from tests.faults.mutants.survivors import DRAWN, SURVIVORS, reason
from tests.faults.mutants.trial import outcomes

FEW = 40
LEAST_KILLED = 0.99


def spread_over_files(found, count):
    """The first mutants of each file in turn."""
    by_file = [[mutant for mutant in found if mutant.file == file] for file in FILES]
    in_turn = [m for round_ in itertools.zip_longest(*by_file) for m in round_ if m is not None]
    return in_turn[:count]


def survivors(found):
    return {outcome.key for outcome in found if outcome.seen is None}


def test_every_file_of_rules_has_many_mutants_and_each_differs_from_the_rest():
    found = mutants()
    assert len({mutant.key for mutant in found}) == len(found) >= 4000
    assert all(sum(mutant.file == file for mutant in found) >= 50 for file in FILES)
    for mutant in spread_over_files(found, 120):
        changed = ast.parse(mutant.source())
        assert ast.dump(changed) != ast.dump(ast.parse((ROOT / mutant.file).read_text(encoding="utf-8")))


def test_a_mutant_is_in_the_layers_of_its_own_impl_only():
    from impl import functional

    mutant = next(m for m in mutants() if m.key == "functional/activation.py tanh: element: (y, (y,)) -> (y,)")
    with mutated(mutant) as changed:
        assert changed.tanh is not functional.tanh
    from impl import functional as afterwards

    assert afterwards is functional


def test_a_mutant_that_changes_no_number_survives():
    """It is the mutant that is found, not a mistake of whoever tries it."""
    key = "functional/shape.py _summed_to: branch: dy.sum(axis=stretched, keepdims=True) if stretched else dy"
    mutant = next(m for m in mutants() if m.key.startswith(key) and m.key.endswith("=True)"))
    assert reason(mutant.key).startswith("equivalent")
    (outcome,) = outcomes([mutant], processes=1)
    assert outcome.seen is None


def test_few_mutants_are_found():
    """Forty of those that ``pytest -m mutants`` tries, spread over the files."""
    tried = [mutant for mutant in applying()[:DRAWN] if mutant.key not in SURVIVORS]
    found = list(outcomes(spread_over_files(tried, FEW), processes=1))
    assert len(found) == FEW
    assert survivors(found) == set()


@pytest.mark.mutants
def test_the_drawn_mutants_are_found():
    found = list(outcomes(applying()[:DRAWN]))
    assert len(found) == DRAWN
    survived = survivors(found)
    equivalent = {key for key in survived if reason(key).startswith("equivalent")}
    assert survived <= set(SURVIVORS), "not listed"
    assert len(survived - equivalent) <= (1 - LEAST_KILLED) * (DRAWN - len(equivalent))
