"""One process of the app under granian: an orderly shutdown, and one sentence for a failed start."""

import asyncio
import os
import re
import signal
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import structlog

from app.http.shutdown import Shutdown

Message: TypeAlias = Any
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Asgi: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]

_MESSAGE = re.compile(r"\bStorageError: (.+)$", re.MULTILINE)

log = structlog.get_logger(__name__)


class Process:
    """The application and the shutdown of its process.

    On SIGTERM it goes on listening for some seconds, reports that it is not ready, and closes each connection after its
    answer. Then it asks granian to stop, which lets requests under way finish. A second SIGTERM ends the wait.

    Args:
        app: The application.
        closing: The state of the shutdown, for readiness and headers.
        lame_duck_seconds: The time of going on listening; 0: none.
    """

    def __init__(self, app: Asgi, shutdown: Shutdown, lame_duck_seconds: float) -> None:
        self._app = app
        self._shutdown = shutdown
        self._seconds = lame_duck_seconds
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
            elif message["type"] == "lifespan.startup.failed":
                failed = True
                message = message | {"message": _operator_message(message.get("message", ""))}
            await send(message)

        try:
            await self._app(scope, receive, observe)
        except Exception:
            if not failed:  # granian has logged the message already, and would add the traceback
                raise

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


def _operator_message(traceback: str) -> str:
    """The message of a StorageError at the end of a traceback; without one the traceback."""
    messages = _MESSAGE.findall(traceback)
    return messages[-1] if messages else traceback
