"""Compiled layers: what is compiled is forgotten in time."""

import sys
from pathlib import Path

import numpy as np
import pytest

from impl import functional
from oracle.targets import compiled

MAPPINGS = Path("/proc/self/maps")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists the memory mappings of a process")
def test_programs_are_forgotten_before_the_memory_mappings_run_out(monkeypatch):
    layer = compiled.compiled(functional.relu.vjp)

    def mappings_after(sizes):
        for n in sizes:
            x = np.ones(n, np.float32)
            y, pullback = layer(x)
            assert y.tolist() == pullback(x)[0].tolist() == [1] * n
        return MAPPINGS.read_bytes().count(b"\n")

    monkeypatch.setattr(compiled, "MOST_PROGRAMS", 10)
    monkeypatch.setattr(compiled, "_programs", set())
    first = mappings_after([1])
    kept = mappings_after(range(2, 11)) - first
    assert kept > 50
    assert mappings_after(range(11, 41)) - first < 2 * kept
