"""Small results for the tests of the renderers, with names that a page must not take for its own."""

import numpy as np

from oracle.results import Accuracy, Array, Discrepancy, Environment, Results, Strength, Trial, Worst

HOSTILE = "<script>alert('a & b')</script>"


def discrepancy(**different):
    given = {
        "id": "0badcafe",
        "verdict": "wrong",
        "aspect": "mathematics",
        "check": "gradient",
        "output": "dx",
        "message": "dx[0] is <b>2</b>; expected 1",
        "configuration": {"stride": 2},
        "memory": "strided",
        "arrays": {"x": Array.of(np.array([[1, 0], [0, np.nan]], np.float32)), "b": None},
        "expected": [[1.0, 0.0], [0.0, 2.0]],
        "got": [[2.0, 0.0], [0.0, 2.0]],
        "error_over_bound": float("inf"),
        "diagnosis": "dx is twice what it should be",
        "reproduce": "print('hello')\n",
    }
    return Discrepancy(**(given | different))


def results(target="mine", **different):
    """A run of four trials: wrong, conforms, wrong as expected, not offered."""
    found = discrepancy(**different)
    known = discrepancy(id="5ca1ab1e", known=True)
    worst = Worst(output="y", error_over_bound=0.25)
    trials = [
        Trial(target=target, layer="conv2d", dtype="float32", verdict="wrong", examples=3, configurations=3, judged=2, unsupported=1, lacks=["dilation", "ceil_mode"], seconds=1, discrepancies=[found]),
        Trial(target=target, layer="relu", dtype="float32", verdict="conforms", examples=9, configurations=9, judged=9, seconds=2, worst=worst,
              strength=Strength(slips=64, excluded=64, equivalent=3), accuracy=Accuracy(output="y", grade=0.8)),
        Trial(target=target, layer="tanh", dtype="float32", verdict="wrong", examples=5, configurations=4, judged=5, seconds=3, discrepancies=[known]),
        Trial(target=target, layer="elu", dtype="float32", verdict="not_implemented"),
    ]  # fmt: skip
    environment = Environment(python="3", numpy="2", jax="0", platform="here", devices=["cpu:0 (cpu)"])
    return Results(backproof="0", started="2026-01-01T00:00:00", seconds=6.0, seed=7, options={"examples": 9, "dtypes": ["float32"]},
                   environment=environment, trials=trials)  # fmt: skip
