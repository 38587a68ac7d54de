"""Customers that are erased: marked first, and swept until nothing of them is left.

A process may still be writing what it began before the mark, so each customer is swept once more a minute later.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.deadline import sending
from app.storage.bson_types import BsonDocument, Row
from app.storage.client import Store
from app.storage.documents import Customer
from app.storage.missing_events import MissingEvents
from app.storage.outbox import OPERATION_OF_ERASURE, add_events, event_key
from app.storage.transactions import Session, write_together
from app.storage.values import count

SETTLED_SECONDS = 60
"""By then every write that was begun before the mark has been done or will never be."""

_KEPT = frozenset({"_id", "name", "version", "createdAt", "updatedAt", "operations"})
_STATE = frozenset({"erasedAt", "erasedBy", "erasing", "sweepAt"})
_CUSTOMERS = Customer.Settings.name


@dataclass(frozen=True, slots=True)
class Sweep:
    """A customer whose texts are to be cleared, and the actor that the histories name.

    `version` is the one that the mark has made of the customer, `sweep_at` when the last sweep may begin, `erasing`
    whether texts from before the mark may be left.
    """

    customer: str
    by: str
    version: int
    sweep_at: datetime
    erasing: bool

    @property
    def event(self) -> BsonDocument:
        """The event of the mark."""
        return {
            "_id": event_key(self.customer, self.version, OPERATION_OF_ERASURE),
            "type": "customer.erased",
            "subject": self.customer,
            "version": self.version,
            "at": self.sweep_at - timedelta(seconds=SETTLED_SECONDS),
            "by": self.by,
        }

    def is_last(self, began: datetime) -> bool:
        """Whether a sweep that began at an instant leaves nothing to do."""
        return began >= self.sweep_at


@dataclass(frozen=True, slots=True)
class ErasedCustomers:
    """The erased customers of a database."""

    store: Store

    async def mark(self, row: Row, by: str) -> Sweep | None:
        """Clear a customer as it was read, whatever fields it has, and leave the event; None if it has changed since.

        A customer that is being erased already is not changed again, so that leaves none.

        Raises:
            VersionConflict: others write the customer all the time.
        """
        sending()
        now = self.store.clock.now()
        again = now + timedelta(seconds=SETTLED_SECONDS)
        texts = row.keys() - _KEPT - _STATE
        fresh = texts or row.get("name") != "" or row.get("erasing") is not True
        version = row.get("version")
        made = (version if isinstance(version, int) else 0) + bool(fresh)
        change: dict[str, object] = {"erasedAt": row.get("erasedAt", now), "erasedBy": by, "sweepAt": again}
        if fresh:
            change |= {"name": "", "erasing": True, "updatedAt": now, "version": made}
        update = {"$set": change} | ({"$unset": dict.fromkeys(texts, "")} if texts else {})
        known = {"_id": row["_id"], "version": version}
        sweep = Sweep(str(row["_id"]), by, made, again, erasing=True)

        async def write(session: Session) -> bool:
            customers = self.store.database[_CUSTOMERS]
            if not (await customers.update_one(known, update, session=session)).matched_count:
                return False
            await add_events(self.store, [sweep.event] if fresh else [], session)
            return True

        return sweep if await write_together(self.store, write) else None

    async def announce(self, sweep: Sweep) -> None:
        """Leave the event of the mark where there are no transactions, and a crash has left it out.

        Raises:
            pymongo.errors.PyMongoError: the database does not answer.
        """
        if self.store.mode != "strict":
            await MissingEvents(self.store).write_those([sweep.event])

    async def among(self, customers: Collection[str]) -> set[str]:
        """Those of these customers that are erased."""
        if not customers:
            return set()
        where = {"_id": {"$in": [*customers]}, "erasedAt": {"$exists": True}}
        return {row["_id"] async for row in self.store.database[_CUSTOMERS].find(where, {"_id": 1})}

    async def pending(self) -> Sequence[Sweep]:
        """The customers that are due to be swept."""
        now = self.store.clock.now()
        rows = self.store.database[_CUSTOMERS].find({"sweepAt": {"$gt": datetime.min.replace(tzinfo=now.tzinfo)}})
        found = [_sweep_of(row) async for row in rows]
        return [each for each in found if each.erasing or each.is_last(now)]

    async def note_swept(self, sweep: Sweep, began: datetime) -> None:
        """Write that a sweep that began at an instant has come to its end, unless the customer was erased again."""
        known = {"_id": sweep.customer, "sweepAt": sweep.sweep_at}
        customers = self.store.database[_CUSTOMERS]
        await customers.update_one(known | {"erasing": True}, {"$unset": {"erasing": ""}, "$inc": {"version": 1}})
        if sweep.is_last(began):
            await customers.update_one(known, {"$unset": {"sweepAt": ""}})


def _sweep_of(row: BsonDocument) -> Sweep:
    """The sweep that is left to do of a customer; the end of the first one has made a version as well."""
    erasing = "erasing" in row
    version = (count(row.get("version")) or 0) - (not erasing)
    return Sweep(row["_id"], str(row.get("erasedBy", "")), version, row["sweepAt"], erasing)
