"""The log of events: those that have their place, one after the other without a gap.

The lease of the relay names the last place. Readers read it before the events: what is at it or before was committed
by then, so they see all of it, and events without a gap are all that there are. It also names the floor, the last of
the events that were removed because of their age.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import NamedTuple

from motor.motor_asyncio import AsyncIOMotorCollection
from pymongo.read_concern import ReadConcern

from app.storage.bson_types import BsonDocument
from app.storage.client import Store
from app.storage.documents import Event, Lease
from app.storage.event_placing import EVENTS

RELAY = "events"
"""The name of the lease of the relay."""

MAJORITY_READ = ReadConcern("majority")
"""What only the primary has may be undone by a failover, and a reader would have seen what never was."""


class Bounds(NamedTuple):
    """The events that there are: those after `floor`, up to `last`."""

    floor: int
    last: int


class EventsGone(Exception):  # noqa: N818  # no fault: the reader has to start anew
    """Events after a cursor were removed because of their age, or the cursor is of another log."""


@dataclass(frozen=True, slots=True)
class EventLog:
    """The log of a database."""

    store: Store

    async def bounds(self) -> Bounds:
        """The events that there are at the moment, by a majority of the servers.

        Raises:
            pymongo.errors.PyMongoError: the database does not answer.
        """
        lease = await self._collection(Lease.Settings.name).find_one({"_id": RELAY}, {"place": 1, "floor": 1})
        found = lease or {}
        return Bounds(found.get("floor", 0), found.get("place", 0))

    async def read(self, after: int, until: int, most: int) -> AsyncIterator[Event]:
        """Up to `most` events after a place, none after `until`, which must not be after the last place.

        Raises:
            EventsGone: some of them are not there any more; every event without one before it shows that.
            pymongo.errors.PyMongoError: the database does not answer.
        """
        where = {"_id": {"$gt": after, "$lte": until}}
        place = after
        async for row in self._collection(EVENTS).find(where, sort=[("_id", 1)], limit=most):
            place += 1
            if row["_id"] != place:
                raise EventsGone
            yield Event.model_validate(row)
        if place < min(until, after + most):
            raise EventsGone

    def _collection(self, name: str) -> "AsyncIOMotorCollection[BsonDocument]":
        return self.store.database.get_collection(name, read_concern=MAJORITY_READ)
