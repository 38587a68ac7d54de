"""The queue in Redis: the names of jobs, their serialization, and the only way to enqueue them.

Redis is a hint. What must not be lost is stored in MongoDB before it is enqueued here, and workers search there too.
"""

import asyncio
import json
from typing import Any

import structlog
from arq.connections import ArqRedis
from arq.constants import in_progress_key_prefix
from redis.exceptions import RedisError

from app.telemetry.tracer import PASSED_ON

RECONCILE = "reconcile_reservations"
"""Scheduled: enqueues the run that is due and carries it out."""
RUN = "run_reconciliation"
"""Carries out the run of the id that it is given."""
PICK_UP = "pick_up_reconciliations"
"""Scheduled: carries out the runs that wait in MongoDB, also in the place of those whose process died."""
ALERT = "send_alerts"
"""Scheduled, and enqueued by runs that open findings: sends alerts."""
BEAT = "beat"
"""Scheduled: writes the heartbeat of the worker."""
TIDY = "tidy_up"
"""Scheduled: stores expired holds, and completes reservations that have ended."""
ERASE = "erase"
"""Scheduled: clears what is left of erased customers."""
PRUNE = "prune"
"""Scheduled, once a day: removes old runs and stored answers."""

QUEUE = "reserva:jobs"
ANSWER_SECONDS = 3.0
"""How long one command waits for Redis."""
ENQUEUE_SECONDS = 1.0
"""How long a request waits for Redis before it leaves the job to a worker that finds it in MongoDB."""

_JOB_FIELDS: dict[str, set[type]] = {"f": {str}, "a": {list}, "k": {dict}, "t": {int, type(None)}, "et": {int}}
"""A job of arq's: function, its arguments, which try it is, and when it was put there, in milliseconds."""
_MILLIS_MAX = 2**53

log = structlog.get_logger()


def connection(url: str) -> ArqRedis:
    """A client of the Redis at an address; it connects with its first command.

    Raises:
        ValueError: it is no address of Redis.
    """
    redis: ArqRedis = ArqRedis.from_url(url, socket_connect_timeout=ANSWER_SECONDS, socket_timeout=ANSWER_SECONDS)
    redis.job_serializer, redis.job_deserializer = serialize, deserialize
    redis.default_queue_name = QUEUE
    return redis


def serialize(job: dict[str, object]) -> bytes:
    """A job as Redis stores it: JSON, never pickle; an exception becomes its text."""
    return json.dumps(job, default=repr).encode()


def deserialize(stored: bytes) -> dict[str, Any]:
    """The opposite of `serialize`.

    Raises:
        ValueError: this is no job of arq's. Any client of Redis can write anything into it.
    """
    job = json.loads(stored)
    if not isinstance(job, dict) or any(type(job.get(name)) not in types for name, types in _JOB_FIELDS.items()):
        raise ValueError("this is no job")
    if not 0 <= job["et"] <= _MILLIS_MAX:
        raise ValueError("this is no time")
    return job


async def overdue_jobs(redis: ArqRedis, before: int, most: int) -> list[str]:
    """The ids of up to `most` jobs that were to begin before an instant, in milliseconds, and that no worker has begun.

    Raises:
        redis.exceptions.RedisError: Redis failed.
    """
    due: list[bytes] = await redis.zrangebyscore(QUEUE, "-inf", before, start=0, num=most)
    begun = await redis.mget([in_progress_key_prefix.encode() + job for job in due]) if due else []
    return [job.decode(errors="replace") for job, mark in zip(due, begun, strict=True) if mark is None]


class Queue:
    """Enqueues jobs for the worker.

    Args:
        url: The address of Redis; None: there is none, and workers find everything in MongoDB.
    """

    def __init__(self, url: str | None) -> None:
        self._redis = None if url is None else connection(url)

    async def put(self, job: str, *arguments: str, identity: str) -> bool:
        """Enqueue a job, unless one of that identity waits; whether Redis answered. It continues the current trace."""
        if self._redis is None:
            return False
        carrier: dict[str, Any] = {**PASSED_ON.get()}
        try:
            async with asyncio.timeout(ENQUEUE_SECONDS):
                await self._redis.enqueue_job(job, *arguments, _job_id=identity, **carrier)
        except (RedisError, OSError) as error:  # a TimeoutError is an OSError
            log.warning("Redis does not answer; the worker finds the job in MongoDB", job=job, error=str(error))
            return False
        return True

    async def is_answering(self) -> bool | None:
        """Whether Redis answers within a second; None where there is none."""
        if self._redis is None:
            return None
        try:
            async with asyncio.timeout(ENQUEUE_SECONDS):
                await self._redis.ping()
        except (RedisError, OSError):
            return False
        return True

    async def close(self) -> None:
        """Close the connections."""
        if self._redis is not None:
            await self._redis.aclose(close_connection_pool=True)
