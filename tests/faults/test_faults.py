"""Every planted fault is found at the default number of examples, whatever the seed; some are also named."""

from pathlib import Path

import pytest

from oracle.cases import Subject
from oracle.judge import judge, judge_refusals
from oracle.layers import LAYERS
from oracle.trial.plan import planned_cases
from oracle.trial.search import Search
from oracle.trial.trial import put_on_trial
from tests.faults import FAULTS, planted, sound
from tests.faults.search import DEFAULTS, SEEDS, first_found

OTHER_FILES = ("__init__", "conftest", "planted", "loosened", "slips", "search", "checkers", "table", "report")
TILES = [fault for fault in FAULTS if fault.wrong.__module__.endswith(".tiles")]


def test_every_file_of_faults_is_read():
    files = {path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("test_")}
    assert files - set(OTHER_FILES) == {fault.wrong.__module__.rpartition(".")[2] for fault in FAULTS}


def test_there_are_enough_and_every_family_has_one():
    assert len(FAULTS) >= 73
    assert len(TILES) >= 12
    assert len(set(map(str, FAULTS))) == len(FAULTS)
    assert {fault.layer for fault in FAULTS} >= {
        "conv2d", "conv_transpose2d", "max_pool2d", "avg_pool2d", "global_avg_pool", "adaptive_avg_pool", "batch_norm",
        "layer_norm", "group_norm", "instance_norm", "rms_norm", "affine", "linear", "relu", "softmax", "cross_entropy",
        "binary_cross_entropy", "mse_loss", "l2_penalty", "dropout", "add", "pad", "flatten",
    }  # fmt: skip
    assert {fault.layer for fault in FAULTS} <= set(LAYERS)


class Recording:
    """A layer that remembers what it was asked."""

    def __init__(self, layer):
        self.layer, self.cases = layer, []

    def ask(self, question):
        self.cases.append(question.case)
        return self.layer.ask(question)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_run_judges_the_planned_cases_first_whatever_its_seed(seed):
    """So a fault that is found in them is found for every seed, and need not be tried with several."""
    recording = Recording(sound("relu"))
    planned = planned_cases("relu", "float32", DEFAULTS.sizes)
    Search(recording, "relu", "float32", DEFAULTS.sizes).run(DEFAULTS.examples, seed)
    assert recording.cases[: len(planned)] == planned
    assert len(recording.cases) > len(planned)


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_fault_is_found(fault):
    """It is the fault that is found: the wrong function was called, and without it the same case is right."""
    *_, before = fault.replaced()
    with planted(fault) as faulty:
        accepted = judge_refusals(faulty.layer, fault.layer, DEFAULTS.dtypes[0]).accepted  # the same for every seed
        found = None if accepted else first_found(faulty.layer, fault.layer)
        assert faulty.calls, f"{fault.place} was never called"
    assert accepted or found is not None, "not found"
    *_, after = fault.replaced()
    assert after is before
    right = sound(fault.layer)
    if accepted:
        assert not judge_refusals(right, fault.layer, DEFAULTS.dtypes[0]).accepted
    else:
        assert not judge(right, found.case).findings


@pytest.mark.parametrize("fault", TILES, ids=str)
def test_a_fault_at_a_tile_size_is_right_up_to_one_block(fault):
    with planted(fault) as faulty:
        for case in planned_cases(fault.layer, "float32", "small")[::3]:
            assert not judge(faulty.layer, case).findings


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.diagnosis][::3], ids=str)
def test_fault_is_named(fault):
    """A whole trial each, so only a third of them; the table of ``--table`` has the diagnoses of all."""
    with planted(fault) as faulty:
        trial = put_on_trial(Subject("planted", fault.layer, "float64"), faulty.layer, 60, 0).trial
    said = [d.diagnosis for d in trial.discrepancies if d.diagnosis]
    assert any(fault.diagnosis in sentence for sentence in said), (said, [d.message for d in trial.discrepancies])
