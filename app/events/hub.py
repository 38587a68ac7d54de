"""What is new in the log, for all who wait for it in this process: one look into the database serves them all.

While somebody waits, the hub looks five times a second, and whenever a signal tells of new events. It reads them once
and keeps them for some seconds: whoever waits is at the end of the log, and finds there what follows.
"""

import asyncio
from contextlib import suppress

import pymongo
import structlog
from pymongo.errors import PyMongoError

from app.deadline import detached
from app.events.recent import RecentEvents
from app.events.rendering import shown_event
from app.storage.event_log import EventLog, EventsGone
from app.wakeups import Wakeups

LOOK_SECONDS = 0.2
"""Between two looks where no signal arrives."""
ANSWER_SECONDS = 3.0
"""How long the database may take for a look."""
PAUSE_SECONDS = 1.0
"""After a look that failed."""
EVENTS_PER_LOOK = 200
YIELD_EVERY = 8
"""Events that are rendered at a stretch, about a millisecond; others get their turn in between."""

log = structlog.get_logger(__name__)


class Hub:
    """The end of the log, as far as this process knows it.

    Args:
        events: The log.
        wakeups: Signals that the log has something new.
    """

    def __init__(self, events: EventLog, wakeups: Wakeups) -> None:
        self.recent = RecentEvents()
        self.ended = False
        """Whether nobody is to wait any longer, because the process ends."""
        self._events = events
        self._last = 0
        self._waiting = 0
        self._news = asyncio.Event()
        self._bell = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        wakeups.listen("events", self._bell.set)

    def end(self) -> None:
        """Let all who wait go on at once, now and later."""
        self.ended = True
        self._tell()
        self._bell.set()

    async def aclose(self) -> None:
        """End, and wait until the look under way is over."""
        self.end()
        if self._task is not None:
            await self._task

    async def wait_beyond(self, place: int, seconds: float) -> None:
        """Wait until the log may have an event after a place, for so long at most.

        To be called by whoever has looked into the log, and found nothing after that place.
        """
        self._waiting += 1
        try:
            if self._task is None or self._task.done():
                self._go_on_from(place)
                self._task = detached(self._look_on(), name="events hub")
            if self._last <= place and not self.ended:
                async with asyncio.timeout(seconds):
                    await self._news.wait()
        except TimeoutError:
            pass
        finally:
            self._waiting -= 1

    async def _look_on(self) -> None:
        """Look as long as somebody waits; a failure is an outage, during which they wait on."""
        failing = False
        while not self.ended:
            self._bell.clear()
            try:
                with pymongo.timeout(ANSWER_SECONDS):
                    pause = 0.0 if await self._look() else LOOK_SECONDS
                failing = False
            except PyMongoError as error:
                if not failing:
                    log.warning("new events cannot be read", reason=f"{type(error).__name__}: {error}")
                failing, pause = True, PAUSE_SECONDS
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._bell.wait()
            if not self._waiting:
                return

    async def _look(self) -> bool:
        """Read what is new, for all who wait; whether there is more."""
        last = (await self._events.bounds()).last
        if last == self._last:
            return False
        until = min(last, self._last + EVENTS_PER_LOOK)
        try:
            await self._read(until)
        except EventsGone:  # the database was restored, or events were removed: who waits finds that out
            self._go_on_from(last)
        self._tell()
        return self._last < last

    async def _read(self, until: int) -> None:
        """Read the events up to a place.

        Raises:
            EventsGone: they do not follow those that were read before.
        """
        if until < self._last:
            raise EventsGone
        async for event in self._events.read(self._last, until, EVENTS_PER_LOOK):
            self.recent.add(shown_event(event))
            if event.id % YIELD_EVERY == 0:
                await asyncio.sleep(0)
        self._last = until

    def _go_on_from(self, place: int) -> None:
        self.recent.clear()
        self._last = place

    def _tell(self) -> None:
        """Let go on who waits at the moment."""
        self._news.set()
        self._news = asyncio.Event()
