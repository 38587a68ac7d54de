"""Reads of the catalogue for requests."""

from collections.abc import Collection
from typing import TypeVar

import structlog

from app.errors import Problem, not_found
from app.storage.bson_types import BsonDocument, Filter
from app.storage.catalogue import CatalogueStore, with_any
from app.storage.client import Store
from app.storage.documents import CatalogueObject
from app.storage.stored_catalogue import noun_of, object_of

log = structlog.get_logger()

C = TypeVar("C", bound=CatalogueObject)

FURTHER = 200
"""Objects that are read at a time behind those that cannot be read, however few are lacking."""

_logged_kinds: set[type[CatalogueObject]] = set()


async def read(store: Store, kind: type[C], identity: str, *, without: Collection[str] = ()) -> C:
    """One object, without some of its stored fields.

    Raises:
        Problem: `not-found`; `invalid` where another program stored it so that it cannot be read.
    """
    return object_of(kind, await read_row(store, kind, identity, without=without))


async def read_row(
    store: Store, kind: type[C], identity: str, *, fields: Collection[str] = (), without: Collection[str] = ()
) -> BsonDocument:
    """One object as it is stored: all of it, some fields and `_id`, or all without some fields.

    Raises:
        Problem: `not-found`.
    """
    row = await CatalogueStore(store).find_row(kind, identity, fields=fields, without=without)
    if row is None:
        raise not_found(noun_of(kind), identity)
    return row


async def read_some(
    store: Store,
    kind: type[C],
    query: Filter,
    limit: int,
    *,
    after: str | None,
    without: Collection[str] = (),
) -> list[C]:
    """Up to `limit` objects, by id, that match a query and come after an id, without some of their stored fields.

    An object whose id is no text was written by another program and is not listed; one that cannot be read is left
    out, with a warning in the log.
    """
    found: list[C] = []
    size = limit
    while True:
        rows = await CatalogueStore(store).find_rows(kind, query, size, after=after, without=without)
        for row in rows:
            try:
                found.append(object_of(kind, row))
            except Problem as problem:
                _log_left_out(kind, problem)
        if len(found) >= limit or len(rows) < size:
            return found[:limit]
        after, size = rows[-1]["_id"], FURTHER


async def read_those(
    store: Store, kind: type[C], identities: Collection[str], *, without: Collection[str] = ()
) -> list[C]:
    """The objects with these ids, without some of their stored fields; those that cannot be read are left out."""
    if not identities:
        return []
    query = with_any("_id", sorted(identities))
    return await read_some(store, kind, query, len(identities), after=None, without=without)


def _log_left_out(kind: type[CatalogueObject], problem: Problem) -> None:
    """Log the first object of a kind that is left out in this process: lists are read all day."""
    if kind not in _logged_kinds:
        _logged_kinds.add(kind)
        log.warning("left out of lists, and others like it", why=problem.detail)
