"""Following the changes of reservations by `updatedSince`: in the order in which they were made, and none is missed.

A change is stamped a little before it can be seen (see `booking.timestamps`), so the last ten seconds are withheld:
everything before them is complete. Every page has a `next`. On the last page it is the instant up to which the list is
complete, whether or not anything matched, so a follower that continues from it never reads the same stretch again.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from app.domain.instants import Millis, from_millis, to_millis
from app.errors import Problem
from app.http.paging import Mark, bad_cursor, read_cursor, write_cursor
from app.storage.reservation_filters import ChangePosition
from app.storage.sort_keys import mark_of, value_of

KIND = "updatedAt"
"""Distinguishes cursors of changes from those of the list by start."""


def cursor_of(position: ChangePosition) -> str:
    """A position as a `next`."""
    return write_cursor(KIND, position.at, position.identity)


def first_position(since: datetime | None, cursor: str | None) -> ChangePosition | None:
    """The first position: after that of the cursor, and after everything before `since`; None for a list by start.

    Raises:
        Problem: `invalid` for a cursor of another list together with `since`, or one that never was a `next`.
    """
    position = None if cursor is None else _position_of(cursor)
    if since is None:
        return position
    first = ChangePosition(Millis(to_millis(since) - 1))
    if cursor is None:
        return first
    if position is None:
        raise bad_cursor()
    return max(position, first)


def _position_of(cursor: str) -> ChangePosition | None:
    """The position that a cursor names; None if it may be the cursor of another list."""
    marks: Sequence[Mark] = ()
    with suppress(Problem):
        marks = read_cursor(cursor, str, int, str)
    if not marks or marks[0] != KIND:
        return None
    _, instant, identity = marks
    try:
        at = Millis(int(instant))
        from_millis(at)
        return ChangePosition(at, mark_of(value_of(str(identity))))
    except (ValueError, OverflowError):
        raise bad_cursor() from None


def next_position(
    position: ChangePosition, until: datetime, rows: Sequence[dict[str, object]], limit: int
) -> ChangePosition:
    """The position after a page of at most `limit` rows, whose query found `rows`, one more if there are more.

    It is never before the position that the page began at, because the clocks of two processes may differ a little.
    """
    if len(rows) > limit:
        return ChangePosition.of(rows[limit - 1])
    return max(position, ChangePosition(to_millis(until)))
