"""The rows that a sweep reads: every reservation that may occupy a resource, in whatever form it was written.

All of it is read raw, past Beanie: no model fits every row of other programs, and a pass reads a million rows.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, TypeAlias

from bson import Binary
from pymongo.errors import PyMongoError

from app.domain.ids import ResourceId
from app.storage.bson_types import Filter, Row
from app.storage.client import Store
from app.storage.documents import Occupancy, Reservation, Resource
from app.storage.findings import FindingStore
from app.storage.raw_batches import ZONELESS, Batch, find_batches
from app.storage.row_reader import FIELDS, IDLE_AS_WRITTEN
from app.storage.transactions import Session
from app.storage.values import NAMELESS, forms, identity, is_opaque, label

SWEPT_FIELDS = (*FIELDS, "long")
"""All that is read of a reservation."""
ORDER = [("resource", 1), ("status", 1), ("startTime", 1)]
"""The order of the conflict lookup's index: along it the server sorts nothing."""
OCCUPYING: Mapping[str, Any] = {"status": {"$nin": [*IDLE_AS_WRITTEN]}}
"""All rows except those known not to occupy. Other programs spell statuses otherwise, so no filter can name those that
block."""

PAGE_ROWS = 500
"""About how many rows a find of `_paged_batches` gives; one resource with more of them has a find of its own."""

_RESERVATIONS = Reservation.Settings.name
_REFERENCES = ("resource", "items.resource")
"""The fields in which a reservation names resources."""
_OPAQUE: tuple[Any, ...] = ({}, Binary(b""))
"""The least of each type in which an id cannot be looked up; a comparison stays within its type."""

_OTHERWISE_NAMED: Filter = {
    "$or": [{"resource": {"$not": {"$type": "string"}}}, {"resource": {"$type": "array"}}],
    **OCCUPYING,
}

OpaqueReferences: TypeAlias = Mapping[str, Sequence[Any]]
"""Ids of reservations that name a resource in a form that no lookup by its id finds; by the text of the resource."""


def pass_batches(store: Store) -> AsyncIterator[Batch]:
    """All rows that may occupy something, in `ORDER`, without ids: ids would take a third more of the time of a row."""
    if store.shape == "single" and store.capabilities.native:
        return _paged_batches(store)
    return _batches_in_order(store, OCCUPYING)


def _batches_in_order(store: Store, where: Mapping[str, object]) -> AsyncIterator[Batch]:
    return find_batches(store, _RESERVATIONS, SWEPT_FIELDS, where, codec=ZONELESS, with_ids=False, sort=ORDER)


