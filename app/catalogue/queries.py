"""Reads of the catalogue."""

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from app.errors import not_found
from app.storage.client import Store
from app.storage.documents import CatalogueObject

C = TypeVar("C", bound=CatalogueObject)

HOURS = ("schedule", "timeOff")
"""The long parts of a resource, which are shown under paths of their own."""


def collection_of(kind: type[CatalogueObject]) -> str:
    """Where objects of a kind are kept: `resources`, `services`, `customers`."""
    name: str = kind.Settings.name
    return name


def noun_of(kind: type[CatalogueObject]) -> str:
    """What one of them is called: `resource`."""
    return collection_of(kind).removesuffix("s")


async def read(store: Store, kind: type[C], identity: str, *, without: Collection[str] = ()) -> C:
    """One object, less the parts that nobody will look at.

    Raises:
        Problem: `not-found`.
    """
    found: C = kind.model_validate(await read_row(store, kind, identity, dict.fromkeys(without, 0)))
    return found


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
    store: Store, kind: type[C], query: dict[str, Any], limit: int, *, without: Collection[str] = ()
) -> list[C]:
    """Up to `limit` objects that match, by id, less the parts that nobody will look at."""
    fields = dict.fromkeys(without, 0) or None
    rows = store.database[collection_of(kind)].find(query, fields).sort("_id", 1).limit(limit)
    return [kind.model_validate(row) async for row in rows]


async def missing(store: Store, kind: type[CatalogueObject], identities: Collection[str]) -> set[str]:
    """Those of the ids that nothing has."""
    if not identities:
        return set()
    rows = store.database[collection_of(kind)].find({"_id": {"$in": list(identities)}}, {"_id": 1})
    return set(identities) - {row["_id"] async for row in rows}
