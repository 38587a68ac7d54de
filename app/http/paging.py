"""Lists in pages, by an opaque cursor with the sort key of the last item instead of an offset."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import Annotated, Generic, Protocol, Self, TypeAlias, TypeVar

from litestar.params import QueryParameter

from app.domain.instants import LATEST
from app.errors import Problem, invalid_parameter
from app.http.models import Answer

LIMIT = 50
MAX_LIMIT = 200
_MAX_CURSOR = 4_096
"""Foreign ids can be long."""

LimitParameter: TypeAlias = Annotated[
    int, QueryParameter(ge=1, le=MAX_LIMIT, description=f"How many items a page has: 1 to {MAX_LIMIT}.")
]
"""The type of a handler's parameter: `limit: LimitParameter = LIMIT`."""

CursorParameter: TypeAlias = Annotated[str | None, QueryParameter(description="`next` of the page before.")]
"""The type of a handler's parameter: `cursor: CursorParameter = None`."""

Mark: TypeAlias = str | int
"""Part of a sort key: an id, or an instant in milliseconds."""

A = TypeVar("A", bound=Answer)
T = TypeVar("T")


class Identified(Protocol):
    """An item of a list by id."""

    @property
    def id(self) -> object:
        """Its id, a text or an `ObjectId`."""


class Page(Answer, Generic[A]):
    """A page of a list; the last one has no `next`."""

    items: list[A]
    """What is on the page."""
    next: str | None = None
    """The `cursor` of the next page."""

    @classmethod
    def of(cls, documents: Sequence[T], limit: int, mark: Callable[[T], tuple[Mark, ...]]) -> Self:
        """The page and its cursor, from the result of a query for `limit + 1` documents.

        Args:
            documents: The result, from which the items are built by attribute.
            limit: The maximum number of items.
            mark: The sort key of a document, for the cursor.
        """
        page, following = split_page(documents, limit, mark)
        return cls.model_validate({"items": page, "next": following})


def write_cursor(*marks: Mark) -> str:
    """Encode the sort key of the last item of a page as a cursor."""
    packed = json.dumps(marks, separators=(",", ":"), ensure_ascii=False)
    return urlsafe_b64encode(packed.encode()).rstrip(b"=").decode()


def read_cursor(cursor: str, *kinds: type[Mark]) -> tuple[Mark, ...]:
    """Decode a cursor that `write_cursor` made from values of these types, in this order.

    Raises:
        Problem: `invalid` for anything else.
    """
    try:
        marks = json.loads(urlsafe_b64decode(cursor[:_MAX_CURSOR] + "=" * (-len(cursor) % 4)))
        ours = [type(mark) for mark in marks] == list(kinds) and write_cursor(*marks) == cursor
    except (ValueError, TypeError, RecursionError):
        raise bad_cursor() from None
    if not ours or any(isinstance(mark, int) and abs(mark) >= LATEST for mark in marks):
        raise bad_cursor()
    return tuple(marks)


def cursor_id(cursor: str | None) -> str | None:
    """The id after which the page begins, in a list by id; None: the first page.

    Raises:
        Problem: `invalid` for a cursor of another list.
    """
    return None if cursor is None else str(read_cursor(cursor, str)[0])


def id_mark(item: Identified) -> tuple[str]:
    """The sort key of an item in a list by id."""
    return (str(item.id),)


def bad_cursor() -> Problem:
    """The problem of a cursor that no page had."""
    return invalid_parameter("cursor", "Send `next` of the page before as it came, or leave `cursor` out to begin.")


def split_page(
    documents: Sequence[T], limit: int, mark: Callable[[T], tuple[Mark, ...]]
) -> tuple[Sequence[T], str | None]:
    """Split the result of a query for `limit + 1` documents into a page and the cursor of the next, if there is one."""
    if len(documents) <= limit:
        return documents, None
    return documents[:limit], write_cursor(*mark(documents[limit - 1]))
