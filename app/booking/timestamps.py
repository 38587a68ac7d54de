"""How old `updatedAt` may be when a change becomes visible, so that no follower of the changes misses one.

A follower reads up to `FOLLOWER_LAG_SECONDS` ago and continues from there. So no change may become visible under an
older stamp, and each writer is bounded:

- A transaction is stamped with the database's clock when it takes its guards, and seen at its commit. One that took
  longer than `COMMIT_SECONDS` does not commit but runs again. Where the acknowledgement comes after `FRESH_SECONDS` (a
  process that was paused, a server that hung), what was written is stamped anew.
- A reservation from a pool is stamped before its guard is taken, with the database's clock as this process knows it;
  the guard's own clock must not be more than `SKEW_SECONDS` ahead of that.
- A release takes no guard, so the database stamps it as it applies it: `reservation_updates.STAMP`.
"""

import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

import structlog
from pymongo.errors import PyMongoError

from app.domain.instants import SECOND, Millis
from app.storage.reservation_steps import stamp_reservations
from app.storage.steps import Steps

log = structlog.get_logger()

FOLLOWER_LAG_SECONDS = 10
COMMIT_SECONDS = 5.0
FRESH_SECONDS = 7.0
SKEW_SECONDS = 2.0

MonotonicClock: TypeAlias = Callable[[], float]
"""A clock in seconds that only goes forward."""


class StaleTimestamp(Exception):  # noqa: N818  # the batch runs again, with a new stamp
    """A change that would be written under its stamp now could be missed by a follower."""


class Age:
    """The age of a batch's stamps, at most: seconds since before the first of them was taken."""

    def __init__(self, ticks: MonotonicClock = time.monotonic) -> None:
        self._ticks = ticks
        self._began = ticks()

    @property
    def seconds(self) -> float:
        """How old the oldest stamp may be by now."""
        return self._ticks() - self._began

    def check(self) -> None:
        """Refuse to commit what was stamped too long ago.

        Raises:
            StaleTimestamp: the batch must judge and stamp again.
        """
        if self.seconds > COMMIT_SECONDS:
            raise StaleTimestamp


def check_skew(stamp: Millis, now: Millis) -> None:
    """Refuse a stamp that is too far behind the database's clock, which stamps the changes of other processes.

    Raises:
        StaleTimestamp: the batch must judge and stamp again.
    """
    if now - stamp > SKEW_SECONDS * SECOND:
        log.warning("the database's clock is ahead of what this process knows of it", milliseconds=now - stamp)
        raise StaleTimestamp


def restamp(reservations: Sequence[object]) -> Steps[None]:
    """Stamp reservations again that became visible late: a follower that has passed the old stamp finds the new one."""
    try:
        yield stamp_reservations(reservations)
    except PyMongoError as error:
        ids = [str(each) for each in reservations]
        log.error("changes that came late could not be stamped anew", reservations=ids, error=str(error))  # noqa: TRY400 -- a traceback of the driver tells nothing
    else:
        log.warning("changes that came late are stamped anew", reservations=len(reservations))
