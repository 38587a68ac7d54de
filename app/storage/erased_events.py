"""The events of a customer's reservations, from which the customer's texts are cleared.

Events that wait in the outbox have no texts: only with its place does an event get the state of its reservation. What
the relay reads just before the reservation is cleared comes into the log a moment later; the last sweep finds it there.
States of findings have no texts about customers.
"""

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass

from pymongo import UpdateOne

from app.storage.bson_types import BsonDocument, UpdateDocument
from app.storage.client import Store
from app.storage.concerns import MAJORITY
from app.storage.erased_texts import TEXT_FIELDS, state_erasure
from app.storage.event_placing import EVENTS
from app.storage.reservation_filters import customer_condition
from app.storage.values import row_key

BATCH = 100
"""Events that are read and cleared at once: a few megabytes at most."""

_READ = dict.fromkeys(("subject", *(f"state.{name}" for name in (*TEXT_FIELDS, "customer", "history"))), 1)


@dataclass(frozen=True, slots=True)
class ErasedEvents:
    """The events of a database whose texts are cleared."""

    store: Store

    async def subjects_of(self, customer: str) -> AsyncIterator[list[object]]:
        """The ids of the reservations that were a customer's when an event got its place; in batches.

        So an erasure also reaches what another program has removed since, or has given to somebody else.
        """
        where = customer_condition([customer], by_object_id=self.store.shape == "or", field="state.customer")
        rows = self.store.lenient(EVENTS).find(where, {"subject": 1}, batch_size=BATCH)
        batch: dict[object, object] = {}
        number = 0
        async for row in rows:
            batch[row_key(row.get("subject"))] = row.get("subject")
            number += 1
            if number % BATCH == 0:
                yield [*batch.values()]
                batch = {}
        if batch:
            yield [*batch.values()]

    async def clear_texts(self, reservations: Sequence[object], customer: str, theirs: Collection[str]) -> None:
        """Clear the texts of a customer from the events of these reservations.

        A state never changes otherwise, and what is cleared does not depend on what else is. So the updates need no
        guard, also where two customers of one reservation are erased at once.

        Args:
            reservations: The ids of reservations that are the customer's or were.
            customer: Whose texts.
            theirs: The ids, as text, of those that are the customer's now: the texts of all their events are cleared.
        """
        where = {"subject": {"$in": [*reservations]}, "state": {"$exists": True}}
        batch: list[BsonDocument] = []
        async for row in self.store.lenient(EVENTS).find(where, _READ, batch_size=BATCH):
            batch.append(row)
            if len(batch) == BATCH:
                await self._clear(batch, customer, theirs)
                batch = []
        await self._clear(batch, customer, theirs)

    async def _clear(self, rows: Sequence[BsonDocument], customer: str, theirs: Collection[str]) -> None:
        changes = {row["_id"]: change for row in rows if (change := _erasure(row, customer, theirs))}
        events = self.store.database.get_collection(EVENTS, write_concern=MAJORITY)
        if self.store.capabilities.native and changes:
            await events.bulk_write([UpdateOne({"_id": place}, each) for place, each in changes.items()], ordered=False)
            return
        for place, each in changes.items():  # mongomock's bulk writes are older than today's driver
            await events.update_one({"_id": place}, each)


def _erasure(row: BsonDocument, customer: str, theirs: Collection[str]) -> UpdateDocument | None:
    """The update that clears an event; a state that is none was damaged by another program, and none of it stays."""
    state = row.get("state")
    if not isinstance(state, dict):
        return {"$unset": {"state": ""}}
    return state_erasure(state, customer, is_theirs=str(row.get("subject")) in theirs)
