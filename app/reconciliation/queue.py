"""The queue in Redis: names of jobs, how they are written, and the one way to put them there.

Redis is a hint. What must not be lost stands in MongoDB before it is put here, and the worker looks there too.
"""

import asyncio
import json
from typing import Any
from urllib.parse import unquote, urlsplit

import structlog
from arq.connections import ArqRedis, RedisSettings, create_pool
from redis.exceptions import RedisError

RECONCILE = "reconcile_reservations"
"""Scheduled: makes the run that is due and carries it out."""
RUN = "run_reconciliation"
"""Carries out the run of the id that it is given."""
PICK_UP = "pick_up_reconciliations"
"""Scheduled: carries out what waits in MongoDB and takes over from the dead."""
ALERT = "send_alerts"
"""Scheduled, and rung by runs: tells the alert URL of what it was not told yet."""
TIDY = "tidy_up"
"""Scheduled: writes down holds that are over, and what took place."""

QUEUE = "reserva:jobs"
ENQUEUE_SECONDS = 1.0
"""How long a request waits for Redis before it leaves the job to whoever looks into MongoDB."""

log = structlog.get_logger()


def redis_settings(url: str) -> RedisSettings:
    """Where Redis is, as arq wants it. User names and passwords may be percent-encoded in the address.

    Raises:
        RuntimeError, ValueError: if it is no address of Redis.
    """
    parts = urlsplit(url)
    # A path without a number is as good as none, which arq does not know.
    settings = RedisSettings.from_dsn(parts._replace(path="").geturl() if parts.path == "/" else url)
    settings.username = unquote(settings.username) if settings.username else None
    settings.password = unquote(settings.password) if settings.password else None
    settings.conn_retries = 0
    return settings


def serialize(job: dict[str, Any]) -> bytes:
    """A job as Redis keeps it: JSON, never pickle; an exception becomes its text."""
    return json.dumps(job, default=repr).encode()


def deserialize(kept: bytes) -> dict[str, Any]:
    """The opposite of `serialize`."""
    job: dict[str, Any] = json.loads(kept)
    return job


class Queue:
    """Where a process puts jobs for the worker.

    Args:
        url: The address of Redis; None: there is none, and everything is left to those who look into MongoDB.
    """

    def __init__(self, url: str | None) -> None:
        self._settings = None if url is None else redis_settings(url)
        self._redis: ArqRedis | None = None

    async def put(self, job: str, *arguments: str, identity: str) -> bool:
        """Put a job into the queue, unless one of that identity is there; whether Redis answered."""
        if self._settings is None:
            return False
        try:
            async with asyncio.timeout(ENQUEUE_SECONDS):
                redis = await self._connected(self._settings)
                await redis.enqueue_job(job, *arguments, _job_id=identity)
        except (RedisError, OSError) as error:  # a TimeoutError is an OSError
            log.warning("Redis does not answer; the worker finds the job in MongoDB", job=job, error=str(error))
            return False
        return True

    async def close(self) -> None:
        """Give back the connections."""
        if self._redis is not None:
            await self._redis.aclose(close_connection_pool=True)
            self._redis = None

    async def _connected(self, settings: RedisSettings) -> ArqRedis:
        if self._redis is None:
            self._redis = await create_pool(
                settings, job_serializer=serialize, job_deserializer=deserialize, default_queue_name=QUEUE
            )
        return self._redis
