"""Reading reservations outside of the write path's transaction; only `app.booking` writes them.

Rows that other programs wrote or edited have values that no document accepts: ids and dates of other types, statuses
of another spelling. Code that lists, shows or compares stored reservations therefore reads raw rows, which
`stored_reservations` and `row_reader` interpret. Code that only counts Reserva's own rows uses Beanie.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import TypedDict

from bson import ObjectId
from motor.motor_asyncio import AsyncIOMotorCollection
from pydantic import ValidationError
from pymongo import ReadPreference

from app.domain.ids import ResourceId
from app.domain.instants import Millis
from app.errors import Problem
from app.storage.bson_types import BsonDocument, Filter
from app.storage.client import Store
from app.storage.conflict_lookup import BRANCHES_MAX, FIELDS, branches, read_foreign, window
from app.storage.documents import Group, Reservation, Series
from app.storage.foreign_occupancies import OCCUPANCIES
from app.storage.reach import Reach
from app.storage.reservation_filters import (
    ChangePosition,
    Direction,
    ReservationFilters,
    StartPosition,
    after_all_dates,
    all_of,
)
from app.storage.span import Span
from app.storage.stored_reservations import lenient_reservation
from app.storage.values import identity as relation
from app.storage.values import object_id

RESERVATIONS: str = Reservation.Settings.name


class GuardedRow(TypedDict):
    """The fields that decide which guards a change of a reservation needs, as any program may have written them."""

    resource: object
    service: object


class ReservationStore:
    """The reservations of a database.

    Rows are raw documents, sorted as a method says; ids that were asked for and do not exist are left out.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def _rows(self) -> "AsyncIOMotorCollection[BsonDocument]":
        """The raw collection: rows may be of other programs."""
        return self._store.database[RESERVATIONS]

    async def find_row(self, identity: str) -> BsonDocument | None:
        """A reservation by its ObjectId, else by the text that another program gave it as its id."""
        row: BsonDocument | None = None
        if (known := object_id(identity)) is not None:
            row = await self._rows.find_one({"_id": known})
        return row or await self._rows.find_one({"_id": identity})

    async def find_shown(self, ids: Sequence[ObjectId]) -> dict[ObjectId, Reservation]:
        """Those of these ids, in the order of the ids; unreadable values are text."""
        rows = await self._rows.find({"_id": {"$in": [*ids]}}).to_list(None)
        found: dict[object, Reservation] = {row["_id"]: lenient_reservation(row) for row in rows}
        return {each: found[each] for each in ids if each in found}

    async def find_guarded(self, ids: Collection[ObjectId]) -> dict[ObjectId, GuardedRow]:
        """Those of these ids, with the fields that decide which guards a change of them needs."""
        rows = self._rows.find({"_id": {"$in": [*ids]}}, {"resource": 1, "service": 1})
        return {row["_id"]: GuardedRow(resource=row.get("resource"), service=row.get("service")) async for row in rows}

    async def find_group(self, group: ObjectId) -> list[Reservation]:
        """The members of a group in its order, as `find_shown` has them; none where there is no such group."""
        # Raw: a collection of that name may be of another program, and its documents no groups.
        row = await self._store.database[Group.Settings.name].find_one({"_id": group})
        members = row.get("reservations") if row else None
        ids = [each for each in members if isinstance(each, ObjectId)] if isinstance(members, list) else []
        return [*(await self.find_shown(ids)).values()]

    async def find_series(self, series: ObjectId) -> Series | None:
        """A series; None where there is none, or what another program keeps there is no series."""
        row = await self._store.database[Series.Settings.name].find_one({"_id": series})
        try:
            return None if row is None else Series.model_validate(row)
        except ValidationError:
            return None

    async def list_by_start(
        self,
        filters: ReservationFilters,
        after: StartPosition | None,
        *,
        direction: Direction = 1,
        rows_max: int,
        without: Sequence[str] = (),
    ) -> list[BsonDocument]:
        """Those that pass the filters, by `startTime` and id, upwards or downwards (-1); without some fields."""

        async def read(query: Filter) -> list[BsonDocument]:
            found = self._rows.find(query, dict.fromkeys(without, 0) or None)
            order: list[tuple[str, int]] = [("startTime", direction), ("_id", direction)]
            return await found.sort(order).limit(rows_max - len(rows)).to_list(None)

        conditions = self._conditions(filters)
        beyond = [] if after is None else after.beyond(direction)
        rows: list[BsonDocument] = []
        for part in filters.parts(direction, split=self._store.shape == "or"):
            if len(rows) < rows_max and not part.is_passed(after, direction):
                rows += await read(part.query([*conditions, *beyond]))
        on_dates = after is not None and isinstance(after.start, datetime) and not filters.bounds_starts
        if on_dates and direction < 0 and len(rows) < rows_max:
            # Dates come before everything else downwards, and a range of dates finds nothing but dates.
            rows += await read(all_of([*conditions, after_all_dates()]))
        return rows

    async def list_changes(
        self, filters: ReservationFilters, after: ChangePosition, until: datetime, *, rows_max: int
    ) -> list[BsonDocument]:
        """Those that pass the filters and were changed after a position, but not after `until`; by change and id.

        They are read from the primary whatever the address says: a secondary may not know yet of what lies before
        `until`.
        """
        query = all_of([*self._conditions(filters), {"updatedAt": {"$lte": until}}, *after.beyond()])
        reservations = self._store.database.get_collection(RESERVATIONS, read_preference=ReadPreference.PRIMARY)
        order: list[tuple[str, int]] = [("updatedAt", 1), ("_id", 1)]
        return await reservations.find(query).sort(order).limit(rows_max).to_list(None)

    def _conditions(self, filters: ReservationFilters) -> list[Filter]:
        """A server that scans for anything but equality is asked for a customer's id as text only."""
        return filters.conditions(self._store.clock.now(), by_object_id=self._store.shape == "or")

    async def count_live_holds(
        self, *, key: str | None = None, holder: str | None = None, customer: str | None = None, count_max: int
    ) -> int:
        """How many holds are not over: of a holder that a key named, of a customer, or of a key; up to `count_max`.

        Those of a holder are no customer's, and those of either not counted by key alone.
        """
        owner: Filter = {"holder": holder or {"$exists": False}}
        if key:
            owner = {"key": key, **owner}
        if not holder:
            owner["customer"] = customer or {"$exists": False}
        live = {"status": "pending", **owner, "expiresAt": {"$gt": self._store.clock.now()}}
        return int(await self._store.of(Reservation).find(live, limit=count_max).count())

    async def find_occupying(
        self, reaches: Mapping[ResourceId, Reach], start: Millis, end: Millis, *, rows_max: int
    ) -> dict[str, list[BsonDocument]]:
        """The rows that may occupy each resource during `[start, end)` in block times, with `occupancy.FIELDS`.

        One find, whatever the number of resources; a server that scans for anything but equality (see `Store.shape`)
        is asked once per resource and status. The rows are raw: `row_reader` decides what they occupy.

        Args:
            reaches: The reach of each resource, by its id.
            start: In milliseconds.
            end: In milliseconds.
            rows_max: How many rows are read at most.

        Raises:
            Problem: `overloaded` where there are more than `rows_max`.
        """
        found: dict[str, list[BsonDocument]] = {resource: [] for resource in reaches}
        if not reaches:
            return found
        spans = [Span(resource, start, end) for resource in reaches]
        left = rows_max
        for query in self._occupying(spans, reaches, start, end):
            rows = await self._rows.find(query, dict.fromkeys(FIELDS, 1)).limit(left + 1).to_list(None)
            left -= len(rows)
            if left < 0:
                raise _too_many(rows_max)
            for row in rows:
                if (resource := relation(row["resource"])) in found:  # an array is found by each of its values
                    found[resource].append(row)
        foreign = await read_foreign(self._store, spans, reaches, left)
        if len(foreign) > left:
            raise _too_many(rows_max)
        for resource, reach in reaches.items():
            if reach.foreign:  # which of them lie here is known only once they are read
                found[resource] += map(dict, foreign)
        return found

    def _occupying(
        self, spans: Sequence[Span], reaches: Mapping[ResourceId, Reach], start: Millis, end: Millis
    ) -> list[Filter]:
        queries = branches(spans, reaches)
        if self._store.shape != "or":
            return queries
        # Few branches of equalities stay inside the index on every server; many cost more than `$in`.
        return [{"$or": queries} if len(queries) <= BRANCHES_MAX else window([*reaches], start, end, reaches)]

    async def named_resources(self) -> set[ResourceId]:
        """The ids of all resources that any reservation names, in whatever form, whether they exist or not."""
        # Leniently decoded: rows of other programs may not be UTF-8.
        named = await self._store.lenient(RESERVATIONS).distinct("resource")
        listed = await self._store.database[OCCUPANCIES].distinct("resource")
        return {ResourceId(text) for value in named if (text := relation(value)) is not None} | {*listed}


def _too_many(rows_max: int) -> Problem:
    return Problem("overloaded", f"More than {rows_max:,} reservations lie in that span; ask for a shorter one.")
