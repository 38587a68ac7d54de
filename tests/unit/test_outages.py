"""What counts as an outage of the database."""

import pytest
from pymongo.errors import AutoReconnect, BulkWriteError, OperationFailure, WriteConcernError, WriteError

from app.outages import is_breakdown, is_outage


@pytest.mark.parametrize(
    "error",
    [
        AutoReconnect("gone"),
        OperationFailure("Not enough disk space", 14031),
        OperationFailure("not primary", 10107),
        OperationFailure("shutting down", 91),
        OperationFailure("you are over your space quota", 8000),
        OperationFailure("28: No space left on device", 96),
        BulkWriteError({"writeErrors": [{"code": 14031, "index": 0, "errmsg": "disk"}]}),
        BulkWriteError({"writeErrors": [], "writeConcernError": {"code": 189}}),
        WriteConcernError("primary stepped down", 189),
        WriteError("out of disk space", 14031),
    ],
    ids=repr,
)
def test_an_outage(error: Exception) -> None:
    """Not reachable, not writable, or full: the caller may come again."""
    assert is_outage(error)


@pytest.mark.parametrize("error", [OperationFailure("bad query", 2), WriteError("duplicate", 11000), OSError("full")])
def test_none(error: Exception) -> None:
    """A query that the server does not take is a fault of ours."""
    assert not is_outage(error)
    assert not is_breakdown(error)
