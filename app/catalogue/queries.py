"""Reads of the catalogue."""

from collections.abc import Collection
from typing import Any, TypeVar

from app.errors import not_found
from app.storage.client import Store
from app.storage.documents import CatalogueObject

C = TypeVar("C", bound=CatalogueObject)


def collection_of(kind: type[CatalogueObject]) -> str:
    """Where objects of a kind are kept: `resources`, `services`, `customers`."""
    name: str = kind.Settings.name
    return name


def noun_of(kind: type[CatalogueObject]) -> str:
    """What one of them is called: `resource`."""
    return collection_of(kind).removesuffix("s")


async def read(store: Store, kind: type[C], identity: str) -> C:
    """One object.

    Raises:
        Problem: `not-found`.
    """
    row = await store.database[collection_of(kind)].find_one({"_id": identity})
    if row is None:
        raise not_found(noun_of(kind), identity)
    found: C = kind.model_validate(row)
    return found


async def read_some(store: Store, kind: type[C], query: dict[str, Any], limit: int) -> list[C]:
    """Up to `limit` objects that match, by id."""
    rows = store.database[collection_of(kind)].find(query).sort("_id", 1).limit(limit)
    return [kind.model_validate(row) async for row in rows]


async def missing(store: Store, kind: type[CatalogueObject], identities: Collection[str]) -> set[str]:
    """Those of the ids that nothing has."""
    if not identities:
        return set()
    rows = store.database[collection_of(kind)].find({"_id": {"$in": list(identities)}}, {"_id": 1})
    return set(identities) - {row["_id"] async for row in rows}
