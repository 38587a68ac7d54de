"""Reopening a reservation that was completed, or marked as a no-show, by mistake."""

from dataclasses import dataclass

from typing_extensions import override

from app.booking.existing import ExistingIntent
from app.booking.intents import View, rules_for
from app.booking.outcomes import Accepted, Refused
from app.booking.permission import ATTENDANCE_STATUSES
from app.domain.instants import to_millis
from app.domain.rules import RULES, BookingRequest, judge
from app.errors import Problem, invalid_field
from app.storage.documents import Reservation
from app.storage.occupancy import occupancy
from app.storage.row_reader import is_long
from app.storage.span import Span

ALL_BUT_CAPACITY = frozenset(RULES) - {"capacity"}


@dataclass(slots=True, kw_only=True)
class Reopen(ExistingIntent):
    """Make a completed reservation, or a no-show, confirmed again.

    It has left its time free meanwhile, so the capacity is judged as for a booking. The other rules are not: it was
    allowed once, and most of them look ahead.
    """

    reason: str

    @override
    def spans(self, view: View) -> list[Span]:
        """The block, which it takes anew."""
        stored = self.stored(view)
        if stored is None:
            return []
        return [Span(stored.resource, to_millis(stored.block_start), to_millis(stored.block_end))]

    @override
    def judge(self, view: View) -> Accepted[Reservation]:
        """The confirmed reservation; one that is confirmed already stays as it is.

        Raises:
            Problem: `not-found`, `forbidden-transition`, `invalid`.
            Refused: with the verdict, where the time is taken.
            ReservationMoved: the reservation lies on a resource whose guard the intent did not name.
        """
        stored, now, status = self.require_current(view)
        if status == "confirmed":
            return self.accept_unchanged(stored)
        if status not in ATTENDANCE_STATUSES:
            raise Problem("forbidden-transition", f"It is {status}; only what was completed or a no-show is reopened.")
        if self.row.get("items"):
            raise invalid_field("items", "It has items, which say where it is; change it in the system that wrote it.")
        resource_rules, _ = rules_for(view, stored.resource, None)
        calendar = view.calendar(stored.resource)
        block = to_millis(stored.block_start), to_millis(stored.block_end)
        start, end = to_millis(stored.start_time), to_millis(stored.end_time)
        request = BookingRequest(start, end, stored.guests, ALL_BUT_CAPACITY, ignore=stored.id)
        verdict = judge(request, resource_rules, None, calendar, block=block)
        if not verdict.bookable:
            raise Refused(verdict)
        update = {"status": "confirmed", "units": verdict.units, "long": is_long(*block) or None}
        after = stored.model_copy(update=update)
        calendar.add(occupancy(after))
        return self.accept_change(stored, after, now, taken=[Span(stored.resource, *block)], reason=self.reason)
