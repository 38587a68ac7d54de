"""Changes that cannot add load: the status stops blocking, and times, resource and units stay.

One compare-and-set on `version`, outside every transaction, never refused for an overlap: a reservation on a
double-booked resource can always be cancelled.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pymongo
from bson import ObjectId
from pymongo.errors import AutoReconnect, PyMongoError

from app.booking.drivers import MAJORITY
from app.booking.intents import DEADLINE_SECONDS, overloaded
from app.booking.permission import ATTENDANCE_STATUSES, check_begun, check_cancellation_notice
from app.booking.transitions import status_update
from app.deadline import LEAST_SECONDS, sending, within
from app.domain.instants import Millis, to_millis
from app.domain.lifecycle import Status, may_follow, status_at
from app.errors import OutcomeUnknown, Problem, not_found
from app.outages import is_unheard
from app.storage.client import Store
from app.storage.clock import stamped
from app.storage.documents import Reservation
from app.storage.stored_reservations import as_it_is, known_status, unreadable
from app.storage.stored_rules import offer_of_row
from app.storage.values import count, identity, instant

TRIES = 20
WRITE_SECONDS = 1.0
"""A plain write waits for a transaction that holds the document."""
READ_SECONDS = 0.3
"""What is left of the time for a last look at what was done."""


@dataclass(frozen=True, slots=True)
class Closing:
    """To which status, by whom and why; `admin` may cancel inside the cancellation notice."""

    to: Status
    by: str
    reason: str | None = None
    admin: bool = False


async def close(
    store: Store, identity: ObjectId, ending: Closing, look_for_orphans: Callable[[], Awaitable[None]]
) -> Reservation:
    """Bring a reservation to a status that does not block: cancelled, completed, no-show.

    Repeating it is harmless. If somebody else changes the reservation in between, it is judged again. A write that
    takes too long may wait for a transaction whose process died, so `look_for_orphans` comes before the next try.
    Whether a write without an answer was done shows in the history, by the id of the operation.

    Raises:
        Problem: `not-found`, `forbidden-transition`, `too-late`, `overloaded`, `unavailable`; `outcome-unknown` where a
            write was not answered and the time is over.
    """
    until = time.monotonic() + within(DEADLINE_SECONDS)
    change = _Change(store, identity, ending)
    try:
        for _ in range(TRIES):
            with pymongo.timeout(max(until - time.monotonic(), LEAST_SECONDS)):
                done = await change.attempt(until - READ_SECONDS)
            if done is not None:
                return done
            if change.unheard:
                with suppress(TimeoutError):
                    left = until - READ_SECONDS - time.monotonic()
                    await asyncio.wait_for(look_for_orphans(), max(left, LEAST_SECONDS))
            if time.monotonic() >= until:
                break
    except PyMongoError as error:
        if not change.unheard:
            raise
        raise OutcomeUnknown([str(identity)]) from error
    if change.unheard:
        raise OutcomeUnknown([str(identity)])
    raise overloaded("Too many others change this reservation; nothing was done.")


class _Change:
    """One ending over all its tries. `unheard`: of a write nobody knows whether it was done, or may yet be."""

    def __init__(self, store: Store, identity: ObjectId, ending: Closing) -> None:
        self.store = store
        self.identity = identity
        self.ending = ending
        self.operation = ObjectId()
        self.unheard = False
        self.reservations = store.database.get_collection("reservations", write_concern=MAJORITY)

    async def attempt(self, until: float) -> Reservation | None:
        """Read, judge and write once; None if that has to be done again.

        Raises:
            Problem: `not-found`, `forbidden-transition`, `too-late`.
            pymongo.errors.PyMongoError: the database does not answer, or refuses.
        """
        row = await self.reservations.find_one({"_id": self.identity})
        if row is None:
            raise not_found("reservation", str(self.identity))
        history = row.get("history", [])
        if not isinstance(history, list):
            raise unreadable({"history": history})
        ours = any(isinstance(entry, dict) and entry.get("operation") == self.operation for entry in history)
        if ours or row.get("status") == self.ending.to:
            return as_it_is(row)
        await _check(self.store, row, self.ending)
        if not await self._write(row, until):
            return None
        row = await self.reservations.find_one({"_id": self.identity})
        return None if row is None else as_it_is(row)

    async def _write(self, row: dict[str, Any], until: float) -> bool:
        """Change what was read, unless somebody was there first; whether it surely was done."""
        ending, now = self.ending, self.store.clock.now()
        entry = {"at": now, "by": ending.by, "operation": self.operation, "from": row["status"], "to": ending.to}
        if ending.reason:
            entry["reason"] = ending.reason
        query = {"_id": self.identity, "version": row["version"]}
        sending()
        try:
            with pymongo.timeout(max(min(WRITE_SECONDS, until - time.monotonic()), LEAST_SECONDS)):
                result = await self.reservations.update_one(query, status_update(entry))
        except PyMongoError as error:
            if not (error.timeout or isinstance(error, AutoReconnect)):
                raise
            self.unheard = self.unheard or is_unheard(error)
            return False
        return bool(result.matched_count)


async def _check(store: Store, row: dict[str, Any], ending: Closing) -> None:
    if count(row.get("version")) is None:
        raise unreadable({"version": row.get("version")})
    now = store.clock.millis()
    status = _status(row, now)
    if (
        status == "expired" != known_status(row["status"])
    ):  # by our idea of the database's clock: a hold that it holds live is live
        status = _status(row, to_millis(await stamped(store.database)))
    if not may_follow(status, ending.to):
        raise Problem("forbidden-transition", f"It is {status}; from there it cannot become {ending.to}.")
    if ending.to in ATTENDANCE_STATUSES:
        check_begun(_start(row), ending.to, now)
    if ending.to == "cancelled" and status == "confirmed" and row.get("service") is not None and not ending.admin:
        service = await store.database["services"].find_one({"_id": identity(row["service"])})
        if service is not None:
            check_cancellation_notice(_start(row), offer_of_row(service), now)


def _start(row: dict[str, Any]) -> Millis:
    start = instant(row.get("startTime"))
    if start is None:
        raise unreadable({"startTime": row.get("startTime")})
    return start


def _status(row: dict[str, Any], now: Millis) -> Status:
    status = known_status(row.get("status"))
    if status is None:
        raise unreadable({"status": row.get("status")})
    return status_at(status, instant(row.get("expiresAt")), now)
