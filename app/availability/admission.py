"""How many long questions a process answers at once: a few, with a short queue, and no key takes all places."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.errors import Problem

PLACES = 3
"""Questions that are answered at once: while one computes, the others read."""
PLACES_OF_A_KEY = 2
QUEUE_LIMIT = 64
QUEUE_LIMIT_OF_A_KEY = 32
WAIT_SECONDS = 5.0


class Admission:
    """Places, and a queue in which keys take turns, so that who asks much does not keep the others waiting."""

    def __init__(self, places: int = PLACES, wait_seconds: float = WAIT_SECONDS) -> None:
        self._free = places
        self._wait_seconds = wait_seconds
        self._answering: Counter[str] = Counter()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def turn(self, key: str) -> AsyncIterator[None]:
        """Wait for a place, and have it inside.

        Raises:
            Problem: `overloaded` where the queue is full, or no place becomes free in time; nothing was begun.
        """
        place = self._join(key)
        try:
            async with asyncio.timeout(self._wait_seconds):
                await place
        except (asyncio.CancelledError, TimeoutError) as gone:
            if place.done() and not place.cancelled():  # it became free at that very moment
                self._leave(key)
            place.cancel()
            if isinstance(gone, TimeoutError):
                raise _overloaded() from None
            raise
        try:
            yield
        finally:
            self._leave(key)

    def _join(self, key: str) -> "asyncio.Future[None]":
        if self._length(*self._waiting) >= QUEUE_LIMIT or self._length(key) >= QUEUE_LIMIT_OF_A_KEY:
            raise _overloaded()
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, deque()).append(place)
        self._call()
        return place

    def _length(self, *keys: str) -> int:
        """How many of these wait; those that went away do not."""
        return sum(not place.done() for key in keys for place in self._waiting.get(key, ()))

    def _leave(self, key: str) -> None:
        self._free += 1
        self._answering[key] -= 1
        self._call()

    def _call(self) -> None:
        """Give the free places to those who wait, one key after the other."""
        for key in [*self._waiting]:
            queue = self._waiting[key]
            while queue and queue[0].done():
                queue.popleft()
            if queue and self._free and self._answering[key] < PLACES_OF_A_KEY:
                self._free -= 1
                self._answering[key] += 1
                queue.popleft().set_result(None)
                self._waiting[key] = self._waiting.pop(key)  # to the end of the round
            if not queue:
                del self._waiting[key]
                if not self._answering[key]:
                    del self._answering[key]


def _overloaded() -> Problem:
    return Problem("overloaded", "Too many questions about free times are being answered; ask again in a moment.")
