"""Files that are sent while they are made: of any length, in the memory of a part, and never cut off unnoticed.

The first part is made within the deadline of the request, so that until then every failure is a problem. The rest may
take longer, as long as its client reads. A file that does not come to its end breaks its connection off instead of
ending the answer, so that no client takes a part for the whole.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any, TypeVar

import structlog
from litestar import Litestar, Request, Response
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send
from typing_extensions import override

from app.http.event_stream import send_parts
from app.http.methods import client_method
from app.telemetry import request_record

log = structlog.get_logger(__name__)

T = TypeVar("T")


class BrokenOffError(Exception):
    """What a file is made of cannot be read to its end; the reason is for the log."""


class FileStream(Response[T]):
    """A file in parts.

    Args:
        parts: Its bytes; at least one part, the first of which is ready.
        media_type: The type of its content.
        name: What a browser saves it as.
    """

    def __init__(self, parts: AsyncGenerator[bytes], *, media_type: str, name: str) -> None:
        super().__init__(content=None)  # type: ignore[arg-type]  # the parts are the content
        self._parts = parts
        self._head = [
            (b"content-type", media_type.encode()),
            (b"content-disposition", f'attachment; filename="{name}"'.encode()),
        ]

    @override
    def to_asgi_response(
        self, app: Litestar | None, request: Request[Any, Any, Any], **options: Any
    ) -> "_FileStreamResponse":
        """The same, to be sent; `options` are what the route says of its answers."""
        return _FileStreamResponse(options["status_code"], self._head, self._parts)


class _FileStreamResponse(ASGIResponse):
    """An answer on its way out."""

    def __init__(self, status: int, head: list[tuple[bytes, bytes]], parts: AsyncGenerator[bytes]) -> None:
        super().__init__(status_code=status)
        self._head = head
        self._parts = parts

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.monotonic()
        await send({"type": "http.response.start", "status": self.status_code, "headers": [*self._head]})
        try:
            whole = client_method(scope) == "HEAD" or await send_parts(self._parts, receive, send)
        except BrokenOffError as error:
            log.warning("a file is broken off", reason=str(error))
            whole = False
        finally:
            await asyncio.shield(self._parts.aclose())
            if (record := request_record.current()) is not None:  # how long a client reads says nothing of the answer
                record.long_poll_seconds += time.monotonic() - began
        if whole:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
