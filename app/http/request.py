"""Reserva's request: a strict body, and an id for its answer and its log lines."""

import re
from collections.abc import Callable
from contextlib import nullcontext
from random import getrandbits
from typing import Any, ParamSpec, TypeAlias, TypeVar

from litestar import Request as LitestarRequest
from litestar.connection import ASGIConnection
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from litestar.types import Empty, Scope
from typing_extensions import override

from app.errors import Problem
from app.http.methods import scope_keys
from app.http.models import Body, read_body
from app.http.shutdown import BODY_SECONDS, SHUTDOWN, Shutdown
from app.http.strict_json import read_json
from app.http.validation_messages import cut
from app.work import WORK, WorkPool, without_collector

AnyRequest: TypeAlias = LitestarRequest[Any, Any, Any]
"""Litestar\'s request, before it is Reserva\'s."""
AnyConnection: TypeAlias = ASGIConnection[Any, Any, Any, Any]

P = ParamSpec("P")
T = TypeVar("T")

MAX_BODY_BYTES = 1024 * 1024
LARGE_BODY_BYTES = 16 * 1024
"""A larger body is parsed in a thread: the worst body of this size takes 15 ms, of 1 MiB a second."""

_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,64}")
_ID_KEY = "reserva.request_id"
_CHANGEABLE_KEY = "reserva.changeable"
_HEADERS_KEY = "reserva.headers"
_JSON = "application/json"
_MERGE_PATCH = "application/merge-patch+json"


class Request(AnyRequest):
    """Litestar's request with a body that is parsed once, strictly, into the model of its route."""

    body_model: type[Body] | None = None
    """The model of the route's body; None: plain JSON."""
    _read: tuple[Any, object] | None = None
    _header_values: dict[bytes, bytes] | None = None

    @property
    def header_values(self) -> dict[bytes, bytes]:
        """The headers by lower-case names, as they came; of repeated ones the last."""
        if self._header_values is None:
            self._header_values = dict(self.scope["headers"])
        return self._header_values

    @override
    async def json(self) -> object:
        """The body as the model of the route, which Litestar passes to the handler unchanged.

        Raises:
            Problem: `unsupported-media-type`, `malformed` or `invalid`; `overloaded` where too many large bodies wait.
        """
        return (await self._content())[1]

    async def shape(self) -> Any:
        """The body as plain JSON."""
        return (await self._content())[0]

    @override
    async def body(self) -> bytes:
        """The bytes of the body, 1 MiB at most.

        Raises:
            Problem: `malformed` if it takes too long, or if the client disconnects before its end.
            RequestEntityTooLarge: it is longer.
        """
        if self._body is Empty:
            known = self._connection_state.body  # read by another object for the same request
            self._body = self._connection_state.body = await self._receive_body() if known is Empty else known
        return self._body

    async def _receive_body(self) -> bytes:
        announced = self.header_values.get(b"content-length", b"0")
        if not announced.isdigit():
            raise Problem("malformed", "The Content-Length is not a number of bytes.")
        if int(announced) > MAX_BODY_BYTES:
            raise RequestEntityTooLarge
        shutdown: Shutdown = self.app.state[SHUTDOWN]
        try:
            async with shutdown.body():
                return await self._receive_parts()
        except TimeoutError:
            raise Problem("malformed", f"The body did not arrive within {BODY_SECONDS:.0f} seconds.") from None

    async def _receive_parts(self) -> bytes:
        parts: list[bytes] = []
        length = 0
        more = True
        while more:
            message = await self.receive()
            if message["type"] != "http.request":
                raise Problem("malformed", "The body broke off before its end.")
            parts.append(message["body"])
            length += len(message["body"])
            if length > MAX_BODY_BYTES:
                raise RequestEntityTooLarge
            more = message["more_body"]
        return b"".join(parts)

    async def beside(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run work that takes time in proportion to the body: in a thread if the body is large."""
        if len(await self.body()) <= LARGE_BODY_BYTES:
            return work(*args, **kwargs)
        return await self.work_pool.run(work, *args, **kwargs)

    @property
    def work_pool(self) -> WorkPool:
        """The pool of threads for work that would block the event loop."""
        pool: WorkPool = self.app.state[WORK]
        return pool

    def mark_changeable(self) -> None:
        """Ignore `If-None-Match`: the answer can change without a new version."""
        scope_keys(self.scope)[_CHANGEABLE_KEY] = True

    async def _content(self) -> tuple[Any, object]:
        if self._read is None:
            self._require_json()
            self._read = await self.beside(_read, await self.body(), self.body_model, nulls=self.method == "PATCH")
        return self._read

    def _require_json(self) -> None:
        """Refuse a body of another type; one without a Content-Type is taken for JSON."""
        if b"content-encoding" in self.header_values:
            raise Problem("unsupported-media-type", "Send the body as it is, without a Content-Encoding.")
        if self.header_values.get(b"content-type") == _JSON.encode():
            return
        kind, options = self.content_type
        patch = self.method == "PATCH"
        if kind in {"", _JSON} or (patch and kind == _MERGE_PATCH):
            charset = options.get("charset", "utf-8").lower()
            if charset in {"utf-8", "utf8"}:
                return
            raise Problem("unsupported-media-type", f"Send JSON in UTF-8, not in {cut(charset, 40)}.")
        allowed = f"{_JSON} or {_MERGE_PATCH}" if patch else _JSON
        raise Problem("unsupported-media-type", f"Send the body with Content-Type: {allowed}.")


def _read(body: bytes, model: type[Body] | None, *, nulls: bool) -> tuple[Any, object]:
    """A body as JSON and as a model.

    A problem is raised without its context, so that the parsed values are freed in this thread: half a million of them
    take long.
    """
    with without_collector() if len(body) > LARGE_BODY_BYTES else nullcontext():
        try:
            return _parse(body, model, nulls=nulls)
        except Problem as problem:
            problem.__context__ = None
            raise problem.with_traceback(None) from None


def _parse(body: bytes, model: type[Body] | None, *, nulls: bool) -> tuple[Any, object]:
    shape = read_json(body, nulls=nulls)
    return shape, shape if model is None else read_body(model, shape)


def request_id(scope: Scope) -> str:
    """The id of a request: the client's `X-Request-Id`, if it is 1 to 64 visible characters, else one of ours."""
    keys = scope_keys(scope)
    identity: str | None = keys.get(_ID_KEY)
    if identity is None:
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        identity = given.decode("ascii") if _REQUEST_ID.fullmatch(given) else _random_id()
        keys[_ID_KEY] = identity
    return identity


def _random_id() -> str:
    # Not from the system's generator: that call releases the interpreter's lock, and gets it back only a moment later.
    return f"{getrandbits(96):024x}"


def add_header(scope: Scope, name: bytes, value: bytes) -> None:
    """Give the answer to a request a header, whatever answers it; the name is in lower case."""
    scope_keys(scope).setdefault(_HEADERS_KEY, []).append((name, value))


def added_headers(scope: Scope) -> list[tuple[bytes, bytes]]:
    """The headers that were added for the answer to a request."""
    headers: list[tuple[bytes, bytes]] = scope_keys(scope).get(_HEADERS_KEY, [])
    return headers


def is_changeable(scope: Scope) -> bool:
    """Whether the answer can change without a new version; see `Request.mark_changeable`."""
    return _CHANGEABLE_KEY in scope_keys(scope)
