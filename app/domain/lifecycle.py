"""The life of a reservation: which status may follow which, and which of them occupy the resource.

    pending ──> confirmed ──> completed | cancelled | no-show
       └──────> cancelled | expired

Every status after the last arrow is final. A pending reservation with `expiresAt` is a hold: from that instant it
counts as expired, whether or not `expired` has been written.
"""

from typing import Literal, TypeAlias, get_args

from app.domain.instants import Millis

Status: TypeAlias = Literal["pending", "confirmed", "completed", "cancelled", "expired", "no-show"]

STATUSES: tuple[Status, ...] = get_args(Status)
BLOCKING: tuple[Status, ...] = ("pending", "confirmed")
FOLLOWS: dict[Status, tuple[Status, ...]] = {
    "pending": ("confirmed", "cancelled", "expired"),
    "confirmed": ("completed", "cancelled", "no-show"),
    "completed": (),
    "cancelled": (),
    "expired": (),
    "no-show": (),
}


def status_at(status: Status, expires_at: Millis | None, now: Millis) -> Status:
    """The effective status at an instant: a hold is expired from its `expiresAt` on."""
    return "expired" if status == "pending" and expires_at is not None and expires_at <= now else status


def blocks(status: Status, expires_at: Millis | None, now: Millis) -> bool:
    """Whether a reservation of that status occupies its resource at that instant."""
    return status_at(status, expires_at, now) in BLOCKING


def is_final(status: Status) -> bool:
    """Whether no status can follow."""
    return not FOLLOWS[status]


def may_follow(status: Status, wanted: Status) -> bool:
    """Whether `wanted` is one step from `status`."""
    return wanted in FOLLOWS[status]


def may_become(status: Status, wanted: Status) -> bool:
    """Whether `wanted` is one step or several from `status`."""
    return may_follow(status, wanted) or any(may_become(each, wanted) for each in FOLLOWS[status])
