"""Reads of the catalogue."""

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

import structlog

from app.errors import Problem, not_found
from app.storage.client import Store
from app.storage.documents import CatalogueObject
from app.storage.stored_catalogue import collection_of, noun_of, object_of

log = structlog.get_logger()

C = TypeVar("C", bound=CatalogueObject)

HOURS = ("schedule", "timeOff")
"""The long parts of a resource, which are shown under paths of their own."""

FURTHER = 200
"""Objects that are read at a time behind those that cannot be read, however few are lacking."""


async def read(store: Store, kind: type[C], identity: str, *, without: Collection[str] = ()) -> C:
    """One object, less the parts that nobody will look at.

    Raises:
        Problem: `not-found`; `invalid` where others wrote it so that it cannot be read.
    """
    return object_of(kind, await read_row(store, kind, identity, dict.fromkeys(without, 0)))


async def read_row(store: Store, kind: type[C], identity: str, fields: Mapping[str, int]) -> dict[str, Any]:
    """These fields of one object, as they are stored.

    Raises:
        Problem: `not-found`.
    """
    row: dict[str, Any] | None = await store.database[collection_of(kind)].find_one(
        {"_id": identity}, dict(fields) or None
    )
    if row is None:
        raise not_found(noun_of(kind), identity)
    return row


async def read_some(
    store: Store, kind: type[C], query: dict[str, Any], limit: int, *, after: str | None, without: Collection[str] = ()
) -> list[C]:
    """Up to `limit` objects that match and come after an id, by id, less the parts that nobody will look at.

    What has no text for its id was put there by others and is none of ours; what cannot be read is left out.
    """
    fields = dict.fromkeys(without, 0) or None
    found: list[C] = []
    last: dict[str, Any] = {"$gte": ""} if after is None else {"$gt": after}
    most = limit
    while True:
        wanted = query | {"_id": query.get("_id", {}) | last}
        read = await store.database[collection_of(kind)].find(wanted, fields).sort("_id", 1).limit(most).to_list(None)
        for row in read:
            try:
                found.append(object_of(kind, row))
            except Problem as problem:
                _leave_out(kind, problem)
        if len(found) >= limit or len(read) < most:
            return found[:limit]
        last, most = {"$gt": read[-1]["_id"]}, FURTHER


def _leave_out(kind: type[CatalogueObject], problem: Problem) -> None:
    """Tell the operator, once a process and kind: lists are read all day."""
    if kind not in _TOLD:
        _TOLD.add(kind)
        log.warning("left out of lists, and others like it", why=problem.detail)


_TOLD: set[type[CatalogueObject]] = set()


async def missing(store: Store, kind: type[CatalogueObject], identities: Collection[str]) -> set[str]:
    """Those of the ids that nothing has."""
    if not identities:
        return set()
    rows = store.database[collection_of(kind)].find({"_id": {"$in": list(identities)}}, {"_id": 1})
    return set(identities) - {row["_id"] async for row in rows}
