"""Responses with the headers of the contract: `ETag`, `Location`, `Idempotent-Replayed`."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from litestar import Response

from app.http.etags import etag
from app.http.json_response import JsonResponse
from app.http.request import Request
from app.work import WorkPool

T = TypeVar("T")

PARTS_INLINE_MAX = 1_000
"""So many models take 10 to 20 ms to build; a full page of reservations with all their history has ten times more."""


class Encodable(Protocol):
    """What can be sent: the model of an answer, or what writes the same JSON."""

    @abstractmethod
    def to_json(self) -> bytes:
        """The bytes of the answer."""


def versioned(answer: Encodable, version: int, *, status: int = 200, location: str | None = None) -> Response[Any]:
    """One object with the `ETag` of its version; with its `Location` if it was created."""
    headers = {"ETag": etag(version if isinstance(version, int) else 0)}  # foreign rows may have any value there
    if location is not None:
        headers["Location"] = location
    return JsonResponse(answer.to_json(), status=status, headers=headers)


async def made(work: WorkPool, make: Callable[[], T], *, parts: int) -> T:
    """What a function makes of so many models without I/O; where they are many, it runs in a thread.

    Raises:
        Problem: `overloaded` where too much work waits for a thread.
    """
    return make() if parts <= PARTS_INLINE_MAX else await work.run(make)


async def built(request: Request, build: Callable[[], Encodable], *, parts: int) -> Response[Any]:
    """Build an answer that may be long; a long one is serialized in a thread instead of on the event loop.

    Args:
        request: The request, with the pool of threads.
        build: Builds the answer without I/O.
        parts: The approximate number of models that it builds.

    Raises:
        Problem: `overloaded` where too much work waits for a thread.
    """
    return JsonResponse(await made(request.work_pool, lambda: build().to_json(), parts=parts))


class StoredResponse(Protocol):
    """The first answer under an Idempotency-Key, as it is stored."""

    status: int
    headers: dict[str, str]
    body: str


def stored_response(answer: StoredResponse, *, replayed: bool) -> Response[Any]:
    """The stored bytes as a response of the route's type."""
    headers = answer.headers | ({"Idempotent-Replayed": "true"} if replayed else {})
    return JsonResponse(answer.body.encode(), status=answer.status, headers=headers)
