"""Hypothesis profiles: ``ci`` (derandomised, bounded; the default) and ``deep`` (for humans: --hypothesis-profile=deep)."""

import importlib.util
import os
import sys

if "--benchmark-enable" not in sys.argv:  # tests run side by side, benchmarks have the machine
    os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import jax
import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "ci", derandomize=True, max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None
)
settings.register_profile("deep", max_examples=2000, deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile("ci")


def pytest_xdist_auto_num_workers():
    """One more than there are cores: some tests wait for processes that are killed, or that never answer."""
    return 1 + (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


@pytest.fixture(scope="session")
def accelerator():
    """The first accelerator of JAX; where there is none, the test says that it was not run."""
    devices = [device for device in jax.devices() if device.platform != "cpu"]
    if not devices:
        pytest.skip("not run: jax.devices() has no accelerator")
    return devices[0]


def pytest_runtest_setup(item):
    """Skip what needs a framework that is not installed. ``pytest -m framework`` runs only such tests."""
    for marker in item.iter_markers("framework"):
        (name,) = marker.args
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"not run: {name} is not installed")
