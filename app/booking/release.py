"""Releases: the changes of status that give time back.

A release (cancel, complete, no-show, expire) adds no load: the status stops blocking, and times, resource and units
stay. So it changes no guard, and is never refused for an overlap: a reservation on a double-booked resource can always
be cancelled. It shares the committer's batches, because its event is written in the same transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bson import ObjectId
from typing_extensions import override

from app.booking.committer import Committer
from app.booking.existing import OneReservation, ReservationMoved
from app.booking.group import AllOrNothing
from app.booking.idempotency import Replay
from app.booking.intents import Lane, T_co, View
from app.booking.outcomes import Accepted, Update, overloaded
from app.booking.permission import ATTENDANCE_STATUSES, check_begun, check_cancellation_notice
from app.booking.submission import ExistingFields, submit_for_existing
from app.domain.ids import ResourceId, ServiceId
from app.domain.instants import Millis, from_millis, to_millis
from app.domain.lifecycle import Status, is_final, may_follow
from app.errors import Problem, not_found
from app.retries import retry
from app.storage.bson_types import BsonDocument, Filter, Row
from app.storage.client import Store
from app.storage.clock import stamped
from app.storage.documents import Reservation
from app.storage.outbox import event_of_change
from app.storage.reservation_steps import proof_of_change
from app.storage.reservation_transitions import ReservationTransitions
from app.storage.reservation_updates import HISTORY_LINES_MAX, HistoryLine, reservation_update
from app.storage.reservations import RESERVATIONS
from app.storage.stored_reservations import known_status, lenient_reservation, start_of, status_of, unreadable
from app.storage.values import count
from app.storage.values import identity as identity_of

ATTEMPTS_MAX = 5
"""How often a release is submitted while others give its reservation another service."""


async def close(
    store: Store,
    committer: Committer,
    identity: ObjectId,
    to: Status,
    *,
    by: str,
    reason: str | None = None,
    admin: bool = False,
) -> Reservation:
    """Bring a reservation to a status that does not block: cancelled, completed, no-show. Repeating it is harmless.

    A hold that has expired by this process's estimate of the database's clock is judged by that clock itself.

    Raises:
        Problem: `not-found`, `forbidden-transition`, `too-late`, `overloaded`, `outcome-unknown`, `unavailable`.
    """
    operation = ObjectId()

    async def submit() -> Reservation | Replay:
        row = await ReservationTransitions(store).read_row(identity)
        if row is None:
            raise not_found("reservation", str(identity))
        seems_expired = status_of(row, store.clock.millis()) == "expired" != known_status(row["status"])
        clock = to_millis(await stamped(store.database)) if seems_expired else None
        intent = Close(
            reservation=identity,
            operation=operation,
            service=_service_of(row),
            by=by,
            to=to,
            reason=reason,
            admin=admin,
            clock=clock,
        )
        return await committer.submit(intent)

    try:
        closed = await retry(submit, ATTEMPTS_MAX, on=ReservationMoved)
    except ReservationMoved:
        raise overloaded("Others change this reservation all the time; nothing was done.") from None
    if isinstance(closed, Replay):  # pragma: no cover  # only an intent with a token is replayed
        raise TypeError("an intent without a key was replayed")
    return closed


async def close_all(
    store: Store,
    committer: Committer,
    identities: Sequence[ObjectId],
    to: Status,
    *,
    by: str,
    reason: str | None = None,
    admin: bool = False,
) -> list[Reservation] | Replay:
    """Bring all of these to a status that does not block, or none; one that has ended stays as it is.

    Raises:
        MembersRefused: with all that cannot be closed.
        Problem: `not-found`, `overloaded`, `outcome-unknown`, `unavailable`.
    """

    def intent(all_fields: list[ExistingFields]) -> AllOrNothing:
        members = [
            Close(
                reservation=fields["reservation"],
                operation=fields["operation"],
                service=fields["service"],
                by=by,
                to=to,
                reason=reason,
                admin=admin,
                spares_final=True,
            )
            for fields in all_fields
        ]
        return AllOrNothing(by=by, members=members)

    return await submit_for_existing(store, committer, identities, intent)


@dataclass(slots=True, kw_only=True)
class Release(OneReservation[T_co]):
    """A change of one reservation that adds no load, and so needs no guard."""

    @override
    def lanes(self) -> frozenset[Lane]:
        """The reservation itself, so that the releases of one follow each other."""
        return frozenset((Lane(f"reservation:{self.reservation}"),))

    @override
    def guards(self) -> frozenset[Lane]:
        """None."""
        return frozenset()


@dataclass(slots=True, kw_only=True)
class Close(Release[Reservation]):
    """A release that somebody asks for; `admin` may cancel inside the cancellation notice.

    In a group (`spares_final`) a member that has ended stays as it is. `clock` is the database's clock, where that had
    to be asked; None: as this process knows it.
    """

    to: Status
    reason: str | None = None
    admin: bool = False
    spares_final: bool = False
    clock: Millis | None = None

    @override
    def judge(self, view: View) -> Accepted[Reservation]:
        """The closed reservation, or as it is if it has that status already.

        Raises:
            Problem: `not-found`, `forbidden-transition`, `too-late`; `invalid` where another program stored it so that
                it cannot be closed.
            ReservationMoved: it has another service by now.
        """
        row = view.target(RESERVATIONS, self.reservation)
        if row is None:
            raise not_found("reservation", str(self.reservation))
        if not isinstance(row.get("history", []), list):
            raise unreadable({"history": row["history"]})
        resource = ResourceId(identity_of(row.get("resource")) or "")
        now = view.now(resource) if self.clock is None else self.clock
        if row.get("status") == self.to or (self.spares_final and is_final(status_of(row, now))):
            return Accepted(lenient_reservation(row), proof=(RESERVATIONS, {"_id": self.reservation}))
        self._check(row, view, now)
        line: HistoryLine = {
            "at": from_millis(now),
            "by": self.by,
            "operation": self.operation,
            "from": str(row["status"]),
            "to": self.to,
        }
        if self.reason:
            line["reason"] = self.reason
        view.calendar(resource).remove(self.reservation)
        return accept_release(row, line)

    def _check(self, row: Row, view: View, now: Millis) -> None:
        """Refuse what the lifecycle, the start or the cancellation notice forbids."""
        if count(row.get("version")) is None:
            raise unreadable({"version": row.get("version")})
        status = status_of(row, now)
        if not may_follow(status, self.to):
            raise Problem("forbidden-transition", f"It is {status}; from there it cannot become {self.to}.")
        if self.to in ATTENDANCE_STATUSES:
            check_begun(start_of(row), self.to, now)
        if self.to != "cancelled" or status != "confirmed" or self.admin or (service := _service_of(row)) is None:
            return
        if service != self.service:
            raise ReservationMoved
        check_cancellation_notice(start_of(row), view.stored_service_rules(service), now)


def _service_of(row: Row) -> ServiceId | None:
    service = identity_of(row.get("service"))
    return None if service is None else ServiceId(service)


def accept_release(row: BsonDocument, line: HistoryLine, lapsed: Filter | None = None) -> Accepted[Reservation]:
    """Accept a release of a stored reservation, whose line has its new status; the database stamps it.

    Without transactions the update finds the reservation as it was read, and with an `expiresAt` that has `lapsed`.
    """
    version = count(row.get("version")) or 0
    after = row | {"status": line.get("to"), "version": version + 1}
    after["history"] = [*row.get("history", []), line][-HISTORY_LINES_MAX:]
    value = lenient_reservation(after)
    update = Update(
        RESERVATIONS,
        {"_id": row["_id"], "version": row.get("version"), "status": row.get("status")} | (lapsed or {}),
        reservation_update(line),
        event_of_change(row, line),
    )
    proof = (RESERVATIONS, proof_of_change(row["_id"], line["operation"]))
    return Accepted(value, proof=proof, updates=[update], stamped_late=[(row["_id"], value)])
