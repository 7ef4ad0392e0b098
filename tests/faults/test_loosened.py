"""Each loosened argument check is found by the refusals, which are the first thing that a trial judges."""

import pytest

from oracle.judge import judge_refusals
from tests.faults import planted, sound
from tests.faults.loosened import LOOSENED


def test_there_are_enough():
    assert len(LOOSENED) >= 40
    assert len(set(map(str, LOOSENED))) == len(LOOSENED)


@pytest.mark.parametrize("check", LOOSENED, ids=str)
def test_loosened_check_is_found(check):
    """The check was replaced, the named refusal finds it, and the sound layer refuses the same calls."""
    *_, before = check.replaced()
    with planted(check) as faulty:
        accepted = judge_refusals(faulty.layer, check.layer, "float32").accepted
    assert faulty.calls, f"{check.place} was never called"
    assert check.refusal in [refusal.key for refusal, _ in accepted]
    *_, after = check.replaced()
    assert after is before
    assert not judge_refusals(sound(check.layer), check.layer, "float32").accepted
