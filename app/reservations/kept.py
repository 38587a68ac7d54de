"""Answers that are kept under an Idempotency-Key with what they made, and given again byte for byte."""

from collections.abc import Callable
from typing import Annotated, Any, TypeAlias

from litestar import Response
from litestar.params import HeaderParameter
from litestar.status_codes import HTTP_201_CREATED

from app.access.caller import Caller
from app.booking import Token, key_hash, request_hash
from app.storage.documents import StoredAnswer
from app.wire.conventions import idempotency_key
from app.wire.models import Answer
from app.wire.request import Request
from app.wire.versions import etag

IdempotencyKeyHeader: TypeAlias = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        description="1-255 visible ASCII characters; the same key with the same JSON gets the first answer again.",
    ),
]
"""How a handler declares it: `key: IdempotencyKeyHeader = None`."""


async def token_of(request: Request, caller: Caller, render: Callable[[Any], "Rendered"]) -> Token | None:
    """What the write path must know of a request with a key; None without one."""
    key = idempotency_key(request)
    if key is None:
        return None
    body_hash = request_hash(await request.json())

    def answer(made: Any) -> StoredAnswer:
        rendered = render(made)
        return StoredAnswer(request_hash=body_hash, **rendered)

    return Token(key_hash(caller.key_id, request.scope["path"].rstrip("/"), key), body_hash, answer)


Rendered: TypeAlias = dict[str, Any]


def rendered(answer: Answer, location: str, version: int | None) -> Rendered:
    """Status, headers and body of what was made."""
    headers = {"Location": location}
    if version is not None:
        headers["ETag"] = etag(version)
    return {"status": HTTP_201_CREATED, "headers": headers, "body": answer.to_json().decode()}


def kept(answer: StoredAnswer, *, replayed: bool) -> Response[bytes]:
    """The answer as it was kept."""
    headers = answer.headers | ({"Idempotent-Replayed": "true"} if replayed else {})
    return Response(answer.body.encode(), status_code=answer.status, headers=headers, media_type="application/json")
