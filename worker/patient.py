"""arq's worker, for which Redis may be away, full, read-only, slow, or full of rubbish.

arq ends at the first error of Redis, and puts what its cron says into Redis before it runs it. Here Redis is a hint:
it only brings sooner what stands in MongoDB anyway. So arq's cron says when, and what is due starts in this process,
the same with Redis and without, instead of on a second way that is walked in an outage alone. Several workers have the
same cron; each job finds in MongoDB what another has begun.
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

ANSWER_SECONDS = 3.0
"""What Redis gets to answer with all that this worker can take; what is due waits for it no longer."""
PAUSE_SECONDS = 2.0
"""Between two attempts, as long as Redis cannot be used."""
LAST_SECONDS = 5.0
"""What tasks that were cancelled get to write down that they were."""
UNREADABLE = ":unreadable"
"""Behind the name of a queue that is none, when it is set aside."""

_RUBBISH = re.compile("WRONGTYPE|value is not an integer")
"""What Redis says of a key that holds something else; in a pipeline behind the command."""

log = structlog.get_logger(__name__)


class PatientWorker(Worker):
    """Takes the arguments of arq's; see above for what it does better."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._asks_at = -math.inf
        self._away_since: float | None = None

    async def main(self) -> None:
        """Start what is due and what Redis brings, until somebody ends it."""
        self.ctx["redis"] = self.pool
        if self.on_startup:
            await self.on_startup(self.ctx)
        async for _ in poll(self.poll_delay_s):
            await self._poll_iteration()

    async def close(self) -> None:
        """Give back what is open, whether or not Redis answers."""
        if self.tasks:
            await asyncio.wait(self.tasks.values(), timeout=LAST_SECONDS)
        if self.on_shutdown:
            await self.on_shutdown(self.ctx)
        with suppress(RedisError, OSError):
            await self.pool.aclose(close_connection_pool=True)

    async def record_health(self) -> None:
        """Nothing: that a worker lives stands in MongoDB, where it does not depend on Redis."""

    async def run_cron(self, n: datetime, delay: float, num_windows: int = 2) -> None:
        """Start what is due in this process. What a pause of the process has missed is due once, and not twice.

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
                if job.name not in self.tasks:  # else the last one has not ended yet, and sees what there is to do
                    self.tasks[job.name] = self.loop.create_task(self._scheduled(job))

    async def _scheduled(self, job: CronJob) -> None:
        try:
            async with asyncio.timeout(job.timeout_s):
                await job.coroutine(dict(self.ctx))
        except PyMongoError as error:
            log.warning("the database failed a scheduled job; it comes again", job=job.name, error=str(error))
        except Exception:  # whatever it was, the next time may be better, and the others go on
            log.exception("a scheduled job failed; it comes again", job=job.name)

    async def _poll_iteration(self) -> None:
        """What is due, and then what Redis brings, if it can be used."""
        await self.heart_beat()
        if self.allow_pick_jobs and self.loop.time() >= self._asks_at:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    await self._take()
            except Exception as error:  # noqa: BLE001 -- whatever comes from a queue, the schedule goes on
                await self._is_away(error)
            else:
                self._is_back()
        for identity in [identity for identity, task in self.tasks.items() if task.done()]:
            del self.tasks[identity]

    async def _is_away(self, error: BaseException) -> None:
        """Leave Redis alone for a moment, and connect anew then: another server may have taken over the address."""
        with suppress(RedisError, OSError):
            await self.pool.connection_pool.disconnect(inuse_connections=False)
        self._asks_at = self.loop.time() + PAUSE_SECONDS
        if self._away_since is None:
            self._away_since = self.loop.time()
            reason = f"{type(error).__name__}: {error}"
            log.warning("Redis cannot be used; what waits is found in MongoDB until it can", error=reason)

    def _is_back(self) -> None:
        if self._away_since is not None:
            log.info("Redis can be used again", seconds=round(self.loop.time() - self._away_since, 1))
            self._away_since = None

    async def _take(self) -> None:
        """Start the jobs that wait in Redis, and take out what is none."""
        # arq loses count of what it has started whenever Redis fails it between two steps.
        self.job_counter = sum(not task.done() for task in self.tasks.values())
        self.sem = asyncio.Semaphore(self.max_jobs + 1)  # type: ignore[assignment]  # a bounded one raises if it miscounts
        rubbish: dict[bytes, str] = {}
        for identity, score in await self._waiting():
            if identity.decode(errors="replace") in self.tasks:
                continue
            if score <= 0 or math.isinf(score):
                rubbish[identity] = f"{score} is no time"
                continue
            try:
                await self.start_jobs([identity])
            except Exception as error:
                if not _is_rubbish(error):
                    raise
                rubbish[identity] = f"{type(error).__name__}: {error}"
        if rubbish:
            await self._take_out(rubbish)

    async def _waiting(self) -> list[tuple[bytes, float]]:
        """What is due of the queue, with its times."""
        try:
            found: list[tuple[bytes, float]] = await self.pool.zrangebyscore(
                self.queue_name, "-inf", timestamp_ms(), start=0, num=self.queue_read_limit, withscores=True
            )
        except ResponseError as error:
            if not _is_rubbish(error):
                raise
            await self.pool.rename(self.queue_name, self.queue_name + UNREADABLE)
            log.warning("the queue in Redis was none and is set aside", key=self.queue_name + UNREADABLE)
            return []
        return found

    async def run_job(self, job_id: str, score: int) -> None:
        """arq's, but an entry of the queue with which it cannot deal is taken out instead of ending the worker."""
        try:
            await super().run_job(job_id, score)
        except Exception as error:  # noqa: BLE001 -- a task of arq's that raises ends the worker
            try:
                if not _is_rubbish(error):
                    raise
                await self._take_out({job_id.encode(): f"{type(error).__name__}: {error}"})
            except (RedisError, OSError) as worse:
                await self._is_away(worse)

    async def _take_out(self, rubbish: dict[bytes, str]) -> None:
        """Remove entries of the queue with all that belongs to them; what is wrong with them is a line in the log."""
        async with self.pool.pipeline(transaction=True) as pipe:
            pipe.zrem(self.queue_name, *rubbish)
            for prefix in (job_key_prefix, retry_key_prefix, in_progress_key_prefix):
                pipe.delete(*(prefix.encode() + identity for identity in rubbish))
            await pipe.execute()
        first, reason = next(iter(rubbish.items()))
        log.warning(
            "what made no sense in the queue in Redis was removed",
            entries=len(rubbish),
            first=repr(first),
            reason=reason,
        )


def _is_rubbish(error: Exception) -> bool:
    """Whether it is what stands in Redis that is wrong, and not Redis that cannot be used."""
    if isinstance(error, ResponseError):
        return _RUBBISH.search(str(error)) is not None
    return not isinstance(error, RedisError | OSError)
