"""The Idempotency-Key of a request that makes something, and the answer that is stored under it."""

from collections.abc import Callable
from typing import TypedDict, TypeVar

from app.booking import Token, key_hash, request_hash
from app.caller import Caller
from app.http.answers import Encodable
from app.http.etags import etag
from app.http.request import Request
from app.http.request_checks import idempotency_key
from app.storage.documents import StoredAnswer

T = TypeVar("T")


class RenderedAnswer(TypedDict):
    """Status, headers and body of an answer as they are sent."""

    status: int
    headers: dict[str, str]
    body: str


async def token_of(
    request: Request, caller: Caller, render: Callable[[T], RenderedAnswer], *, own_document: bool = False
) -> Token[T] | None:
    """The token of a request with an Idempotency-Key; None without one.

    Args:
        request: The request, with its body.
        caller: Whose key it is.
        render: Makes the answer of what was made.
        own_document: The answer is about several reservations, so that it is stored in a document of its own.

    Raises:
        Problem: `invalid` if the key is not 1 to 255 visible ASCII characters.
    """
    key = idempotency_key(request)
    if key is None:
        return None
    body_hash = await request.beside(request_hash, await request.shape(), sorted(request.query_params.multi_items()))

    def answer(made: T) -> StoredAnswer:
        return StoredAnswer(request_hash=body_hash, **render(made))

    return Token(key_hash(caller.key_id, request.scope["path"].rstrip("/"), key), body_hash, answer, own_document)


def rendered(answer: Encodable, location: str | None, version: int | None, *, status: int = 201) -> RenderedAnswer:
    """Status, headers and body of the answer to what was made."""
    headers = {} if location is None else {"Location": location}
    if version is not None:
        headers["ETag"] = etag(version)
    return {"status": status, "headers": headers, "body": answer.to_json().decode()}
