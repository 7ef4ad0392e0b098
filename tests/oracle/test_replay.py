"""What was stored replays as the same fault, whatever its case was, and a mended target no longer shows it.

A stored case that forgets its memory layout or its kind of values is another case: each test says what it would show then.
"""

import numpy as np
import pytest

from oracle.cases import Memory, Subject, Values
from oracle.cases.case import refused_call
from oracle.explain.explained import explained_refusal
from oracle.explain.replay import found_again, run_again
from oracle.judge import Fault, Finding
from oracle.layers import LAYERS
from oracle.results import Discrepancy, Environment, Results, load
from oracle.targets.ask import InProcess
from oracle.targets.find import resolve
from oracle.targets.messages import Limits
from oracle.trial.trial import Task, lost, perform

WRONG = """
import numpy as np

from impl import functional as F


def flatten(x):  # in the order of the memory
    y = np.ravel(x, order="K").reshape(x.shape[0], -1) if x.size else F.flatten(x)
    return y, lambda dy: (dy.reshape(x.shape),)


def global_max_pool(x):  # every tie receives the whole of dy
    y, pullback = F.global_max_pool.vjp(x)
    return y, lambda dy: ((x == y.reshape(*y.shape, *[1] * (x.ndim - 2))) * dy.reshape(*dy.shape, *[1] * (x.ndim - 2)),)


def silu(x):  # wrong at inf if there is -inf too
    y, pullback = F.silu.vjp(x)
    both = (x == np.inf).any() and (x == -np.inf).any()
    return np.where(both & (x == np.inf), 0, y).astype(x.dtype), pullback


def linear(x, w, b=None):  # accepts everything
    try:
        return F.linear.vjp(x, w, b)
    except Exception:
        return np.zeros(3), lambda dy: ()
"""
MENDED = """
import numpy as np

from impl import functional as F
from impl.functional import flatten, global_max_pool, linear


def silu(x):  # at -inf it has the limit, where x / (1 + exp(-x)) is -inf / inf
    y, pullback = F.silu.vjp(x)
    return np.where(x == -np.inf, 0, y).astype(x.dtype), pullback
"""
LIMITS = Limits(timeout=20)


