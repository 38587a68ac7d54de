"""Reservations that carry the answer to the request that made them, under its Idempotency-Key.

Past Beanie: the rows may be of other programs, and writes need the majority's acknowledgement.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bson import ObjectId
from motor.motor_asyncio import AsyncIOMotorCollection

from app.storage.bson_types import BsonDocument
from app.storage.client import Store
from app.storage.concerns import MAJORITY
from app.storage.documents import Watermark
from app.storage.reservations import RESERVATIONS

BATCH = 1_000
"""Reservations that are read, and at most written, at once."""

_NAME = "answers"
_WATERMARKS = Watermark.Settings.name


@dataclass(frozen=True, slots=True)
class Keyed:
    """Those of a batch of reservations that have a stored answer; `last` is the last id that was read."""

    ids: Sequence[ObjectId]
    last: ObjectId


@dataclass(frozen=True, slots=True)
class KeyedReservations:
    """The reservations of a database, by their ids, which grow with time.

    A watermark keeps how far answers were removed, so that no reservation is looked at twice.
    """

    store: Store

    async def next_before(self, before: ObjectId) -> Keyed | None:
        """The next reservations with an id before this one; None where all were looked at.

        A key without an answer was written by another program, and counts as none.
        """
        reached = await self.store.of(Watermark).find_one({"_id": _NAME})
        ids = {"$lt": before} if reached is None else {"$gt": reached.reached, "$lt": before}
        rows = self._rows.find({"_id": ids}, {"idempotency.requestHash": 1}, sort=[("_id", 1)], limit=BATCH)
        found = await rows.to_list(None)
        if not found:
            return None
        return Keyed([row["_id"] for row in found if "idempotency" in row], found[-1]["_id"])

    async def remove_answers(self, keyed: Keyed) -> int:
        """Remove keys and answers from these reservations, which are not changed otherwise; how many had one."""
        removed = 0
        if keyed.ids:
            stored = {"_id": {"$in": [*keyed.ids]}, "idempotency": {"$exists": True}}
            unset = {"$unset": {"idempotencyKey": "", "idempotency": ""}}
            removed = (await self._rows.update_many(stored, unset)).modified_count
        reached = {"$set": {"reached": keyed.last}}
        await self.store.database[_WATERMARKS].update_one({"_id": _NAME}, reached, upsert=True)
        return removed

    @property
    def _rows(self) -> "AsyncIOMotorCollection[BsonDocument]":
        return self.store.database.get_collection(RESERVATIONS, write_concern=MAJORITY)
