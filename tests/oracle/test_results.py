"""What a run stores: it comes back from JSON as it was, and the figures of its rows add up."""

import json
import re

import jsonschema
import numpy as np
import pytest

from oracle.cases import Case, Memory, Subject, Values
from oracle.results import (
    Accuracy,
    Array,
    Discrepancy,
    Environment,
    InternalError,
    Results,
    ResultsError,
    Strength,
    Trial,
    Worst,
    aspects_named,
    failure,
    listed,
    load,
    schema,
    worst_verdict,
)

SUBJECT = Subject("mine.py", "conv2d", "bfloat16")


def discrepancy(**different):
    given = {
        "id": "0badcafe",
        "verdict": "wrong",
        "aspect": "mathematics",
        "check": "gradient",
        "output": "dx",
        "message": "dx[0] is 2; expected 1",
        "configuration": {"stride": (2, 1), "padding": ((1, 2), (0, 1)), "groups": 1},
        "memory": Memory.CHANNELS_LAST,
        "values": Values.INFINITE,
        "arrays": {
            "x": Array.of(np.array([[[[1.5, np.inf]]]])),
            "w": Array.of(np.ones((1, 1, 1, 2), np.float32)),
            "b": None,
            "dy": Array.of(np.array([[[[np.nan]]]])),
        },
        "expected": listed(np.array([[1.0, -np.inf]])),
        "got": listed(np.array([[np.nan, 2.0]])),
        "error_over_bound": float("inf"),
        "diagnosis": "dx is twice what it should be",
        "reproduce": "print('hello')\n",
    }
    return Discrepancy(**(given | different))


def results(*trials):
    environment = Environment(python="3", numpy="2", jax="0", platform="here", devices=["cpu:0 (cpu)"])
    return Results(backproof="0", started="2026-01-01T00:00:00+00:00", seconds=1.5, seed=7, options={"examples": 9},
                   environment=environment, trials=list(trials))  # fmt: skip


def through_json(tmp_path, *found):
    """Write a trial with discrepancies to results.json, and load it."""
    path = tmp_path / "results.json"
    path.write_text(results(Trial(**SUBJECT._asdict(), verdict="wrong", discrepancies=list(found))).to_json())
    return load(path)


# -- JSON -------------------------------------------------------------------------------------------------------------


def test_a_discrepancy_comes_back_with_its_memory_values_and_refusal(tmp_path):
    before = [
        discrepancy(),
        discrepancy(id="1", memory="contiguous", values="ties", check="subgradient"),
        discrepancy(id="2", verdict="error", check="refusal", output="y", refusal="w has 3 axes"),
    ]
    loaded = through_json(tmp_path, *before)
    after = loaded.trials[0].discrepancies
    assert [(d.memory, d.values, d.refusal) for d in after] == [
        (Memory.CHANNELS_LAST, Values.INFINITE, None),
        (Memory.CONTIGUOUS, Values.TIES, None),
        (Memory.CHANNELS_LAST, Values.INFINITE, "w has 3 axes"),
    ]
    assert all(isinstance(d.memory, Memory) and isinstance(d.values, Values) for d in after)
    assert [d.model_dump(mode="json") for d in after] == [d.model_dump(mode="json") for d in before]


def test_the_case_of_a_stored_discrepancy(tmp_path):
    """Tuples of a configuration are lists in JSON, and tuples again in the case."""
    (stored,) = through_json(tmp_path, discrepancy()).trials[0].discrepancies
    assert stored.configuration == {"stride": [2, 1], "padding": [[1, 2], [0, 1]], "groups": 1}
    configuration = {"stride": (2, 1), "padding": ((1, 2), (0, 1)), "groups": 1}
    shapes = ((1, 1, 1, 2), (1, 1, 1, 2), None)
    assert stored.case(SUBJECT) == Case("conv2d", "bfloat16", shapes, configuration, "infinite", "channels_last")
    assert isinstance(stored.case(SUBJECT).configuration["padding"][0], tuple)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "int64"])
