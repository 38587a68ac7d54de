"""The log of events: those that have their place, one after the other without a gap.

The lease of the relay names the last place. Readers read it before the events: what is at it or before was committed
by then, so they see all of it, and events without a gap are all that there are. It also names the floor, the last of
the events that were removed because of their age.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import takewhile
from typing import NamedTuple

from motor.motor_asyncio import AsyncIOMotorCollection
from pymongo.errors import OperationFailure
from pymongo.read_concern import ReadConcern

from app.outages import is_outage
from app.storage.bson_types import BsonDocument, Filter, Row
from app.storage.client import Store
from app.storage.documents import Event, Lease
from app.storage.event_placing import EVENTS
from app.storage.event_rows import fault_of, placed_at, read_event

RELAY = "events"
"""The name of the lease of the relay."""

BATCH = 100
"""Events that are read at once; a reader may need no more."""

PRUNE_BATCH = 1_000
"""Events that are removed at once."""

MAJORITY_READ = ReadConcern("majority")
"""What only the primary has may be undone by a failover, and a reader would have seen what never was."""

SURE_READ = ReadConcern("linearizable")
"""What a majority had before the question: a primary that has just been elected, or has lost its majority without
knowing it yet, reads an earlier state by `majority`, in which the last events are missing."""


class Bounds(NamedTuple):
    """The events that there are: those after `floor`, up to `last`."""

    floor: int
    last: int


class EventsGone(Exception):  # noqa: N818  # no fault: the reader has to start anew
    """Events after a cursor were removed because of their age, or the cursor is of another log."""


def at_places(places: Sequence[int]) -> Filter:
    """The filter of events by their places, one by one: for a range SecantusDB reads the whole log."""
    return {"_id": {"$in": [*places]}}


@dataclass(frozen=True, slots=True)
class EventLog:
    """The log of a database.

    What another program has damaged is read as far as it can be, so that no reader stands still before it.
    """

    store: Store

    async def bounds(self) -> Bounds:
        """The events that there are at the moment, by a majority of the servers.

        Raises:
            pymongo.errors.PyMongoError: the database does not answer.
        """
        return await self._read_bounds(MAJORITY_READ)

    async def bounds_for(self, place: int) -> Bounds:
        """The same; surely the present ones where the place is beyond the last.

        Raises:
            pymongo.errors.PyMongoError: the database does not answer.
        """
        bounds = await self.bounds()
        return bounds if place <= bounds.last else await self._sure_bounds()

    async def read(self, after: int, until: int, most: int) -> AsyncGenerator[Event]:
        """Up to `most` events after a place, none after `until`, which must not be after the last place.

        Raises:
            EventsGone: some of them are not there any more; every event without one before it shows that.
            pymongo.errors.PyMongoError: the database does not answer.
        """
        places = range(after + 1, min(until, after + most) + 1)
        for start in range(0, len(places), BATCH):
            wanted = places[start : start + BATCH]
            rows = await self._collection(EVENTS).find(at_places(wanted), sort=[("_id", 1)]).to_list(None)
            if len(rows) < len(wanted):
                await self._sure_bounds()  # from then on a server that was behind the bounds has caught up with them
                rows = await self._collection(EVENTS).find(at_places(wanted), sort=[("_id", 1)]).to_list(None)
            if len(rows) < len(wanted):
                raise EventsGone
            for row in rows:
                yield self._event(row)

    async def about(self, subject: object, until: int) -> AsyncGenerator[Event]:
        """The events of one subject up to a place, which must not be after the last place; in their order.

        Raises:
            pymongo.errors.PyMongoError: the database does not answer.
        """
        where = {"subject": subject, "_id": {"$lte": until}}
        rows = self._collection(EVENTS).find(where, sort=[("_id", 1)], batch_size=BATCH)
        try:
            async for row in rows:
                yield self._event(row)
        finally:
            await rows.close()

    async def last_gap(self) -> int | None:
        """The last place within the bounds that no event has; None where each has one.

        Nothing that Reserva does makes a gap. A backup can have one, of a database that was written to meanwhile.

        Raises:
            pymongo.errors.PyMongoError: the database does not answer.
        """
        floor, place = await self.bounds()
        within = {"_id": {"$gt": floor, "$lte": place}}
        events = self._collection(EVENTS)
        if await events.count_documents(within) == place - floor:
            return None
        async for event in events.find(within, {"_id": 1}, sort=[("_id", -1)]):
            if event["_id"] != place:
                break
            place -= 1
        return place

    async def damaged(self, most: int) -> list[int]:
        """The places of the damaged events among the last `most`.

        Raises:
            pymongo.errors.PyMongoError: the database does not answer.
        """
        rows = self._collection(EVENTS).find({}, {"state": 0}, sort=[("_id", -1)], limit=most)
        return [row["_id"] async for row in rows if isinstance(row["_id"], int) and fault_of(row, Event)]

    async def raise_floor(self, place: int) -> None:
        """Let the log begin after a place.

        Raises:
            pymongo.errors.PyMongoError: the database does not answer.
        """
        raised = {"$max": {"floor": place}}
        await self.store.database[Lease.Settings.name].update_one({"_id": RELAY}, raised)

    async def prune(self, days: int) -> int:
        """Remove the first events if they were placed so many days ago, up to the first that was not; how many.

        0 days: none. What waited in the outbox for longer, because no worker ran, is kept as long as any other.

        The floor is raised before they go, so that no reader looks for what is being removed.

        Raises:
            pymongo.errors.PyMongoError: the database does not answer.
        """
        if not days:
            return 0
        before = self.store.clock.now() - timedelta(days=days)
        events = self._collection(EVENTS)
        fields = {"at": 1, "placedAt": 1, "key": 1}
        first = await events.find({}, fields, sort=[("_id", 1)], limit=PRUNE_BATCH).to_list(None)
        placed = (row for row in first if isinstance(row["_id"], int))
        old = [row["_id"] for row in takewhile(lambda row: placed_at(row) < before, placed)]
        if not old:
            return 0
        await self.raise_floor(old[-1])
        return (await events.delete_many({"_id": {"$lte": old[-1]}})).deleted_count

    def _event(self, row: Row) -> Event:
        event, fault = read_event(row)
        if fault is not None:
            self.store.damaged_events.note(event.id, fault)
        return event

    async def _sure_bounds(self) -> Bounds:
        """The bounds, after a majority has confirmed that they are the present ones.

        A server that is alone may know no such question; it cannot be behind another one.
        """
        try:
            return await self._read_bounds(SURE_READ)
        except OperationFailure as error:
            if is_outage(error):
                raise
        return await self.bounds()

    async def _read_bounds(self, concern: ReadConcern) -> Bounds:
        leases = self._collection(Lease.Settings.name, concern)
        found = await leases.find_one({"_id": RELAY}, {"place": 1, "floor": 1}) or {}
        return Bounds(found.get("floor", 0), found.get("place", 0))

    def _collection(self, name: str, concern: ReadConcern = MAJORITY_READ) -> "AsyncIOMotorCollection[BsonDocument]":
        return self.store.database.get_collection(name, read_concern=concern)
