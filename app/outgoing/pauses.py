"""The pauses between attempts to deliver a message: five seconds, doubling to an hour."""

import random
from datetime import datetime, timedelta

FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=5), timedelta(hours=1)
CLOCKS_DIFFER = timedelta(minutes=1)
"""How far the clocks of two senders may be apart."""
_DOUBLINGS_MAX = 20


def pause_after(failures: int, asked: timedelta = timedelta(0)) -> timedelta:
    """The pause after so many failures in a row, with jitter; longer where the receiver asked for more (≤ an hour)."""
    doublings: int = 2 ** min(failures - 1, _DOUBLINGS_MAX)
    pause = min(FIRST_PAUSE * doublings, LONGEST_PAUSE)
    return max(pause * random.uniform(0.8, 1), asked)  # noqa: S311 -- jitter


def is_waiting(next_at: datetime | None, now: datetime) -> bool:
    """Whether the pause before an attempt is under way; none is longer than `farthest`, so the clock was set back."""
    return next_at is not None and now < next_at <= farthest(now)


def farthest(now: datetime) -> datetime:
    """The latest instant at which the next attempt can be."""
    return now + LONGEST_PAUSE + CLOCKS_DIFFER
