"""Changes of status outside transactions: reading a reservation, and one update that requires the version read.

Past Beanie: an update is guarded by version, needs the majority's acknowledgement, and the row may be of another
program.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from bson import ObjectId
from motor.motor_asyncio import AsyncIOMotorCollection

from app.domain.ids import ResourceId
from app.storage.bson_types import BsonDocument, Filter
from app.storage.client import Store
from app.storage.concerns import MAJORITY
from app.storage.reservation_updates import HistoryLine, reservation_update
from app.storage.reservations import RESERVATIONS

RESERVATIONS_PER_FETCH = 500
"""The size of a cursor's batch."""


class ReadVersion(NamedTuple):
    """A reservation and its version as it was read; None where another program wrote it without one."""

    id: object
    version: object


class ReservationTransitions:
    """Guarded changes of the status of reservations.

    Args:
        store: The database.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def _rows(self) -> "AsyncIOMotorCollection[BsonDocument]":
        return self._store.database.get_collection(RESERVATIONS, write_concern=MAJORITY)

    async def read_row(self, identity: ObjectId) -> BsonDocument | None:
        """A reservation as it is stored."""
        return await self._rows.find_one({"_id": identity})

    def find_lapsed(self, at: datetime) -> AsyncIterator[ReadVersion]:
        """The holds that expired at an instant or before, and are not marked as expired."""
        return self._find(lapsed_holds(at))

    async def find_ended(self, resources: Sequence[ResourceId], before: datetime) -> AsyncIterator[ReadVersion]:
        """The confirmed reservations of these resources that ended at an instant or before, by the conflict lookup."""
        past = {"$lte": before}
        # A server that plans each filter by itself is asked once per resource.
        wanted: list[object] = [{"$in": [*resources]}] if self._store.shape == "or" else [*resources]
        for resource in wanted:
            query = {"resource": resource, "status": "confirmed", "startTime": past, "endTime": past}
            async for each in self._find(query):
                yield each

    async def _find(self, query: Mapping[str, object]) -> AsyncIterator[ReadVersion]:
        """One cursor through all that match."""
        async for row in self._rows.find(query, {"version": 1}, batch_size=RESERVATIONS_PER_FETCH):
            yield ReadVersion(row["_id"], row.get("version"))

    async def close_row(self, identity: ObjectId, version: object, line: HistoryLine) -> bool:
        """Bring a reservation of this version to the status `to` of a line; whether there was one."""
        known = {"_id": identity, "version": version}
        return bool((await self._rows.update_one(known, reservation_update(line))).matched_count)

    async def transition_row(self, row: ReadVersion, line: HistoryLine, *, lapsed_at: datetime | None = None) -> bool:
        """Bring a reservation that is as it was read from the status `from` of a line to its `to`; whether it was.

        Args:
            row: The reservation as it was read; one without a version must still have none.
            line: The line for its history.
            lapsed_at: An instant at which its hold must be over; None where it is no hold.

        Raises:
            pymongo.errors.WriteError: another program stored a version that is no number, or a history that is no list.
        """
        lapsed = {} if lapsed_at is None else _lapsed(lapsed_at)
        known = {"_id": row.id, "version": row.version, "status": line.get("from"), **lapsed}
        return bool((await self._rows.update_one(known, reservation_update(line))).modified_count)


def lapsed_holds(at: datetime) -> Filter:
    """The filter of the holds that expired at an instant or before, and are not marked as expired."""
    return {"status": "pending", **_lapsed(at)}


def _lapsed(at: datetime) -> dict[str, object]:
    return {"expiresAt": {"$lte": at}}
