"""Changes that cannot add load: the status stops blocking, and times, resource and units stay.

One compare-and-set on `version`, outside every transaction, never refused for an overlap: a reservation on a
double-booked resource can always be cancelled.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pymongo
from bson import ObjectId
from pymongo.errors import AutoReconnect, PyMongoError

from app.booking.drivers import MAJORITY
from app.booking.intents import overloaded
from app.booking.permission import check_begun, check_cancellation_notice
from app.booking.stamps import STAMP
from app.errors import Problem, not_found
from app.storage.client import Store
from app.storage.documents import Reservation
from app.storage.stored_rules import offer_of_row
from app.timeline.instants import Millis, to_millis
from app.timeline.lifecycle import Status, may_follow, status_at

TRIES = 20
WRITE_SECONDS = 1.0
"""A plain write waits for a transaction that holds the document."""


@dataclass(frozen=True, slots=True)
class Ending:
    """To which status, by whom and why; `admin` may cancel inside the cancellation notice."""

    to: Status
    by: str
    reason: str | None = None
    admin: bool = False


async def finish(
    store: Store, identity: ObjectId, ending: Ending, look_for_orphans: Callable[[], Awaitable[None]]
) -> Reservation:
    """Bring a reservation to a status that does not block: cancelled, completed, no-show.

    Repeating it is harmless. Who comes in between is looked at again; after `TRIES` it is `overloaded`. A write that
    takes too long may wait for a transaction whose process died, so `look_for_orphans` comes before the next try.

    Raises:
        Problem: `not-found`, `forbidden-transition`, `too-late`, `overloaded`, `unavailable`.
    """
    operation = ObjectId()
    collection = store.database.get_collection("reservations", write_concern=MAJORITY)
    for _ in range(TRIES):
        row = await collection.find_one({"_id": identity})
        if row is None:
            raise not_found("reservation", str(identity))
        now = store.clock.now()
        if row["status"] == ending.to or any(entry.get("operation") == operation for entry in row["history"]):
            return _read(row)
        await _check(store, row, ending, to_millis(now))
        entry = {"at": now, "by": ending.by, "operation": operation, "from": row["status"], "to": ending.to}
        if ending.reason:
            entry["reason"] = ending.reason
        change = {
            "$set": {"status": ending.to},
            "$currentDate": STAMP,
            "$inc": {"version": 1},
            "$push": {"history": {"$each": [entry], "$slice": -50}},
        }
        query = {"_id": identity, "version": row["version"]}
        try:
            with pymongo.timeout(WRITE_SECONDS):
                result = await collection.update_one(query, change)
        except PyMongoError as error:
            if not (error.timeout or isinstance(error, AutoReconnect)):
                raise
            await look_for_orphans()
            continue  # whether it came through shows in the history
        if result.matched_count:
            row = await collection.find_one({"_id": identity})
            if row is not None:
                return _read(row)
    raise overloaded("Too many others change this reservation; nothing was done.")


def _read(row: dict[str, Any]) -> Reservation:
    reservation: Reservation = Reservation.model_validate(row)
    return reservation


async def _check(store: Store, row: dict[str, Any], ending: Ending, now: Millis) -> None:
    expires = row.get("expiresAt")
    status = status_at(row["status"], None if expires is None else to_millis(expires), now)
    if not may_follow(status, ending.to):
        raise Problem("forbidden-transition", f"It is {status}; from there it cannot become {ending.to}.")
    start = to_millis(row["startTime"])
    check_begun(start, ending.to, now)
    if ending.to == "cancelled" and status == "confirmed" and "service" in row and not ending.admin:
        service = await store.database["services"].find_one({"_id": row["service"]})
        if service is not None:
            check_cancellation_notice(start, offer_of_row(service), now)
