"""Every planted fault is found at the default number of examples, for five seeds; some are also named."""

import pytest
from oracle.trial.examine import Examination, examine_function

from oracle.judge.judge import judge_refusals
from oracle.layers import LAYERS
from oracle.run.run import Options
from tests.faults.planted import FAULTS, planted

SEEDS = (1, 2, 3, 4, 5)
DEFAULTS = Options()


def test_there_are_enough_and_every_family_has_one():
    assert len(FAULTS) >= 30
    assert {fault.layer for fault in FAULTS} >= {
        "conv2d", "conv_transpose2d", "max_pool2d", "avg_pool2d", "global_avg_pool", "adaptive_avg_pool", "batch_norm",
        "layer_norm", "group_norm", "instance_norm", "rms_norm", "affine", "linear", "relu", "softmax", "cross_entropy",
        "binary_cross_entropy", "mse_loss", "l2_penalty", "dropout", "add", "pad", "flatten",
    }  # fmt: skip
    assert {fault.layer for fault in FAULTS} <= set(LAYERS)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.layer}: {fault.what}")
def test_fault_is_found(fault, tmp_path):
    layer = getattr(planted(fault, tmp_path), fault.layer).vjp
    for seed in SEEDS:
        found = {}
        for dtype in DEFAULTS.dtypes:
            examination = Examination(layer, fault.layer, dtype)
            examination.draw(DEFAULTS.examples, seed, until_found=True)
            found |= examination.found
        assert found or judge_refusals(layer, fault.layer, "float32").findings, f"seed {seed}: not found"


@pytest.mark.parametrize("fault", [f for f in FAULTS if f.diagnosis], ids=lambda fault: f"{fault.layer}: {fault.what}")
def test_fault_is_named(fault, tmp_path):
    layer = getattr(planted(fault, tmp_path), fault.layer).vjp
    trial = examine_function("planted", layer, fault.layer, "float64", 60, 0).trial
    said = [d.diagnosis for d in trial.discrepancies if d.diagnosis]
    assert any(fault.diagnosis in sentence for sentence in said), (said, [d.message for d in trial.discrepancies])
