"""The permissions of a caller on a reservation, and until when they last: for single changes, groups and moves.

An intent knows of its caller's key whether it is an `admin` (has `reservations:admin`) and whether it is `bound` to a
customer.
"""

from app.domain.ids import ServiceId
from app.domain.instants import MINUTE, Millis, from_millis, render
from app.domain.lifecycle import Status
from app.domain.rules import ServiceRules
from app.errors import Problem, invalid_field
from app.storage.documents import Reservation

ATTENDANCE_STATUSES: frozenset[Status] = frozenset({"completed", "no-show"})
"""The statuses that a reservation can get only from its start on."""


def check_begun(start: Millis, to: Status, now: Millis) -> None:
    """Refuse to record the attendance of a reservation that has not begun.

    Raises:
        Problem: `forbidden-transition`.
    """
    if to in ATTENDANCE_STATUSES and now < start:
        begins = render(from_millis(start))
        raise Problem("forbidden-transition", f"It begins at {begins}; before that it can only be cancelled or moved.")


def check_cancellation_notice(start: Millis, service_rules: ServiceRules | None, now: Millis) -> None:
    """Refuse to give up a confirmed time inside its service's cancellation notice; its first instant is still in time.

    Args:
        start: The stored start: else a client would first move a booking and then cancel it.
        service_rules: The rules of the stored service; None without one.
        now: The database's clock.

    Raises:
        Problem: `too-late`, with `until`.
    """
    if service_rules is None or not service_rules.cancellation_notice:
        return
    last = Millis(start - service_rules.cancellation_notice)
    if now <= last:
        return
    until, minutes = render(from_millis(last)), service_rules.cancellation_notice // MINUTE
    raise Problem(
        "too-late",
        f"Until {until}, {minutes} minutes before its start, this confirmed booking could be cancelled, moved or made"
        " smaller; from then on that needs the scope reservations:admin.",
        until=until,
    )


def is_request(stored: Reservation) -> bool:
    """Whether a reservation awaits approval: pending, and no hold."""
    return stored.status == "pending" and stored.expires_at is None


def check_service_change(stored: Reservation, wanted: ServiceRules | None, *, admin: bool) -> None:
    """Refuse a change of service that would circumvent an approval.

    Args:
        stored: The reservation.
        wanted: The rules of its new service; None: without a service.
        admin: Whether the caller may approve requests itself.

    Raises:
        Problem: `forbidden`.
    """
    if admin:
        return
    if is_request(stored):
        raise Problem("forbidden", "The service of a request is changed with the scope reservations:admin.")
    if stored.status == "confirmed" and wanted is not None and wanted.requires_approval:
        raise Problem("forbidden", "The service needs approval: a change to it needs the scope reservations:admin.")


def check_service_given(service: ServiceId | None, *, is_in_request: bool) -> None:
    """Refuse a key bound to a customer a reservation without a service, to whose rules it would not be subject.

    Args:
        service: The id of the service; None: without one.
        is_in_request: Whether the request names the field, so that the problem points at it.

    Raises:
        Problem: `invalid`, or `forbidden` where the reservation itself has no service.
    """
    if service is not None:
        return
    if is_in_request:
        raise invalid_field("service", "A key that is bound to a customer books only with a service; name one.")
    raise Problem("forbidden", "A key that is bound to a customer moves and changes only what has a service.")
