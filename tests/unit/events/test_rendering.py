"""Whatever is stored of a subject, its event can be shown."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import Decimal128, Int64, ObjectId

from app.events.rendering import shown_event
from app.storage.documents import Event

AT = datetime(2030, 1, 7, 9, tzinfo=UTC)
ODD: list[Any] = [Int64(2**31), 2**60, True, 1.5, Decimal128("1.5"), ObjectId(), AT, b"x", [1], {"a": 1}, None]


@pytest.mark.parametrize("value", ODD, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("field", ["peak", "capacity", "version", "state", "resource"])
def test_a_finding_with_any_value(field: str, value: Any) -> None:
    """A number of BSON's own is a number, anything else that JSON lacks is text."""
    state = {"_id": ObjectId(), "resource": "room", "version": 1, field: value}
    event = Event(
        id=1,
        key="k",
        type="finding.opened",
        subject=state["_id"],
        version=1,
        resource="room",
        at=AT,
        by="w",
        state=state,
    )
    shown = json.loads(shown_event(event).json)

    assert shown["id"] == "0000000000000001"
    if isinstance(value, int):
        assert shown["finding"][field] == value


@pytest.mark.parametrize("value", ODD, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("field", ["units", "guests", "version", "status", "startTime", "history", "metadata", "notes"])
def test_a_reservation_with_any_value(field: str, value: Any) -> None:
    """Rows of other programs are placed as they are."""
    state = {"_id": ObjectId(), "resource": "room", "status": "confirmed", "startTime": AT, "endTime": AT, field: value}
    event = Event(
        id=1, key="k", type="reservation.changed", subject=state["_id"], version=1, at=AT, by="w", state=state
    )

    assert json.loads(shown_event(event).json)["reservation"]["id"] == str(state["_id"])
