"""Following the changes of reservations by `updatedSince`: in the order in which they were made, and none is missed.

A change is stamped a little before it can be seen (see `booking.stamps`), so the last ten seconds are held back: what
is shown is complete. Every page has a `next`. On the last one it is the instant up to which all was shown, whether
anything matched or not, so a follower that goes on from it never reads the same stretch again.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple

from app.domain.instants import Millis, from_millis, to_millis
from app.errors import Problem
from app.http.paging import bad_cursor, read_cursor, write_cursor
from app.storage.sort_keys import after, mark_of, value_of

KIND = "updatedAt"
"""Tells its cursors from those of the list by start."""
BEHIND_ALL = "f" * 24
"""The last id there is: a position behind everything of its instant."""


class Position(NamedTuple):
    """Everything up to here was shown: an instant in milliseconds, and the last id at it."""

    at: Millis
    identity: str = BEHIND_ALL

    @property
    def cursor(self) -> str:
        """The position as a `next`."""
        return write_cursor(KIND, self.at, self.identity)

    @property
    def beyond(self) -> list[dict[str, Any]]:
        """The conditions for what comes after it: always a range of `updatedAt`, which every server bounds."""
        if self.identity == BEHIND_ALL:
            return [{"updatedAt": {"$gt": from_millis(self.at)}}]
        ties = after("_id", value_of(self.identity), 1)
        last = {"$or": [{"updatedAt": {"$gt": from_millis(self.at)}}, *ties]}
        return [{"updatedAt": {"$gte": from_millis(self.at)}}, last]


def begin(since: datetime | None, cursor: str | None) -> Position | None:
    """Where to go on: behind the cursor's position, and behind everything before `since`; None if nobody follows.

    Raises:
        Problem: `invalid` for a cursor of another list together with `since`, or one that never was a `next`.
    """
    position = None if cursor is None else _position_of(cursor)
    if since is None:
        return position
    first = Position(to_millis(since) - 1)
    if cursor is None:
        return first
    if position is None:
        raise bad_cursor()
    return max(position, first)


def _position_of(cursor: str) -> Position | None:
    """The position that a cursor names; None if it may be the cursor of another list."""
    marks: Sequence[str | Millis] = ()
    with suppress(Problem):
        marks = read_cursor(cursor, str, int, str)
    if not marks or marks[0] != KIND:
        return None
    _, instant, identity = marks
    try:
        from_millis(int(instant))
        return Position(int(instant), mark_of(value_of(str(identity))))
    except (ValueError, OverflowError):
        raise bad_cursor() from None


def following(position: Position, until: datetime, rows: Sequence[dict[str, Any]], limit: int) -> Position:
    """The position behind a page of `limit` at most, whose query found `rows`, one more if there are more.

    Never before the position from which the page was asked for: the clocks of two processes may differ a little.
    """
    if len(rows) > limit:
        last = rows[limit - 1]
        return Position(to_millis(last["updatedAt"]), mark_of(last["_id"]))
    return max(position, Position(to_millis(until)))
