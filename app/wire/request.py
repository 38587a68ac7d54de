"""The request as Reserva reads it: strict bodies, and an id for the answer and for what the log says of it."""

import re
from secrets import token_hex
from typing import Any, cast

from litestar import Request as LitestarRequest
from litestar.exceptions import InternalServerException
from litestar.types import Empty, Message, Scope

from app.errors import Problem
from app.wire.strict_json import read_json

MAX_BODY_BYTES = 1024 * 1024

_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,64}")
_ID_KEY = "reserva.request_id"
_JSON = "application/json"
_MERGE_PATCH = "application/merge-patch+json"


class Request(LitestarRequest[Any, Any, Any]):
    """Litestar's request with a body that is read once, strictly."""

    async def json(self) -> Any:
        """The parsed body.

        Raises:
            Problem: `unsupported-media-type`, `malformed` or `invalid`.
        """
        if self._json is Empty:
            self._require_json()
            self._json = read_json(await self.body(), nulls=self.method == "PATCH")
        return self._json

    async def body(self) -> bytes:
        """The bytes of the body, 1 MiB at most.

        Raises:
            Problem: `malformed` if the client left before their end; nobody reads that, but it is no fault of ours.
        """
        try:
            return await super().body()
        except InternalServerException:
            raise Problem("malformed", "The body broke off before its end.") from None

    def _require_json(self) -> None:
        """Another type is refused; without one the body is taken for the only thing that it can be."""
        kind, options = self.content_type
        patch = self.method == "PATCH"
        if kind in {"", _JSON} or (patch and kind == _MERGE_PATCH):
            charset = options.get("charset", "utf-8").lower()
            if charset in {"utf-8", "utf8"}:
                return
            raise Problem("unsupported-media-type", f"Send JSON in UTF-8, not in {charset[:40]}.")
        allowed = f"{_JSON} or {_MERGE_PATCH}" if patch else _JSON
        raise Problem("unsupported-media-type", f"Send the body with Content-Type: {allowed}.")


def request_id(scope: Scope) -> str:
    """The id of a request: the client's `X-Request-Id`, if it is 1 to 64 visible characters, else one of ours."""
    extended = cast("dict[str, Any]", scope)  # ASGI lets anyone add keys of their own
    known: str | None = extended.get(_ID_KEY)
    if known is None:
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        known = given.decode("ascii") if _REQUEST_ID.fullmatch(given) else token_hex(12)
        extended[_ID_KEY] = known
    return known


async def stamp_request_id(message: Message, scope: Scope) -> None:
    """Put the id of the request on its answer, whoever gives it."""
    if message["type"] == "http.response.start":
        header = (b"x-request-id", request_id(scope).encode("ascii"))
        message["headers"] = [*message["headers"], header]
