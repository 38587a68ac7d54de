"""Answers that are kept under an Idempotency-Key with what they made, to be given again byte for byte."""

from collections.abc import Callable
from typing import Any, TypeAlias

from app.booking import Token, key_hash, request_hash
from app.caller import Caller
from app.http.etags import etag
from app.http.models import Answer
from app.http.request import Request
from app.http.request_checks import idempotency_key
from app.storage.documents import StoredAnswer


async def token_of(
    request: Request, caller: Caller, render: Callable[[Any], "Rendered"], *, apart: bool = False
) -> Token | None:
    """What the write path must know of a request with a key; None without one.

    `apart`: the answer is about several reservations, so that none of them can keep it.
    """
    key = idempotency_key(request)
    if key is None:
        return None
    body_hash = await request.beside(request_hash, await request.shape(), sorted(request.query_params.multi_items()))

    def answer(made: Any) -> StoredAnswer:
        rendered = render(made)
        return StoredAnswer(request_hash=body_hash, **rendered)

    return Token(key_hash(caller.key_id, request.scope["path"].rstrip("/"), key), body_hash, answer, apart)


Rendered: TypeAlias = dict[str, Any]


def rendered(answer: Answer, location: str | None, version: int | None, *, status: int = 201) -> Rendered:
    """Status, headers and body of what was made."""
    headers = {} if location is None else {"Location": location}
    if version is not None:
        headers["ETag"] = etag(version)
    return {"status": status, "headers": headers, "body": answer.to_json().decode()}
