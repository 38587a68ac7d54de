"""Which callers may do what to a reservation, and until when: the same for singles, groups and moves.

Nothing here knows a key. `admin` says that the caller has `reservations:admin`.
"""

from app.errors import Problem
from app.timeline.instants import MINUTE, Millis, from_millis, render
from app.timeline.lifecycle import Status
from app.timeline.rules import Offer

TOOK_PLACE: frozenset[Status] = frozenset({"completed", "no-show"})
"""What can be said of a reservation only from its start on."""


def check_begun(start: Millis, to: Status, now: Millis) -> None:
    """Refuse to say of a time that is still to come that it took place, or that nobody came.

    Raises:
        Problem: `forbidden-transition`.
    """
    if to in TOOK_PLACE and now < start:
        begins = render(from_millis(start))
        raise Problem("forbidden-transition", f"It begins at {begins}; before that it can only be cancelled or moved.")


def check_cancellation_notice(start: Millis, offer: Offer | None, now: Millis) -> None:
    """Refuse to give up a confirmed time when its service wants to know earlier; the last allowed instant is in time.

    Args:
        start: As it is stored: else a client would first move a booking and then cancel it.
        offer: The stored service, if there is one.
        now: The database's clock.

    Raises:
        Problem: `too-late`, with `until`.
    """
    if offer is None or not offer.cancellation_notice:
        return
    last = start - offer.cancellation_notice
    if now <= last:
        return
    until, minutes = render(from_millis(last)), offer.cancellation_notice // MINUTE
    raise Problem(
        "too-late",
        f"Until {until}, {minutes} minutes before its start, this confirmed booking could be cancelled, moved or made"
        " smaller; from then on that needs the scope reservations:admin.",
        until=until,
    )
