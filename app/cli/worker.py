"""`reserva worker`: arq's worker, which runs reconciliations and maintenance."""

import asyncio
from importlib import import_module

import click
import structlog
from arq.worker import get_kwargs

from app.cli.common import explain_failures, open_store
from app.cli.configuration import CommandFailed, export, read_configuration
from app.operations.start import log_start
from app.settings import Settings

log = structlog.get_logger(__name__)


@click.command(epilog="Example:  MONGODB_URL=mongodb://db:27017/?replicaSet=rs0 REDIS_URL=redis://queue reserva worker")
def worker() -> None:
    """Run the worker against MONGODB_URL and REDIS_URL.

    It reconciles by RESERVA_RECONCILE_CRON (UTC) and on demand. While Redis is away it goes on, and only takes longer
    to see what was asked for. SIGTERM and Ctrl-C stop it.
    """
    settings = read_configuration()
    with explain_failures():
        asyncio.run(_check_usable(settings))
        export(settings)
        # Imported only now, because it reads its settings from the environment.
        arguments = get_kwargs(import_module("worker.settings").WorkerSettings)
        log.info("worker started", reconcile_cron=settings.reconcile_cron)
        import_module("worker.resilient_worker").ResilientWorker(**arguments).run()
        log.info("worker stopped")


async def _check_usable(settings: Settings) -> None:
    """Refuse unusable settings; a Redis that cannot be reached yet is not an error."""
    if not settings.redis_url:
        raise CommandFailed("REDIS_URL is not set; the worker takes its jobs from there.")
    async with open_store(settings, require_transactions=True) as store:
        log_start(settings, store)
