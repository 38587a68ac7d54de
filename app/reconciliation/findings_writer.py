"""Stores the findings of a run: each window is a finding, new or stored, and a finding without a window is resolved.

Matching goes in steps, so that the event loop serves requests while a resource has a hundred thousand windows. Changes
are written in batches, each in one transaction under the run's lease and each finding by compare-and-set on its
version: where a person changed a finding in between, all findings are read and matched again. A run that ends between
two batches leaves correct but incomplete findings, and is repeated.
"""

import asyncio
from collections.abc import AsyncIterator, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import TypeVar

from app.domain.finding_identity import Matched, Matching, StoredFinding
from app.domain.ids import ResourceId
from app.domain.instants import Millis
from app.domain.sweep import Window
from app.reconciliation.finding_changes import Change, ChangePlanner
from app.reconciliation.findings_batches import BatchWriter
from app.reconciliation.resolved_findings import changed_windows, returning
from app.retries import retry
from app.storage.client import Store
from app.storage.documents import Finding, Run
from app.storage.errors import VersionConflict
from app.storage.finding_rows import FindingRow
from app.storage.findings import FindingStore
from app.storage.leases import Grant
from app.storage.stored_findings import stored_finding
from app.storage.transactions import is_transient

TRIES_MAX = 20
"""How often findings are read and matched again, because people changed them, before a run fails."""

STEP_FINDINGS = 200
"""Findings that are read or planned before the event loop serves other tasks."""

T = TypeVar("T")


@dataclass(slots=True)
class WrittenFindings:
    """The findings that a write opened, and how many findings stand without an acceptance."""

    opened: list[Finding] = field(default_factory=list)
    unaccepted: int = 0


async def write_findings(
    store: Store,
    lease: Grant,
    run: Run,
    resources: Sequence[ResourceId],
    windows: Sequence[Window],
    ids: Mapping[str, object],
) -> WrittenFindings:
    """Store the windows of these resources, which are all that they have.

    `ids` are the ids of reservations as they are in the database, by the labels that windows have.

    Raises:
        OwnershipLost: another process has the lease; nothing more was written then.
    """
    written = WrittenFindings()
    writer = BatchWriter(store, lease, run, written.opened)

    async def plan_and_write() -> int:
        plan = await _plan(store, run, resources, windows, ids)
        await writer.write(plan.changes, plan.seen)
        return plan.unaccepted

    written.unaccepted = await retry(plan_and_write, TRIES_MAX, on=_may_be_repeated)
    return written


def _may_be_repeated(error: BaseException) -> bool:
    """Whether a person or another transaction was faster, so that the findings have to be read again."""
    return isinstance(error, VersionConflict) or is_transient(error)


@dataclass(slots=True)
class _Plan:
    """The changes to write, the unchanged findings, and how many findings stand without an acceptance."""

    changes: list[Change] = field(default_factory=list)
    seen: list[Hashable] = field(default_factory=list)
    unaccepted: int = 0


async def _plan(
    store: Store, run: Run, resources: Sequence[ResourceId], windows: Sequence[Window], ids: Mapping[str, object]
) -> _Plan:
    by_resource = {name: list(group) for name, group in groupby(windows, key=attrgetter("resource"))}
    rows: dict[str, list[FindingRow]] = {}
    async for row in FindingStore(store).unresolved(resources):
        rows.setdefault(row["resource"], []).append(row)
    plan = _Plan()
    for resource in resources:
        known = rows.get(resource, [])
        matched, vanished = await _match_resource(store, resource, by_resource.get(resource, []), known)
        planner = ChangePlanner(store.clock.now(), run.id, {row["_id"]: row for row in known}, ids)
        async for each in _yielding(matched):
            plan.unaccepted += each.state != "accepted"
            change = planner.change_for(each)
            if change is not None:
                plan.changes.append(change)
            elif each.finding is not None:
                plan.seen.append(each.finding)
        async for each_vanished in _yielding(vanished):
            plan.changes.append(planner.resolution_of(each_vanished))
    return plan


async def _match_resource(
    store: Store, resource: ResourceId, windows: Sequence[Window], rows: list[FindingRow]
) -> Matched:
    """Match one resource; resolved findings that may return are added to those that were read."""
    known = [stored_finding(row) async for row in _yielding(rows)]
    async for row in returning(store, resource, changed_windows(windows, known)):
        rows.append(row)
        known.append(stored_finding(row))
    known.sort(key=attrgetter("id"))
    return await _match_in_steps(windows, known, store.clock.millis())


async def _match_in_steps(windows: Sequence[Window], known: Sequence[StoredFinding], now: Millis) -> Matched:
    """Match step by step; between two steps the event loop serves other tasks."""
    matching = Matching(windows, known, now)
    for _ in matching.steps():
        await asyncio.sleep(0)
    return matching.matched


async def _yielding(items: Iterable[T]) -> AsyncIterator[T]:
    """The items; after each portion the event loop serves other tasks."""
    for place, item in enumerate(items):
        if place % STEP_FINDINGS == STEP_FINDINGS - 1:
            await asyncio.sleep(0)
        yield item
