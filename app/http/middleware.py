"""What every request goes through before it finds its route, and every answer before it leaves.

HEAD is a GET without its body, OPTIONS asks for the methods of a path, an address that nothing can have is not
looked up. An answer to GET has a tag, its version or one of its content, and is 304 for whoever has it already.
"""

import re
from hashlib import blake2b
from typing import Any, Final

from litestar import Request
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPResponseStartEvent, Message, Receive, Scope, Send

from app.errors import Problem
from app.http.methods import ask_for_methods, asked_method, remember_method
from app.http.problems import render_problem
from app.http.request import is_changeable, request_id

MAX_PATH = 1_000
"""Characters of a path; the longest that there is has three ids of 64."""

API_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"
"""Content-Security-Policy of what is not meant for a browser to show."""

_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", API_POLICY.encode()),
    (b"cache-control", b"no-store"),
    (b"vary", b"Authorization"),
)
"""On every answer that does not say otherwise itself."""

_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e]*")')
_ABOUT_CONTENT: Final = (b"content-length", b"content-type", b"content-disposition")


class OuterMiddleware:
    """The application behind its door; `app` is everything that was there before."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request in, and its answer out."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        method = remember_method(scope)
        if method in {"GET", "HEAD"}:
            scope["method"] = "GET"
            send = _Answer(scope, send)
        elif method == "OPTIONS":
            ask_for_methods(scope)
        if len(scope["path"]) > MAX_PATH:
            await _answer_long_path(scope, receive, send)
        else:
            await self._app(scope, receive, send)


class _Answer:
    """The answer to one GET or HEAD, held back from its head to the first of its body."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send
        self._bare = asked_method(scope) == "HEAD"
        self._start: HTTPResponseStartEvent | None = None

    async def __call__(self, message: Message) -> None:
        """Send on what is to be sent of it."""
        if message["type"] == "http.response.start":
            self._start = message
            return
        if message["type"] == "http.response.body":
            if self._start is not None:
                start, self._start = self._start, None
                whole = None if message["more_body"] else message["body"]
                await self._send(self._opening(start, whole))
            if self._bare:
                message["body"] = b""
                if message["more_body"]:
                    return
        await self._send(message)

    def _opening(self, start: HTTPResponseStartEvent, whole: bytes | None) -> HTTPResponseStartEvent:
        """The head of the answer, with a tag if it can have one; that of a 304 if the client has that tag."""
        if start["status"] != 200:  # noqa: PLR2004  # by definition of HTTP: only that is what was asked for
            return start
        headers = list(start["headers"])
        tag = next((value for name, value in headers if name.lower() == b"etag"), None)
        if tag is None and whole is not None and self._is_json(headers):
            tag = f'"{blake2b(whole, digest_size=12).hexdigest()}"'.encode()
            headers.append((b"etag", tag))
        if tag is not None and not is_changeable(self._scope) and self._is_known(tag.decode("latin-1")):
            self._bare = True
            kept = [(name, value) for name, value in headers if name.lower() not in _ABOUT_CONTENT]
            return {"type": "http.response.start", "status": 304, "headers": kept}
        return {"type": "http.response.start", "status": start["status"], "headers": headers}

    @staticmethod
    def _is_json(headers: list[tuple[bytes, bytes]]) -> bool:
        return any(name.lower() == b"content-type" and value.startswith(b"application/json") for name, value in headers)

    def _is_known(self, tag: str) -> bool:
        """Whether `If-None-Match` names a tag; a proxy's weak one counts as the one that it was made of."""
        given = b",".join(value for name, value in self._scope["headers"] if name == b"if-none-match").decode("latin-1")
        return given.strip() == "*" or tag.removeprefix("W/") in _TAG.findall(given)


async def _answer_long_path(scope: Scope, receive: Receive, send: Send) -> None:
    request: Request[Any, Any, Any] = Request(scope, receive, send)
    answer = render_problem(Problem("not-found", "No path here is as long as this; /openapi.json lists them."), request)
    await answer.to_asgi_response(None, request)(scope, receive, send)


async def finish_headers(message: Message, scope: Scope) -> None:
    """Put onto every answer, whoever gives it, the id of its request and what keeps browsers from mischief."""
    if message["type"] == "http.response.start":
        there = {name.lower() for name, _ in message["headers"]}
        ours = [(name, value) for name, value in _HEADERS if name not in there]
        message["headers"] = [*message["headers"], (b"x-request-id", request_id(scope).encode("ascii")), *ours]
