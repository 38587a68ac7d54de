"""Events that another program has damaged: whatever is in them, they are read, placed and shown."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import Binary, Code, DatetimeMS, Decimal128, Int64, ObjectId
from hypothesis import given
from hypothesis import strategies as some

from app.events.rendering import shown_event
from app.storage.documents import OutboxEvent
from app.storage.event_rows import fault_of, placed_at, read_event, whole_event
from app.storage.outbox import EVENT_TYPES, event_key

OPERATION = ObjectId.from_datetime(datetime(2035, 5, 1, tzinfo=UTC))
SUBJECT = ObjectId()
KEY = event_key(SUBJECT, 3, OPERATION)
AT = datetime(2035, 5, 2, 7, 30, tzinfo=UTC)
WHOLE: dict[str, Any] = {"type": "reservation.moved", "subject": SUBJECT, "version": 3, "resource": "room", "at": AT}
WHOLE |= {"formerResource": "hall", "by": "test", "changed": ["resource"]}
LOGGED: dict[str, Any] = WHOLE | {"_id": 42, "key": KEY, "state": {"_id": SUBJECT, "version": 3, "notes": "window"}}

plain = some.one_of(
    some.none(),
    some.booleans(),
    some.integers(-(2**63), 2**63 - 1),
    some.floats(),
    some.text(max_size=5),
    some.binary(max_size=5),
    some.datetimes(timezones=some.just(UTC)),
    some.sampled_from(
        [
            ObjectId(),
            Code("x"),
            Decimal128("sNaN"),
            DatetimeMS(2**62),
            Int64(7),
            Binary(b"\x00"),
            "2035-05-02T07:30:00Z",
        ]
    ),
)
values = some.recursive(
    plain, lambda inner: some.lists(inner, max_size=2) | some.dictionaries(some.text(max_size=5), inner, max_size=2)
)
STATE_FIELDS = (
    "version",
    "status",
    "startTime",
    "history",
    "metadata",
    "customer",
    "resource",
    "createdAt",
    "timezone",
)


@given(some.dictionaries(some.sampled_from([*LOGGED.keys() - {"_id"}]), values), some.data())
def test_whatever_is_in_a_damaged_event_it_is_shown(damage: dict[str, Any], data: some.DataObject) -> None:
    """An answer has the fields that it always has, of the types that they have."""
    state = data.draw(some.dictionaries(some.sampled_from(STATE_FIELDS), values))
    event, _ = read_event({**LOGGED, "state": LOGGED["state"] | state, **damage})
    shown = json.loads(shown_event(event).json)

    assert shown["id"] == "0000000000000042"
    assert shown["type"] in EVENT_TYPES
    assert {type(shown[name]) for name in ("type", "at", "by")} == {str}
    assert isinstance(shown["version"], int)
    assert shown.keys() & {"reservation", "finding", "customer"}
    assert type(placed_at({**LOGGED, **damage})) is datetime


@pytest.mark.parametrize("name", [*WHOLE])
def test_what_is_gone_is_taken_from_the_key(name: str) -> None:
    """Of a removed field the key tells the subject, the version and about when it was."""
    known: dict[str, Any] = {"subject": SUBJECT, "version": 3, "at": OPERATION.generation_time}
    known |= {"type": "reservation.changed", "by": "unknown"}
    event, fault = read_event({key: value for key, value in LOGGED.items() if key != name})
    optional = name in {"resource", "formerResource", "changed"}

    assert (fault is None) == optional
    assert event.model_dump(by_alias=True)[name] == known.get(name)


@pytest.mark.parametrize(
    ("key", "kind"), [("finding", "finding.changed"), ("erased", "customer.erased"), ("x", "reservation.changed")]
)
def test_the_type_is_one_of_the_subject(key: str, kind: str) -> None:
    """A type that is none becomes the most general one of what the event is about."""
    event, fault = read_event(LOGGED | {"type": "id.x\nevent: y", "key": event_key(SUBJECT, 3, key)})

    assert event.type == kind
    assert fault == "type: there is none of this name"


def test_what_is_whole_stays_as_it_is() -> None:
    """Nothing is changed of an event that Reserva has written."""
    row = WHOLE | {"_id": KEY}

    assert whole_event(row) is row
    assert read_event(LOGGED)[1] is None
    assert read_event(LOGGED)[0].to_mongo() == LOGGED


@given(some.dictionaries(some.sampled_from([*WHOLE]), values))
def test_a_damaged_event_of_the_outbox_is_made_whole(damage: dict[str, Any]) -> None:
    """It is placed under its key, as far as it can be read."""
    event = whole_event(WHOLE | damage | {"_id": KEY})

    assert event is not None
    assert event["_id"] == KEY
    assert fault_of(event, OutboxEvent) is None


@pytest.mark.parametrize("row", [{"_id": "rubbish", "at": "yesterday"}, {"_id": 7, "subject": 1}, {"_id": None}])
def test_what_is_about_nothing_is_no_event(row: dict[str, Any]) -> None:
    """Nothing tells what it is about, or in which order it is to be."""
    assert whole_event(row) is None
