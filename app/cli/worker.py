"""`reserva worker`: arq's worker, which reconciles and tidies up."""

import asyncio
from importlib import import_module
from typing import Any

import click
import structlog
from arq.worker import run_worker
from redis.asyncio import Redis

from app.cli.common import CouldNot, configured, explained, export, opened
from app.cli.start import tell_start
from app.settings import Settings

log = structlog.get_logger(__name__)

_REDIS_SECONDS = 3


@click.command(epilog="Example:  MONGODB_URL=mongodb://db:27017/?replicaSet=rs0 REDIS_URL=redis://queue reserva worker")
def worker() -> None:
    """Run the worker against MONGODB_URL and REDIS_URL.

    It reconciles by RESERVA_RECONCILE_CRON (UTC) and on demand. SIGTERM and Ctrl-C stop it.
    """
    settings = configured()
    with explained():
        asyncio.run(_usable(settings))
        export(settings)
        # Imported only now: it takes its settings from the environment.
        jobs = import_module("worker.settings").WorkerSettings
        log.info("worker started", reconcile_cron=settings.reconcile_cron)
        run_worker(jobs)
        log.info("worker stopped")


async def _usable(settings: Settings) -> None:
    if not settings.redis_url:
        raise CouldNot("REDIS_URL is not set; the worker takes its jobs from there.")
    waits: dict[str, Any] = {"socket_connect_timeout": _REDIS_SECONDS, "socket_timeout": _REDIS_SECONDS}
    async with Redis.from_url(settings.redis_url, **waits) as redis:
        await redis.ping()
    async with opened(settings, insists=True) as store:
        tell_start(settings, store)
