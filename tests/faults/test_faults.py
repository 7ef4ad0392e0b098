"""Every planted fault is found at the default number of examples, for five seeds; some are also named."""

from pathlib import Path

import pytest

from oracle.cases import Subject
from oracle.judge import judge, judge_refusals
from oracle.layers import LAYERS
from oracle.run.run import Options
from oracle.trial.search import Search
from oracle.trial.trial import put_on_trial
from tests.faults import FAULTS, planted, sound

SEEDS = (1, 2, 3, 4, 5)
DEFAULTS = Options()


def first_found(layer, fault, seed):
    """The first case, of a default run with a seed, that a faulty layer gets wrong, or None."""
    for dtype in DEFAULTS.dtypes:
        search = Search(layer, fault.layer, dtype)
        search.run(DEFAULTS.examples, seed, until_found=True)
        for case, _ in search.found.values():
            return case
    return None


def test_every_file_of_faults_is_read():
    files = {path.stem for path in Path(__file__).parent.glob("*.py")}
    files -= {"__init__", "planted", "loosened", "test_faults", "test_loosened"}
    assert files == {fault.wrong.__module__.rpartition(".")[2] for fault in FAULTS}


def test_there_are_enough_and_every_family_has_one():
    assert len(FAULTS) >= 73
    assert len(set(map(str, FAULTS))) == len(FAULTS)
    assert {fault.layer for fault in FAULTS} >= {
        "conv2d", "conv_transpose2d", "max_pool2d", "avg_pool2d", "global_avg_pool", "adaptive_avg_pool", "batch_norm",
        "layer_norm", "group_norm", "instance_norm", "rms_norm", "affine", "linear", "relu", "softmax", "cross_entropy",
        "binary_cross_entropy", "mse_loss", "l2_penalty", "dropout", "add", "pad", "flatten",
    }  # fmt: skip
    assert {fault.layer for fault in FAULTS} <= set(LAYERS)


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_fault_is_found(fault):
    """It is the fault that is found: the wrong function was called, and without it the same cases are right."""
    *_, before = fault.replaced()
    with planted(fault) as faulty:
        accepted = judge_refusals(faulty.layer, fault.layer, DEFAULTS.dtypes[0]).accepted  # the same for every seed
        found = {} if accepted else {seed: first_found(faulty.layer, fault, seed) for seed in SEEDS}
        assert faulty.calls, f"{fault.place} was never called"
    assert None not in found.values(), f"not found: {found}"
    *_, after = fault.replaced()
    assert after is before
    right = sound(fault.layer)
    assert not judge_refusals(right, fault.layer, DEFAULTS.dtypes[0]).accepted
    assert not [finding for case in set(found.values()) for finding in judge(right, case).findings]


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.diagnosis], ids=str)
def test_fault_is_named(fault):
    with planted(fault) as faulty:
        trial = put_on_trial(Subject("planted", fault.layer, "float64"), faulty.layer, 60, 0).trial
    said = [d.diagnosis for d in trial.discrepancies if d.diagnosis]
    assert any(fault.diagnosis in sentence for sentence in said), (said, [d.message for d in trial.discrepancies])
