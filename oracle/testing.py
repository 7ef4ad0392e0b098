"""Put one function on trial in a test.

from backproof import assert_conforms

def test_my_conv2d():
    assert_conforms("conv2d", my_conv2d, dtype="float32")
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from oracle.cases import DTYPES, SIZES, Subject
from oracle.layers import LAYERS
from oracle.results import ASPECTS, aspects_named, failure
from oracle.targets.ask import InProcess
from oracle.trial.trial import put_on_trial


def assert_conforms(
    layer: str,
    function: Callable[..., Any],
    *,
    dtype: str = "float32",
    examples: int = 100,
    seed: int = 0,
    sizes: str = "tiles",
    require: Iterable[str] = ASPECTS,
) -> None:
    """Put ``function(*arrays, **configuration) -> (value, pullback)`` on trial as a layer, in this process.

    Raises AssertionError if it does not conform: the smallest configuration of each thing that is wrong, with its
    arrays, what was expected and what came, and a diagnosis if there is one, the mathematics first. ``require`` limits the
    aspects that count: mathematics, accuracy, edges, contract. Raises AssertionError also if a known slip would not have
    been seen, and if nothing was judged, because the function raised NotImplementedError in every case. Raises ValueError
    for a layer, a dtype or a word that does not exist.

    >>> import numpy as np
    >>> assert_conforms("relu", lambda x: (np.maximum(x, 0), lambda dy: (dy * (x > 0),)), examples=40)
    """
    if layer not in LAYERS:
        raise ValueError(f"there is no layer {layer!r}; there are {', '.join(LAYERS)}")
    if dtype not in DTYPES:
        raise ValueError(f"there is no dtype {dtype!r}; there are {', '.join(DTYPES)}")
    if sizes not in SIZES:
        raise ValueError(f"there is no kind of sizes {sizes!r}; there are {', '.join(SIZES)}")
    required = aspects_named(",".join(require))
    if examples < 1:
        raise ValueError(f"examples must be at least 1, got {examples}")
    subject = Subject(getattr(function, "__name__", "function"), layer, dtype)
    trial = put_on_trial(subject, InProcess(function), examples, seed, sizes=sizes).trial
    if trial.verdict == "not_implemented":
        raise AssertionError(f"{layer} in {dtype} raised NotImplementedError in every case: nothing was judged")
    why = failure(trial, required)
    if why is not None:
        raise AssertionError(f"{layer} in {dtype} is {trial.verdict}\n\n{why}")