def test_an_array_comes_back_to_the_last_bit(dtype):
    numbers = [1, -3, 0] if dtype == "int64" else [0.1, -np.inf, np.nan, -0.0, 6e-8, 1 / 3]
    x = np.array(numbers).astype(Array(dtype=dtype, shape=[0], data=[]).numpy().dtype).reshape(1, -1)
    back = Array.model_validate_json(Array.of(x).model_dump_json()).numpy()
    assert (back.dtype, back.shape, back.tobytes()) == (x.dtype, x.shape, x.tobytes())


@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3)])
def test_an_array_without_axes_or_elements_keeps_its_shape(shape):
    assert Array.model_validate_json(Array.of(np.zeros(shape)).model_dump_json()).numpy().shape == shape


def test_numbers_without_a_json_number_are_strings(tmp_path):
    through_json(tmp_path, discrepancy())

    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    stored = json.loads((tmp_path / "results.json").read_text(), parse_constant=refuse)["trials"][0]["discrepancies"][0]
    assert stored["error_over_bound"] == "Infinity"
    assert stored["arrays"]["x"]["data"] == [[[[1.5, "Infinity"]]]]
    assert (stored["expected"], stored["got"]) == ([[1.0, "-Infinity"]], [["NaN", 2.0]])


def test_results_follow_their_schema(tmp_path):
    jsonschema.Draft202012Validator.check_schema(schema())
    through_json(tmp_path, discrepancy())
    stored = json.loads((tmp_path / "results.json").read_text())
    jsonschema.validate(stored, schema())
    for wrong in ({"memory": "upside down"}, {"values": "odd"}, {"verdict": "fine"}, {"aspect": "style"}, {"more": 1}):
        spoiled = json.loads((tmp_path / "results.json").read_text())
        spoiled["trials"][0]["discrepancies"][0] |= wrong
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(spoiled, schema())


def test_another_schema_version_is_refused_with_both_versions(tmp_path):
    path = tmp_path / "results.json"
    path.write_text(json.dumps(json.loads(results().to_json()) | {"schema": 2}))
    with pytest.raises(ResultsError) as caught:
        load(path)
    line = str(caught.value)
    assert line.startswith(str(path)) and "\n" not in line
    assert re.findall(r"\d+", line.removeprefix(str(path))) == ["2", "3"]


def test_a_file_without_results_is_refused_with_the_place(tmp_path):
    path = tmp_path / "results.json"
    spoiled = json.loads(results(Trial(**SUBJECT._asdict(), verdict="conforms")).to_json())
    spoiled["trials"][0]["verdict"] = "fine"
    path.write_text(json.dumps(spoiled))
    with pytest.raises(ResultsError, match=r"trials\.0\.verdict") as caught:
        load(path)
    assert "\n" not in str(caught.value)


def test_everything_else_comes_back_too(tmp_path):
    """Compared as objects: there is no tuple and no NaN in it."""
    worst = Worst(output="y", error_over_bound=0.25)
    before = results(
        trial(examples=3, worst=worst), trial(verdict="wrong", discrepancies=[discrepancy(configuration={})])
    )
    (tmp_path / "results.json").write_text(before.to_json())
    assert load(tmp_path / "results.json") == before


def test_every_field_of_a_trial_follows_the_schema_and_comes_back(tmp_path):
    before = results(
        trial(
            verdict="unproven", judged=5, lacks=["padding given as pairs"], not_judged={"y": 3}, reproducible=False,
            strength=Strength(slips=3, excluded=2, open=["eps is left out"], equivalent=1),
            accuracy=Accuracy(output="y", grade=float("inf")), more=["wrong, value of y"], traceback="line 3",
            internal_error=InternalError(traceback="line 4", repeat="backproof run"),
        )
    )  # fmt: skip
    (tmp_path / "results.json").write_text(before.to_json())
    jsonschema.validate(json.loads(before.to_json()), schema())
    assert load(tmp_path / "results.json") == before


