"""The reservations of a customer whose texts are cleared, a batch at a time.

Past Beanie: rows may be of other programs, and each update is guarded by the version that was read.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from motor.motor_asyncio import AsyncIOMotorCollection
from pymongo import UpdateOne

from app.storage.bson_types import BsonDocument, Filter, UpdateDocument
from app.storage.client import Store
from app.storage.concerns import MAJORITY
from app.storage.erased_texts import TEXT_FIELDS
from app.storage.reservation_filters import customer_condition
from app.storage.reservations import RESERVATIONS

BATCH = 100
"""Reservations that are read and cleared at once: a few megabytes at most."""

_READ = dict.fromkeys((*TEXT_FIELDS, "customer", "version", "history", "idempotency.body"), 1)


@dataclass(frozen=True, slots=True)
class ErasedReservations:
    """The reservations of a database whose texts are cleared."""

    store: Store

    async def ids_of(self, customer: str) -> AsyncIterator[list[object]]:
        """The ids of the reservations that are a customer's, or were before they were handed over; in batches."""
        for where in (
            customer_condition(customer, by_object_id=self.store.shape == "or"),
            {"formerCustomers": customer},
        ):
            batch: list[object] = []
            async for row in self._rows.find(where, {"_id": 1}, batch_size=BATCH):
                batch.append(row["_id"])
                if len(batch) == BATCH:
                    yield batch
                    batch = []
            if batch:
                yield batch

    async def read(self, ids: Sequence[object]) -> list[BsonDocument]:
        """What is needed of these reservations to clear their texts."""
        return await self._rows.find({"_id": {"$in": [*ids]}}, _READ).to_list(None)

    async def clear_texts(self, updates: Sequence[tuple[Filter, UpdateDocument]]) -> bool:
        """Make these updates, each where its filter finds the reservation; whether all did."""
        if self.store.capabilities.native:
            writes = [UpdateOne(where, change) for where, change in updates]
            matched = (await self._rows.bulk_write(writes, ordered=False)).matched_count
        else:  # mongomock's bulk writes are older than today's driver
            results = [await self._rows.update_one(where, change) for where, change in updates]
            matched = sum(result.matched_count for result in results)
        return matched == len(updates)

    @property
    def _rows(self) -> "AsyncIOMotorCollection[BsonDocument]":
        return self.store.database.get_collection(RESERVATIONS, write_concern=MAJORITY)
