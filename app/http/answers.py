"""Responses with the headers of the contract: `ETag`, `Location`, `Idempotent-Replayed`."""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from litestar import MediaType, Response

from app.http.etags import etag
from app.http.models import Answer
from app.http.request import Request

A = TypeVar("A", bound=Answer)

PARTS_INLINE_MAX = 1_000
"""So many models take 10 to 20 ms to build; a full page of reservations with all their history has ten times more."""


def versioned(answer: A, version: int, *, status: int = 200, location: str | None = None) -> Response[A]:
    """One object with the `ETag` of its version; with its `Location` if it was created."""
    headers = {"ETag": etag(version if isinstance(version, int) else 0)}  # foreign rows may have any value there
    if location is not None:
        headers["Location"] = location
    return Response(answer, status_code=status, headers=headers)


async def built(request: Request, build: Callable[[], A], *, parts: int) -> Response[A]:
    """Build an answer that may be long; a long one is serialized in a thread instead of on the event loop.

    Args:
        request: The request, with the pool of threads.
        build: Builds the answer without I/O.
        parts: The approximate number of models that it builds.

    Raises:
        Problem: `overloaded` where too much work waits for a thread.
    """
    if parts <= PARTS_INLINE_MAX:
        return Response(build())
    body = await request.work_pool.run(lambda: build().to_json())
    answer: Response[Any] = Response(body, media_type=MediaType.JSON)
    return answer


class StoredResponse(Protocol):
    """The first answer under an Idempotency-Key, as it is stored."""

    status: int
    headers: dict[str, str]
    body: str


def stored_response(answer: StoredResponse, *, replayed: bool) -> Response[Any]:
    """The stored bytes as a response of the route's type."""
    headers = answer.headers | ({"Idempotent-Replayed": "true"} if replayed else {})
    return Response(answer.body.encode(), status_code=answer.status, headers=headers, media_type="application/json")
