"""The last events of the log, rendered once for all readers of a process, for some seconds."""

import time
from collections.abc import Callable, Sequence

from app.events.rendering import ShownEvent

EVENTS_MAX = 1_000
BYTES_MAX = 2**24
SECONDS_MAX = 5.0
"""How many events are kept, how large together, and how long: an erasure must reach every copy of what it clears."""


class RecentEvents:
    """Events that follow each other without a gap.

    Args:
        clock: Seconds of a clock that never goes back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._events: list[ShownEvent] = []
        self._since: list[float] = []
        self._bytes = 0

    def add(self, event: ShownEvent) -> None:
        """Keep the next event; if it is not the next, it alone."""
        if self._events and self._events[-1].place + 1 != event.place:
            self.clear()
        self._events.append(event)
        self._since.append(self._clock())
        self._bytes += len(event.json)
        self._drop()

    def after(self, place: int) -> Sequence[ShownEvent]:
        """The events after a place; none if the first of them is not kept."""
        self._drop()
        if not self._events or not self._events[0].place <= place + 1 <= self._events[-1].place:
            return ()
        return self._events[place + 1 - self._events[0].place :]

    def clear(self) -> None:
        """Keep none."""
        self._events, self._since, self._bytes = [], [], 0

    def _drop(self) -> None:
        """Drop the first of too many, and the old."""
        dropped = 0
        oldest = self._clock() - SECONDS_MAX
        while dropped < len(self._events) and (
            len(self._events) - dropped > EVENTS_MAX or self._bytes > BYTES_MAX or self._since[dropped] < oldest
        ):
            self._bytes -= len(self._events[dropped].json)
            dropped += 1
        if dropped:
            del self._events[:dropped], self._since[:dropped]
