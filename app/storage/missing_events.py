"""The events that a crash left out, where a change and its event are not one transaction.

In optimistic mode a change is written first, and then its event. A process that dies between the two leaves a version
without an event; the history of the reservation or of the finding says what the event would have been.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from bson import ObjectId

from app.storage.bson_types import BsonDocument
from app.storage.bulk_inserts import insert_new
from app.storage.client import Store
from app.storage.documents import Event, Finding, Watermark
from app.storage.finding_updates import event_of_finding
from app.storage.outbox import OUTBOX, event_of_change
from app.storage.reservation_updates import HistoryLine
from app.storage.reservations import RESERVATIONS
from app.storage.values import count

SETTLED_SECONDS = 10
"""A change that is younger may still get its event from the process that made it."""
OVERLAP_SECONDS = 60
"""What one pass looks at again of the last one: changes that were stamped before they could be seen."""
BATCH = 500

_NAME = "events"
_READ = dict.fromkeys(("resource", "version", "history"), 1)
_FINDINGS: str = Finding.Settings.name


@dataclass(frozen=True, slots=True)
class MissingEvents:
    """The changes of a database whose events may be missing. A watermark keeps how far the last pass has come."""

    store: Store

    async def write_missing(self) -> int:
        """Write the events that are missing of what has changed since the last pass; how many were.

        Raises:
            pymongo.errors.PyMongoError: the database does not answer.
        """
        until = self.store.clock.ago(SETTLED_SECONDS)
        since = await self._reached() - timedelta(seconds=OVERLAP_SECONDS)
        added = 0
        for collection, events_since in ((RESERVATIONS, _events_since), (_FINDINGS, _finding_events_since)):
            async for rows in self._changed(collection, since, until):
                added += await self.write_those([event for row in rows for event in events_since(row, since)])
        reached = {"$set": {"reached": ObjectId.from_datetime(until)}}
        await self.store.database[Watermark.Settings.name].update_one({"_id": _NAME}, reached, upsert=True)
        return added

    async def write_those(self, events: Sequence[BsonDocument]) -> int:
        """Write those of these events that are neither in the outbox nor in the log; how many were.

        Raises:
            pymongo.errors.PyMongoError: the database does not answer.
        """
        known = await self._known(events)
        return await insert_new(self.store, OUTBOX, [each for each in events if each["_id"] not in known])

    async def _reached(self) -> datetime:
        """Until when the last pass has looked; before the first one, a day ago."""
        found = await self.store.of(Watermark).find_one({"_id": _NAME})
        if found is None:
            return self.store.clock.now() - timedelta(days=1)
        reached: datetime = found.reached.generation_time
        return reached

    async def _changed(self, collection: str, since: datetime, until: datetime) -> AsyncIterator[list[BsonDocument]]:
        """The documents of a collection that were changed in a span, in batches."""
        where = {"updatedAt": {"$gte": since, "$lt": until}}
        batch: list[BsonDocument] = []
        async for row in self.store.database[collection].find(where, _READ, batch_size=BATCH):
            batch.append(row)
            if len(batch) == BATCH:
                yield batch
                batch = []
        if batch:
            yield batch

    async def _known(self, events: Sequence[BsonDocument]) -> set[str]:
        """The ids, of these events and others of the same subjects, that are in the outbox or in the log."""
        waiting = self.store.database[OUTBOX].find({"_id": {"$in": [each["_id"] for each in events]}}, {"_id": 1})
        known = {row["_id"] async for row in waiting}
        subjects = {"subject": {"$in": [*{each["subject"] for each in events}]}}
        placed = self.store.database[Event.Settings.name].find(subjects, {"key": 1})
        return known | {row["key"] async for row in placed if isinstance(row.get("key"), str)}


def _events_since(row: BsonDocument, since: datetime) -> list[BsonDocument]:
    """The events of the versions that Reserva has made of a reservation since an instant, by its history."""
    version, history = count(row.get("version")), row.get("history")
    if version is None or not isinstance(history, list) or not isinstance(row["_id"], ObjectId):
        return []
    lines = list(enumerate(reversed(history)))
    return [
        event_of_change({**row, "version": version - number - 1}, cast("HistoryLine", line))
        for number, line in lines
        if number < version and _is_ours(line) and line["at"] >= since
    ]


def _finding_events_since(row: BsonDocument, since: datetime) -> list[BsonDocument]:
    """The events of the versions of a finding since an instant, each of which has a line in its history."""
    version, history = row["version"], row["history"]
    states = [None, *(line["to"] for line in history)]
    return [
        event_of_finding(row, version - number, history[-1 - number], before=states[-2 - number])
        for number in range(min(version, len(history)))
        if history[-1 - number]["at"] >= since
    ]


def _is_ours(line: Any) -> bool:
    """Whether a line of a history is one that Reserva wrote."""
    types = {"at": datetime, "by": str, "operation": ObjectId}
    return isinstance(line, dict) and all(isinstance(line.get(name), kind) for name, kind in types.items())
