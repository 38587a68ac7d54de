"""Answers that are sent while they are made, so that they may be long."""

from collections.abc import AsyncIterator
from typing import Any, TypeVar

from litestar import Litestar, Request, Response
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send
from typing_extensions import override

from app.http.json_response import JSON

T = TypeVar("T")


class JsonStream(Response[T]):
    """The JSON of a `T`, in parts of UTF-8. An error before the first part is answered as such."""

    def __init__(self, parts: AsyncIterator[bytes]) -> None:
        super().__init__(content=None)  # type: ignore[arg-type]  # the parts are the content
        self._parts = parts

    @override
    def to_asgi_response(
        self, app: Litestar | None, request: Request[Any, Any, Any], **options: Any
    ) -> "_StreamedResponse":
        """The same, to be sent; `options` are what the route says of its answers."""
        return _StreamedResponse(options["status_code"], self._parts)


class _StreamedResponse(ASGIResponse):
    """An answer on its way out."""

    def __init__(self, status: int, parts: AsyncIterator[bytes]) -> None:
        super().__init__(status_code=status)
        self._parts = parts

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        first = await anext(self._parts, b"")
        headers = [(b"content-type", JSON.encode())]
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": first, "more_body": True})
        async for part in self._parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
