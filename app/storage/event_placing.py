"""The transaction that gives events their places: the oldest of the outbox go to the end of the log.

The lease of the relay has the last place. Who places renews the lease first, which also locks it: of two relays the one
that lost the lease finds that its owner or epoch is another one, and of two transactions the second fails. So places
are given one after the other without a gap, and nothing gets two.

Without transactions the same steps are done one by one in an order in which a crash between any two of them is mended
by the next placing. Events that were inserted beyond the last place are not seen by readers; the next placing removes
their originals from the outbox, and moves the last place behind them.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

import structlog
from bson import encode
from bson.errors import InvalidDocument

from app.storage.bson_types import BsonDocument
from app.storage.documents import Event, Finding, Lease, OutboxEvent, Reservation
from app.storage.event_rows import fault_of, whole_event
from app.storage.leases import Grant, OwnershipLost, owned
from app.storage.outbox import OUTBOX
from app.storage.steps import ABORT, BEGIN, COMMIT, Step, Steps, by_ids, by_values, delete, find, insert, update
from app.storage.values import row_key

EVENTS: str = Event.Settings.name
_LEASES: str = Lease.Settings.name

STATE_BYTES_MAX = 2**18
"""A larger state, which only another program can have written, is left out: pages of events would be too large."""

STATES_BYTES_MAX = 2**25
"""The states of one placing together: they are one insert, which a server takes up to 48 million bytes."""

_HIDDEN = frozenset({"idempotencyKey", "idempotency", "importKey", "formerCustomers"})
_RESERVATION_FIELDS = sorted({field.alias or name for name, field in Reservation.model_fields.items()} - _HIDDEN)
_FINDING_FIELDS = sorted(
    {field.alias or name for name, field in Finding.model_fields.items()}
    - {"history", "reservations", "digest", "own", "acceptance", "toldAt", "alert"}
)
_SUBJECTS: dict[str, tuple[str, list[str]]] = {
    "reservation": (Reservation.Settings.name, _RESERVATION_FIELDS),
    "finding": (Finding.Settings.name, _FINDING_FIELDS),
}
"""Where the subjects of the types of events are, and the fields of their state. What other programs have added is left
out: an erasure would not know what to clear of it."""

log = structlog.get_logger(__name__)


class Placing(NamedTuple):
    """What a placing did: the last place, how many events it placed, and whether more may wait."""

    last: int
    placed: int
    more: bool


def place_events(
    grant: Grant, now: datetime, most: int, *, with_states: bool = True, with_repeated: bool = True
) -> Steps[Placing]:
    """Give the first events of the outbox their places, `most` of them, as the owner of the relay's lease.

    Args:
        grant: The right to place.
        now: When.
        most: How many events are placed at most.
        with_states: Whether to read the subjects of the events.
        with_repeated: Whether an event of the outbox may be in the log already. It is removed then.

    Raises:
        OwnershipLost: another process has the lease; nothing was placed.
        pymongo.errors.PyMongoError: the database failed, or another process wrote the lease. If that was at the commit,
            it is unknown whether the events were placed; the next placing reads the place anew.
    """
    yield BEGIN
    renewed = yield _change_lease(grant, {"$set": {"beatAt": now}, "$inc": {"proofs": 1}})
    if not renewed.matched_count:
        yield ABORT
        raise OwnershipLost(f"Another process has the lease {grant.name!r} by now.")
    [lease] = yield find("lease.read", _LEASES, {"_id": grant.name}, "place")
    place: int = lease.get("place") or 0
    ahead = yield from _ahead(lease, most)
    if ahead:
        bounds = {"place": ahead[-1]["_id"]} | ({} if "place" in lease else {"floor": ahead[0]["_id"] - 1})
        return (yield from _finish(grant, bounds, [event.get("key") for event in ahead], 0, more=True))
    rows: list[BsonDocument] = yield find("outbox.read", OUTBOX, {}, sort=[("_id", 1)], limit=most)
    if not rows:
        yield ABORT
        return Placing(place, 0, more=False)
    known = (yield from _read_known(rows)) if with_repeated else frozenset()
    placed = chronological(event for row in rows if row["_id"] not in known and (event := _readable(row)) is not None)
    states = (yield from _read_states(placed)) if with_states else {}
    left = STATES_BYTES_MAX
    events = []
    for number, row in enumerate(placed, 1):
        events.append(_event_at(place + number, row, states, left) | {"placedAt": now})
        left -= _size(events[-1].get("state", {})) or 0
    if events:
        yield insert("events.insert", EVENTS, events)
    keys = [row["_id"] for row in rows]
    bounds = {"place": place + len(events)}
    return (yield from _finish(grant, bounds, keys, len(events), more=len(rows) == most))


def _ahead(lease: BsonDocument, most: int) -> Steps[list[BsonDocument]]:
    """The events beyond the last place: of a placing without a transaction that was cut off, or of a former lease.

    None can be there without the next one. Of that one alone the server need not read the log, see `EventLog.read`.
    """
    where = {"_id": {"$gte": 1} if "place" not in lease else lease["place"] + 1}
    found = yield find("events.ahead", EVENTS, where, "key", sort=[("_id", 1)], limit=1)
    if not found:
        return []
    first = found[0]["_id"]
    ahead: list[BsonDocument] = yield find(
        "events.read", EVENTS, by_ids(range(first, first + most)), "key", sort=[("_id", 1)]
    )
    return ahead


def _read_known(rows: Sequence[BsonDocument]) -> Steps[frozenset[object]]:
    """The ids of those of these rows of the outbox that are in the log.

    Without transactions an event is there again if the process that made the change stood still before it left the
    event, which was taken for missing meanwhile. A dump that was made while processes ran can have an event twice.
    """
    where = by_values("subject", [row.get("subject") for row in rows]) | by_values("key", [row["_id"] for row in rows])
    found = yield find("events.known", EVENTS, where, "key")
    return frozenset(each["key"] for each in found)


def _finish(grant: Grant, bounds: dict[str, int], keys: Sequence[object], placed: int, *, more: bool) -> Steps[Placing]:
    """Remove from the outbox what is in the log, and only then move the last place: see above."""
    yield delete("outbox.delete", OUTBOX, by_ids(keys))
    moved = yield _change_lease(grant, {"$set": bounds})
    if not moved.matched_count:  # without a transaction; the new owner has found what was inserted
        raise OwnershipLost(f"Another process has the lease {grant.name!r} by now.")
    yield COMMIT
    return Placing(bounds["place"], placed, more)


def chronological(rows: Iterable[BsonDocument]) -> list[BsonDocument]:
    """Events that are in the order of their ids, by time, except that those of one subject stay in their order.

    An event counts as not before those before it of its subject, whatever the clocks of their writers said.
    """
    latest: dict[str, datetime] = {}
    timed: list[tuple[datetime, BsonDocument]] = []
    for row in rows:
        subject = row["_id"].rsplit(":", 2)[0]
        latest[subject] = at = max(latest.get(subject, row["at"]), row["at"])
        timed.append((at, row))
    timed.sort(key=lambda each: each[0])
    return [row for _, row in timed]


def _change_lease(grant: Grant, change: BsonDocument) -> Step:
    return update("lease.update", _LEASES, owned(grant), change)


def _readable(row: BsonDocument) -> BsonDocument | None:
    """An event of the outbox, also one that another program has damaged; what is none stands in nobody's way."""
    event = whole_event(row)
    if event is None:
        log.warning("what is no event was removed from the outbox", id=row["_id"], reason=fault_of(row, OutboxEvent))
    elif event != row:
        log.warning(
            "an event of the outbox was damaged by another program; it is placed as it can be read", id=row["_id"]
        )
    return event


def _read_states(events: Sequence[BsonDocument]) -> Steps[dict[object, BsonDocument]]:
    """The subjects of events as they are stored now, by their keys; one find a collection."""
    states: dict[object, BsonDocument] = {}
    for kind, (collection, fields) in _SUBJECTS.items():
        ids = {row_key(row["subject"]): row["subject"] for row in events if row["type"].startswith(f"{kind}.")}
        if ids:
            found = yield find(f"{collection}.read", collection, by_ids(ids.values()), *fields)
            states |= {row_key(row["_id"]): row for row in found}
    return states


def _event_at(place: int, row: BsonDocument, states: dict[object, BsonDocument], left: int) -> BsonDocument:
    event = {**row, "_id": place, "key": row["_id"]}
    state = states.get(row_key(row["subject"]))
    size = None if state is None else _size(state)
    if size is not None and size <= min(left, STATE_BYTES_MAX):
        event["state"] = state
    return event


def _size(state: BsonDocument) -> int | None:
    """The bytes of a state; None where it cannot be stored again."""
    try:
        return len(encode(state))
    except (InvalidDocument, OverflowError, RecursionError):
        return None
