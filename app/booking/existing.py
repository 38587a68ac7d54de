"""The base of the intents that change one stored reservation: reading it, its status now, the guarded update."""

from dataclasses import dataclass, field
from datetime import datetime

from bson import ObjectId
from typing_extensions import override

from app.booking.intents import Intent, Lane, T_co, Target, View, guard_lanes
from app.booking.outcomes import Accepted, Update
from app.booking.permission import is_request
from app.domain.ids import ResourceId, ServiceId
from app.domain.instants import Millis, from_millis, to_millis
from app.domain.lifecycle import Status, status_at
from app.errors import Problem, invalid_field, not_found
from app.storage.bson_types import BsonDocument
from app.storage.documents import Reservation
from app.storage.outbox import event_of_change
from app.storage.reservation_steps import proof_of_change
from app.storage.reservation_updates import (
    DERIVED_FIELDS,
    HistoryLine,
    is_same_json,
    lookup_fields,
    reservation_update,
    updated,
)
from app.storage.reservations import RESERVATIONS
from app.storage.span import Span
from app.storage.stored_reservations import strict_reservation


def check_version(seen: int | None, version: int | None) -> None:
    """Refuse to change another version than the caller has seen; `seen` None: any version.

    Raises:
        Problem: `stale`.
    """
    if seen not in (None, version):
        raise Problem("stale", f"It is at version {version} now; read it again and repeat the change.")


class ReservationMoved(Exception):  # noqa: N818  # the caller submits a new intent with the right guard
    """The reservation lies on a resource whose guard the intent did not name."""


@dataclass(slots=True, kw_only=True)
class OneReservation(Intent[T_co]):
    """An intent that changes the reservation `reservation`, last seen with `service`."""

    reservation: ObjectId
    service: ServiceId | None = None

    @override
    def services(self) -> frozenset[ServiceId]:
        """The service, so that a reservation that got another one meanwhile is judged again."""
        return frozenset((self.service,)) if self.service else frozenset()

    @override
    def spans(self, view: View) -> list[Span]:
        """Needs no occupants."""
        del view
        return []

    @override
    def targets(self) -> frozenset[Target]:
        """The stored reservation."""
        return frozenset(((RESERVATIONS, self.reservation),))

    @override
    def reservations(self) -> list[ObjectId]:
        """The reservation."""
        return [self.reservation]


@dataclass(slots=True, kw_only=True)
class ExistingIntent(OneReservation[Reservation]):
    """An intent that changes a reservation under the guard of the `resource` on which it was last seen."""

    resource: ResourceId
    row: BsonDocument = field(default_factory=dict, init=False, repr=False)
    """The stored document, once it was read."""

    @override
    def lanes(self) -> frozenset[Lane]:
        """The guard of the resource."""
        return guard_lanes(self.resource)

    def stored(self, view: View) -> Reservation | None:
        """The reservation in this transaction; None if there is none.

        Raises:
            Problem: `invalid` where another program stored it so that it cannot be read.
        """
        row = view.target(RESERVATIONS, self.reservation)
        if row is None:
            return None
        self.row = row
        return strict_reservation(row)

    def require_stored(self, view: View) -> Reservation:
        """The reservation, which lies on a resource whose guard the intent named.

        Raises:
            Problem: `not-found`; `invalid` where there is no such resource; `unavailable` where its guard is missing.
            ReservationMoved: it was moved since the intent was made.
        """
        stored = self.stored(view)
        if stored is None:
            raise not_found("reservation", str(self.reservation))
        if Lane(stored.resource) not in self.guards() or stored.service not in {None, *self.services()}:
            raise ReservationMoved
        if view.resource_rules(stored.resource) is None:
            detail = (
                f"Its resource {stored.resource!r} does not exist; add one with that id, or cancel the reservation."
            )
            raise invalid_field("resource", detail)
        return stored

    def require_current(self, view: View) -> tuple[Reservation, Millis, Status]:
        """The reservation as `require_stored` has it, the database's clock, and the effective status.

        Raises:
            Problem: as `require_stored` says.
            ReservationMoved: it was moved since the intent was made.
        """
        stored = self.require_stored(view)
        now = view.now(stored.resource)
        expires_at = None if stored.expires_at is None else to_millis(stored.expires_at)
        return stored, now, status_at(stored.status, expires_at, now)

    def accept_unchanged(self, stored: Reservation) -> Accepted[Reservation]:
        """Accept an intent whose reservation is already as the caller wants it: nothing is written."""
        return Accepted(stored, proof=(RESERVATIONS, {"_id": stored.id}))

    def accept_change(
        self, stored: Reservation, after: Reservation, now: Millis, *, taken: list[Span], reason: str | None = None
    ) -> Accepted[Reservation]:
        """Accept a change: a guarded update with its line of history, or nothing if no field differs.

        Args:
            stored: The reservation as it is.
            after: The reservation as it becomes.
            now: The database's clock, in milliseconds.
            taken: The spans that the change occupies anew.
            reason: The caller's reason, for the history.
        """
        before, row_after = stored.to_mongo(), after.to_mongo()
        changed = {name: value for name, value in row_after.items() if not is_same_json(before.get(name), value)}
        unset = before.keys() - row_after.keys()
        if not changed and not unset:
            return self.accept_unchanged(stored)
        at = from_millis(now)
        names = changed.keys() | unset
        named = names - DERIVED_FIELDS or names & {"timezone"}  # which callers can also change by itself
        line = self._history_line(stored, after, sorted(named), at)
        if taken:
            changed |= {**lookup_fields(self.row, row_after)}
        if reason:
            line["reason"] = reason
        change = reservation_update(line, stamp=at, fields=changed, unset=unset)
        value = updated(row_after, line, at, version=stored.version + 1)
        becomes_request = is_request(after) and not is_request(stored)
        event = event_of_change(self.row, line, resource=after.resource, becomes_request=becomes_request)
        return Accepted(
            value,
            proof=(RESERVATIONS, proof_of_change(stored.id, self.operation)),
            updates=[Update(RESERVATIONS, {"_id": stored.id, "version": stored.version}, change, event)],
            blocks=[value] if taken else [],
            taken=taken,
        )

    def _history_line(self, stored: Reservation, after: Reservation, changed: list[str], at: datetime) -> HistoryLine:
        if after.status == stored.status:
            return {"at": at, "by": self.by, "operation": self.operation, "changed": changed}
        return {"at": at, "by": self.by, "operation": self.operation, "from": stored.status, "to": after.status}
