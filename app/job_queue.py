"""The queue in Redis: names of jobs, how they are written, and the one way to put them there.

Redis is a hint. What must not be lost stands in MongoDB before it is put here, and the worker looks there too.
"""

import asyncio
import json
from typing import Any

import structlog
from arq.connections import ArqRedis
from redis.exceptions import RedisError

RECONCILE = "reconcile_reservations"
"""Scheduled: makes the run that is due and carries it out."""
RUN = "run_reconciliation"
"""Carries out the run of the id that it is given."""
PICK_UP = "pick_up_reconciliations"
"""Scheduled: carries out what waits in MongoDB and takes over from the dead."""
ALERT = "send_alerts"
"""Scheduled, and rung by runs: tells the alert URL of what it was not told yet."""
BEAT = "beat"
"""Scheduled: says that the worker lives."""
TIDY = "tidy_up"
"""Scheduled: writes down holds that are over, and what took place."""

QUEUE = "reserva:jobs"
ANSWER_SECONDS = 3.0
"""How long one command waits for Redis."""
ENQUEUE_SECONDS = 1.0
"""How long a request waits for Redis before it leaves the job to whoever looks into MongoDB."""

_SHAPE: dict[str, set[type]] = {"f": {str}, "a": {list}, "k": {dict}, "t": {int, type(None)}, "et": {int}}
"""A job of arq's: function, its arguments, which try it is, and when it was put there, in milliseconds."""
_LATEST = 2**53

log = structlog.get_logger()


def connection(url: str) -> ArqRedis:
    """A client of the Redis at an address; nobody is asked yet whether there is one.

    Raises:
        ValueError: it is no address of Redis.
    """
    redis: ArqRedis = ArqRedis.from_url(url, socket_connect_timeout=ANSWER_SECONDS, socket_timeout=ANSWER_SECONDS)
    redis.job_serializer, redis.job_deserializer = serialize, deserialize
    redis.default_queue_name = QUEUE
    return redis


def serialize(job: dict[str, Any]) -> bytes:
    """A job as Redis keeps it: JSON, never pickle; an exception becomes its text."""
    return json.dumps(job, default=repr).encode()


def deserialize(kept: bytes) -> dict[str, Any]:
    """The opposite of `serialize`.

    Raises:
        ValueError: this is no job of arq's. Whoever can write into Redis can write anything there.
    """
    job = json.loads(kept)
    if not isinstance(job, dict) or any(type(job.get(name)) not in types for name, types in _SHAPE.items()):
        raise ValueError("this is no job")
    if not 0 <= job["et"] <= _LATEST:
        raise ValueError("this is no time")
    return job


class Queue:
    """Where a process puts jobs for the worker.

    Args:
        url: The address of Redis; None: there is none, and everything is left to those who look into MongoDB.
    """

    def __init__(self, url: str | None) -> None:
        self._redis = None if url is None else connection(url)

    async def put(self, job: str, *arguments: str, identity: str) -> bool:
        """Put a job into the queue, unless one of that identity is there; whether Redis answered."""
        if self._redis is None:
            return False
        try:
            async with asyncio.timeout(ENQUEUE_SECONDS):
                await self._redis.enqueue_job(job, *arguments, _job_id=identity)
        except (RedisError, OSError) as error:  # a TimeoutError is an OSError
            log.warning("Redis does not answer; the worker finds the job in MongoDB", job=job, error=str(error))
            return False
        return True

    async def close(self) -> None:
        """Give back the connections."""
        if self._redis is not None:
            await self._redis.aclose(close_connection_pool=True)
