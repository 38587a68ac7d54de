"""Signals between the processes of a database over Redis: the outbox has something, the log has something new.

They are hints alone. Whoever waits for either looks into the database a few times a second anyway, so a signal that is
lost, and a Redis that is away, costs a fraction of a second and nothing else.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Literal, TypeAlias

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.deadline import call_at, detached

Topic: TypeAlias = Literal["outbox", "events"]
"""`outbox`: an event waits for its place; `events`: one has got it."""

COALESCED_SECONDS = 0.1
"""The least time between two signals of the same topic: what comes in between is told at its end."""
ANSWER_SECONDS = 1.0
"""How long Redis may take for a signal."""
PAUSE_SECONDS = 2.0
"""Between two attempts while Redis cannot be used."""
CHECK_SECONDS = 15.0
"""A silent connection is tried so often."""


class Wakeups:
    """The signals that this process sends and hears.

    Args:
        url: The address of Redis; None: there is none, and no signals.
        database: The name of the database, which the names of the channels contain.
    """

    def __init__(self, url: str | None, database: str) -> None:
        self._database = database
        self._redis = None if url is None else _connection(url)
        self._due: set[Topic] = set()
        self._next_at: dict[Topic, float] = {}
        self._retry_at = 0.0
        self._tasks: set[asyncio.Task[None]] = set()

    def notify(self, topic: Topic = "outbox") -> None:
        """Tell all processes, at once or a moment after the last time; it neither waits nor fails."""
        if self._redis is None or topic in self._due:
            return
        now = asyncio.get_running_loop().time()
        if now < self._retry_at:
            return
        self._due.add(topic)
        call_at(max(now, self._next_at.get(topic, now)), self._publish_soon, topic)

    def listen(self, topic: Topic, hear: Callable[[], object]) -> None:
        """Call `hear` whenever a process tells of that topic, until `close`; signals can be lost."""
        if self._redis is not None:
            self._start(self._listen(self._redis, topic, hear))

    async def close(self) -> None:
        """End the listening, and close the connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._redis is not None:
            with contextlib.suppress(RedisError, OSError):
                await self._redis.aclose(close_connection_pool=True)

    def _publish_soon(self, topic: Topic) -> None:
        self._due.discard(topic)
        self._next_at[topic] = asyncio.get_running_loop().time() + COALESCED_SECONDS
        if self._redis is not None:
            self._start(self._publish(self._redis, topic))

    async def _publish(self, redis: Redis, topic: Topic) -> None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await redis.publish(self._channel(topic), b"")
        except (RedisError, OSError):  # a TimeoutError is an OSError
            self._retry_at = asyncio.get_running_loop().time() + PAUSE_SECONDS

    async def _listen(self, redis: Redis, topic: Topic, hear: Callable[[], object]) -> None:
        while True:
            with contextlib.suppress(RedisError, OSError):
                async with redis.pubsub(ignore_subscribe_messages=True) as channel:
                    await channel.subscribe(self._channel(topic))
                    while True:
                        if await channel.get_message(timeout=CHECK_SECONDS) is not None:
                            hear()
            await asyncio.sleep(PAUSE_SECONDS)

    def _channel(self, topic: Topic) -> str:
        return f"reserva:{self._database}:{topic}"

    def _start(self, work: Coroutine[object, object, None]) -> None:
        task = detached(work, name="wakeups")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _connection(url: str) -> Redis:
    redis: Redis = Redis.from_url(url, socket_connect_timeout=ANSWER_SECONDS, health_check_interval=CHECK_SECONDS)
    return redis
