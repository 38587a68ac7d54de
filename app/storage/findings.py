"""Findings, as runs, reviewers and alerts read and write them.

Documents are read through Beanie. What a run matches is read raw: a resource may have a hundred thousand findings,
and matching compares fields as they are stored. Writes go past Beanie, because each is guarded by the version, or by
the state, that its writer has read; those of a run are bulk writes in a transaction under the epoch of its lease.
"""

from collections.abc import AsyncIterator, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from bson import ObjectId
from pydantic import BaseModel, Field
from pymongo import UpdateOne

from app.domain.finding_identity import State
from app.domain.ids import ResourceId
from app.storage.bson_types import BsonDocument, Filter
from app.storage.client import Store
from app.storage.documents import Finding
from app.storage.errors import VersionConflict
from app.storage.finding_rows import FindingRow
from app.storage.finding_updates import FindingUpdate, event_of_finding
from app.storage.outbox import add_events
from app.storage.transactions import Session, write_together
from app.storage.values import shown_text

UNRESOLVED: tuple[State, ...] = ("open", "acknowledged", "accepted")

UNALERTED: Mapping[str, object] = {"state": "open", "toldAt": None}
"""Open findings that no alert was accepted for; MongoDB takes a field that is not there for null."""

_FINDINGS = Finding.Settings.name
_WITHOUT_HISTORY = {"history": 0}
_NOTED = {"version": 1, "history": 1, "state": 1, "resource": 1}


class Opening(BaseModel):
    """One change of state in a history."""

    at: datetime
    to: State


class FindingAge(BaseModel):
    """The fields that show since when a finding is open."""

    first_seen: datetime = Field(alias="firstSeen")
    history: list[Opening] = []


