"""What occupies the resources, as rows for the sweep: read raw, with a projection, without document models."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

from bson import Binary, decode_all
from motor.motor_asyncio import AsyncIOMotorClientSession
from pymongo.errors import PyMongoError

from app.domain.sweep import PlainRow
from app.reconciliation.row_batches import PASSING, PROJECTION, Rows, Tally, is_idle, without_zone
from app.storage.capacities import Limits, read_limits
from app.storage.client import LENIENT, Store
from app.storage.foreign_occupancies import ForeignOccupancy
from app.storage.reach import Reach
from app.storage.row_reader import SURE
from app.storage.values import NAMELESS, forms, identity, is_opaque, label, row_key

BATCH = 2_000
"""Rows that are decoded and swept at a stretch: a few milliseconds, in which the event loop does nothing else."""

ORDER = [("resource", 1), ("status", 1), ("startTime", 1)]
OCCUPYING: Mapping[str, Any] = {"status": {"$nin": [*SURE]}}
"""All but what surely occupies nothing. Others spell statuses otherwise, so nobody can ask for those that block."""

_RAW = LENIENT.with_options(tz_aware=False)
_OPAQUE: tuple[Any, ...] = ({}, Binary(b""))
"""The least of each type in which an id cannot be looked up; a comparison stays within its type."""

Batch: TypeAlias = Sequence[Mapping[str, Any]]
Opaque: TypeAlias = Mapping[str, Sequence[Any]]
"""Reservations, by their ids, that name a resource in such a form; by the text of the resource."""


@dataclass(slots=True)
class Scan:
    """One pass over everything that may occupy something.

    `sizes` are the rows of each resource that were met, `again` the resources that have to be read by themselves: some
    of their rows lie elsewhere, or a booking would not find them.
    """

    store: Store
    limits: Limits
    tally: Tally
    sizes: Counter[str] = field(default_factory=Counter)
    again: Counter[str] = field(default_factory=Counter)

    async def chunks(self) -> AsyncIterator[tuple[list[PlainRow], dict[str, Reach]]]:
        """The rows, in chunks of whole resources, each chunk in the order of the sweep; and the reach that they need.

        The rows have no ids, and they are no snapshot: what is found in them has to be looked at again. The cursor goes
        along the conflict lookup, so the server sorts nothing; one resource's statuses, and starts that buffers brought
        forward, are put in order here. Memory is that of the largest resource.
        """
        reader = Rows(self.store.clock.millis(), self.limits, self.tally, again=self.again)
        begun: list[PlainRow] = []
        async for batch in _ahead(batches(self.store, OCCUPYING, PASSING, sort=ORDER, batch_size=BATCH)):
            reader.rows, reader.needs = [], {}
            reader.read(batch)
            rows, needs = reader.rows, reader.needs
            whole = len(rows)
            last = rows[-1][0] if rows else None
            while whole and rows[whole - 1][0] == last:
                whole -= 1
            if begun and begun[-1][0] != last:
                rows[:whole] = begun + rows[:whole]
                whole += len(begun)
                begun = []
            begun += rows[whole:]
            del rows[whole:]
            yield self._ordered(rows), needs
        yield self._ordered(begun), {}
        self.tally.resources = len(self.sizes.keys() | self.again.keys())

    def _ordered(self, chunk: list[PlainRow]) -> list[PlainRow]:
        chunk.sort()
        sizes = Counter(row[0] for row in chunk)
        for resource in sizes.keys() & self.sizes.keys():  # it has rows under another form of its id
            self.again[resource] += self.sizes[resource]
        self.sizes += sizes
        self.tally.resources = len(self.sizes)
        return chunk


@dataclass(slots=True)
class ResourceScan:
    """All that there is of some resources: rows with ids as text, in the order of the sweep, and what else follows.

    `ids` are what each id is in the database, `needs` the reach that a lookup
    must have, `foreign` what it does not find.
    """

    rows: list[PlainRow]
    limits: Limits
    ids: Mapping[str, Any]
    needs: Mapping[str, Reach]
    foreign: Sequence[ForeignOccupancy]


async def scan_resources(
    store: Store,
    resources: Sequence[str],
    opaque: Opaque,
    tally: Tally | None = None,
    session: AsyncIOMotorClientSession | None = None,
) -> ResourceScan:
    """All that occupies these resources, in whatever form it names them. In a transaction all of it is of one snapshot.

    Args:
        store: The database.
        resources: The texts of their ids.
        opaque: What `read_opaque` gave.
        tally: Counts what is read.
        session: Of the transaction.
    """
    limits = await read_limits(store, resources, session)
    counted = tally or Tally()
    reader = Rows(store.clock.millis(), limits, counted, frozenset(resources), ids={})
    several: set[Hashable] = set()  # of those that more than one of the finds gives
    for where in _where(store, resources, opaque):
        async for batch in batches(store, where, PROJECTION, session=session, batch_size=BATCH):
            reader.read(each for each in batch if not is_idle(each) and _is_first(each, several))
    reader.rows.sort()
    counted.resources += len(resources)
    return ResourceScan(reader.rows, limits, reader.ids or {}, reader.needs, reader.foreign)


async def are_many(store: Store, resources: Sequence[str], opaque: Opaque, most: int) -> bool:
    """Whether more than `most` rows may occupy these resources; that many are counted, in the indexes."""
    left = most
    for where in _where(store, resources, opaque):
        left -= await store.lenient("reservations").count_documents(where, limit=left + 1)
        if left < 0:
            return True
    return False


def _is_first(found: Mapping[str, Any], several: set[Hashable]) -> bool:
    """Whether a row is new here; only those with items, or a resource that cannot be looked up, can come twice."""
    if not found.get("items") and not is_opaque(found.get("resource")):
        return True
    key = row_key(found.get("_id"))
    known = key in several
    several.add(key)
    return not known


def _where(store: Store, resources: Sequence[str], opaque: Opaque) -> list[dict[str, Any]]:
    """The filters by which this server finds what may occupy these resources from its indexes."""
    stored = [form for resource in resources for form in forms(resource)]
    others = [identity_ for resource in resources for identity_ in opaque.get(resource, ())]
    last = [{"_id": {"$in": others}}] if others else []
    if store.shape == "or":
        return [{"resource": {"$in": stored}, **OCCUPYING}, {"items.resource": {"$in": stored}}, *last]
    # PyPI's SecantusDB uses an index for one equality, and for it alone.
    return [{name: form} for name in ("resource", "items.resource") for form in stored] + last


async def read_opaque(store: Store) -> Opaque:
    """The reservations that name a resource in a form that no lookup by its id finds; on most databases there are none.

    They are found by the type of what they name, from the indexes.
    """
    found: dict[str, list[Any]] = {}
    fields = {"resource": 1, "items.resource": 1}
    wheres: list[dict[str, Any]] = [{name: {"$gte": least}} for name in fields for least in _OPAQUE]
    for where in wheres if store.capabilities.native else [{}]:  # mongomock cannot compare them
        async for batch in batches(store, where, fields):
            for row in batch:
                for resource in {text for value in _named(row) if is_opaque(value) and (text := identity(value))}:
                    found.setdefault(resource, []).append(row.get("_id"))
    return found


def _named(row: Mapping[str, Any]) -> list[Any]:
    """Every resource that a row names, as it does."""
    items = row.get("items")
    inside = [each.get("resource") for each in items if isinstance(each, Mapping)] if isinstance(items, list) else []
    return [row.get("resource"), *inside]


async def id_of(store: Store, found: Mapping[str, Any]) -> str:
    """The id, as text, of a row that was read; of one that was read without it, of the first that is alike."""
    if "_id" in found:
        return label(found["_id"])
    where = {name: {"$eq": value} for name, value in found.items()}
    with suppress(PyMongoError):  # an example is not worth an error
        row = await store.lenient("reservations").find_one(where, {"_id": 1})
        if row is not None:
            return label(row["_id"])
    return NAMELESS


async def batches(
    store: Store, where: Mapping[str, Any], projection: Mapping[str, int], **options: Any
) -> AsyncIterator[Batch]:
    """What a find gives, batch by batch, with instants that bear no zone."""
    reservations = store.database["reservations"]
    if store.capabilities.native:
        async for batch in reservations.find_raw_batches(where, projection, **options):
            documents: Sequence[dict[str, Any]] = decode_all(batch, _RAW)
            yield documents
        return
    async for found in reservations.find(where, projection, **options):  # mongomock knows no raw batches
        yield [without_zone(found)]


async def _ahead(those: AsyncIterator[Batch]) -> AsyncIterator[Batch]:
    """The same batches; the server makes the next one while this process is busy with the last."""
    coming = asyncio.ensure_future(anext(those, None))
    try:
        while (batch := await coming) is not None:
            coming = asyncio.ensure_future(anext(those, None))
            yield batch
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)


async def changed(store: Store, since: datetime) -> set[str]:
    """The resources of which a reservation, or the resource itself, changed at that instant or later."""
    names: set[str | None] = set()
    newer = {"updatedAt": {"$gte": since}}
    async for batch in batches(store, newer, {"resource": 1, "items.resource": 1}):
        names.update(identity(value) for row in batch for value in _named(row))
    async for found in store.lenient("resources").find(newer, {"_id": 1}):
        names.add(identity(found["_id"]))
    return {name for name in names if name is not None}
