"""A worker with a job that is due every second and one that is rung by Redis; each says so on standard output."""

import asyncio
import sys
from typing import Any

from arq import cron, func

from app import job_queue
from app.logs import configure
from app.settings import Settings
from worker.resilient_worker import ResilientWorker


async def tick(ctx: dict[Any, Any]) -> None:
    """What is scheduled."""
    del ctx
    print("tick", flush=True)  # noqa: T201 -- the test reads it


async def ring(ctx: dict[Any, Any], word: str) -> None:
    """What Redis brings; some of it never ends."""
    del ctx
    print(f"rung {word}", flush=True)  # noqa: T201 -- the test reads it
    if word == "for ever":
        await asyncio.Event().wait()


if __name__ == "__main__":
    configure(Settings())
    ResilientWorker(
        [func(ring, name="ring", max_tries=2)],
        redis_pool=job_queue.connection(sys.argv[1]),
        queue_name=job_queue.QUEUE,
        cron_jobs=[cron(tick, name="tick", second=set(range(60)), run_at_startup=True)],
        job_serializer=job_queue.serialize,
        job_deserializer=job_queue.deserialize,
        keep_result=0,
        job_completion_wait=5,
    ).run()