# -- figures ----------------------------------------------------------------------------------------------------------


def trial(target="mine.py", layer="relu", dtype="float32", verdict="conforms", **figures):
    return Trial(target=target, layer=layer, dtype=dtype, verdict=verdict, **figures)


def test_the_figures_of_a_row():
    found, known = discrepancy(), discrepancy(id="1", known=True)
    (row,) = results(
        trial(configurations=3, unsupported=1, worst=Worst(output="y", error_over_bound=0.25), discrepancies=[known]),
        trial(dtype="float64", verdict="wrong", configurations=4, unsupported=2, discrepancies=[found]),
        trial(dtype="float16", verdict="inexact", worst=Worst(output="dx", error_over_bound=1.5)),
    ).rows()
    assert (row.target, row.layer, row.verdict, row.tried) == ("mine.py", "relu", "wrong", True)
    assert (row.configurations, row.judged, row.worst) == (7, "judged 0; 3 not offered", 1.5)
    assert [f.dtypes for f in row.faults] == ["float32, float64"]
    assert row.faults[0].shown.id == "0badcafe"  # the one that counts
    assert not row.all_known


def test_a_row_in_which_everything_is_known():
    (row,) = results(trial(verdict="wrong", discrepancies=[discrepancy(known=True)])).rows()
    assert row.all_known
    (row,) = results(trial()).rows()
    assert not row.all_known and row.worst is None


@pytest.mark.parametrize(("examples", "tried"), [(0, False), (5, True)])
def test_a_layer_is_tried_if_the_target_was_asked(examples, tried):
    (row,) = results(trial(verdict="not_implemented", examples=examples)).rows()
    assert row.tried is tried


def test_rows_come_in_the_order_of_the_run():
    order = [("b", "tanh"), ("b", "relu"), ("a", "tanh")]
    trials = [trial(target, layer, dtype) for target, layer in order for dtype in ("float32", "float64")]
    rows = results(*trials).rows()
    assert [(row.target, row.layer, len(row.trials)) for row in rows] == [(*place, 2) for place in order]


def test_what_counts_leaves_out_what_is_known():
    mine = trial(verdict="wrong", discrepancies=[discrepancy(), discrepancy(id="1", known=True)])
    assert [(f.layer, f.shown.id) for f in results(mine).failing] == [("relu", "0badcafe")]


@pytest.mark.parametrize(
    ("verdicts", "worst"),
    [
        (["conforms", "inexact", "wrong", "error"], "wrong"),
        (["timed_out", "crashed", "inexact"], "crashed"),
        (["unproven", "conforms"], "unproven"),
        (["inexact", "unproven"], "inexact"),
        (["not_implemented", "conforms"], "conforms"),
        (["not_implemented"], "not_implemented"),
        ([], "not_implemented"),
    ],
)
def test_the_gravest_verdict(verdicts, worst):
    assert worst_verdict(verdicts) == worst


def test_float32_and_float64_of_one_fault_are_one_line():
    def of(dtype, *found):
        return trial(
            dtype=dtype, verdict="wrong", discrepancies=[discrepancy(id=dtype + d["output"], **d) for d in found]
        )

    dx, dw, y = {"output": "dx"}, {"output": "dw"}, {"output": "y", "check": "value"}
    inexact = {"output": "dx", "verdict": "inexact", "aspect": "accuracy"}
    run = results(of("float32", inexact, dx, y), of("float64", y, dw, dx))
    assert [(f.shown.aspect, f.shown.output, f.dtypes) for f in run.faults] == [
        ("mathematics", "dx", "float32, float64"),
        ("mathematics", "y", "float32, float64"),
        ("mathematics", "dw", "float64"),
        ("accuracy", "dx", "float32"),
    ]
    assert run.faults[1].title == "mine.py relu float32, float64, mathematics: value of y"


