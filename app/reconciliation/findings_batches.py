"""Writing findings in batches, each in one transaction under the lease of the run."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, TypeAlias

from pymongo import UpdateOne

from app.reconciliation.finding_changes import Change
from app.reconciliation.finding_history import bounded
from app.reconciliation.stored_findings import FINDINGS
from app.storage.client import Store
from app.storage.documents import Finding, Run
from app.storage.leases import Grant, LeaseStore
from app.storage.transactions import Session

BATCH = 500
"""Findings that one transaction writes; those with many reservations count for several."""
LIGHT = 100
"""As many reservations of a finding count for one."""
SEEN = 2_000
"""Findings that one transaction marks as seen."""

_Work: TypeAlias = Callable[[Session], Awaitable[None]]


class Overtaken(Exception):  # noqa: N818 -- an event: somebody said something in between
    """A finding is not at the version that was read."""


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes for a run, and adds the findings that it opens to `opened`, batch by batch."""

    store: Store
    lease: Grant
    run: Run
    opened: list[Finding] = field(default_factory=list)

    async def write(self, changes: Sequence[Change], seen: Sequence[Any]) -> None:
        """Write the changes, in the order in which an interruption does no harm, and mark the others as seen.

        Raises:
            OwnershipLost: somebody else has the lease.
            Overtaken: a finding was changed by somebody else; with transactions its batch was not written.
        """
        for batch in _batches(sorted(changes, key=attrgetter("order"))):
            await self._change(batch)
        for place in range(0, len(seen), SEEN):
            await LeaseStore(self.store).under(self.lease, self._mark(seen[place : place + SEEN]))

    async def _change(self, batch: Sequence[Change]) -> None:
        findings = self.store.database[FINDINGS]
        known = [change.id for change in batch if change.version is not None]
        before = {row["_id"]: row async for row in findings.find({"_id": {"$in": known}})}
        inserted = [change for change in batch if change.version is None]
        changed = [change for change in batch if change.version is not None]
        new = [_made(change) for change in inserted]
        updates = [_update(change, before) for change in changed]

        async def write(session: Session) -> None:
            if new:
                await findings.insert_many(new, session=session)
            if session is None:  # these stay, whatever becomes of the others
                self._open(inserted, before)
            if updates:
                await self._update(updates, session)

        await LeaseStore(self.store).under(self.lease, write)
        self._open(batch if self.store.mode == "strict" else changed, before)

    def _open(self, changes: Sequence[Change], before: dict[Any, dict[str, Any]]) -> None:
        self.opened.extend(_after(change, before) for change in changes if change.opened)

    async def _update(self, updates: Sequence[tuple[dict[str, Any], dict[str, Any]]], session: Session) -> None:
        findings = self.store.database[FINDINGS]
        if self.store.capabilities.native:
            result = await findings.bulk_write([UpdateOne(*each) for each in updates], session=session)
            matched = result.matched_count
        else:  # mongomock's bulk writes are older than today's driver
            matched = 0
            for where, change in updates:
                matched += (await findings.update_one(where, change)).matched_count
        if matched != len(updates):
            raise Overtaken

    def _mark(self, seen: Sequence[Any]) -> _Work:
        change = {"$set": {"lastSeen": self.store.clock.now(), "run": self.run.id}}

        async def write(session: Session) -> None:
            await self.store.database[FINDINGS].update_many({"_id": {"$in": list(seen)}}, change, session=session)

        return write


def _batches(changes: Sequence[Change]) -> Iterator[list[Change]]:
    """These in their order, each batch bounded in what it writes."""
    batch: list[Change] = []
    weight = 0
    for change in changes:
        heavy = 1 + len(change.fields.get("reservations", ())) // LIGHT
        if batch and weight + heavy > BATCH:
            yield batch
            batch, weight = [], 0
        batch.append(change)
        weight += heavy
    if batch:
        yield batch


def _made(change: Change) -> dict[str, Any]:
    return change.fields | {"history": [] if change.entry is None else [change.entry]}


def _update(change: Change, before: dict[Any, dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The filter and the update of a finding that is there."""
    row = before.get(change.id)
    if row is None or row["version"] != change.version:
        raise Overtaken
    fields = change.fields
    if change.entry is not None:
        fields = fields | {"history": bounded([*row["history"], change.entry])}
    update: dict[str, Any] = {"$set": fields, "$inc": {"version": 1}}
    if change.unset:
        update["$unset"] = dict.fromkeys(change.unset, "")
    return {"_id": change.id, "version": change.version}, update


def _after(change: Change, before: dict[Any, dict[str, Any]]) -> Finding:
    """A finding as it stands once that is written."""
    row = before.get(change.id, {"history": [], "version": 0})
    kept = {name: value for name, value in row.items() if name not in change.unset} | change.fields
    kept["history"] = [*row["history"], *([] if change.entry is None else [change.entry])]
    kept["version"] = row["version"] + 1
    finding: Finding = Finding.model_validate(kept)
    return finding
