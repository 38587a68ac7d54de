"""Stored answers about several reservations, outside of the write path's transaction.

Past Beanie: another program may have damaged an answer, and writes need the majority's acknowledgement.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from bson import ObjectId
from motor.motor_asyncio import AsyncIOMotorCollection

from app.storage.bson_types import BsonDocument, Row
from app.storage.client import Store
from app.storage.concerns import MAJORITY
from app.storage.reservation_steps import ANSWERS
from app.storage.values import object_id

BATCH = 1_000
"""Answers that are read, and at most written, at once."""


@dataclass(frozen=True, slots=True)
class AnswerStore:
    """The stored answers of a database."""

    store: Store

    async def remove_records(self, before: datetime) -> int:
        """Remove some answers that were given before an instant; how many."""
        old = {"at": {"$lt": before}}
        found = [row["_id"] async for row in self._answers.find(old, {"_id": 1}, limit=BATCH)]
        return (await self._answers.delete_many({"_id": {"$in": found}, **old})).deleted_count if found else 0

    async def complete_records(self, at: datetime) -> None:
        """Give the answers that versions before 0.2.0 have stored the time `at`, and the ids of their reservations."""
        while rows := await self._answers.find({"at": None}, {"body": 1}, limit=BATCH).to_list(None):
            for row in rows:
                fields = {"at": at, "reservations": _ids_in(row.get("body"))}
                await self._answers.update_one({"_id": row["_id"], "at": None}, {"$set": fields})

    async def records_about(self, reservations: Collection[object]) -> list[BsonDocument]:
        """The answers about any of these reservations."""
        return await self._answers.find({"reservations": {"$in": [*reservations]}}, {"body": 1}).to_list(None)

    async def replace_body(self, row: Row, body: str) -> bool:
        """Give an answer another body, if it still has the one that was read; whether it has."""
        known = {"_id": row["_id"], "body": row.get("body")}
        return bool((await self._answers.update_one(known, {"$set": {"body": body}})).matched_count)

    @property
    def _answers(self) -> "AsyncIOMotorCollection[BsonDocument]":
        return self.store.database.get_collection(ANSWERS, write_concern=MAJORITY)


def _ids_in(body: object) -> list[ObjectId]:
    """The ids of the reservations in the body of an answer; none where it cannot be read."""
    try:
        members = json.loads(body)["reservations"] if isinstance(body, str) else []
        return [known for each in members if (known := object_id(each["id"])) is not None]
    except (ValueError, TypeError, KeyError):
        return []
