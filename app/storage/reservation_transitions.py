"""The reservations whose status is to change because of a request or because their time has come.

Past Beanie: a row may be of another program.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from bson import ObjectId
from motor.motor_asyncio import AsyncIOMotorCollection

from app.domain.ids import ResourceId
from app.storage.bson_types import BsonDocument, Filter
from app.storage.client import Store
from app.storage.reservations import RESERVATIONS

RESERVATIONS_PER_FETCH = 500
"""The size of a cursor's batch."""


class ReadVersion(NamedTuple):
    """A reservation and its version as it was read; None where another program wrote it without one."""

    id: object
    version: object


class ReservationTransitions:
    """Reads of what is to be closed.

    Args:
        store: The database.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def _rows(self) -> "AsyncIOMotorCollection[BsonDocument]":
        return self._store.database[RESERVATIONS]

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


def lapsed_holds(at: datetime) -> Filter:
    """The filter of the holds that expired at an instant or before, and are not marked as expired."""
    return {"status": "pending", **lapsed_by(at)}


def lapsed_by(at: datetime) -> Filter:
    """The filter of what expired at an instant or before."""
    return {"expiresAt": {"$lte": at}}
