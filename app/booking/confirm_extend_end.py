"""Verbs on a stored reservation that judge no rule: confirm, extend, end."""

from dataclasses import dataclass

from app.booking.existing import ExistingIntent
from app.booking.intents import View
from app.booking.outcomes import Accepted
from app.booking.permission import check_begun, check_cancellation_notice, is_request
from app.domain.instants import SECOND, Millis, from_millis, to_millis
from app.domain.lifecycle import Status, is_final, may_follow
from app.errors import Problem, invalid
from app.storage.documents import Reservation
from app.storage.occupancy import occupancy

HOLD_LIMIT: Millis = 86_400 * SECOND
"""How long after it was made a hold can last."""


def hold_expired() -> Problem:
    """The hold's time is over, whether or not somebody else has taken its place."""
    return Problem("hold-expired", "The hold has expired; book again.")


@dataclass(slots=True, kw_only=True)
class Confirm(ExistingIntent):
    """Make a live hold, or a request, firm. No rule is judged again: the time was held all along.

    Where the service needs approval, who is no `admin` makes a request of a hold, and leaves a request as it is.

    It goes through the guard because of its clock: whoever takes an expired hold's place does so at the same one.
    As a member of a group (`spares_final`) what has ended stays as it is; but time is never lost unnoticed, so an
    expired hold is refused there as well.
    """

    reason: str | None = None
    admin: bool = False
    spares_final: bool = False

    def judge(self, view: View) -> Accepted[Reservation]:
        """The confirmed reservation, or the request; one that is confirmed already stays as it is.

        Raises:
            Problem: `not-found`, `hold-expired`, `forbidden-transition`, `forbidden`.
            Elsewhere: the reservation lies on a resource whose guard is not held.
        """
        stored = self.require_stored(view)
        now = view.now(stored.resource)
        status = self.status_now(stored, now)
        if status == "expired":
            raise hold_expired()
        if status == "confirmed" or (self.spares_final and is_final(status)):
            return self.accept_unchanged(stored)
        if status != "pending":
            raise Problem("forbidden-transition", f"It is {status}; from there it cannot become confirmed.")
        if is_request(stored) and not self.admin:
            raise Problem("forbidden", "It is a request: confirming it needs the scope reservations:admin.")
        service_rules = view.service_rules(stored.service) if stored.service else None
        asks = service_rules is not None and service_rules.requires_approval and not self.admin
        after = stored.model_copy(update={"status": "pending" if asks else "confirmed", "expires_at": None})
        view.calendar(stored.resource).add(occupancy(after))
        return self.accept_change(stored, after, now, taken=[], reason=self.reason)


@dataclass(slots=True, kw_only=True)
class Extend(ExistingIntent):
    """Hold on to a live hold for at least so many seconds from now: it never becomes shorter."""

    seconds: int

    def judge(self, view: View) -> Accepted[Reservation]:
        """The hold with its new end, or as it is if that is later.

        Raises:
            Problem: `not-found`, `hold-expired`, `forbidden-transition`, `invalid`.
            Elsewhere: the reservation lies on a resource whose guard is not held.
        """
        stored = self.require_stored(view)
        now = view.now(stored.resource)
        status = self.status_now(stored, now)
        if status == "expired":
            raise hold_expired()
        if status != "pending" or stored.expires_at is None:
            raise Problem("forbidden-transition", f"It is {status} and not a hold; only a hold can be extended.")
        until = now + self.seconds * SECOND
        if until > to_millis(stored.created_at) + HOLD_LIMIT:
            raise invalid("/expiresInSeconds", "A hold ends at most 86,400 seconds after it was made.")
        if until <= to_millis(stored.expires_at):
            return self.accept_unchanged(stored)
        after = stored.model_copy(update={"expires_at": from_millis(until)})
        return self.accept_change(stored, after, now, taken=[])


@dataclass(slots=True, kw_only=True)
class Close(ExistingIntent):
    """Bring it to a status that does not block, together with others; what has ended stays as it is.

    Alone it needs no guard: see `plain`.
    """

    without_resource = True

    to: Status
    reason: str | None = None
    admin: bool = False

    def judge(self, view: View) -> Accepted[Reservation]:
        """The ended reservation.

        Raises:
            Problem: `not-found`, `forbidden-transition`, `too-late`.
            Elsewhere: the reservation lies on a resource whose guard is not held.
        """
        stored = self.require_stored(view)
        now = view.now(stored.resource)
        status = self.status_now(stored, now)
        if is_final(status):
            return self.accept_unchanged(stored)
        if not may_follow(status, self.to):
            raise Problem("forbidden-transition", f"It is {status}; from there it cannot become {self.to}.")
        check_begun(to_millis(stored.start_time), self.to, now)
        if self.to == "cancelled" and status == "confirmed" and not self.admin:
            service_rules = view.service_rules(stored.service) if stored.service else None
            check_cancellation_notice(to_millis(stored.start_time), service_rules, now)
        view.calendar(stored.resource).remove(stored.id)
        after = stored.model_copy(update={"status": self.to})
        return self.accept_change(stored, after, now, taken=[], reason=self.reason)
