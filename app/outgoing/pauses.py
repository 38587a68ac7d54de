"""The pauses between attempts to deliver a message: five seconds, doubling to an hour."""

import random
from datetime import timedelta

FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=5), timedelta(hours=1)
_DOUBLINGS_MAX = 20


def pause_after(failures: int, asked: timedelta = timedelta(0)) -> timedelta:
    """The pause after so many failures in a row, with jitter; longer where the receiver asked for more (≤ an hour)."""
    doublings: int = 2 ** min(failures - 1, _DOUBLINGS_MAX)
    pause = min(FIRST_PAUSE * doublings, LONGEST_PAUSE)
    return max(pause * random.uniform(0.8, 1), asked)  # noqa: S311 -- jitter
