"""The log as its readers see it: pages, waiting for more, and streams.

A reader goes on from the place that it was told. Filters are applied here, to every event after that place; so a page
tells how far it has looked, and can be empty although there is more.
"""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from typing import TypeAlias

import pymongo
from pymongo.errors import PyMongoError

from app.deadline import current, detached
from app.errors import Problem, invalid_parameter
from app.events.event_ids import event_id
from app.events.filters import EventFilters
from app.events.hub import ANSWER_SECONDS, YIELD_EVERY, Hub
from app.events.readers import Readers
from app.events.rendering import ShownEvent, ShownEvents, shown_event
from app.storage.event_log import EventLog, EventsGone
from app.telemetry import request_record
from app.wakeups import Wakeups

NOW = "now"
"""The cursor of a reader that wants what comes from now on."""

LOOKED_AT_MAX = 2_000
BYTES_MAX = 2**21
SECONDS_MAX = 1.0
"""The events that are looked at for one page, the bytes that it has before its last event, and the time for it."""

KEEP_ALIVE_SECONDS = 15.0
"""Silence after which a stream says where it is; proxies close connections that are silent for longer."""
KEY_SECONDS = 3.0
"""How often the key of a stream is looked at, so that one that was revoked or has expired ends it."""
STREAMED_EVENTS = 50
"""Events of one part of a stream."""
RETRY_MILLISECONDS = 1_000
"""After which time a client connects again."""

IsAdmitted: TypeAlias = Callable[[], Coroutine[object, object, bool]]
"""Whether a reader may still read."""

_PLACE = re.compile(r"[0-9]{1,30}")


