"""Slips of precision: the answers are right, but no better than a narrower dtype allows."""

from __future__ import annotations

import numpy as np

from oracle.cases import numpy_dtype
from oracle.slips.backward import ACTIVATIONS, LOSSES, NORMS, OTHERS
from oracle.slips.slip import NOTHING, Answers, Circumstances, slip

NARROWER = {"float64": "float32", "float32": "float16"}


@slip("everything is computed in a narrower dtype than that of the arrays", *NORMS, *ACTIVATIONS, *LOSSES, *OTHERS)
def _narrower(at: Circumstances) -> Answers:
    narrower = NARROWER.get(at.case.dtype)
    if narrower is None:
        return NOTHING
    dtype = numpy_dtype(narrower)
    return {name: at.true(name).astype(dtype).astype(np.float64) for name in at.names}
