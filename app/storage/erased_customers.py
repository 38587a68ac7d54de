"""Customers that are erased: marked first, and swept until nothing of them is left.

A process may still be writing what it began before the mark, so each customer is swept once more a minute later.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.deadline import sending
from app.storage.bson_types import Row
from app.storage.client import Store
from app.storage.documents import Customer

SETTLED_SECONDS = 60
"""By then every write that was begun before the mark has been done or will never be."""

_KEPT = frozenset({"_id", "name", "version", "createdAt", "updatedAt", "operations"})
_STATE = frozenset({"erasedAt", "erasedBy", "erasing", "sweepAt"})
_CUSTOMERS = Customer.Settings.name


@dataclass(frozen=True, slots=True)
class Sweep:
    """A customer whose texts are to be cleared, and the actor that the histories name.

    `sweep_at` is when the last sweep may begin, `erasing` whether texts from before the mark may be left.
    """

    customer: str
    by: str
    sweep_at: datetime
    erasing: bool

    def is_last(self, began: datetime) -> bool:
        """Whether a sweep that began at an instant leaves nothing to do."""
        return began >= self.sweep_at


@dataclass(frozen=True, slots=True)
class ErasedCustomers:
    """The erased customers of a database."""

    store: Store

    async def mark(self, row: Row, by: str) -> Sweep | None:
        """Clear a customer as it was read, whatever fields it has; None if it has changed since."""
        sending()
        now = self.store.clock.now()
        again = now + timedelta(seconds=SETTLED_SECONDS)
        texts = row.keys() - _KEPT - _STATE
        fresh = texts or row.get("name") != "" or row.get("erasing") is not True
        version = row.get("version")
        change: dict[str, object] = {"erasedAt": row.get("erasedAt", now), "erasedBy": by, "sweepAt": again}
        if fresh:
            change |= {"name": "", "erasing": True, "updatedAt": now}
            change |= {"version": (version if isinstance(version, int) else 0) + 1}
        update = {"$set": change} | ({"$unset": dict.fromkeys(texts, "")} if texts else {})
        known = {"_id": row["_id"], "version": version}
        done = await self.store.database[_CUSTOMERS].update_one(known, update)
        return Sweep(str(row["_id"]), by, again, erasing=True) if done.matched_count else None

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
        found = [
            Sweep(each["_id"], str(each.get("erasedBy", "")), each["sweepAt"], "erasing" in each) async for each in rows
        ]
        return [each for each in found if each.erasing or each.is_last(now)]

    async def note_swept(self, sweep: Sweep, began: datetime) -> None:
        """Write that a sweep that began at an instant has come to its end, unless the customer was erased again."""
        known = {"_id": sweep.customer, "sweepAt": sweep.sweep_at}
        customers = self.store.database[_CUSTOMERS]
        await customers.update_one(known | {"erasing": True}, {"$unset": {"erasing": ""}, "$inc": {"version": 1}})
        if sweep.is_last(began):
            await customers.update_one(known, {"$unset": {"sweepAt": ""}})