def stored(path, *trials):
    """Write trials to results.json and load them."""
    environment = Environment(python="3", numpy="2", jax="0", platform="here", devices=["cpu:0 (cpu)"])
    results = Results(backproof="0", started="2026-01-01T00:00:00+00:00", seconds=1, seed=0, options={"timeout": 20.0},
                      environment=environment, trials=list(trials))  # fmt: skip
    path.write_text(results.to_json())
    return load(path)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The trials of a target with a fault in each layer, as they are loaded from results.json, by layer."""
    where = tmp_path_factory.mktemp("replay")
    target = where / "mine.py"
    target.write_text(WRONG)
    trials = [
        perform(Task(Subject(str(target), layer, "float32"), 30, 0, LIMITS)).trial
        for layer in ("flatten", "global_max_pool", "silu", "linear")
    ]
    return {trial.layer: trial for trial in stored(where / "results.json", *trials).trials}


@pytest.fixture
def mended(run):
    """The target after it has been mended, under the same name."""
    path = run["flatten"].target
    with open(path, "w") as file:
        file.write(MENDED)
    yield
    with open(path, "w") as file:
        file.write(WRONG)


def fault_of(discrepancy):
    return Fault(discrepancy.verdict, discrepancy.check, discrepancy.output)


def without(trial, discrepancy, **forgotten):
    """Return what is found if a part of the case is forgotten."""
    layer = InProcess(resolve(trial.target).layer(trial.layer))
    return found_again(layer, trial, discrepancy.model_copy(update=forgotten))


def with_memory(run):
    return run["flatten"], next(d for d in run["flatten"].discrepancies if d.check == "value")


def with_ties(run):
    return run["global_max_pool"], next(d for d in run["global_max_pool"].discrepancies if d.check == "subgradient")


def with_infinities(run):
    return run["silu"], next(d for d in run["silu"].discrepancies if d.check == "value")


def with_refusal(run):
    return run["linear"], run["linear"].discrepancies[-1]


KINDS = [with_memory, with_ties, with_infinities, with_refusal]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_same_fault_is_found_again(kind, run):
    trial, discrepancy = kind(run)
    found = run_again(trial, discrepancy, LIMITS)
    assert (found.fault, found.message) == (fault_of(discrepancy), discrepancy.message)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_mended_target_no_longer_shows_it(kind, run, mended):
    assert run_again(*kind(run), LIMITS) is None


def test_the_memory_layout_is_part_of_the_case(run):
    trial, discrepancy = with_memory(run)
    assert discrepancy.memory is not Memory.CONTIGUOUS
    assert without(trial, discrepancy) is not None
    assert without(trial, discrepancy, memory=Memory.CONTIGUOUS) is None


def test_ties_are_part_of_the_case(run):
    trial, discrepancy = with_ties(run)
    assert discrepancy.values.may_tie
    assert without(trial, discrepancy).check == "subgradient"
    assert without(trial, discrepancy, values=Values.NORMAL).check == "gradient"


def test_infinities_are_part_of_the_case(run, mended):
    """The limit at -inf is right because the input holds infinities and no NaN, which the case says."""
    trial, discrepancy = with_infinities(run)
    assert discrepancy.values is Values.INFINITE
    x = discrepancy.arrays["x"].numpy()
    assert {np.inf, -np.inf} <= set(x.ravel().tolist())
    assert without(trial, discrepancy) is None
    assert without(trial, discrepancy, values=Values.NORMAL).fault == fault_of(discrepancy)


def test_each_refusal_is_found_again_by_its_key(run):
    """All have one fault, and a target that has learnt to refuse one bad call accepts the others as before."""
    trial = run["linear"]
    refusals = {refusal.key: refusal for refusal in LAYERS["linear"].refusals}
    assert len(trial.discrepancies) == min(len(refusals), 5) >= 2
    assert {fault_of(d) for d in trial.discrepancies} == {Fault("error", "refusal", "y")}
    assert (
        len({d.refusal for d in trial.discrepancies})
        == len({d.id for d in trial.discrepancies})
        == len(trial.discrepancies)
    )
    for learnt in trial.discrepancies:
        refused = [None if shape is None else tuple(shape) for shape in refusals[learnt.refusal].shapes]

        def layer(x, w, b=None, refused=refused):
            if [None if a is None else a.shape for a in (x, w, b)] == refused:
                raise ValueError("learnt")
            return x, lambda dy: ()

        again = {d.refusal: found_again(InProcess(layer), trial, d) for d in trial.discrepancies}
        assert again.pop(learnt.refusal) is None
        assert {key: found.message for key, found in again.items()} == {
            d.refusal: d.message for d in trial.discrepancies if d is not learnt
        }


def test_another_fault_of_the_case_is_returned_if_the_stored_one_is_gone(run):
    trial, discrepancy = with_ties(run)

    def raises(x):
        raise ValueError("no such luck")

    found = found_again(InProcess(raises), trial, discrepancy)
    assert found.fault == Fault("error", "error", "y") and "no such luck" in found.message


# -- what cannot be run again -----------------------------------------------------------------------------------------


CONTENTS = [
    (layer, r) for layer in ("cross_entropy", "dropout") for r in LAYERS[layer].refusals if r.content is not None
]


@pytest.mark.parametrize(("layer", "refusal"), CONTENTS, ids=[refusal.key for _, refusal in CONTENTS])
def test_what_an_array_must_not_hold_is_stored_and_written_into_the_script(layer, refusal, capsys):
    subject = Subject("impl", layer, "float32")
    finding = Finding("error", "refusal", "y", f"accepted what it must refuse: {refusal.why}")
    discrepancy = Discrepancy.model_validate_json(explained_refusal(subject, refusal, finding).model_dump_json())
    _, arrays = refused_call(LAYERS[layer], "float32", refusal)
    for stored, given in zip(discrepancy.arrays.values(), arrays, strict=True):
        if given is not None:
            assert stored.numpy().dtype.kind == given.dtype.kind
            assert np.array_equal(stored.numpy(), given)
    exec(compile(discrepancy.reproduce, "script", "exec"), {})
    assert capsys.readouterr().out.startswith("refused: ")


def test_a_refusal_that_the_layer_no_longer_has(run):
    trial, discrepancy = with_refusal(run)
    gone = discrepancy.model_copy(update={"refusal": "a call of long ago"})
    with pytest.raises(ValueError, match=r"linear .*a call of long ago"):
        run_again(trial, gone, LIMITS)


def test_a_discrepancy_without_arrays(run):
    trial = lost(Task(run["silu"].subject, 1, 0), "it died").trial
    with pytest.raises(ValueError, match=trial.discrepancies[0].id):
        run_again(trial, trial.discrepancies[0], LIMITS)


def test_a_layer_that_is_no_longer_offered(run):
    trial, discrepancy = with_memory(run)
    elsewhere = trial.model_copy(update={"target": "tests.oracle.hostile.targets:harmless"})
    with pytest.raises(ValueError, match=r"harmless .*flatten"):
        run_again(elsewhere, discrepancy, LIMITS)


# -- the command ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_command_says_what_is_found(kind, run, command, tmp_path):
    trial, discrepancy = kind(run)
    stored(tmp_path / "results.json", *run.values())
    result = command("replay", discrepancy.id, "--results", tmp_path / "results.json", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (1, "")
    again = result.stdout.splitlines()[-1]
    for fact in (*fault_of(discrepancy), discrepancy.message):
        assert fact in again
    assert trial.layer in result.stdout and discrepancy.text in result.stdout


def test_the_command_says_what_no_longer_occurs(run, mended, command, tmp_path):
    trial, discrepancy = with_memory(run)
    stored(tmp_path / "results.json", trial)
    result = command("replay", discrepancy.id, "--results", tmp_path / "results.json", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert "no longer" in result.stdout.splitlines()[-1]


def test_the_command_lists_the_ids_for_one_that_is_unknown(run, command, tmp_path):
    stored(tmp_path / "results.json", *run.values())
    result = command("replay", "00000000", "--results", tmp_path / "results.json", cwd=tmp_path)
    assert (result.returncode, result.stdout, len(result.stderr.splitlines())) == (2, "", 1)
    assert all(d.id in result.stderr for trial in run.values() for d in trial.discrepancies)
