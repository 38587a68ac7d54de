"""The outbox: the events of changes, each written in the transaction of its change.

A relay takes them from here, in the order of their ids, and gives each its place in the log of events. The id is made
of the subject, the version that the change has made and the operation. So the events of one subject are taken in the
order of its versions, no two events have the same id, and who writes an event again can tell that it is there.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, TypeAlias, get_args

from app.domain.lifecycle import is_final
from app.storage.bson_types import BsonDocument, Row
from app.storage.bulk_inserts import insert_new
from app.storage.client import Store
from app.storage.documents import OutboxEvent, Reservation
from app.storage.reservation_updates import HistoryLine
from app.storage.steps import Step, insert
from app.storage.stored_reservations import known_status
from app.storage.transactions import Session
from app.storage.values import count, identity, label, shown_text

WAITING_READ_MAX = 10_000
"""Waiting events that are counted; more of them are as late."""

OUTBOX: str = OutboxEvent.Settings.name

EventType: TypeAlias = Literal[
    "reservation.created",
    "reservation.held",
    "reservation.requested",
    "reservation.confirmed",
    "reservation.changed",
    "reservation.moved",
    "reservation.cancelled",
    "reservation.expired",
    "reservation.completed",
    "reservation.no-show",
    "reservation.reopened",
    "finding.opened",
    "finding.changed",
    "finding.resolved",
    "customer.erased",
]

EVENT_TYPES: tuple[EventType, ...] = get_args(EventType)

OPERATION_OF_FINDING, OPERATION_OF_ERASURE = "finding", "erased"
"""What stands in the ids of their events where those of reservations have the id of the operation."""

_MOVES = frozenset({"startTime", "endTime", "resource"})


def insert_events(events: Sequence[BsonDocument]) -> Step:
    """Insert events, all with one statement."""
    return insert("outbox.insert", OUTBOX, events)


def event_key(subject: object, version: int, operation: object) -> str:
    """The id of an event in the outbox: as texts, these are in the order of the versions of a subject."""
    return f"{label(subject)}:{version:010d}:{operation}"


def event_of_new(reservation: Reservation) -> BsonDocument:
    """The event of a new reservation."""
    first = reservation.history[0]
    kind: EventType = "reservation.created"
    if reservation.status == "pending":
        kind = "reservation.requested" if reservation.expires_at is None else "reservation.held"
    return {
        "_id": event_key(reservation.id, reservation.version, first.operation),
        "type": kind,
        "subject": reservation.id,
        "version": reservation.version,
        "resource": reservation.resource,
        "at": first.at,
        "by": first.by,
    }


def event_of_change(
    row: Row, line: HistoryLine, *, resource: str | None = None, becomes_request: bool = False
) -> BsonDocument:
    """The event of a change of a stored reservation, which makes the next version of it.

    Args:
        row: The reservation before the change: its id, and its version and resource as they are stored.
        line: The line that the change adds to the history.
        resource: The resource after the change; None: the same.
        becomes_request: Whether a hold becomes a request, which the line does not tell from a longer hold.
    """
    version = (count(row.get("version")) or 0) + 1
    former = _text(row.get("resource"))
    event: BsonDocument = {
        "_id": event_key(row["_id"], version, line["operation"]),
        "type": "reservation.requested" if becomes_request else _type_of(line),
        "subject": row["_id"],
        "version": version,
        "at": line["at"],
        "by": line["by"],
    }
    if (now := resource or former) is not None:
        event["resource"] = now
    if former is not None and former != now:
        event["formerResource"] = former
    if "changed" in line:
        event["changed"] = line["changed"]
    return event


def _type_of(line: HistoryLine) -> EventType:
    """The type of the event of a change, by its line of history."""
    to = line.get("to")
    if "from" not in line and to is not None:  # the line of a booking
        return "reservation.held" if to == "pending" else "reservation.created"
    if to is None:
        changed = set(line.get("changed", ()))
        return "reservation.moved" if changed & _MOVES else "reservation.changed"
    if to == "confirmed":
        before = known_status(line.get("from"))
        return "reservation.reopened" if before is not None and is_final(before) else "reservation.confirmed"
    return _CLOSINGS[to]


_CLOSINGS: Mapping[str, EventType] = {
    "cancelled": "reservation.cancelled",
    "expired": "reservation.expired",
    "completed": "reservation.completed",
    "no-show": "reservation.no-show",
}


def _text(value: object) -> str | None:
    return None if value is None else identity(value) or shown_text(value)


async def add_events(store: Store, events: Sequence[BsonDocument], session: Session) -> None:
    """Leave events in the transaction of their changes; without one after them, except those that are left already.

    Raises:
        pymongo.errors.PyMongoError: the database failed.
    """
    if session is None:
        await insert_new(store, OUTBOX, events)
    elif events:
        await store.database[OUTBOX].insert_many(events, session=session)


async def is_outbox_empty(store: Store) -> bool:
    """Whether no event waits for its place.

    Raises:
        pymongo.errors.PyMongoError: the database does not answer.
    """
    return await store.database[OUTBOX].find_one({}, {"_id": 1}) is None


async def read_waiting(store: Store, most: int) -> list[datetime]:
    """When the first `most` events happened that wait for their place.

    Raises:
        pymongo.errors.PyMongoError: the database does not answer.
    """
    rows = store.lenient(OUTBOX).find({}, {"at": 1}, sort=[("_id", 1)], limit=most)
    return [row["at"] async for row in rows if isinstance(row.get("at"), datetime)]
