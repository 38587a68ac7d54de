"""Answers with the headers that the contract asks for."""

from typing import Protocol, TypeVar

from litestar import Response

from app.wire.models import Answer
from app.wire.versions import etag

A = TypeVar("A", bound=Answer)


def versioned(answer: A, version: int, *, status: int = 200, location: str | None = None) -> Response[A]:
    """One object with the `ETag` of its version, and where it was made its `Location`."""
    headers = {"ETag": etag(version)}
    if location is not None:
        headers["Location"] = location
    return Response(answer, status_code=status, headers=headers)


class Kept(Protocol):
    """An answer that was given once."""

    status: int
    headers: dict[str, str]
    body: str


def kept(answer: Kept, *, replayed: bool) -> Response[bytes]:
    """The answer as it was kept."""
    headers = answer.headers | ({"Idempotent-Replayed": "true"} if replayed else {})
    return Response(answer.body.encode(), status_code=answer.status, headers=headers, media_type="application/json")
