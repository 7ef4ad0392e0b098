"""The rows of the table of planted faults; they are run with ``--table FILE`` only."""

import pytest

from tests.faults.conftest import ROWS
from tests.faults.table import row, rows


@pytest.mark.framework("torch")
@pytest.mark.parametrize("fault", rows(), ids=str)
def test_row(fault, record_property):
    found = row(fault)
    record_property(ROWS, found)
    assert all(found["found"]), f"found for these seeds: {found['found']}"
    assert found["diagnosis"] != "wrong", found["said"]
