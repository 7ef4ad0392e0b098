"""To which aspect a fault belongs: decided by the check and the case, and over all cases that show it."""

import numpy as np
import pytest

from oracle.cases import Case, Subject
from oracle.judge import Fault, aspect_of
from oracle.targets.ask import InProcess
from oracle.trial.trial import put_on_trial

ORDINARY = Case("linear", "float32", ((2, 3), (4, 3), None))


@pytest.mark.parametrize("check", ["value", "gradient", "subgradient", "shape"])
@pytest.mark.parametrize(
    ("case", "aspect"),
    [
        (ORDINARY, "mathematics"),
        (Case("linear", "float32", ((2, 3), (4, 3), None), memory="strided"), "mathematics"),
        (Case("linear", "float32", ((2, 3), (4, 3), None), values="ties"), "mathematics"),
        (Case("linear", "float32", ((2, 3), (1, 3), (1,))), "mathematics"),
        (Case("linear", "float32", ((1, 1), (4, 1), None)), "edges"),
        (Case("relu", "float32", ((),)), "edges"),
        (Case("linear", "float32", ((0, 3), (4, 3), None)), "edges"),
        (Case("linear", "float32", ((2, 3), (0, 3), None)), "edges"),
        *(
            (Case("relu", "float32", ((2, 3),), values=kind), "edges")
            for kind in ("nan", "infinite", "large", "tiny", "shifted")
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{value.shapes} {value.values} {value.memory}",
)
def test_numbers_belong_to_the_mathematics_or_to_the_edges(check, case, aspect):
    assert aspect_of(Fault("wrong", check, "y"), case) == aspect


@pytest.mark.parametrize(
    "check", ["dtype", "type", "arity", "mutation", "repeatability", "linearity", "aliasing", "refusal"]
)
def test_dealing_with_the_caller_belongs_to_the_contract(check):
    for case in (ORDINARY, Case("relu", "float32", ((0,),), values="nan")):
        assert aspect_of(Fault("wrong", check, "y"), case) == "contract"


def test_what_is_inexact_belongs_to_the_accuracy():
    for case in (ORDINARY, Case("relu", "float32", ((2,),), values="large")):
        assert aspect_of(Fault("inexact", "gradient", "dx"), case) == "accuracy"


@pytest.mark.parametrize(("verdict", "check"), [("error", "error"), ("crashed", "process"), ("timed_out", "process")])
def test_what_gives_no_numbers_belongs_where_its_case_lies(verdict, check):
    assert aspect_of(Fault(verdict, check, "y"), ORDINARY) == "mathematics"
    assert aspect_of(Fault(verdict, check, "y"), Case("relu", "float32", ((0,),))) == "edges"


def wrong_if(condition):
    def relu(x):
        factor = np.where(condition(x), 2, 1).astype(x.dtype)
        return np.maximum(x, 0), lambda dy: (dy * (x > 0) * factor,)

    return relu


@pytest.mark.parametrize(
    ("condition", "aspect"),
    [
        (lambda x: x == x, "mathematics"),  # it is shrunk to one element, and shows on ordinary arrays as well
        (lambda x: x.size == 1, "edges"),
        (lambda x: abs(x) > 1000, "edges"),
    ],
    ids=["always", "one element", "large numbers"],
)
def test_a_fault_belongs_to_the_first_aspect_in_which_it_shows(condition, aspect):
    trial = put_on_trial(Subject("mine", "relu", "float32"), InProcess(wrong_if(condition)), 60, 0).trial
    assert [(d.check, d.output, d.aspect) for d in trial.discrepancies] == [("gradient", "dx", aspect)]
    assert trial.aspects == dict.fromkeys(("mathematics", "accuracy", "edges", "contract"), "conforms") | {
        aspect: "wrong"
    }
    assert trial.judged == trial.examples
