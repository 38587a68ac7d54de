"""Figures of the events for `/metrics`, `/readyz` and `reserva doctor`, read from the database."""

from dataclasses import dataclass

from app.storage.client import Store
from app.storage.event_log import EventLog
from app.storage.outbox import WAITING_READ_MAX, read_waiting

LATE_SECONDS = 10.0
"""An event that waits for longer is late: a relay takes over within two seconds from one that died."""


@dataclass(frozen=True, slots=True)
class EventFigures:
    """Events that wait for their place, and those that have got it.

    Args:
        waiting: How many wait, at most `WAITING_READ_MAX`.
        oldest_seconds: The age of the oldest of these, 0 without one.
        placed: How many were ever placed.
        kept: How many of those can be read.
    """

    waiting: int
    oldest_seconds: float
    placed: int
    kept: int

    @property
    def is_late(self) -> bool:
        """Whether events wait because no relay places them, or it is too slow."""
        return self.oldest_seconds > LATE_SECONDS


async def read_event_figures(store: Store, most: int = WAITING_READ_MAX) -> EventFigures:
    """The figures as they are now; the oldest is looked for among the first `most` that wait.

    Raises:
        pymongo.errors.PyMongoError: the database does not answer.
    """
    times = await read_waiting(store, most)
    age = 0.0 if not times else max((store.clock.now() - min(times)).total_seconds(), 0.0)
    floor, last = await EventLog(store).bounds()
    return EventFigures(len(times), age, last, last - floor)
