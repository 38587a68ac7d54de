"""Admission of long questions: a process answers a few at once, queues a few more, and no key takes all of them."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from app.errors import Problem

PERMITS_MAX = 3
"""Questions that are answered at once: while one computes, the others read from the database."""
PERMITS_PER_KEY_MAX = 2
QUEUE_LENGTH_MAX = 64
QUEUE_LENGTH_PER_KEY_MAX = 32
WAIT_SECONDS = 5.0


class Admission:
    """Permits, and a queue in which API keys take turns, so that a busy key does not keep the others waiting.

    Args:
        permits: Questions that are answered at once.
        wait_seconds: How long a question waits for a permit.
    """

    def __init__(self, permits: int = PERMITS_MAX, wait_seconds: float = WAIT_SECONDS) -> None:
        self._free = permits
        self._wait_seconds = wait_seconds
        self._answering: Counter[str] = Counter()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def permit(self, key: str) -> AsyncGenerator[None]:
        """Wait for a permit, and hold it inside.

        Raises:
            Problem: `overloaded` where the queue is full, or no permit becomes free in time; nothing was begun.
        """
        waiter = self._enqueue(key)
        try:
            async with asyncio.timeout(self._wait_seconds):
                await waiter
        except (asyncio.CancelledError, TimeoutError) as error:
            if waiter.done() and not waiter.cancelled():  # the permit was granted at that very moment
                self._release(key)
            waiter.cancel()
            if isinstance(error, TimeoutError):
                raise _overloaded() from None
            raise
        try:
            yield
        finally:
            self._release(key)

    def _enqueue(self, key: str) -> "asyncio.Future[None]":
        if (
            self._waiting_count(*self._waiting) >= QUEUE_LENGTH_MAX
            or self._waiting_count(key) >= QUEUE_LENGTH_PER_KEY_MAX
        ):
            raise _overloaded()
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, deque()).append(waiter)
        self._grant()
        return waiter

    def _waiting_count(self, *keys: str) -> int:
        """How many questions of these keys wait; those whose client went away do not count."""
        return sum(not waiter.done() for key in keys for waiter in self._waiting.get(key, ()))

    def _release(self, key: str) -> None:
        self._free += 1
        self._answering[key] -= 1
        self._grant()

    def _grant(self) -> None:
        """Grant the free permits to the queue, one key after the other."""
        for key in [*self._waiting]:
            queue = self._waiting[key]
            while queue and queue[0].done():
                queue.popleft()
            if queue and self._free and self._answering[key] < PERMITS_PER_KEY_MAX:
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
