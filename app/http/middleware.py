"""The outermost middleware, before routing and after every response.

HEAD is a GET without its body, OPTIONS lists the methods of a path, and a path longer than any route is not looked up.
An answer to GET has an `ETag`, of its version or its content, and is 304 if `If-None-Match` names it.
"""

import re
from hashlib import blake2b
from typing import Final

from litestar import Request
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPResponseStartEvent, Message, Receive, Scope, Send

from app.errors import Problem
from app.http.methods import client_method, route_as_options, store_client_method
from app.http.problems import render_problem
from app.http.request import AnyRequest, added_headers, is_changeable, request_id
from app.http.shutdown import Shutdown

MAX_PATH_LENGTH = 1_000
"""Characters of a path; the longest route has three ids of 64."""

API_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"
"""Content-Security-Policy of answers that no browser should display."""

_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", API_POLICY.encode()),
    (b"cache-control", b"no-store"),
    (b"vary", b"Authorization, Cookie"),
)
"""Headers of every answer that does not set them itself."""

_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e]*")')
_ABOUT_CONTENT: Final = (b"content-length", b"content-type", b"content-disposition")


class OuterMiddleware:
    """ASGI middleware around the whole application.

    Args:
        app: The application.
        shutdown: Tells whether an answer is the last of its connection.
    """

    def __init__(self, app: ASGIApp, shutdown: Shutdown) -> None:
        self._app = app
        self._shutdown = shutdown

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Prepare one request for routing, and its answer for the client."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        send = self._with_headers(scope, send)
        method = store_client_method(scope)
        if method in {"GET", "HEAD"}:
            scope["method"] = "GET"
            send = _GetResponse(scope, send)
        elif method == "OPTIONS":
            route_as_options(scope)
        if len(scope["path"]) > MAX_PATH_LENGTH:
            await _answer_long_path(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _with_headers(self, scope: Scope, send: Send) -> Send:
        """Add to the answer its own headers, the security headers and, before the end, `Connection: close`."""

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message["headers"])
                present = {name.lower() for name, _ in headers}
                headers.append((b"x-request-id", request_id(scope).encode("ascii")))
                headers += added_headers(scope)
                headers += (header for header in _HEADERS if header[0] not in present)
                if self._shutdown.is_announced:
                    headers.append((b"connection", b"close"))
                message["headers"] = headers
            await send(message)

        return send_on


class _GetResponse:
    """The answer to one GET or HEAD; its start is delayed until the first part of its body, which its tag needs."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send
        self._without_body = client_method(scope) == "HEAD"
        self._start: HTTPResponseStartEvent | None = None

    async def __call__(self, message: Message) -> None:
        """Send a message, or what HEAD or a 304 leaves of it."""
        if message["type"] == "http.response.start":
            self._start = message
            return
        if message["type"] == "http.response.body":
            if self._start is not None:
                start, self._start = self._start, None
                body = None if message["more_body"] else message["body"]
                await self._send(self._response_start(start, body))
            if self._without_body:
                message["body"] = b""
                if message["more_body"]:
                    return
        await self._send(message)

    def _response_start(self, start: HTTPResponseStartEvent, body: bytes | None) -> HTTPResponseStartEvent:
        """The start of the answer, with a tag if it can have one; that of a 304 if the client has that tag."""
        if start["status"] != 200:  # noqa: PLR2004  # by definition of HTTP: only that is what was asked for
            return start
        headers = list(start["headers"])
        tag = next((value for name, value in headers if name.lower() == b"etag"), None)
        if tag is None and body is not None and self._is_json(headers):
            tag = f'"{blake2b(body, digest_size=12).hexdigest()}"'.encode()
            headers.append((b"etag", tag))
        if tag is not None and not is_changeable(self._scope) and self._is_known(tag.decode("latin-1")):
            self._without_body = True
            remaining = [(name, value) for name, value in headers if name.lower() not in _ABOUT_CONTENT]
            return {"type": "http.response.start", "status": 304, "headers": remaining}
        return {"type": "http.response.start", "status": start["status"], "headers": headers}

    @staticmethod
    def _is_json(headers: list[tuple[bytes, bytes]]) -> bool:
        return any(name.lower() == b"content-type" and value.startswith(b"application/json") for name, value in headers)

    def _is_known(self, tag: str) -> bool:
        """Whether `If-None-Match` names a tag; a weak tag counts as its strong one."""
        tags = b",".join(value for name, value in self._scope["headers"] if name == b"if-none-match").decode("latin-1")
        return tags.strip() == "*" or tag.removeprefix("W/") in _TAG.findall(tags)


async def _answer_long_path(scope: Scope, receive: Receive, send: Send) -> None:
    request: AnyRequest = Request(scope, receive, send)
    answer = render_problem(Problem("not-found", "No path here is as long as this; /openapi.json lists them."), request)
    await answer.to_asgi_response(None, request)(scope, receive, send)
