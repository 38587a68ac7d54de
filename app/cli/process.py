"""One process of the app under granian: an orderly shutdown, and one sentence for a failed start.

It is imported by the process that starts this one as well, so it imports the app only when that is to be made.
"""

import asyncio
import multiprocessing
import os
import re
import signal
from collections.abc import Awaitable, Callable
from importlib import import_module
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, TypeAlias

import structlog

from app.cli.configuration import environment
from app.collector import paused_collector
from app.http.shutdown import SHUTDOWN, Shutdown
from app.os_process import die_with_parent

if TYPE_CHECKING:
    from litestar import Litestar

Message: TypeAlias = Any
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Asgi: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]
Report: TypeAlias = tuple[int, str | None]
"""The id of a process, and what keeps it from starting, for the operator; None: it has started."""

_MESSAGE = re.compile(r"\bStorageError: (.+)$", re.MULTILINE)

log = structlog.get_logger(__name__)


def load_target(reports: Connection, target: str) -> "Process":
    """Make an app by its factory `module:name` in one of granian's processes, which ends with its parent.

    Granian's own loader would put the working folder first on the path, where packages may have the names of ours.

    Args:
        reports: Where the process says that it has started, or why it cannot.
        target: The factory.
    """
    parent = multiprocessing.parent_process()
    if parent and parent.pid:
        die_with_parent(parent.pid)
    settings = environment()
    from app.telemetry.shared_files import take_slot  # noqa: PLC0415  # the supervising process does not need it

    take_slot()
    module, _, name = target.partition(":")
    with paused_collector():
        app: Litestar = getattr(import_module(module), name)()
    return Process(app, app.state[SHUTDOWN], settings.lame_duck_seconds, reports)


class Process:
    """The application and the shutdown of its process.

    On SIGTERM it goes on listening for some seconds, reports that it is not ready, and closes each connection after its
    answer. Then it asks granian to stop, which lets requests under way finish. A second SIGTERM ends the wait.

    Args:
        app: The application.
        closing: The state of the shutdown, for readiness and headers.
        lame_duck_seconds: The time of going on listening; 0: none.
        reports: Takes a `Report` of the start.
    """

    def __init__(self, app: Asgi, shutdown: Shutdown, lame_duck_seconds: float, reports: Connection) -> None:
        self._app = app
        self._shutdown = shutdown
        self._seconds = lame_duck_seconds
        self._reports = reports
        self._drained = False

    def __call__(self, scope: Any, receive: Receive, send: Send) -> Awaitable[None]:
        """Call the application; messages of the lifespan are observed."""
        return (
            self._run_lifespan(scope, receive, send) if scope["type"] == "lifespan" else self._app(scope, receive, send)
        )

    async def _run_lifespan(self, scope: object, receive: Receive, send: Send) -> None:
        failed = False

        async def observe(message: Message) -> None:
            nonlocal failed
            if message["type"] == "lifespan.startup.complete":
                asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._terminate)
                self._report(None)
            elif message["type"] == "lifespan.startup.failed":
                failed = True
                if (fault := _operator_fault(message.get("message", ""))) is not None:
                    self._report(fault)
                    message = message | {"message": ""}  # the supervisor says it
            await send(message)

        try:
            await self._app(scope, receive, observe)
        except Exception:
            if not failed:  # granian has logged the message already, and would add the traceback
                raise

    def _report(self, fault: str | None) -> None:
        report: Report = (os.getpid(), fault)
        self._reports.send(report)

    def _terminate(self) -> None:
        if self._seconds and not self._shutdown.is_announced:
            log.info("asked to end; listening on for a while", seconds=self._seconds)
            self._shutdown.announce()
            asyncio.get_running_loop().call_later(self._seconds, self._drain)
        else:
            self._drain()

    def _drain(self) -> None:
        if self._drained:
            return
        self._drained = True
        self._shutdown.drain()
        os.kill(os.getpid(), signal.SIGINT)  # granian still handles SIGINT


def _operator_fault(traceback: str) -> str | None:
    """The message of a StorageError at the end of a traceback."""
    messages: list[str] = _MESSAGE.findall(traceback)
    return messages[-1] if messages else None
