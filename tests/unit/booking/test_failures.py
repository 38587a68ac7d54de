"""What becomes of a batch whose transaction failed."""

from typing import Any

import pytest
from pymongo.errors import BulkWriteError

from app.booking.batch import WriteConflict
from app.booking.failures import transient_failure

KEY = "E11000 duplicate key error collection: reserva.reservations index: idempotencyKey_1 dup key"
ANSWER = "E11000 duplicate key error collection: reserva.answers index: _id_ dup key"
OTHER = "E11000 duplicate key error collection: reserva.reservations index: theirs dup key"


@pytest.mark.parametrize(
    ("refusal", "waits"),
    [
        ({"errmsg": KEY, "keyPattern": {"idempotencyKey": 1}}, True),
        ({"errmsg": ANSWER, "keyPattern": {"_id": 1}}, True),
        ({"errmsg": OTHER, "keyPattern": {"theirs": 1}}, False),
    ],
    ids=["key of a reservation", "key of a group", "an index of another program"],
)
def test_a_key_that_only_this_server_knows_is_waited_for(refusal: dict[str, Any], *, waits: bool) -> None:
    """An equal request that another process has committed, and a majority does not have yet, is no fault of anybody."""
    failure = transient_failure(BulkWriteError({"writeErrors": [refusal | {"code": 11_000, "index": 0}]}))

    assert isinstance(failure, WriteConflict) is waits
