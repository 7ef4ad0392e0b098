"""``pytest tests/faults --table FILE`` tries every planted fault in every way, and writes a table by family."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

ROWS = "row of the table"
ROWS_OF_TABLE = pytest.StashKey[list[dict[str, Any]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--table", metavar="FILE", help="write the table of the planted faults into FILE; nothing else is run"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[ROWS_OF_TABLE] = []
    if config.getoption("table", None) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Table(config))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run only the rows of the table, if it is asked for, and none otherwise."""
    asked = bool(config.getoption("table", None))
    chosen = [item for item in items if (item.path.name == "test_table.py") == asked]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(chosen)])
    items[:] = chosen


class _Table:
    """Collect the rows, which workers report as properties of their tests, and write the table at the end."""

    def __init__(self, config: pytest.Config) -> None:
        self.path, self.rows = Path(config.getoption("table", None)), config.stash[ROWS_OF_TABLE]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            self.rows += [value for name, value in report.user_properties if name == ROWS]

    def pytest_sessionfinish(self) -> None:
        from tests.faults.report import written

        self.path.write_text(written(self.rows), encoding="utf-8")
