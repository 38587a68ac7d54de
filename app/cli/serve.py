"""`reserva serve`: the app on granian, as one or more processes."""

import asyncio
import multiprocessing
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click
from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels

from app import logs
from app.cli.common import CouldNot, configured, environment, explained, export, opened, warn_if_optimistic
from app.settings import Settings
from app.trial.servers import ensure_free, free_port
from app.trial.tether import tie

if TYPE_CHECKING:
    from litestar import Litestar

DRAIN_SECONDS = 20
"""How long requests under way may take after SIGTERM, before their process is killed."""


@click.command(epilog="Example:  MONGODB_URL=mongodb://db:27017/?replicaSet=rs0 reserva serve --workers 2")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 picks a free one.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="How many processes.")
def serve(host: str, port: int, workers: int) -> None:
    """Run the app against MONGODB_URL and REDIS_URL.

    The database must have been prepared by `reserva migrate`. SIGTERM and Ctrl-C let requests under way finish.
    """
    settings = configured()
    with explained():
        port = port or free_port()
        address = ensure_free(host, port)
        # A wrong address is found here, once and in plain words, rather than by every process for itself.
        asyncio.run(_usable(settings))
    export(settings)
    # A forked process would inherit the threads of our driver half-alive.
    multiprocessing.set_start_method("spawn")
    server = Granian(
        "app.cli.serve:application",
        factory=True,
        address=address,
        port=port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        websockets=False,
        workers=workers,
        workers_kill_timeout=DRAIN_SECONDS,
        respawn_failed_workers=True,
        log_level=LogLevels(settings.log_level),
        log_dictconfig=logs.passed_on("_granian", "granian.access"),
    )
    try:
        server.serve(target_loader=loaded)
    except SystemExit as ended:
        if ended.code:
            raise CouldNot("The app's processes do not stay up; the log above says why.") from ended


def loaded(target: str) -> Any:
    """What a factory `module:name` makes, in one of granian's processes.

    Granian's own loader would put the working folder before everything else, where a package may have any name.
    """
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)()


def application() -> "Litestar":
    """The app in one of granian's processes, which ends with the one that started it."""
    parent = multiprocessing.parent_process()
    if parent and parent.pid:
        tie(parent.pid)
    environment()
    from app.main import create  # noqa: PLC0415  # the process that only starts others has no use for the app

    return create()


async def _usable(settings: Settings) -> None:
    async with opened(settings, insists=True) as store:
        warn_if_optimistic(store)
