"""Answers with the headers that the contract asks for."""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from litestar import MediaType, Response

from app.http.etags import etag
from app.http.models import Answer
from app.http.request import Request

A = TypeVar("A", bound=Answer)

MANY_PARTS = 1_000
"""What takes the event loop 10 to 20 ms; a full page of reservations with all their history has ten times as many."""


def versioned(answer: A, version: int, *, status: int = 200, location: str | None = None) -> Response[A]:
    """One object with the `ETag` of its version, and where it was made its `Location`."""
    headers = {"ETag": etag(version if isinstance(version, int) else 0)}  # what others wrote can be anything
    if location is not None:
        headers["Location"] = location
    return Response(answer, status_code=status, headers=headers)


async def built(request: Request, build: Callable[[], A], *, parts: int) -> Response[A]:
    """An answer that may be long, built to its last byte beside the event loop where it is.

    Args:
        request: What is answered.
        build: Makes the answer; needs the processor alone.
        parts: About how many models it makes.

    Raises:
        Problem: `overloaded` where too much long work waits.
    """
    if parts <= MANY_PARTS:
        return Response(build())
    body = await request.work_pool.run(lambda: build().to_json())
    answer: Response[Any] = Response(body, media_type=MediaType.JSON)
    return answer


class StoredResponse(Protocol):
    """An answer that was given once."""

    status: int
    headers: dict[str, str]
    body: str


def stored_response(answer: StoredResponse, *, replayed: bool) -> Response[Any]:
    """The answer as it was kept: the bytes of what the route declares."""
    headers = answer.headers | ({"Idempotent-Replayed": "true"} if replayed else {})
    return Response(answer.body.encode(), status_code=answer.status, headers=headers, media_type="application/json")
