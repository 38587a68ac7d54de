"""One process of the app, run by granian: it shuts down in order, and a failed start is logged as one sentence."""

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
    """The application with what belongs to its process.

    On SIGTERM it goes on listening for a while, reports that it is not ready, and closes each connection after its
    answer; only then it asks granian to stop, which lets requests under way finish. A second SIGTERM ends the wait.

    Args:
        app: The application.
        closing: Knows that the process is shutting down, for readiness and headers.
        lame_duck_seconds: How long it goes on listening; 0: not at all.
    """

    def __init__(self, app: Asgi, closing: Shutdown, lame_duck_seconds: float) -> None:
        self._app = app
        self._closing = closing
        self._seconds = lame_duck_seconds
        self._drained = False

    def __call__(self, scope: Any, receive: Receive, send: Send) -> Awaitable[None]:
        """Call the application; messages of the lifespan are observed on their way."""
        return self._live(scope, receive, send) if scope["type"] == "lifespan" else self._app(scope, receive, send)

    async def _live(self, scope: object, receive: Receive, send: Send) -> None:
        failed = False

        async def observe(message: Message) -> None:
            nonlocal failed
            if message["type"] == "lifespan.startup.complete":
                asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._terminate)
            elif message["type"] == "lifespan.startup.failed":
                failed = True
                message = message | {"message": _plain(message.get("message", ""))}
            await send(message)

        try:
            await self._app(scope, receive, observe)
        except Exception:
            if not failed:  # else granian has logged it already, and would log its traceback as well
                raise

    def _terminate(self) -> None:
        if self._seconds and not self._closing.is_announced:
            log.info("asked to end; listening on for a while", seconds=self._seconds)
            self._closing.announce()
            asyncio.get_running_loop().call_later(self._seconds, self._drain)
        else:
            self._drain()

    def _drain(self) -> None:
        if self._drained:
            return
        self._drained = True
        self._closing.drain()
        os.kill(os.getpid(), signal.SIGINT)  # granian still listens to this one


def _plain(traceback: str) -> str:
    """The operator's sentence at the end of a traceback, if there is one; else the traceback."""
    messages = _MESSAGE.findall(traceback)
    return messages[-1] if messages else traceback
