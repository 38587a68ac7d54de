"""`reserva serve`: the app on granian, as one or more processes."""

import multiprocessing
import resource
from contextlib import nullcontext, suppress
from functools import partial

import click
import structlog
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels

from app import logs
from app.cli.address import published_address
from app.cli.configuration import CommandFailed, export, read_configuration
from app.cli.process import load_target
from app.cli.supervisor import Supervisor
from app.open_files import CONNECTIONS, OTHER_FILES
from app.os_process import CannotListen, ensure_free, free_port
from app.telemetry.shared_folder import shared_folder

DRAIN_SECONDS = 20
"""The time of requests under way after SIGTERM and the lame-duck time, before their process is killed."""

PRODUCT = "app.main:create"
"""The factory of the app."""

IDLE_SECONDS = 30
"""The time of a connection for the whole head of a request, also of the next one: idle for longer, it is closed."""

HEAD_BYTES = 65_536
"""The length of the head of a request; a longer one is answered 431. The parser reads ahead of it, but not by much."""

log = structlog.get_logger(__name__)


@click.command(epilog="Example:  MONGODB_URL=mongodb://db:27017/?replicaSet=rs0 reserva serve --workers 2")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 picks a free one.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="How many processes.")
@click.option(
    "--connections",
    type=click.IntRange(1, 1_000_000),
    default=CONNECTIONS,
    show_default=True,
    help="How many may be open, over all processes.",
)
@click.option(
    "--application", default=PRODUCT, hidden=True, help="Another app, `module:factory`, to measure beside it."
)
def serve(host: str, port: int, workers: int, connections: int, application: str) -> None:
    """Run the app against MONGODB_URL and REDIS_URL.

    The database must have been prepared by `reserva migrate`. SIGTERM and Ctrl-C let requests under way finish; after
    SIGTERM it listens on for RESERVA_LAME_DUCK_SECONDS before that.
    """
    settings = read_configuration()
    port = port or free_port()
    address = _ensure_free(host, port)
    export(settings)
    # A forked process would inherit the driver's locks without the threads that hold them.
    multiprocessing.set_start_method("spawn")
    server = Supervisor(
        application,
        factory=True,
        address=address,
        port=port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        websockets=False,
        workers=workers,
        workers_kill_timeout=settings.lame_duck_seconds + DRAIN_SECONDS,
        backpressure=_connections_per_process(connections, workers),
        http1_settings=HTTP1Settings(header_read_timeout=IDLE_SECONDS * 1000, max_buffer_size=HEAD_BYTES),
        log_level=LogLevels(settings.log_level),
        log_dictconfig=logs.propagating_config("_granian", "granian.access"),
    )
    with (
        published_address(address, port),
        shared_folder() if workers > 1 else nullcontext(),
        suppress(SystemExit),
    ):  # by a signal, whatever became of single processes before
        server.serve(target_loader=partial(load_target, server.reports))
    if server.fault is not None:
        raise CommandFailed(server.fault)


def _ensure_free(host: str, port: int) -> str:
    try:
        return ensure_free(host, port)
    except CannotListen as error:
        raise CommandFailed(str(error)) from error


def _connections_per_process(connections: int, workers: int) -> int:
    """The connections of each process: its share, or what the limit of open files allows."""
    share = max(connections // workers, 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = share + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        if soft < needed:
            share = max(soft - OTHER_FILES, 1)
            log.warning("the limit of open files (ulimit -n) leaves fewer connections", each_process=share)
    return share
