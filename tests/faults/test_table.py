"""The rows of the table of planted faults; they are run with ``--table FILE`` only."""

import pytest

from tests.faults.conftest import ROWS
from tests.faults.table import row, rows


@pytest.mark.parametrize("fault", rows(), ids=str)
def test_row(fault, record_property):
    found = row(fault)
    record_property(ROWS, found)
    assert found["judged"] is not None, "not found"
    assert found["diagnosis"] != "wrong"
