"""Events as they are stored, also those that another program has damaged.

What cannot be read of a damaged event is taken from its key, which names the subject, the version and the operation, or
is filled in. So nobody who reads the log stands still before it, and what can be read is lost to nobody.
"""

from datetime import datetime

from bson import ObjectId
from pydantic import ValidationError

from app.domain.instants import EPOCH, from_millis
from app.storage.bson_types import BsonDocument, Row
from app.storage.documents import Event, OutboxEvent
from app.storage.outbox import EVENT_TYPES, OPERATION_OF_ERASURE, OPERATION_OF_FINDING, EventType
from app.storage.values import count, identity, instant, object_id, shown_text

_UNKNOWN_ACTOR = "unknown"
_TYPES: dict[str, EventType] = {OPERATION_OF_FINDING: "finding.changed", OPERATION_OF_ERASURE: "customer.erased"}
"""The types of events by the operation in their key; else an event is one of a reservation."""


def read_event(row: Row) -> tuple[Event, str | None]:
    """An event of the log, and what is wrong with it as it is stored, None where nothing is."""
    fault = fault_of(row, Event)
    if fault is None:
        return Event.model_validate(row), None
    state = row.get("state")
    fields = _mended(row, row.get("key")) | {"_id": row["_id"], "key": shown_text(row.get("key"))}
    return Event.model_validate(fields | ({"state": state} if isinstance(state, dict) else {})), fault


def fault_of(row: Row, kind: type[Event | OutboxEvent]) -> str | None:
    """Why a row is no event as Reserva stores them; None if it is one."""
    try:
        event = kind.model_validate(row)
    except ValidationError as error:
        fault = error.errors()[0]
        return f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
    return None if event.type in EVENT_TYPES else "type: there is none of this name"


def whole_event(row: BsonDocument) -> BsonDocument | None:
    """An event of the outbox from what can be read of it; None where that does not say what it is about."""
    if fault_of(row, OutboxEvent) is None:
        return row
    key = row["_id"]
    if not isinstance(key, str) or ("subject" not in row and not _parts(key)[0]):
        return None
    return _mended(row, key) | {"_id": key}


def _mended(row: Row, key: object) -> BsonDocument:
    """The fields that both kinds of events have, from what can be read of them.

    Args:
        row: The event as it is stored.
        key: Its id in the outbox.
    """
    subject, version, operation = _parts(key)
    kind, changed = row.get("type"), row.get("changed")
    resource, former = (_text(row.get(name)) for name in ("resource", "formerResource"))
    fields: BsonDocument = {
        "type": kind if kind in EVENT_TYPES else _TYPES.get(operation, "reservation.changed"),
        "version": count(row.get("version"), 0) or count(version, 0) or 0,
        "resource": resource,
        "formerResource": former,
        "at": _time(row.get("at"), operation),
        "by": _text(row.get("by")) or _UNKNOWN_ACTOR,
        "changed": [shown_text(each) for each in changed] if isinstance(changed, list) else None,
    }
    present = {name: value for name, value in fields.items() if value is not None}
    return present | {"subject": row.get("subject", subject)}  # whose id may be null


def _parts(key: object) -> tuple[object, int | None, str]:
    """The subject, the version and the operation in a key, as far as it has them."""
    subject, version, operation = key.rsplit(":", 2) if isinstance(key, str) and key.count(":") > 1 else ("", "", "")
    number = int(version) if version.isascii() and version.isdigit() else None
    return object_id(subject) or subject, number, operation


def placed_at(row: Row) -> datetime:
    """When a stored event got its place, of which at least the times and the key were read; else when it happened.

    An event may have waited long for its place: whoever follows has seen it no earlier.
    """
    placed = instant(row.get("placedAt"))
    return _time(row.get("at"), _parts(row.get("key"))[2]) if placed is None else from_millis(placed)


def _time(value: object, operation: str) -> datetime:
    """When it happened; by the operation of a change, whose id was made a moment before."""
    known = instant(value)
    if known is not None:
        return from_millis(known)
    return ObjectId(operation).generation_time if ObjectId.is_valid(operation) else EPOCH


def _text(value: object) -> str | None:
    return None if value is None else identity(value) or shown_text(value)
