"""Counts of requests in Redis, which all processes share, for as long as Redis answers.

No request waits for a Redis that does not answer: those under way wait for a fifth of a second, once, and until Redis
counts again only a task in the background asks it.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
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

CLOSE_SECONDS = 1.0
"""How long the end of a process waits for Redis."""

CONNECTIONS_MAX = 8
"""Connections, so that a crowd of unknown addresses opens no more."""
QUESTIONS_MAX = 500
"""Questions that are under way or wait for a connection; the requests of others are counted by their process alone."""
TURN_SECONDS = 0.2
"""How long a question waits for a connection; then its requests are counted by their process alone, too."""

PREFIX = "reserva:limits"
_PROBE = "probe"
_ENDLESS = -1
"""What Redis says of a key that never expires."""

log = structlog.get_logger(__name__)


class SharedCounts:
    """The counts of one kind in one Redis; each begins with its first request and ends by itself.

    Args:
        url: The address of Redis.
        kind: What is counted, for the log.
    """

    def __init__(self, url: str, kind: str) -> None:
        self._log = log.bind(kind=kind)
        pool = BlockingConnectionPool.from_url(url, max_connections=CONNECTIONS_MAX, timeout=None)
        self._redis: Redis = Redis(connection_pool=pool)
        options: Any = {"connection_pool": pool}  # the library's types know plain values alone
        self._storage = RedisStorage("async+redis://", implementation="redispy", key_prefix=PREFIX, **options)
        self._room = asyncio.Semaphore(QUESTIONS_MAX)
        self._turns = asyncio.Semaphore(CONNECTIONS_MAX)
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
            The count with them, of all processes; None: Redis does not count them.
        """
        return await self._ask(lambda: self._storage.incr(name, seconds, amount))

    async def seconds_left(self, name: str, seconds: int) -> float | None:
        """How long a count still lasts, 0 if it is over; None: Redis does not say.

        A count without an end, which only others can have made, gets one after `seconds`: it would refuse for ever.
        """
        key = f"{PREFIX}:{name}"
        millis = await self._ask(lambda: self._redis.pttl(key))
        if millis == _ENDLESS:
            await self._ask(lambda: self._redis.pexpire(key, seconds * 1_000))
            return seconds
        return None if millis is None else max(millis, 0) / 1_000

    async def close(self) -> None:
        """Close the connections, and wait for that no longer than `CLOSE_SECONDS`."""
        if self._search is not None:
            self._search.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._redis.aclose(close_connection_pool=True)

    async def _ask(self, question: Callable[[], Awaitable[int]]) -> int | None:
        """The answer to a question; None: Redis does not answer, or too many other questions are before it."""
        if self._room.locked():  # Redis is not lost: it answers the others
            return None
        async with self._room:
            try:
                async with _limited(TURN_SECONDS):
                    await self._turns.acquire()
            except TimeoutError:
                return None
            return await self._ask_in_turn(question)

    async def _ask_in_turn(self, question: Callable[[], Awaitable[int]]) -> int | None:
        try:
            if not self.answers:  # it was lost meanwhile
                return None
            async with _limited(ANSWER_SECONDS):
                return await question()
        except Exception as error:  # noqa: BLE001  # whatever Redis or its client does, no request fails by its count
            self._lose(error)
            return None
        finally:
            self._turns.release()

    def _lose(self, error: Exception | None) -> None:
        """Leave Redis alone, but for a task that asks until it counts again."""
        self.answers = False
        if self._search is None:
            self._log.warning("Redis does not count requests; each process counts its own", error=repr(error))
            self._search = asyncio.get_running_loop().create_task(self._search_again(), context=Context())

    async def _search_again(self) -> None:
        while not self.answers:
            await asyncio.sleep(PAUSE_SECONDS)
            await self._probe(ANSWER_SECONDS)
        self._search = None
        self._log.info("Redis counts requests again")

    async def _probe(self, seconds: float) -> None:
        """Find out whether Redis counts; one that is full or only a replica answers, and does not count."""
        try:
            async with self._turns, _limited(seconds):
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
