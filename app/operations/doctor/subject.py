"""The subject of an examination: the database, and what several checks need of its servers and of Redis."""

import asyncio
from dataclasses import dataclass

import pymongo
from redis.exceptions import RedisError

from app import job_queue
from app.open_files import OpenFiles
from app.settings import Settings
from app.storage.client import Store
from app.storage.server_facts import Member, ServerLimits, read_limits, read_members
from app.storage.values import shown_text

LATE_SECONDS = 300
"""How late work may begin: a worker looks for it every twenty seconds, and may be busy."""
JOBS_READ_MAX = 100
"""Jobs of Redis that are looked at: more of them are as late."""
MONGODB_SECONDS, REDIS_SECONDS = 10.0, 10.0
"""How long MongoDB and Redis may take to say what several checks need."""


@dataclass(frozen=True, slots=True)
class RedisFacts:
    """What Redis says of itself.

    Args:
        fault: Why it cannot be asked; None if it answers.
        version: Its version.
        clients: Open connections.
        clients_max: How many it accepts.
        evicts: The policy by which it removes entries when its memory is full; None if it removes none.
        overdue: The ids of up to `JOBS_READ_MAX` jobs that should have begun by now.
    """

    fault: str | None = None
    version: str = ""
    clients: int = 0
    clients_max: int | None = None
    evicts: str | None = None
    overdue: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Subject:
    """What is examined. `redis` is None where REDIS_URL is unset."""

    store: Store
    settings: Settings
    members: list[Member]
    limits: ServerLimits
    redis: RedisFacts | None
    files: OpenFiles


async def read_subject(store: Store, settings: Settings, files: OpenFiles) -> Subject:
    """Ask the servers what several checks need.

    Raises:
        pymongo.errors.PyMongoError: the database does not answer.
    """
    with pymongo.timeout(MONGODB_SECONDS):
        limits = await read_limits(store)  # before the members, for one that does not answer takes the rest of the time
        members = await read_members(store, settings.mongodb_url or "")
    redis = None if settings.redis_url is None else await _read_redis(settings.redis_url, store.clock.millis())
    return Subject(store, settings, members, limits, redis, files)


async def _read_redis(url: str, now: int) -> RedisFacts:
    redis = job_queue.connection(url)
    try:
        async with asyncio.timeout(REDIS_SECONDS):
            info = await redis.info()
            late = await job_queue.overdue_jobs(redis, now - LATE_SECONDS * 1000, JOBS_READ_MAX)
    except (RedisError, OSError) as error:  # a TimeoutError is an OSError
        return RedisFacts(fault=str(error).rstrip(".") or f"no answer within {REDIS_SECONDS:.0f} s")
    finally:
        await redis.aclose(close_connection_pool=True)
    policy = str(info.get("maxmemory_policy", "noeviction"))
    evicts = policy if info.get("maxmemory") and policy != "noeviction" else None
    return RedisFacts(
        version=str(info.get("redis_version", "")),
        clients=int(info.get("connected_clients", 0)),
        clients_max=info.get("maxclients"),
        evicts=evicts,
        overdue=tuple(map(shown_text, late)),
    )
