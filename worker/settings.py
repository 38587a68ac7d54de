"""arq's worker: `reserva worker`, or `arq worker.settings.WorkerSettings`, which ends when Redis fails it.

The environment is read when this module is imported, because arq wants a class with everything in it.
"""

import asyncio
from contextlib import AsyncExitStack, suppress
from datetime import UTC
from typing import ClassVar

from arq import cron, func
from arq.connections import ArqRedis
from arq.cron import CronJob
from arq.worker import Function
from pymongo.errors import PyMongoError

from app import job_queue
from app.booking import BookingService
from app.cluster import worker_heartbeat
from app.cluster.worker_heartbeat import BEAT_SECONDS
from app.cron import parse
from app.errors import Problem
from app.events.relay import Relay
from app.migration.migrate import verify
from app.reconciliation.alerts import Alerts
from app.settings import read_settings
from app.storage.client import Store, connect
from app.storage.leases import OWNER
from app.telemetry.tracer import tracer_of_environment
from app.wakeups import Wakeups
from app.webhooks.dispatcher import Dispatcher
from worker import jobs
from worker.cron_line_job import CronLineJob
from worker.traced import traced

RUN_SECONDS = 6 * 3600
"""The longest reconciliation. A worker that dies in one is noticed by its missing heartbeats, not by this timeout."""

PICK_UP_SECONDS = 20
"""Between two searches for runs in MongoDB: those of a dead worker are abandoned after half a minute, and carried out
by another within a minute."""

TIDY_SECOND = 30
"""Once a minute, away from the runs that begin with it."""
TIDY_SECONDS = 55

ERASE_SECOND = 45
"""Once a minute, away from the other jobs."""
ERASE_SECONDS = 6 * 3600

PRUNE_HOUR, PRUNE_MINUTE = 3, 10
"""Once a day, in UTC, away from runs that begin with an hour."""
PRUNE_SECONDS = 6 * 3600

ALERT_SECONDS = 10
"""Between two searches for findings without an alert; a run that opens findings queues the job as well."""
ALERT_TIMEOUT_SECONDS = 300

_settings = read_settings()


async def startup(ctx: jobs.Context) -> None:
    """Open the database; one that is not migrated is refused."""
    # What was opened last is closed first, each whatever becomes of the others.
    ctx["opened"] = opened = AsyncExitStack()
    ctx["settings"] = _settings
    ctx["alerts"] = alerts = Alerts(_settings, job_queue.Queue(_settings.redis_url))
    opened.push_async_callback(alerts.aclose)
    ctx["tracer"] = tracer = tracer_of_environment()
    if tracer is not None:
        opened.push_async_callback(asyncio.to_thread, tracer.close)
    ctx["store"] = store = await connect(_settings)
    opened.push_async_callback(store.close)
    opened.push_async_callback(_stop_heartbeat, store)
    await verify(store)
    wakeups = Wakeups(_settings.redis_url, store.database.name)
    opened.push_async_callback(wakeups.close)
    ctx["booking"] = booking = BookingService(store, on_write=wakeups.notify)
    opened.push_async_callback(booking.stop)
    await booking.start()
    relay = Relay(store, wakeups)
    opened.push_async_callback(relay.stop)
    relay.start()
    dispatcher = Dispatcher(store, _settings, wakeups)
    opened.push_async_callback(dispatcher.stop)
    dispatcher.start()


async def shutdown(ctx: jobs.Context) -> None:
    """Close what the startup has opened, also where it failed."""
    if "opened" in ctx:
        await ctx["opened"].aclose()


async def _stop_heartbeat(store: Store) -> None:
    with suppress(PyMongoError):
        await worker_heartbeat.stop(store, OWNER)


def _redis() -> ArqRedis:
    if _settings.redis_url is None:
        raise Problem("invalid", "REDIS_URL is not set; the worker takes its jobs from there.")
    return job_queue.connection(_settings.redis_url)


class WorkerSettings:
    """What arq reads, by name; all other settings have arq's defaults."""

    redis_pool: ClassVar[ArqRedis] = _redis()
    queue_name = job_queue.QUEUE
    functions: ClassVar[list[Function]] = [
        # The second try is for a worker that was stopped: it requeued its run, which the next one begins at once.
        func(traced(jobs.run_reconciliation), name=job_queue.RUN, timeout=RUN_SECONDS, max_tries=2),
        func(traced(jobs.send_alerts), name=job_queue.ALERT, timeout=ALERT_TIMEOUT_SECONDS),
    ]
    cron_jobs: ClassVar[list[CronJob]] = [
        cron(
            jobs.beat,
            name=job_queue.BEAT,
            second=set(range(0, 60, BEAT_SECONDS)),
            timeout=BEAT_SECONDS,
            run_at_startup=True,
        ),
        CronLineJob(
            jobs.reconcile_reservations,
            parse(_settings.reconcile_cron),
            name=job_queue.RECONCILE,
            timeout=RUN_SECONDS,
            max_tries=2,
        ),
        cron(
            jobs.pick_up_reconciliations,
            name=job_queue.PICK_UP,
            second=set(range(0, 60, PICK_UP_SECONDS)),
            timeout=RUN_SECONDS,
            run_at_startup=True,
        ),
        cron(
            jobs.send_alerts,
            name=f"{job_queue.ALERT}:look",
            second=set(range(5, 60, ALERT_SECONDS)),
            timeout=ALERT_TIMEOUT_SECONDS,
        ),
        cron(jobs.tidy_up, name=job_queue.TIDY, second=TIDY_SECOND, timeout=TIDY_SECONDS),
        cron(jobs.erase, name=job_queue.ERASE, second=ERASE_SECOND, timeout=ERASE_SECONDS),
        cron(jobs.prune, name=job_queue.PRUNE, hour=PRUNE_HOUR, minute=PRUNE_MINUTE, second=0, timeout=PRUNE_SECONDS),
    ]
    on_startup = startup
    on_shutdown = shutdown
    timezone = UTC
    job_serializer = job_queue.serialize
    job_deserializer = job_queue.deserialize
    keep_result = 0
    """A stored result would block the id of its job."""
    job_completion_wait = 5
    """Seconds that jobs have to finish on SIGTERM; a reconciliation that takes longer requeues its run."""
