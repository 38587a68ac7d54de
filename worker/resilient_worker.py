"""arq's worker, made to survive a Redis that is unreachable, full, read-only, slow, or holds invalid entries.

arq ends at the first error of Redis, and puts a cron job into Redis before it runs it. Here Redis is a hint: whatever
is queued in it stands in MongoDB anyway, and is only picked up sooner. So arq's cron decides when a job is due, and
this process starts it directly, with Redis or without: an outage takes no path of its own that is never exercised
otherwise. Several workers have the same cron; each job finds in MongoDB what another worker has begun.
"""

import asyncio
import math
import re
from contextlib import suppress
from datetime import datetime
from typing import Any

import structlog
from arq.constants import in_progress_key_prefix, job_key_prefix, retry_key_prefix
from arq.cron import CronJob
from arq.utils import poll, timestamp_ms
from arq.worker import Worker
from pymongo.errors import PyMongoError
from redis.exceptions import RedisError, ResponseError
from structlog.contextvars import bind_contextvars
from typing_extensions import override

from app.errors import Problem

ANSWER_SECONDS = 3.0
"""How long Redis has to answer with all jobs that this worker can take; jobs that are due wait no longer for it."""
PAUSE_SECONDS = 2.0
"""Between two attempts while Redis cannot be used."""
CLOSE_SECONDS = 5.0
"""How long cancelled tasks have to store that they were cancelled."""
UNREADABLE = ":unreadable"
"""Appended to the key of a queue of a wrong type, when it is set aside."""

_INVALID_ENTRY = re.compile("WRONGTYPE|value is not an integer")
"""What Redis answers about a key of a wrong type; in a pipeline it names the command first."""

log = structlog.get_logger(__name__)


