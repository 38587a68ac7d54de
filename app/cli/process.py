"""One process of the app, as granian runs it: it ends in order, and says in plain words why it cannot start."""

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

_SENTENCE = re.compile(r"\bStorageError: (.+)$", re.MULTILINE)

log = structlog.get_logger(__name__)


class Process:
    """The application with what belongs to its process.

    On SIGTERM it goes on listening for a while, not ready and closing each connection after its answer; only then
    granian is told to stop, which lets requests under way finish. A second SIGTERM ends the waiting.

    Args:
        app: The application.
        closing: What it is told of the end.
        lame_duck_seconds: How long it goes on listening; 0: not at all.
    """

    def __init__(self, app: Asgi, closing: Shutdown, lame_duck_seconds: float) -> None:
        self._app = app
        self._closing = closing
        self._seconds = lame_duck_seconds
        self._drained = False

    def __call__(self, scope: Any, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass everything on; the lifespan is listened to."""
        return self._live(scope, receive, send) if scope["type"] == "lifespan" else self._app(scope, receive, send)

    async def _live(self, scope: Any, receive: Receive, send: Send) -> None:
        failed = False

        async def hear(message: Message) -> None:
            nonlocal failed
            if message["type"] == "lifespan.startup.complete":
                asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._terminate)
            elif message["type"] == "lifespan.startup.failed":
                failed = True
                message = message | {"message": _plain(message.get("message", ""))}
            await send(message)

        try:
            await self._app(scope, receive, hear)
        except Exception:
            if not failed:  # else granian was told, and would tell it again with its traceback
                raise

    def _terminate(self) -> None:
        if self._seconds and not self._closing.leaving:
            log.info("asked to end; listening on for a while", seconds=self._seconds)
            self._closing.leave()
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
    """The sentence for the operator that a traceback ends with, if it does."""
    sentences = _SENTENCE.findall(traceback)
    return sentences[-1] if sentences else traceback