def test_bad_calls_are_told_apart_and_two_faults_of_one_kind_remain_two():
    refusals = [
        discrepancy(id=k, check="refusal", verdict="error", output="y", aspect="contract", refusal=k) for k in "ab"
    ]
    assert len(results(trial(verdict="error", discrepancies=refusals)).faults) == 2
    same = [discrepancy(id="1"), discrepancy(id="2")]
    run = results(
        trial(verdict="wrong", discrepancies=same), trial(dtype="float64", verdict="wrong", discrepancies=same)
    )
    assert [f.dtypes for f in run.faults] == 2 * ["float32, float64"]


def test_faults_come_mathematics_first_the_gravest_first_and_what_is_known_last():
    found = [
        discrepancy(id="1", known=True),
        discrepancy(id="2", aspect="contract", check="mutation"),
        discrepancy(id="3", aspect="edges", check="value"),
        discrepancy(id="4", verdict="error", check="error"),
        discrepancy(id="5", verdict="wrong", check="value"),
    ]
    assert [f.shown.id for f in results(trial(verdict="wrong", discrepancies=found)).faults] == [
        "5",
        "4",
        "3",
        "2",
        "1",
    ]


REFUSAL = {
    "verdict": "error",
    "check": "refusal",
    "output": "y",
    "aspect": "contract",
    "refusal": "a kernel larger than x",
}


def test_the_marks_of_a_trial_follow_from_what_was_found():
    marked = trial(verdict="error", discrepancies=[discrepancy(**REFUSAL)])
    assert marked.aspects == {
        "mathematics": "conforms",
        "accuracy": "conforms",
        "edges": "conforms",
        "contract": "error",
    }
    (row,) = results(marked).rows()
    assert row.standing == "mathematics right, accuracy right, edges right, contract: accepts what it must refuse"
    found = [discrepancy(), discrepancy(verdict="inexact", aspect="accuracy", check="value", output="y")]
    (row,) = results(trial(verdict="wrong", discrepancies=found)).rows()
    assert (
        row.standing == "mathematics: gradient of dx, accuracy: value of y"
    )  # of a wrong layer nothing is called right
    assert trial(verdict="not_implemented").aspects == {}


def test_open_slips_leave_the_mathematics_unproven():
    strength = Strength(slips=4, excluded=3, open=["eps is left out"], equivalent=2)
    assert (strength.share, strength.text) == (0.75, "3 of 4 slips excluded (2 equivalent)")
    marked = trial(verdict="error", discrepancies=[discrepancy(**REFUSAL)], strength=strength)
    assert (marked.aspects["mathematics"], marked.aspects["contract"]) == ("unproven", "error")
    run = results(marked).model_copy(update={"required": ["accuracy"]})
    assert not run.proven and run.conclusion == "not everything is proven"
    (reason,) = run.shortfalls
    assert reason.startswith("relu of mine.py in float32 is unproven") and reason.endswith("eps is left out")
    wrong = trial(verdict="wrong", discrepancies=[discrepancy()], strength=strength)
    assert not wrong.unproven  # it is wrong, which is more than unproven


def test_strength_and_grade_of_a_row_are_the_least_of_its_dtypes():
    strong, weak = Strength(slips=8, excluded=8), Strength(slips=4, excluded=3, open=["one"])
    (row,) = results(
        trial(
            strength=strong, accuracy=Accuracy(output="y", grade=0.5), judged=3, lacks=["dilation"], not_judged={"y": 2}
        ),
        trial(
            dtype="float64",
            verdict="unproven",
            strength=weak,
            accuracy=Accuracy(output="dx", grade=2.0),
            judged=4,
            lacks=["dilation", "ceil_mode"],
            not_judged={"y": 1},
        ),
    ).rows()
    assert (row.strength, row.accuracy) == (weak, 2.0)
    assert row.judged == "judged 7; offers no dilation, no ceil_mode; 3 elements of y have no finite bound"


