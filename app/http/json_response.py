"""Answers whose bytes are there already: Litestar's own response would encode, copy and sort once more."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from litestar import Litestar, Request, Response
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send
from typing_extensions import override

T = TypeVar("T")

JSON = "application/json"
NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class JsonResponse(Response[T]):
    """The JSON of a `T`.

    Args:
        body: UTF-8.
        status: The HTTP status; None: the route's own.
        headers: Beside those of the content.
        media_type: `application/json`, or a type with that syntax.
    """

    def __init__(
        self,
        body: bytes,
        *,
        status: int | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
        media_type: str = JSON,
    ) -> None:
        # What the constructor of Litestar's response sets and `to_asgi_response` does not read is left out.
        self.body = body
        self.status_code = status
        self.headers = dict(headers)
        self._content_type = media_type.encode()

    @override
    def to_asgi_response(
        self, app: Litestar | None, request: Request[Any, Any, Any], **options: Any
    ) -> "_EncodedResponse":
        """The same with its headers encoded; `options` are what the route says of its answers."""
        head = [(name.lower().encode(), value.encode("latin-1")) for name, value in self.headers.items()]
        head += ((b"content-type", self._content_type), (b"content-length", b"%d" % len(self.body)))
        return _EncodedResponse(self.status_code or options["status_code"], head, self.body)


class _EncodedResponse(ASGIResponse):
    """An answer on its way out, headers and all."""

    def __init__(self, status: int, head: list[tuple[bytes, bytes]], body: bytes) -> None:
        self.status_code = status
        self._head = head
        self.body = body

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self._head})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})
