"""Counts of requests in Redis, which all processes share, for as long as Redis answers.

No request waits for a Redis that does not answer: those under way wait for a fifth of a second, once, and until Redis
counts again only a task in the background asks it.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from contextvars import Context
from typing import Any

import structlog
from limits.aio.storage import RedisStorage
from redis.asyncio import BlockingConnectionPool, Redis

ANSWER_SECONDS = 0.2
"""How long one command waits for Redis."""
START_SECONDS = 2.0
"""How long the start of a process waits for Redis."""
PAUSE_SECONDS = 1.0
"""The time between two attempts, while Redis does not answer."""

CONNECTIONS_MAX = 8
"""Connections of a process, so that a crowd of unknown addresses opens no more."""

PREFIX = "reserva:limits"
_PROBE = "probe"

log = structlog.get_logger(__name__)


class SharedCounts:
    """The counts in one Redis; each begins with its first request and ends by itself.

    Args:
        url: The address of Redis.
    """

    def __init__(self, url: str) -> None:
        pool = BlockingConnectionPool.from_url(url, max_connections=CONNECTIONS_MAX, timeout=None)
        self._redis: Redis = Redis(connection_pool=pool)
        options: Any = {"connection_pool": pool}  # the library's types know plain values alone
        self._storage = RedisStorage("async+redis://", implementation="redispy", key_prefix=PREFIX, **options)
        self._search: asyncio.Task[None] | None = None
        self.answers = False
        """Whether Redis counted when it was last asked."""

    async def start(self) -> None:
        """Ask Redis for the first time, so that the first requests are counted there if it answers."""
        await self._probe(START_SECONDS)

    async def add(self, name: str, seconds: int, amount: int) -> int | None:
        """Count requests.

        Args:
            name: What they are counted under.
            seconds: How long the count lasts if it begins now.
            amount: How many there are.

        Returns:
            The count with them, of all processes; None: Redis does not count.
        """
        try:
            async with _limited(ANSWER_SECONDS):
                return await self._storage.incr(name, seconds, amount)
        except Exception as error:  # noqa: BLE001  # whatever Redis or its client does, no request fails by its count
            self._lose(error)
            return None

    async def seconds_left(self, name: str) -> float | None:
        """How long a count still lasts; None: Redis does not say."""
        try:
            async with _limited(ANSWER_SECONDS):
                millis: int = await self._redis.pttl(f"{PREFIX}:{name}")
        except Exception as error:  # noqa: BLE001  # whatever Redis or its client does, no request fails
            self._lose(error)
            return None
        return max(millis, 0) / 1_000

    async def close(self) -> None:
        """Close the connections."""
        if self._search is not None:
            self._search.cancel()
        await self._redis.aclose(close_connection_pool=True)

    def _lose(self, error: Exception | None) -> None:
        """Leave Redis alone, but for a task that asks until it counts again."""
        self.answers = False
        if self._search is None:
            log.warning("Redis does not count requests; each process counts its own", error=repr(error))
            self._search = asyncio.get_running_loop().create_task(self._search_again(), context=Context())

    async def _search_again(self) -> None:
        while not self.answers:
            await asyncio.sleep(PAUSE_SECONDS)
            await self._probe(ANSWER_SECONDS)
        self._search = None
        log.info("Redis counts requests again")

    async def _probe(self, seconds: float) -> None:
        """Find out whether Redis counts; one that is full or only a replica answers, and does not count."""
        try:
            async with _limited(seconds):
                await self._storage.incr(_PROBE, 1, 1)
        except Exception as error:  # noqa: BLE001  # whatever Redis or its client does, no request fails
            self._lose(error)
        else:
            self.answers = True


@asynccontextmanager
async def _limited(seconds: float) -> AsyncGenerator[None]:
    """Limit the time in which the block waits for Redis.

    The second half begins when the first has ended for the event loop as well: where the loop was busy for long, an
    answer that is there is still read.

    Raises:
        TimeoutError: The time is over.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as limit:
        half = loop.call_later(seconds / 2, lambda: limit.reschedule(loop.time() + seconds / 2))
        try:
            yield
        finally:
            half.cancel()
