"""Writing findings in batches, each in one transaction under the lease of the run."""

from collections.abc import Awaitable, Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TypeAlias, cast

from bson import ObjectId

from app.reconciliation.finding_changes import Change
from app.reconciliation.finding_history import bounded
from app.storage.bson_types import BsonDocument
from app.storage.client import Store
from app.storage.documents import Finding, Run
from app.storage.errors import VersionConflict
from app.storage.finding_rows import FindingRow, stored_fields
from app.storage.finding_updates import FindingUpdate
from app.storage.findings import FindingStore
from app.storage.leases import Grant, LeaseStore
from app.storage.transactions import Session

BATCH_WEIGHT_MAX = 500
"""The weight of the findings that one transaction writes; one without many reservations weighs 1."""
RESERVATIONS_PER_WEIGHT = 100
"""This many reservations of a finding weigh as much as another finding."""
SEEN_MAX = 2_000
"""Findings that one transaction marks as seen."""

_Write: TypeAlias = Callable[[Session], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class BatchWriter:
    """Writes for a run, and adds the findings that it opens to `opened`, batch by batch."""

    store: Store
    lease: Grant
    run: Run
    opened: list[Finding] = field(default_factory=list)

    async def write(self, changes: Sequence[Change], seen: Sequence[Hashable]) -> None:
        """Write the changes, in an order that is safe to interrupt, and mark the other findings as seen.

        Raises:
            OwnershipLost: another process has the lease.
            VersionConflict: a person changed a finding; with transactions its batch was not written.
        """
        for batch in _batches(sorted(changes, key=attrgetter("order"))):
            await self._write_batch(batch)
        for place in range(0, len(seen), SEEN_MAX):
            await LeaseStore(self.store).under(self.lease, self._marking_seen(seen[place : place + SEEN_MAX]))

    async def _write_batch(self, batch: Sequence[Change]) -> None:
        findings = FindingStore(self.store)
        before = await findings.rows([change.id for change in batch if change.version is not None])
        inserted = [change for change in batch if change.version is None]
        changed = [change for change in batch if change.version is not None]
        new = [stored_fields(_new_fields(change)) for change in inserted]
        updates = [_update_of(change, before) for change in changed]

        async def write(session: Session) -> None:
            await findings.insert_many(new, session)
            if session is None:  # without a transaction these stay, whatever becomes of the others
                self._add_opened(inserted, before)
            made = await findings.change_many(updates, session)
            await findings.add_events_of(new, made, session)
            if len(made) < len(updates):
                raise VersionConflict

        await LeaseStore(self.store).under(self.lease, write)
        self._add_opened(batch if self.store.mode == "strict" else changed, before)

    def _add_opened(self, changes: Sequence[Change], before: dict[ObjectId, FindingRow]) -> None:
        self.opened.extend(_finding_after(change, before) for change in changes if change.opened)

    def _marking_seen(self, seen: Sequence[Hashable]) -> _Write:
        async def write(session: Session) -> None:
            await FindingStore(self.store).mark_seen(seen, self.run.id, session)

        return write


def _batches(changes: Sequence[Change]) -> Iterator[list[Change]]:
    """The changes in their order, in batches of bounded weight."""
    batch: list[Change] = []
    weight = 0
    for change in changes:
        own = 1 + change.reservation_count // RESERVATIONS_PER_WEIGHT
        if batch and weight + own > BATCH_WEIGHT_MAX:
            yield batch
            batch, weight = [], 0
        batch.append(change)
        weight += own
    if batch:
        yield batch


def _new_fields(change: Change) -> dict[str, object]:
    return {**change.fields, "history": [change.entry]}


def _update_of(change: Change, before: dict[ObjectId, FindingRow]) -> FindingUpdate:
    """The update of a stored finding.

    Raises:
        VersionConflict: it was changed since the change was planned.
    """
    row = before.get(change.id)
    if row is None or row["version"] != change.version:
        raise VersionConflict
    history = {"history": bounded([*row["history"], change.entry])}
    return FindingUpdate(cast("BsonDocument", row), {**change.fields, **history}, change.unset)


def _finding_after(change: Change, before: dict[ObjectId, FindingRow]) -> Finding:
    """A finding as it is once its change is written."""
    if change.version is not None:
        return _update_of(change, before).after
    finding: Finding = Finding.model_validate(stored_fields(_new_fields(change)))
    return finding