async def _paged_batches(store: Store) -> AsyncIterator[Batch]:
    """The same rows by finds of a few resources each, then those that name their resource otherwise than by a text.

    PyPI's SecantusDB reads and sorts the whole result of a find before it answers, and lets others wait meanwhile.
    """
    resources = store.lenient(Resource.Settings.name).find({}, {"_id": 1})
    names = sorted([row["_id"] async for row in resources if isinstance(row["_id"], str)])
    place, size = 0, 1
    least: str | None = ""
    while least is not None:
        place += size
        limit = names[place] if place < len(names) else None
        bounds = {"$gte": least} if limit is None else {"$gte": least, "$lt": limit}
        count = 0
        async for batch in _batches_in_order(store, {"resource": bounds, **OCCUPYING}):
            count += len(batch)
            yield [row for row in batch if not isinstance(row["resource"], list)]  # found by each of its texts
        size = max(min(2 * size, size * PAGE_ROWS // max(count, 1)), 1)
        least = limit
    async for batch in _batches_in_order(store, _OTHERWISE_NAMED):
        yield batch


def reservation_batches(store: Store, where: Mapping[str, object], session: Session = None) -> AsyncIterator[Batch]:
    """The rows that match a filter, with their ids."""
    return find_batches(store, _RESERVATIONS, SWEPT_FIELDS, where, codec=ZONELESS, session=session)


def resource_filters(store: Store, resources: Sequence[ResourceId], opaque: OpaqueReferences) -> list[Filter]:
    """The filters by which this server finds what may occupy these resources from its indexes."""
    stored = [form for resource in resources for form in forms(resource)]
    others = [identity_ for resource in resources for identity_ in opaque.get(resource, ())]
    by_id = [{"_id": {"$in": others}}] if others else []
    if store.shape == "or":
        return [{"resource": {"$in": stored}, **OCCUPYING}, {"items.resource": {"$in": stored}}, *by_id]
    # PyPI's SecantusDB uses an index for one equality, and for it alone.
    return [{name: form} for name in _REFERENCES for form in stored] + by_id


async def are_more_than(store: Store, resources: Sequence[ResourceId], opaque: OpaqueReferences, most: int) -> bool:
    """Whether more than `most` rows may occupy these resources; that many are counted, in the indexes."""
    left = most
    for where in resource_filters(store, resources, opaque):
        left -= await store.lenient(_RESERVATIONS).count_documents(where, limit=left + 1)
        if left < 0:
            return True
    return False


async def opaque_references(store: Store) -> OpaqueReferences:
    """The reservations that name a resource in a form that no lookup by its id finds; on most databases there are none.

    They are found by the type of what they name, from the indexes.
    """
    found: dict[str, list[Any]] = {}
    wheres: list[Filter] = [{name: {"$gte": least}} for name in _REFERENCES for least in _OPAQUE]
    if store.shape == "single":  # it would scan for an object, and has an index of the few rows with items
        wheres = [{"resource": {"$gte": least}} for least in _OPAQUE] + [{"items.resource": {"$exists": True}}]
    for where in wheres if store.capabilities.native else [{}]:  # mongomock cannot compare them
        async for batch in find_batches(store, _RESERVATIONS, _REFERENCES, where):
            for row in batch:
                names = {text for value in _references(row) if is_opaque(value) and (text := identity(value))}
                for resource in names:
                    found.setdefault(resource, []).append(row.get("_id"))
    return found


async def resources_changed_since(store: Store, instant: datetime) -> set[ResourceId]:
    """The resources of which a reservation, or the resource itself, changed at that instant or later."""
    names: set[str | None] = set()
    newer = {"updatedAt": {"$gte": instant}}
    async for batch in find_batches(store, _RESERVATIONS, _REFERENCES, newer):
        names.update(identity(value) for row in batch for value in _references(row))
    async for row in store.lenient(Resource.Settings.name).find(newer, {"_id": 1}):
        names.add(identity(row["_id"]))
    return {ResourceId(name) for name in names if name is not None}


async def is_known_resource(store: Store, resource: ResourceId) -> bool:
    """Whether there is such a resource, or at least a reservation of it.

    One that reservations name by an object cannot be looked up: it counts once a run, or `migrate`, has listed it.
    """
    named = [(Resource.Settings.name, "_id"), *((_RESERVATIONS, name) for name in _REFERENCES)]
    for collection, field in named:
        for form in forms(resource):
            if await store.lenient(collection).find_one({field: form}, {"_id": 1}) is not None:
                return True
    occupancy = await store.of(Occupancy).find_one({"resource": resource})
    return occupancy is not None or await FindingStore(store).has_any(resource)


async def id_of_row(store: Store, row: Row) -> str:
    """The id of a row as text; where the row was read without it, that of the first equal row."""
    if "_id" in row:
        return label(row["_id"])
    where = {name: {"$eq": value} for name, value in row.items()}
    with suppress(PyMongoError):  # an example in the log is not worth an error
        found = await store.lenient(_RESERVATIONS).find_one(where, {"_id": 1})
        if found is not None:
            return label(found["_id"])
    return NAMELESS


def _references(row: Row) -> list[Any]:
    """The resources that a row names, as they are stored."""
    items = row.get("items")
    inside = [each.get("resource") for each in items if isinstance(each, Mapping)] if isinstance(items, list) else []
    return [row.get("resource"), *inside]
