"""Changes of a stored reservation that judge no rule: confirm, extend."""

from dataclasses import dataclass, field
from datetime import datetime

from typing_extensions import override

from app.booking.existing import ExistingIntent
from app.booking.intents import View
from app.booking.outcomes import Accepted
from app.booking.patches import Patch, patched
from app.booking.permission import is_request
from app.domain.instants import SECOND, Duration, Millis, from_millis, to_millis
from app.domain.lifecycle import is_final
from app.errors import Problem, invalid_field
from app.storage.documents import Reservation
from app.storage.occupancy import occupancy
from app.storage.reservation_updates import HistoryLine, is_same_json

HOLD_LIMIT: Duration = 86_400 * SECOND
"""How long after its creation a hold can end, in milliseconds."""


def hold_expired() -> Problem:
    """The problem of a hold whose time is over, whether or not its time was booked by another since."""
    return Problem("hold-expired", "The hold has expired; book again.")


@dataclass(slots=True, kw_only=True)
class Confirm(ExistingIntent):
    """Confirm a live hold or a request. No rule is judged: the reservation has blocked its time all along.

    Where the service requires approval, a caller who is no `admin` makes a hold a request. The guard's clock decides
    whether a hold has expired, the same clock by which another booking takes its time. In a group (`spares_final`) a
    member that has ended stays as it is, but an expired hold is refused: its time may be lost.

    `details` (the customer, notes, metadata and reference) are set in the same step. A repetition finds them set.
    """

    reason: str | None = None
    admin: bool = False
    spares_final: bool = False
    details: Patch = field(default_factory=dict)

    @override
    def judge(self, view: View) -> Accepted[Reservation]:
        """The confirmed reservation, or the request; one that is confirmed already stays as it is.

        Raises:
            Problem: `not-found`, `hold-expired`, `forbidden-transition`, `forbidden`, `invalid`.
            ReservationMoved: the reservation lies on a resource whose guard the intent did not name.
        """
        stored, now, status = self.require_current(view)
        if status == "expired":
            raise hold_expired()
        detailed = patched(stored, self.details) if self.details else stored
        if status == "confirmed" and not is_same_json(detailed.to_mongo(), stored.to_mongo()):
            raise Problem("forbidden-transition", "It is confirmed already, with other details; change these by PATCH.")
        if status == "confirmed" or (self.spares_final and is_final(status)):
            return self.accept_unchanged(stored)
        if status != "pending":
            raise Problem("forbidden-transition", f"It is {status}; from there it cannot become confirmed.")
        if is_request(stored) and not self.admin:
            raise Problem("forbidden", "It is a request: confirming it needs the scope reservations:admin.")
        service_rules = view.service_rules(stored.service) if stored.service else None
        awaits_approval = service_rules is not None and service_rules.requires_approval and not self.admin
        after = detailed.model_copy(
            update={"status": "pending" if awaits_approval else "confirmed", "expires_at": None}
        )
        view.calendar(stored.resource).add(occupancy(after))
        return self.accept_change(stored, after, now, taken=[], reason=self.reason)

    @override
    def _history_line(self, stored: Reservation, after: Reservation, changed: list[str], at: datetime) -> HistoryLine:
        """The line with the names of the details; that a confirmed one has no `expiresAt` goes without saying."""
        line = ExistingIntent._history_line(self, stored, after, changed, at)  # noqa: SLF001  # slots leave no zero-argument super
        details = [name for name in changed if name in self.details]
        if details and "to" in line:
            line["changed"] = details
        return line


@dataclass(slots=True, kw_only=True)
class Extend(ExistingIntent):
    """Extend a live hold to at least `seconds` from now; a hold never becomes shorter."""

    seconds: int

    @override
    def judge(self, view: View) -> Accepted[Reservation]:
        """The hold with its new end, or as it is if that is later.

        Raises:
            Problem: `not-found`, `hold-expired`, `forbidden-transition`, `invalid`.
            ReservationMoved: the reservation lies on a resource whose guard the intent did not name.
        """
        stored, now, status = self.require_current(view)
        if status == "expired":
            raise hold_expired()
        if status != "pending" or stored.expires_at is None:
            raise Problem("forbidden-transition", f"It is {status} and not a hold; only a hold can be extended.")
        until = Millis(now + self.seconds * SECOND)
        if until > to_millis(stored.created_at) + HOLD_LIMIT:
            raise invalid_field("expiresInSeconds", "A hold ends at most 86,400 seconds after it was made.")
        if until <= to_millis(stored.expires_at):
            return self.accept_unchanged(stored)
        after = stored.model_copy(update={"expires_at": from_millis(until)})
        return self.accept_change(stored, after, now, taken=[])
