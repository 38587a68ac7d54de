"""Closing: the changes of status that add no load.

Closing (cancel, complete, no-show) adds no load: the status stops blocking, and times, resource and units stay. It is
one compare-and-set on `version`, outside every transaction, and is never refused for an overlap: a reservation on a
double-booked resource can always be cancelled. The worker's closures of expired and ended reservations are in `expiry`.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import pymongo
from bson import ObjectId
from pymongo.errors import AutoReconnect, PyMongoError

from app.booking.intents import DEADLINE_SECONDS
from app.booking.outcomes import overloaded
from app.booking.permission import ATTENDANCE_STATUSES, check_begun, check_cancellation_notice
from app.deadline import LEAST_SECONDS, sending, within
from app.domain.instants import to_millis
from app.domain.lifecycle import Status, may_follow
from app.errors import OutcomeUnknown, Problem, not_found
from app.outages import is_unheard
from app.storage.bson_types import Row
from app.storage.catalogue import CatalogueStore
from app.storage.client import Store
from app.storage.clock import stamped
from app.storage.documents import Reservation, Service
from app.storage.reservation_transitions import ReservationTransitions
from app.storage.reservation_updates import HistoryLine
from app.storage.stored_reservations import known_status, lenient_reservation, start_of, status_of, unreadable
from app.storage.stored_rules import service_rules_of
from app.storage.values import count, identity

ATTEMPTS_MAX = 20
WRITE_SECONDS = 1.0
"""How long a plain write waits for a transaction that has locked the document."""
READ_BACK_SECONDS = 0.3
"""The end of a request's time, reserved for the read that finds out whether the write was applied."""


@dataclass(frozen=True, slots=True)
class Closure:
    """The status that ends a reservation, by whom and why; `admin` may cancel inside the cancellation notice."""

    to: Status
    by: str
    reason: str | None = None
    admin: bool = False


async def close(
    store: Store, identity: ObjectId, closure: Closure, reap_orphans: Callable[[], Awaitable[None]]
) -> Reservation:
    """Bring a reservation to a status that does not block: cancelled, completed, no-show.

    Repeating a closure is harmless. A reservation that another writer changes between the read and the write is read
    and judged again. A write that times out may be waiting for the transaction of a dead process, so `reap_orphans`
    runs before the next attempt. Whether an unanswered write was applied shows in the history, by the operation's id.

    Raises:
        Problem: `not-found`, `forbidden-transition`, `too-late`, `overloaded`, `unavailable`; `outcome-unknown` where a
            write was not answered and the time is over.
    """
    deadline = time.monotonic() + within(DEADLINE_SECONDS)
    attempts = _ClosingAttempts(store, identity, closure)
    try:
        for _ in range(ATTEMPTS_MAX):
            with pymongo.timeout(max(deadline - time.monotonic(), LEAST_SECONDS)):
                closed = await attempts.run(deadline - READ_BACK_SECONDS)
            if closed is not None:
                return closed
            if attempts.unheard:
                with suppress(TimeoutError):
                    left = deadline - READ_BACK_SECONDS - time.monotonic()
                    await asyncio.wait_for(reap_orphans(), max(left, LEAST_SECONDS))
            if time.monotonic() >= deadline:
                break
    except PyMongoError as error:
        if not attempts.unheard:
            raise
        raise OutcomeUnknown([str(identity)]) from error
    if attempts.unheard:
        raise OutcomeUnknown([str(identity)])
    raise overloaded("Too many others change this reservation; nothing was done.")


class _ClosingAttempts:
    """One closure over all its attempts, under one operation id.

    `unheard`: a write was not answered, so it may have been applied, or may still be.
    """

    def __init__(self, store: Store, identity: ObjectId, closure: Closure) -> None:
        self.store = store
        self.identity = identity
        self.closure = closure
        self.operation = ObjectId()
        self.unheard = False
        self.reservations = ReservationTransitions(store)

    async def run(self, write_until: float) -> Reservation | None:
        """Read, judge and write once; None if that has to be done again.

        Raises:
            Problem: `not-found`, `forbidden-transition`, `too-late`.
            pymongo.errors.PyMongoError: the database does not answer, or refuses.
        """
        row = await self.reservations.read_row(self.identity)
        if row is None:
            raise not_found("reservation", str(self.identity))
        history = row.get("history", [])
        if not isinstance(history, list):
            raise unreadable({"history": history})
        ours = any(isinstance(line, dict) and line.get("operation") == self.operation for line in history)
        if ours or row.get("status") == self.closure.to:
            return lenient_reservation(row)
        await _check_closure(self.store, row, self.closure)
        if not await self._write(row, write_until):
            return None
        row = await self.reservations.read_row(self.identity)
        return None if row is None else lenient_reservation(row)

    async def _write(self, row: Row, write_until: float) -> bool:
        """Update the version that was read; returns whether the server confirmed the update."""
        line: HistoryLine = {
            "at": self.store.clock.now(),
            "by": self.closure.by,
            "operation": self.operation,
            "from": str(row["status"]),
            "to": self.closure.to,
        }
        if self.closure.reason:
            line["reason"] = self.closure.reason
        sending()
        try:
            with pymongo.timeout(max(min(WRITE_SECONDS, write_until - time.monotonic()), LEAST_SECONDS)):
                return await self.reservations.close_row(self.identity, row["version"], line)
        except PyMongoError as error:
            if not (error.timeout or isinstance(error, AutoReconnect)):
                raise
            self.unheard = self.unheard or is_unheard(error)
            return False


async def _check_closure(store: Store, row: Row, closure: Closure) -> None:
    """Refuse what the lifecycle, the start or the cancellation notice forbids.

    A hold that has expired by this process's estimate of the database's clock is judged again by that clock itself.
    """
    if count(row.get("version")) is None:
        raise unreadable({"version": row.get("version")})
    now = store.clock.millis()
    status = status_of(row, now)
    if status == "expired" != known_status(row["status"]):
        status = status_of(row, to_millis(await stamped(store.database)))
    if not may_follow(status, closure.to):
        raise Problem("forbidden-transition", f"It is {status}; from there it cannot become {closure.to}.")
    if closure.to in ATTENDANCE_STATUSES:
        check_begun(start_of(row), closure.to, now)
    if closure.to == "cancelled" and status == "confirmed" and row.get("service") is not None and not closure.admin:
        named = identity(row["service"])
        service = None if named is None else await CatalogueStore(store).find_row(Service, named)
        if service is not None:
            check_cancellation_notice(start_of(row), service_rules_of(service), now)