@pytest.mark.parametrize(
    ("required", "proven", "conclusion"),
    [
        (["mathematics", "accuracy", "edges", "contract"], False, "1 discrepancy"),
        (["contract"], False, "1 discrepancy"),
        (["mathematics", "edges"], True, "everything conforms in what was required: mathematics, edges"),
    ],
)
def test_what_is_required_decides_what_is_proven(required, proven, conclusion):
    run = results(trial(verdict="error", discrepancies=[discrepancy(**REFUSAL)])).model_copy(
        update={"required": required}
    )
    assert (run.proven, run.conclusion) == (proven, conclusion)
    assert results(trial()).conclusion == "everything conforms"


def test_a_fault_that_is_only_a_line_counts_too():
    marks = {"mathematics": "wrong", "accuracy": "conforms", "edges": "conforms", "contract": "error"}
    mine = trial(verdict="wrong", discrepancies=[discrepancy(**REFUSAL)], more=["wrong, gradient of dx"], aspects=marks)
    assert mine.failing_aspects(["mathematics"]) == ["mathematics"] and mine.failing_aspects(["edges"]) == []
    assert not results(mine).model_copy(update={"required": ["mathematics"]}).proven
    assert failure(mine, ["mathematics"]) == "wrong, gradient of dx" and failure(mine, ["edges"]) is None
    known = mine.model_copy(update={"discrepancies": [discrepancy(**REFUSAL, known=True)]})
    assert known.failing_aspects() == [] and results(known).proven


def test_an_error_of_our_own_proves_nothing():
    failed = trial(
        verdict="unproven", internal_error=InternalError(traceback="ZeroDivisionError", repeat="backproof run")
    )
    run = results(failed)
    assert set(failed.aspects.values()) == {"unproven"} and run.rows()[0].tried
    assert not run.proven and run.internal_errors == [failed] and run.shortfalls == []


def test_what_was_not_tried():
    run = results(trial(examples=3), trial(dtype="float64", examples=3), trial(layer="tanh", verdict="not_implemented"))
    said = {entry.what: entry.which for entry in run.not_tried}
    assert said["dtypes"] == ["float16", "bfloat16"] and len(said["sizes"]) == 2 and len(said["devices"]) == 1
    assert "tanh" in said["layers"] and "relu" not in said["layers"]
    run.options["sizes"] = "large"
    run.environment.ran_on["mine.py"] = "cuda:0"
    assert [entry.what for entry in run.not_tried] == ["dtypes", "layers"]


@pytest.mark.parametrize(
    ("text", "aspects"), [("edges, mathematics", ("mathematics", "edges")), ("contract,", ("contract",))]
)
def test_aspects_are_read_in_their_own_order(text, aspects):
    assert aspects_named(text) == aspects


@pytest.mark.parametrize("text", ["", ",", "style", "mathematics,Edges"])
def test_what_is_not_an_aspect_is_refused(text):
    with pytest.raises(ValueError, match="mathematics, accuracy, edges, contract"):
        aspects_named(text)


# -- text -------------------------------------------------------------------------------------------------------------


def test_a_discrepancy_as_a_person_reads_it():
    text = discrepancy().text
    for fact in ("wrong", "gradient of dx", "dx[0] is 2; expected 1", "stride=(2, 1)", "channels_last", "twice", "inf"):
        assert fact.lower() in text.lower(), fact
    lines = [line.strip() for line in text.splitlines()]
    for name, numbers in (("x", "1.5"), ("w", "[[[[1  1]]]]"), ("dy", "NaN")):
        assert numbers in lines[lines.index(f"{name} =") + 1]
    assert "b =" not in lines  # not given


def test_the_traceback_of_the_target_is_shown():
    text = discrepancy(traceback='File "mine.py", line 3, in relu\nKeyError: 1').text
    assert "traceback" in text and '    File "mine.py", line 3, in relu\n    KeyError: 1' in text


def test_a_refusal_as_a_person_reads_it():
    text = discrepancy(check="refusal", output="y", memory="contiguous", refusal="bad", diagnosis=None).text
    assert "x: shape (1, 1, 1, 2)" in text
    assert "1.5" not in text and "memory" not in text and "diagnosis" not in text