class Feed:
    """The log for the readers of one process.

    Args:
        events: The log.
        wakeups: Signals that it has something new.
    """

    def __init__(self, events: EventLog, wakeups: Wakeups) -> None:
        self.readers = Readers()
        self._events = events
        self._hub = Hub(events, wakeups)

    def end(self) -> None:
        """Answer all who wait, and end the streams: the process ends soon."""
        self._hub.end()

    async def aclose(self) -> None:
        """End, and read no more."""
        await self._hub.aclose()

    async def page(
        self, after: str | None, filters: EventFilters, limit: int, wait_seconds: float, *, key: str
    ) -> ShownEvents:
        """The events after a cursor, or as soon as there is one, if that is within the time.

        Raises:
            Problem: `invalid` for what is no cursor; `gone` where events after it were removed; `rate-limited` or
                `overloaded` where too many wait already, of this key or of all.
        """
        place = await self._start(after)
        deadline = current()
        if deadline is not None:
            deadline.extend(wait_seconds)
        until = time.monotonic() + wait_seconds
        while True:
            try:
                page = await self._look(place, filters, limit)
            except EventsGone:
                place = await self._start_anew(after, place)
                continue
            left = until - time.monotonic()
            if page.items or left <= 0 or self._hub.ended:
                return page
            if page.place == place:
                with self.readers.one_more(key):
                    await self._wait(place, left)
            place = page.place

    async def stream(
        self, after: str | None, filters: EventFilters, is_admitted: IsAdmitted, *, key: str
    ) -> AsyncGenerator[bytes]:
        """The events after a cursor and all that follow, as server-sent events; they end as `is_admitted` does.

        Raises:
            Problem: as `page` does, before the first of them.
        """
        place = await self._start(after)
        try:
            await self._look(place, EventFilters(), 1)
        except EventsGone:
            place = await self._start_anew(after, place)
        return self.readers.stream(self._parts(place, filters, is_admitted), key)

    async def _parts(self, place: int, filters: EventFilters, is_admitted: IsAdmitted) -> AsyncGenerator[bytes]:
        try:
            yield b"retry: %d\n\n" % RETRY_MILLISECONDS
            said, looked = time.monotonic(), time.monotonic()
            while not self._hub.ended:
                page = await detached(self._look(place, filters, STREAMED_EVENTS))
                now = time.monotonic()
                if now - looked >= KEY_SECONDS:
                    looked = now
                    if not await detached(is_admitted()):
                        return
                if page.items:
                    said = now
                    yield b"".join(event.to_stream() for event in page.items)
                elif now - said >= KEEP_ALIVE_SECONDS:
                    said = now
                    yield f":\nid: {event_id(page.place)}\n\n".encode()  # a client goes on from there, without an event
                elif page.place == place:
                    await self._hub.wait_beyond(place, min(KEY_SECONDS, said + KEEP_ALIVE_SECONDS - now))
                place = page.place
        except (EventsGone, PyMongoError):
            pass  # its client connects again, and is told

    async def _wait(self, place: int, seconds: float) -> None:
        began = time.monotonic()
        await self._hub.wait_beyond(place, seconds)
        if (record := request_record.current()) is not None:
            record.long_poll_seconds += time.monotonic() - began

    async def _start(self, after: str | None) -> int:
        """The place of a cursor.

        Raises:
            Problem: `invalid` for what is none.
        """
        if after is None:
            return (await self._events.bounds()).floor
        if after == NOW:
            return (await self._events.bounds()).last
        if _PLACE.fullmatch(after) is None:
            raise invalid_parameter("after", "Send the `id` of an event, `next` of the page before, or `now`.")
        return int(after)

    async def _start_anew(self, after: str | None, place: int) -> int:
        """Where a reader begins that named no cursor, and whose beginning was removed meanwhile because of its age.

        Raises:
            Problem: `gone` for one that named a cursor, and where nothing was removed.
        """
        floor = (await self._events.bounds()).floor
        if after is not None or floor <= place:
            raise _gone()
        return floor

    async def _look(self, place: int, filters: EventFilters, limit: int) -> ShownEvents:
        """The next events that are wanted, from what the hub keeps or else from the database.

        Raises:
            EventsGone: some of them are not there any more, or the place is of another log.
        """
        page = _Page(place, filters, limit)
        most = limit if filters == EventFilters() else LOOKED_AT_MAX
        if recent := self._hub.recent.after(place):
            for event in recent:
                if not page.add(event):
                    break
            return page.shown()
        with pymongo.timeout(ANSWER_SECONDS):
            last = await self._last(place)
            async with aclosing(self._events.read(place, last, most)) as events:
                async for event in events:
                    if not page.add(shown_event(event)):
                        break
                    if event.id % YIELD_EVERY == 0:
                        await asyncio.sleep(0)
        return page.shown()

    async def _last(self, place: int) -> int:
        """The last place, of a log that has all after a place.

        Raises:
            EventsGone: it does not, or is another log.
        """
        floor, last = await self._events.bounds_for(place)
        if not floor <= place <= last:
            raise EventsGone
        return last


class _Page:
    """A page that is being filled."""

    def __init__(self, place: int, filters: EventFilters, limit: int) -> None:
        self._place = place
        self._filters = filters
        self._limit = limit
        self._items: list[ShownEvent] = []
        self._bytes = 0
        self._looked_at = 0
        self._until = time.monotonic() + SECONDS_MAX

    def add(self, event: ShownEvent) -> bool:
        """Look at the next event; whether to look at another."""
        self._place = event.place
        self._looked_at += 1
        if self._filters.take(event):
            self._items.append(event)
            self._bytes += len(event.json)
        return (
            len(self._items) < self._limit
            and self._bytes < BYTES_MAX
            and self._looked_at < LOOKED_AT_MAX
            and time.monotonic() < self._until
        )

    def shown(self) -> ShownEvents:
        """What it has."""
        return ShownEvents(self._items, self._place)


def _gone() -> Problem:
    detail = (
        "Events after this cursor are not kept any more. Take `next` of `after=now`, read anew what you mirror, and go "
        "on from that cursor."
    )
    return Problem("gone", detail)
