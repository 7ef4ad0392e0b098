"""Benchmarks are measured with ``--benchmark-enable``. Without it one of each kind is tried, so that none goes stale."""

import pytest


def pytest_collection_modifyitems(config, items):
    if not config.getoption("benchmark_disable"):
        return
    seen = set()
    for item in items:
        if item.path.parent.name == "benchmarks":
            kind = item.path, getattr(item, "originalname", item.name)
            if kind in seen:
                item.add_marker(
                    pytest.mark.skip(reason="not run: --benchmark-enable measures it; another one is tried")
                )
            seen.add(kind)
