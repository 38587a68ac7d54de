"""The store of foreign occupancies: what reservations of other programs occupy where the conflict lookup misses it.

Reconciliations update them resource by resource, before they write findings, and `migrate` makes the first ones. A
booking reads the reservation itself again: the occupancy only says where to look.

Rows are read and written past Beanie: the id of a reservation has any type, and all writes are bulk or guarded.
"""

from collections.abc import Awaitable, Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import NamedTuple, TypeAlias, TypeVar

from bson import ObjectId
from motor.motor_asyncio import AsyncIOMotorClientSession

from app.domain.ids import ResourceId
from app.domain.instants import DAY, Duration, Millis, from_millis, to_millis
from app.storage.bson_types import BsonDocument, Row
from app.storage.client import Store
from app.storage.row_reader import OccupiedTime, is_found_by_lookup, is_long
from app.storage.values import row_key

T = TypeVar("T")

OCCUPANCIES = "occupancies"
RETENTION: Duration = DAY
"""Occupancies that ended longer ago are not stored, because nothing can be booked there any more."""
ROWS_A_WRITE = 1_000
"""Rows that one command writes."""

Session: TypeAlias = AsyncIOMotorClientSession | None
Step: TypeAlias = Callable[..., Awaitable[None]]
"""A write; it takes the store, and the session of a transaction."""


class ForeignOccupancy(NamedTuple):
    """`[start, end)` of a resource, and the id of the reservation that occupies it, as it is stored."""

    resource: ResourceId
    start: Millis
    end: Millis
    reservation: object

    @property
    def key(self) -> tuple[str, Millis, Millis, Hashable]:
        """The value by which occupancies are compared."""
        return self.resource, self.start, self.end, row_key(self.reservation)


async def resources_with_foreign_occupancies(
    store: Store, among: Sequence[ResourceId] | None = None
) -> set[ResourceId]:
    """The ids of the resources that have stored foreign occupancies, among some or all."""
    where = {} if among is None else {"resource": {"$in": list(among)}}
    return {ResourceId(str(name)) for name in await store.database[OCCUPANCIES].distinct("resource", where)}


@dataclass(slots=True)
class Difference:
    """What must be written so that the stored occupancies of some resources are as they should be.

    `occupied` are the resources that will have some; `wrong_flags` the resources whose guard says the opposite.
    """

    missing: list[ForeignOccupancy]
    obsolete: list[object]
    occupied: set[ResourceId]
    wrong_flags: list[ResourceId]

    def __bool__(self) -> bool:
        """Whether anything must be written."""
        return bool(self.missing or self.obsolete or self.wrong_flags)


async def compare(store: Store, resources: Sequence[ResourceId], foreign: Sequence[ForeignOccupancy]) -> Difference:
    """What must be written so that resources have exactly these occupancies."""
    rows = store.lenient(OCCUPANCIES).find({"resource": {"$in": [*resources]}})
    known = {_key(row): row["_id"] async for row in rows if is_occupancy(row)}
    wanted = {each.key: each for each in foreign}
    there = {each.resource for each in wanted.values()}
    guards = store.database["guards"].find({"_id": {"$in": [*resources]}}, {"foreign": 1})
    return Difference(
        [each for key, each in wanted.items() if key not in known],
        [identity for key, identity in known.items() if key not in wanted],
        there,
        [guard["_id"] async for guard in guards if bool(guard.get("foreign")) != (guard["_id"] in there)],
    )


def steps(difference: Difference, run: ObjectId | None = None) -> Iterator[Step]:
    """The writes of a difference, in order, each alone or in a transaction of its own.

    Guards are flagged before the occupancies are written, and once more after: like a booking, that write
    makes transactions that are about to book read again, and it reaches a guard that was made meanwhile.
    """
    for resource in difference.wrong_flags:
        if resource in difference.occupied:
            yield partial(_flag, resource, {"$set": {"foreign": True}})
    for some in _slices(difference.missing):
        yield partial(_insert, [_stored(each, run) for each in some])
    for resource in sorted({each.resource for each in difference.missing}):
        yield partial(_flag, resource, {"$set": {"foreign": True}})
    for ids in _slices(difference.obsolete):
        yield partial(_delete, [*ids])
    for resource in difference.wrong_flags:
        if resource not in difference.occupied:
            yield partial(_flag, resource, {"$unset": {"foreign": ""}})


async def occupancies_matching(store: Store, where: Mapping[str, object]) -> list[BsonDocument]:
    """The reservations of the occupancies that match a filter, raw: ids of any type, which Beanie does not encode."""
    rows: list[BsonDocument] = await store.database[OCCUPANCIES].find(where, {"reservation": 1}).to_list(None)
    return rows


async def add_foreign_occupancies(store: Store, occupancies: Sequence[ForeignOccupancy]) -> None:
    """Store the occupancies that are not stored yet; the next reconciliation corrects them."""
    if not occupancies:
        return
    difference = await compare(store, sorted({each.resource for each in occupancies}), occupancies)
    for some in _slices(difference.missing):
        await _insert([_stored(each, None) for each in some], store)


async def _flag(resource: ResourceId, change: Mapping[str, object], store: Store, session: Session = None) -> None:
    await store.database["guards"].update_one({"_id": resource}, {**change, "$inc": {"seq": 1}}, session=session)


async def _insert(rows: list[BsonDocument], store: Store, session: Session = None) -> None:
    await store.database[OCCUPANCIES].insert_many(rows, session=session)


async def _delete(ids: list[object], store: Store, session: Session = None) -> None:
    await store.database[OCCUPANCIES].delete_many({"_id": {"$in": ids}}, session=session)


def foreign_occupancy(row: Row, taken: OccupiedTime, now: Millis) -> ForeignOccupancy | None:
    """An occupancy of a reservation, if the conflict lookup does not find it and it has not ended `RETENTION` ago."""
    if is_found_by_lookup(row, taken) or taken.end <= now - RETENTION:
        return None
    return ForeignOccupancy(taken.resource, taken.start, taken.end, row.get("_id"))


def _slices(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    return (rows[begin : begin + ROWS_A_WRITE] for begin in range(0, len(rows), ROWS_A_WRITE))


def _stored(each: ForeignOccupancy, run: ObjectId | None) -> BsonDocument:
    stored = {
        "_id": ObjectId(),
        "resource": each.resource,
        "startTime": from_millis(each.start),
        "endTime": from_millis(each.end),
        "reservation": each.reservation,
    }
    stored |= {"long": True} if is_long(each.start, each.end) else {}
    return stored if run is None else stored | {"run": run}


def is_occupancy(row: Row) -> bool:
    """Whether a row of the collection is an occupancy; documents of other programs are left alone."""
    times = (row.get("startTime"), row.get("endTime"))
    return isinstance(row.get("resource"), str) and "reservation" in row and all(type(at) is datetime for at in times)


def _key(row: BsonDocument) -> tuple[str, Millis, Millis, Hashable]:
    return ForeignOccupancy(
        row["resource"], to_millis(row["startTime"]), to_millis(row["endTime"]), row.get("reservation")
    ).key