@dataclass(frozen=True, slots=True)
class FindingStore:
    """The findings of a database."""

    store: Store

    async def read(self, identity: ObjectId) -> Finding | None:
        """One finding."""
        found: Finding | None = await self.store.of(Finding).find_one({"_id": identity})
        return found

    async def has_any(self, resource: ResourceId) -> bool:
        """Whether there is a finding of a resource, in whatever state."""
        return await self.store.of(Finding).find_one({"resource": resource}, projection_model=FindingAge) is not None

    async def change_one(self, update: FindingUpdate) -> None:
        """Change one finding, and leave the event of that.

        Raises:
            VersionConflict: it is not at that version any more, or others write it all the time.
        """

        async def write(session: Session) -> None:
            findings = self.store.database[_FINDINGS]
            if not (await findings.update_one(update.filter, update.change, session=session)).matched_count:
                raise VersionConflict
            await add_events(self.store, [update.event], session)

        await write_together(self.store, write)

    # What a run reads and writes.

    async def unresolved_resources(self, among: Sequence[ResourceId] | None = None) -> set[ResourceId]:
        """The resources, of all or among these, that have findings which a run may have to resolve or to open again."""
        where: Filter = {"state": {"$in": [*UNRESOLVED]}}
        if among is not None:
            where["resource"] = {"$in": [*among]}
        return {ResourceId(str(name)) for name in await self.store.of(Finding).distinct("resource", where)}

    async def unresolved(self, resources: Sequence[ResourceId]) -> AsyncIterator[FindingRow]:
        """The unresolved findings of these resources, raw, without their histories."""
        where = {"resource": {"$in": [*resources]}, "state": {"$in": [*UNRESOLVED]}}
        async for row in self.store.database[_FINDINGS].find(where, _WITHOUT_HISTORY):
            yield cast("FindingRow", row)

    async def resolved_between(
        self, resource: ResourceId, start: datetime, end: datetime, most: int
    ) -> AsyncIterator[FindingRow]:
        """The resolved findings of a resource that meet `[start, end)`: raw, the last first, without histories."""
        where = {"resource": resource, "state": "resolved", "from": {"$lt": end}, "to": {"$gt": start}}
        rows = self.store.database[_FINDINGS].find(where, _WITHOUT_HISTORY, sort=[("from", -1)], limit=most)
        async for row in rows:
            yield cast("FindingRow", row)

    async def resolved(self, ids: Sequence[ObjectId]) -> AsyncIterator[FindingRow]:
        """Those of these findings that are resolved, raw, without their histories."""
        where = {"_id": {"$in": [*ids]}, "state": "resolved"}
        async for row in self.store.database[_FINDINGS].find(where, _WITHOUT_HISTORY):
            yield cast("FindingRow", row)

    async def rows(self, ids: Sequence[ObjectId]) -> dict[ObjectId, FindingRow]:
        """These findings by their ids, raw, with their histories."""
        rows = self.store.database[_FINDINGS].find({"_id": {"$in": [*ids]}})
        return {row["_id"]: cast("FindingRow", row) async for row in rows}

    async def insert_many(self, rows: Sequence[BsonDocument], session: Session) -> None:
        """Insert findings as they are stored. Their events are left by `add_events_of`."""
        if rows:
            await self.store.database[_FINDINGS].insert_many(rows, session=session)

    async def change_many(self, updates: Sequence[FindingUpdate], session: Session) -> Sequence[FindingUpdate]:
        """Change findings, in a transaction by one bulk write; those updates that were made.

        Without a transaction the others may be left out: their findings are not at their versions any more.

        Raises:
            VersionConflict: that is so in a transaction, which is to be aborted.
        """
        findings = self.store.database[_FINDINGS]
        if session is None:
            results = [await findings.update_one(each.filter, each.change) for each in updates]
            return [each for each, result in zip(updates, results, strict=True) if result.matched_count]
        operations = [UpdateOne(each.filter, each.change) for each in updates]
        if operations and (await findings.bulk_write(operations, session=session)).matched_count != len(operations):
            raise VersionConflict
        return updates

    async def add_events_of(
        self, new: Sequence[BsonDocument], updates: Sequence[FindingUpdate], session: Session
    ) -> None:
        """Leave the events of new findings and of updates that were made, all with one statement."""
        opened = [event_of_finding(row, row["version"], row["history"][0], before=None) for row in new]
        await add_events(self.store, [*opened, *(update.event for update in updates)], session)

    async def mark_seen(self, ids: Sequence[Hashable], run: ObjectId, session: Session) -> None:
        """Write that a run has seen these findings as they were."""
        change = {"$set": {"lastSeen": self.store.clock.now(), "run": run}}
        await self.store.database[_FINDINGS].update_many({"_id": {"$in": [*ids]}}, change, session=session)

    # What the erasure of a customer reads.

    async def histories_about(
        self, reservations: Collection[object], resources: Collection[ResourceId]
    ) -> list[FindingRow]:
        """The findings in whose window these reservations are, or were before they left it; raw, with histories.

        A finding of very many reservations lists a sample of them; each such one of these resources is among them.
        """
        found: dict[object, FindingRow] = {}
        for where in (
            {"reservations": {"$in": [*reservations]}},
            {"history.left": {"$in": [shown_text(each) for each in reservations]}},
            {"resource": {"$in": [*resources]}, "digest": {"$exists": True}},
        ):
            async for row in self.store.database[_FINDINGS].find(where, _NOTED):
                found[row["_id"]] = cast("FindingRow", row)
        return [*found.values()]

    async def histories(self, ids: Sequence[object]) -> list[FindingRow]:
        """These findings, raw, with their histories."""
        rows = self.store.database[_FINDINGS].find({"_id": {"$in": [*ids]}}, _NOTED)
        return [cast("FindingRow", row) async for row in rows]

    # What alerts read and write.

    async def has_unalerted(self) -> bool:
        """Whether there are open findings that no alert was accepted for."""
        return await self.store.of(Finding).find_one(UNALERTED, projection_model=FindingAge) is not None

    async def unalerted(self, most: int) -> dict[ObjectId, int]:
        """The versions of open findings that no alert was accepted for, by their ids; the oldest first.

        Raw, because of up to 100,000 findings only two fields are read.
        """
        rows = self.store.database[_FINDINGS].find(UNALERTED, {"version": 1}, sort=[("_id", 1)], limit=most)
        return {row["_id"]: row.get("version", 1) async for row in rows}

    async def assign_alert(self, ids: Sequence[ObjectId], alert: str) -> None:
        """Write which alert carries those of these findings that are open and that no alert was accepted for."""
        where = {"_id": {"$in": [*ids]}, **UNALERTED}
        await self.store.database[_FINDINGS].update_many(where, {"$set": {"alert": alert}})

    async def mark_alerted(self, ids: Sequence[ObjectId], alert: str) -> None:
        """Write that an alert was accepted, on those of these findings that it still carries."""
        change = {"$set": {"toldAt": self.store.clock.now()}, "$unset": {"alert": ""}}
        await self.store.database[_FINDINGS].update_many({"_id": {"$in": [*ids]}, "alert": alert}, change)

    async def count_alerted_before(self, instant: datetime) -> int:
        """How many findings are open whose alert was accepted before an instant."""
        return int(await self.store.of(Finding).find(_alerted_before(instant)).count())

    async def alerted_before(self, instant: datetime, most: int) -> list[Finding]:
        """The open findings whose alert was accepted before an instant, the oldest first, without histories."""
        return await self._without_histories(_alerted_before(instant), most)

    async def for_message(self, ids: Sequence[ObjectId]) -> list[Finding]:
        """The findings of these ids, the oldest first, without histories."""
        return await self._without_histories({"_id": {"$in": [*ids]}}, len(ids))

    async def _without_histories(self, where: Mapping[str, object], most: int) -> list[Finding]:
        """Findings with an empty history; raw, because Beanie leaves out no field that a document must have."""
        rows = self.store.lenient(_FINDINGS).find(where, _WITHOUT_HISTORY, sort=[("_id", 1)], limit=most)
        return [Finding.model_validate({**row, "history": []}) async for row in rows]

    # What metrics read.

    async def count_open(self) -> int:
        """How many findings are open."""
        return int(await self.store.of(Finding).find({"state": "open"}).count())

    async def first_seen_of_oldest_open(self) -> datetime | None:
        """When the oldest open finding was first seen."""
        oldest = self.store.of(Finding).find({"state": "open"}).sort("firstSeen").limit(1)
        ages: list[FindingAge] = await oldest.project(FindingAge).to_list()
        return ages[0].first_seen if ages else None

    async def count_unalerted(self) -> int:
        """How many open findings no alert was accepted for."""
        return int(await self.store.of(Finding).find(UNALERTED).count())

    async def unalerted_ages(self, most: int) -> list[FindingAge]:
        """Since when findings are open that no alert was accepted for: of those with the least ids."""
        found = self.store.of(Finding).find(UNALERTED).sort("_id").limit(most)
        ages: list[FindingAge] = await found.project(FindingAge).to_list()
        return ages


def _alerted_before(instant: datetime) -> Filter:
    return {"state": "open", "toldAt": {"$lt": instant}}
