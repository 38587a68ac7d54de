"""Server-sent events: an answer that goes on until its client leaves or its parts end."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any, TypeVar

import structlog
from litestar import Litestar, Request, Response
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send
from typing_extensions import override

from app.deadline import detached
from app.http.methods import client_method

log = structlog.get_logger(__name__)

T = TypeVar("T")

SEND_SECONDS = 30.0
"""How long a part may take to be sent: a client that reads nothing for so long has left its stream."""

EVENT_STREAM = b"text/event-stream"
_HEADERS = ((b"content-type", EVENT_STREAM), (b"x-accel-buffering", b"no"))
"""The second keeps nginx from collecting what is to arrive at once."""


class EventStream(Response[T]):
    """Parts of UTF-8, sent as they come. A client that reads slowly is waited for, for `SEND_SECONDS` with each."""

    def __init__(self, parts: AsyncGenerator[bytes]) -> None:
        super().__init__(content=None)  # type: ignore[arg-type]  # the parts are the content
        self._parts = parts

    @override
    def to_asgi_response(
        self, app: Litestar | None, request: Request[Any, Any, Any], **options: Any
    ) -> "_EventStreamResponse":
        """The same, to be sent; `options` are what the route says of its answers."""
        return _EventStreamResponse(options["status_code"], self._parts)


class _EventStreamResponse(ASGIResponse):
    """An answer on its way out."""

    def __init__(self, status: int, parts: AsyncGenerator[bytes]) -> None:
        super().__init__(status_code=status)
        self._parts = parts

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": [*_HEADERS]})
        try:
            if client_method(scope) != "HEAD":
                await send_parts(self._parts, receive, send)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            await self._parts.aclose()


async def send_parts(parts: AsyncGenerator[bytes], receive: Receive, send: Send) -> bool:
    """Send parts as they come, until there are no more; whether all were sent, to a client that has not left."""
    gone = detached(_left(receive))
    try:
        while not gone.done():
            part = asyncio.ensure_future(anext(parts, b""))
            await asyncio.wait({part, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not part.done():
                part.cancel()
                with suppress(asyncio.CancelledError):
                    await part
                return False
            if not (body := part.result()):
                return True
            async with asyncio.timeout(SEND_SECONDS):
                await send({"type": "http.response.body", "body": body, "more_body": True})
    except TimeoutError:
        log.info("a stream that nobody reads is given up", seconds=SEND_SECONDS)
    finally:
        gone.cancel()
    return False


async def _left(receive: Receive) -> None:
    """Wait until the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
