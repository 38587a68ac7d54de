"""What others' rows occupy where the conflict lookup of the write path cannot find it: kept as rows of its own.

Runs keep them resource by resource, before they write down findings, and `migrate` makes the first ones. Whoever books
reads the reservation itself again: here is only where to look.
"""

from collections.abc import Awaitable, Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple, TypeAlias, TypeVar

from bson import ObjectId
from motor.motor_asyncio import AsyncIOMotorClientSession

from app.domain.instants import DAY, Millis, from_millis, to_millis
from app.storage.client import Store
from app.storage.row_reader import OccupiedTime, is_found_by_lookup, is_long
from app.storage.values import row_key

T = TypeVar("T")

OCCUPANCIES = "occupancies"
RETENTION: Millis = DAY
"""What ended longer ago is in nobody's way."""
ROWS_A_WRITE = 1_000
"""Rows that are written at once."""

Session: TypeAlias = AsyncIOMotorClientSession | None
Step: TypeAlias = Callable[..., Awaitable[None]]
"""Takes the store, and the session of a transaction."""


class ForeignOccupancy(NamedTuple):
    """`[start, end)` of a resource, taken by a reservation that is not found by looking there; its raw id."""

    resource: str
    start: Millis
    end: Millis
    reservation: Any

    @property
    def key(self) -> tuple[str, Millis, Millis, Hashable]:
        """What two of them are compared by."""
        return self.resource, self.start, self.end, row_key(self.reservation)


async def resources_with_foreign_occupancies(store: Store, among: Sequence[str] | None = None) -> set[str]:
    """The resources of which such rows are kept."""
    where = {} if among is None else {"resource": {"$in": list(among)}}
    return {str(name) for name in await store.database[OCCUPANCIES].distinct("resource", where)}


@dataclass(slots=True)
class Difference:
    """What has to be done so that the rows of some resources are those that they should be.

    `there` are the resources that will have some; `flags` those of which the guard says the opposite.
    """

    missing: list[ForeignOccupancy]
    obsolete: list[Any]
    occupied: set[str]
    wrong_flags: list[str]

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.missing or self.obsolete or self.wrong_flags)


async def compare(store: Store, resources: Sequence[str], foreign: Sequence[ForeignOccupancy]) -> Difference:
    """What makes these all rows of these resources."""
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
    """What has to be written, step by step, each by itself or in a transaction of its own.

    Guards say that there is something before it is there, and once more when all of it is: like a booking, so that
    whoever is about to book there looks again, and for a guard that was made meanwhile.
    """
    for resource in difference.wrong_flags:
        if resource in difference.occupied:
            yield partial(_flag, resource, {"$set": {"foreign": True}})
    for those in _slices(difference.missing):
        yield partial(_insert, [_stored(each, run) for each in those])
    for resource in sorted({each.resource for each in difference.missing}):
        yield partial(_flag, resource, {"$set": {"foreign": True}})
    for some in _slices(difference.obsolete):
        yield partial(_delete, [*some])
    for resource in difference.wrong_flags:
        if resource not in difference.occupied:
            yield partial(_flag, resource, {"$unset": {"foreign": ""}})


async def occupancies_matching(store: Store, where: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The reservations of the occupancies that match a filter, raw: ids of any type, which Beanie does not encode."""
    rows: list[dict[str, Any]] = await store.database[OCCUPANCIES].find(where, {"reservation": 1}).to_list(None)
    return rows


async def add_foreign_occupancies(store: Store, those: Sequence[ForeignOccupancy]) -> None:
    """Keep these as well, those that are not yet; the next run sees whether they are still so."""
    difference = await compare(store, sorted({each.resource for each in those}), those) if those else None
    for some in _slices(difference.missing if difference else ()):
        await _insert([_stored(each, None) for each in some], store)


async def _flag(resource: str, change: Mapping[str, Any], store: Store, session: Session = None) -> None:
    await store.database["guards"].update_one({"_id": resource}, {**change, "$inc": {"seq": 1}}, session=session)


async def _insert(rows: list[dict[str, Any]], store: Store, session: Session = None) -> None:
    await store.database[OCCUPANCIES].insert_many(rows, session=session)


async def _delete(ids: list[Any], store: Store, session: Session = None) -> None:
    await store.database[OCCUPANCIES].delete_many({"_id": {"$in": ids}}, session=session)


def foreign_occupancy(row: Mapping[str, Any], taken: OccupiedTime, now: Millis) -> ForeignOccupancy | None:
    """An occupancy of a row, if it lies ahead, or did until lately, and the conflict lookup does not find it."""
    if is_found_by_lookup(row, taken) or taken.end <= now - RETENTION:
        return None
    return ForeignOccupancy(taken.resource, taken.start, taken.end, row.get("_id"))


def _slices(those: Sequence[T]) -> Iterator[Sequence[T]]:
    return (those[begin : begin + ROWS_A_WRITE] for begin in range(0, len(those), ROWS_A_WRITE))


def _stored(each: ForeignOccupancy, run: ObjectId | None) -> dict[str, Any]:
    stored = {
        "_id": ObjectId(),
        "resource": each.resource,
        "startTime": from_millis(each.start),
        "endTime": from_millis(each.end),
        "reservation": each.reservation,
    }
    stored |= {"long": True} if is_long(each.start, each.end) else {}
    return stored if run is None else stored | {"run": run}


def is_occupancy(row: Mapping[str, Any]) -> bool:
    """Whether a row of this collection is one of ours; what somebody else keeps under that name is left alone."""
    times = (row.get("startTime"), row.get("endTime"))
    return isinstance(row.get("resource"), str) and "reservation" in row and all(type(at) is datetime for at in times)


def _key(row: Mapping[str, Any]) -> tuple[str, Millis, Millis, Hashable]:
    return ForeignOccupancy(
        row["resource"], to_millis(row["startTime"]), to_millis(row["endTime"]), row.get("reservation")
    ).key