class ResilientWorker(Worker):
    """Takes the arguments of arq's worker."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._redis_retry_at = -math.inf
        self._redis_lost_at: float | None = None

    @override
    async def main(self) -> None:
        """Start the jobs that are due and those queued in Redis, until the worker is stopped."""
        self.ctx["redis"] = self.pool
        if self.on_startup:
            await self.on_startup(self.ctx)
        async for _ in poll(self.poll_delay_s):
            await self._poll_iteration()

    @override
    async def close(self) -> None:
        """Wait for cancelled tasks and close the connections, whether or not Redis answers."""
        if self.tasks:
            await asyncio.wait(self.tasks.values(), timeout=CLOSE_SECONDS)
        if self.on_shutdown:
            await self.on_shutdown(self.ctx)
        with suppress(RedisError, OSError):
            await self.pool.aclose(close_connection_pool=True)

    @override
    async def record_health(self) -> None:
        """Nothing: workers write their heartbeat into MongoDB, where it does not depend on Redis."""

    @override
    async def run_cron(self, n: datetime, delay: float, num_windows: int = 2) -> None:
        """Start the jobs that are due, in this process. However many times a paused process missed, a job runs once.

        arq queues a job up to `delay` seconds ahead of its time; here it starts at its time, so both are unused.
        """
        del delay, num_windows
        for job in self.cron_jobs:
            if job.next_run is None and job.run_at_startup:
                job.next_run = n
            elif job.next_run is None:
                job.calculate_next(n)
            if job.next_run is not None and job.next_run <= n and self.allow_pick_jobs:
                job.calculate_next(n)
                if job.name not in self.tasks:  # else the last one still runs, and finds the work itself
                    self.tasks[job.name] = self.loop.create_task(self._run_scheduled(job))

    async def _run_scheduled(self, job: CronJob) -> None:
        bind_contextvars(job=job.name, job_id=f"{job.name}:{timestamp_ms()}")
        try:
            async with asyncio.timeout(job.timeout_s):
                await job.coroutine(dict(self.ctx))
        except (PyMongoError, Problem) as error:
            log.warning("the database failed a scheduled job; it comes again", error=str(error))
        except Exception:  # whatever it was, the next run may succeed, and the other jobs go on
            log.exception("a scheduled job failed; it comes again")

    @override
    async def _poll_iteration(self) -> None:
        """Start the jobs that are due, and then those queued in Redis, if it can be used."""
        await self.heart_beat()
        if self.allow_pick_jobs and self.loop.time() >= self._redis_retry_at:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    await self._start_queued()
            except Exception as error:  # noqa: BLE001 -- whatever the queue holds, the schedule goes on
                await self._redis_is_lost(error)
            else:
                self._redis_is_back()
        for identity in [identity for identity, task in self.tasks.items() if task.done()]:
            del self.tasks[identity]

    async def _redis_is_lost(self, error: BaseException) -> None:
        """Pause, and reconnect then: another server may have taken over the address."""
        with suppress(RedisError, OSError):
            await self.pool.connection_pool.disconnect(inuse_connections=False)
        self._redis_retry_at = self.loop.time() + PAUSE_SECONDS
        if self._redis_lost_at is None:
            self._redis_lost_at = self.loop.time()
            reason = f"{type(error).__name__}: {error}"
            log.warning("Redis cannot be used; what waits is found in MongoDB until it can", error=reason)

    def _redis_is_back(self) -> None:
        if self._redis_lost_at is not None:
            log.info("Redis can be used again", seconds=round(self.loop.time() - self._redis_lost_at, 1))
            self._redis_lost_at = None

    async def _start_queued(self) -> None:
        """Start the jobs queued in Redis, and remove entries that are none."""
        # arq loses count of what it has started whenever Redis fails it between two steps.
        self.job_counter = sum(not task.done() for task in self.tasks.values())
        self.sem = asyncio.Semaphore(self.max_jobs + 1)  # type: ignore[assignment]  # a bounded one raises if it miscounts
        invalid: dict[bytes, str] = {}
        for identity, score in await self._due_entries():
            if identity.decode(errors="replace") in self.tasks:
                continue
            if score <= 0 or math.isinf(score):
                invalid[identity] = f"{score} is no time"
                continue
            try:
                await self.start_jobs([identity])
            except Exception as error:
                if not _is_invalid_entry(error):
                    raise
                invalid[identity] = f"{type(error).__name__}: {error}"
        if invalid:
            await self._remove(invalid)

    async def _due_entries(self) -> list[tuple[bytes, float]]:
        """The ids of the queued jobs that are due, with their scores: the times at which they are, in milliseconds."""
        try:
            found: list[tuple[bytes, float]] = await self.pool.zrangebyscore(
                self.queue_name, "-inf", timestamp_ms(), start=0, num=self.queue_read_limit, withscores=True
            )
        except ResponseError as error:
            if not _is_invalid_entry(error):
                raise
            await self.pool.rename(self.queue_name, self.queue_name + UNREADABLE)
            log.warning("the queue in Redis was none and is set aside", key=self.queue_name + UNREADABLE)
            return []
        return found

    @override
    async def run_job(self, job_id: str, score: int) -> None:
        """arq's, but an entry of the queue that it cannot handle is removed instead of ending the worker."""
        bind_contextvars(job_id=job_id)  # each job has a task, and so a context, of its own
        try:
            await super().run_job(job_id, score)
        except Exception as error:  # noqa: BLE001 -- a task of arq's that raises ends the worker
            try:
                if not _is_invalid_entry(error):
                    raise
                await self._remove({job_id.encode(): f"{type(error).__name__}: {error}"})
            except (RedisError, OSError) as worse:
                await self._redis_is_lost(worse)

    async def _remove(self, invalid: dict[bytes, str]) -> None:
        """Remove entries of the queue with all of their keys, and log what is wrong with the first."""
        async with self.pool.pipeline(transaction=True) as pipe:
            pipe.zrem(self.queue_name, *invalid)
            for prefix in (job_key_prefix, retry_key_prefix, in_progress_key_prefix):
                pipe.delete(*(prefix.encode() + identity for identity in invalid))
            await pipe.execute()
        first, reason = next(iter(invalid.items()))
        log.warning(
            "what made no sense in the queue in Redis was removed",
            entries=len(invalid),
            first=repr(first),
            reason=reason,
        )


def _is_invalid_entry(error: Exception) -> bool:
    """Whether an entry in Redis is invalid, rather than Redis unusable."""
    if isinstance(error, ResponseError):
        return _INVALID_ENTRY.search(str(error)) is not None
    return not isinstance(error, RedisError | OSError)
