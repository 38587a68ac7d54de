"""The reservations of a customer whose texts are cleared, a batch at a time, with the events of that.

Past Beanie: rows may be of other programs, and each update is guarded by the version that was read.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from motor.motor_asyncio import AsyncIOMotorCollection
from pymongo import UpdateOne

from app.storage.bson_types import BsonDocument, Filter, Row, UpdateDocument
from app.storage.client import Store
from app.storage.concerns import MAJORITY
from app.storage.erased_texts import TEXT_FIELDS
from app.storage.errors import VersionConflict
from app.storage.outbox import add_events
from app.storage.reservation_filters import customer_condition
from app.storage.reservations import RESERVATIONS
from app.storage.stored_reservations import customer_of
from app.storage.transactions import Session, write_together
from app.storage.values import row_key

BATCH = 100
"""Reservations that are read and cleared at once: a few megabytes at most."""

_READ = dict.fromkeys((*TEXT_FIELDS, "resource", "customer", "version", "history", "idempotency.body"), 1)


class TextErasure(NamedTuple):
    """An update that clears texts, where its filter finds the reservation, and its event if it makes a version."""

    filter: Filter
    change: UpdateDocument
    event: BsonDocument | None


@dataclass(frozen=True, slots=True)
class ErasedReservations:
    """The reservations of a database whose texts are cleared."""

    store: Store

    async def ids_of(self, customer: str) -> AsyncIterator[list[object]]:
        """The ids of the reservations that are a customer's, or were before they were handed over; in batches."""
        for where in (
            customer_condition([customer], by_object_id=self.store.shape == "or"),
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

    async def without_known(self, ids: Sequence[object], customer: str) -> list[object]:
        """Those of these ids under which `ids_of` finds nothing: their reservations are gone, or somebody else's."""
        rows = self._rows.find({"_id": {"$in": [*ids]}}, {"customer": 1, "formerCustomers": 1})
        known = {row_key(row["_id"]) async for row in rows if _is_or_was_of(row, customer)}
        return [each for each in ids if row_key(each) not in known]

    async def read(self, ids: Sequence[object]) -> list[BsonDocument]:
        """What is needed of these reservations to clear their texts."""
        return await self._rows.find({"_id": {"$in": [*ids]}}, _READ).to_list(None)

    async def clear_texts(self, updates: Sequence[TextErasure]) -> bool:
        """Make these updates with their events, all or none where there are transactions; whether all were made.

        One is not where its filter does not find its reservation, because another writer was faster.
        """
        try:
            return await write_together(self.store, lambda session: self._clear_batch(updates, session))
        except VersionConflict:
            return False

    async def _clear_batch(self, updates: Sequence[TextErasure], session: Session) -> bool:
        if session is None:
            made = [await self._clear_one(update) for update in updates]
            return all(made)
        await self._clear_all(updates, session)
        return True

    async def _clear_one(self, update: TextErasure) -> bool:
        if not (await self._rows.update_one(update.filter, update.change)).matched_count:
            return False
        await add_events(self.store, _events_of([update]), None)
        return True

    async def _clear_all(self, updates: Sequence[TextErasure], session: Session) -> None:
        writes = [UpdateOne(update.filter, update.change) for update in updates]
        rows = self.store.database[RESERVATIONS]
        if (await rows.bulk_write(writes, ordered=False, session=session)).matched_count != len(updates):
            raise VersionConflict
        await add_events(self.store, _events_of(updates), session)

    @property
    def _rows(self) -> "AsyncIOMotorCollection[BsonDocument]":
        return self.store.database.get_collection(RESERVATIONS, write_concern=MAJORITY)


def _is_or_was_of(row: Row, customer: str) -> bool:
    former = row.get("formerCustomers")
    return customer_of(row) == customer or (isinstance(former, list) and customer in former)


def _events_of(updates: Sequence[TextErasure]) -> list[BsonDocument]:
    return [update.event for update in updates if update.event is not None]
