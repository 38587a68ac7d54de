"""The back-off of lanes: after a write conflict, and while another process has requested priority on a guard."""

import asyncio
import math
import random
from collections.abc import Callable, Collection, Mapping
from collections.abc import Set as AbstractSet

from app.booking.intents import Lane
from app.deadline import call_at

BACKOFF_SECONDS, BACKOFF_GROWTH, BACKOFF_LIMIT_SECONDS = 0.005, 1.5, 0.5
"""The drivers' own values (mongo-java-driver, PR 1852), with full jitter."""


def backoff_seconds(conflicts: int) -> float:
    """How many seconds to wait after so many write conflicts in a row."""
    limit = min(BACKOFF_SECONDS * BACKOFF_GROWTH**conflicts, BACKOFF_LIMIT_SECONDS)
    return limit * random.random()  # noqa: S311  # jitter


class Backoff:
    """The lanes on which no batch may start for the moment; used on the event loop alone.

    Args:
        on_end: Called when the back-off of lanes has ended.
    """

    def __init__(self, on_end: Callable[[], None]) -> None:
        self.until: dict[Lane, float] = {}
        """When the back-off of a lane ends, by the loop's clock."""
        self._on_end = on_end

    @property
    def lanes(self) -> AbstractSet[Lane]:
        """The lanes on which no batch may start."""
        return self.until.keys()

    def start(self, seconds: Mapping[Lane, float]) -> None:
        """Start no batch with one of these lanes for so many seconds."""
        now = asyncio.get_running_loop().time()
        for lane, wait in seconds.items():
            self.until[lane] = until = now + wait
            call_at(until, self.end, (lane,), until)

    def end(self, lanes: Collection[Lane], until: float = math.inf) -> None:
        """End the back-off of lanes, except where a later end than `until` was set meanwhile.

        The end is compared with the one that was set and not with the clock: the loop's timers may fire a little
        early, and no other call would end the back-off.
        """
        for lane in lanes:
            if self.until.get(lane, until) <= until:
                self.until.pop(lane, None)
        self._on_end()
