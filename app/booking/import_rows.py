"""Rows of an import as intents: each is booked once, in however many runs, and changed when its file changes.

A row is identified by its resource and its id, or else its reference. Their hash stands in the field `importKey` of the
reservation that an import made, for good: moving, closing or changing the reservation keeps it. An intent that books a
row looks for the key under the guard of the resource, so that two concurrent runs cannot both miss it; on servers
without transactions the unique index on the field has that effect.
"""

from collections.abc import Hashable
from dataclasses import dataclass, replace
from datetime import datetime

from typing_extensions import override

from app.booking.book import Book
from app.booking.change import Change
from app.booking.existing import ExistingIntent, check_version
from app.booking.idempotency import key_hash
from app.booking.intents import Target, View
from app.booking.outcomes import Accepted
from app.booking.permission import check_begun
from app.domain.ids import ResourceId
from app.domain.instants import Millis, to_millis
from app.domain.lifecycle import BLOCKING, Status, is_final, may_become
from app.domain.rules import RULES
from app.errors import Problem
from app.storage.documents import Reservation
from app.storage.occupancy import occupancy
from app.storage.reservation_updates import HistoryLine
from app.storage.reservations import RESERVATIONS
from app.storage.span import Span
from app.storage.stored_reservations import strict_reservation

ACTOR_IMPORT = "import"
"""The name of the import in a history."""

IMPORT_KEY_TARGET = f"{RESERVATIONS}.importKey"
"""The place of a target that is found by its `importKey`."""


def import_key(resource: ResourceId, reference: str) -> str:
    """The `importKey` of a row's reservation that is known by its reference; no client's key has the same hash."""
    return key_hash(ACTOR_IMPORT, resource, reference)


def import_key_by_id(resource: ResourceId, identity: str) -> str:
    """The same of a row that is known by the id of a reservation in another database; no reference has the same."""
    return key_hash(f"{ACTOR_IMPORT} by id", resource, identity)


def lifted_rules_for_row(status: Status, end: Millis, now: Millis, lifted: frozenset[str]) -> frozenset[str]:
    """The rules that are not judged for a row.

    No rule is judged for a row that does not block. For one that has ended only the capacity is: the present hours and
    services need not be those of its time.
    """
    if status not in BLOCKING:
        return frozenset(RULES)
    return frozenset(RULES) - {"capacity"} if end <= now else lifted


@dataclass(slots=True, kw_only=True)
class BookRow(Book):
    """A row that had no reservation when it was looked up; the value can be one that another run has made since."""

    import_key: str
    status: Status

    @override
    def targets(self) -> frozenset[Target]:
        """The reservation that an import made of the row."""
        return frozenset(((IMPORT_KEY_TARGET, self.import_key),))

    @property
    @override
    def question(self) -> Hashable | None:
        """None: the outcome depends on the reservation of the row as well."""
        return None

    @override
    def judge(self, view: View) -> Accepted[Reservation]:
        """The reservation of the row, if there is one by now, else a new one.

        Raises:
            Problem: `invalid` for an unknown resource or service, or an end that nothing determines.
            Refused: with the verdict.
        """
        row = view.target(IMPORT_KEY_TARGET, self.import_key)
        if row is not None:
            known = strict_reservation(row)
            return Accepted(known, proof=(RESERVATIONS, {"_id": known.id}))
        accepted = Book.judge(self, view)
        accepted.value.import_key = self.import_key
        return accepted

    @override
    def lifted_rules_until(self, end: Millis, now: Millis) -> frozenset[str]:
        """See `lifted_rules_for_row`."""
        return lifted_rules_for_row(self.status, end, now, self.lifted_rules)


@dataclass(slots=True, kw_only=True)
class ChangeRow(Change):
    """A change of a row's reservation to the times, guests and `status` that the file has now."""

    status: Status

    @override
    def judge(self, view: View) -> Accepted[Reservation]:
        """The reservation as the row has it.

        Raises:
            Problem: `not-found`, `stale`, `forbidden-transition`, `invalid`.
            Refused: with the verdict, where the rules say no.
            ReservationMoved: the reservation lies on a resource whose guard the intent did not name.
        """
        stored, now, was = self.require_current(view)
        check_version(self.version, stored.version)
        if is_final(was):
            raise Problem("forbidden-transition", f"It is {was}, which is final.")
        if was != self.status and not may_become(was, self.status):
            raise Problem("forbidden-transition", f"It is {was}; from there it cannot become {self.status}.")
        after, resource_rules, service_rules = self._changed(stored, view)
        if was != self.status:
            check_begun(to_millis(after.start_time), self.status, now)
        after = after.model_copy(update={"status": self.status})
        calendar = view.calendar(stored.resource)
        if self.status not in BLOCKING:
            calendar.remove(stored.id)
            return self.accept_change(stored, after, now, taken=[])
        lifted = lifted_rules_for_row(self.status, to_millis(after.end_time), now, self.lifted_rules)
        replace(self, lifted_rules=lifted)._check_rules(stored, after, resource_rules, service_rules, view)  # noqa: SLF001  # a copy of itself
        calendar.remove(stored.id)
        view.calendar(after.resource).add(occupancy(after))
        taken = Span(after.resource, to_millis(after.block_start), to_millis(after.block_end))
        return self.accept_change(stored, after, now, taken=[taken])

    @override
    def _history_line(self, stored: Reservation, after: Reservation, changed: list[str], at: datetime) -> HistoryLine:
        line = ExistingIntent._history_line(self, stored, after, changed, at)  # noqa: SLF001  # slots leave no zero-argument super
        if changed:
            line["changed"] = changed
        return line
