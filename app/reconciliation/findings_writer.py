"""Writing down what a run found: each window is a finding, new or known, and what has no window is resolved.

Matching goes in steps, so that a process with a resource of a hundred thousand windows still hears everything else.
What follows is written in batches, each in one transaction under the run's lease and each finding by compare-and-set
on its version: a person's word in between is read again first, and wins. A run that ends between two batches leaves
nothing wrong behind, only something undone, and is repeated.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import Any, TypeVar

from tenacity import retry, retry_if_exception, stop_after_attempt

from app.domain import finding_identity
from app.domain.finding_identity import Matched, StoredFinding
from app.domain.instants import Millis
from app.domain.sweep import Window
from app.reconciliation.finding_changes import Change, Planner
from app.reconciliation.findings_batches import Overtaken, Writer
from app.reconciliation.stored_findings import changed, resolved, stored_finding, unresolved
from app.storage.client import Store
from app.storage.documents import Finding, Run
from app.storage.leases import Grant
from app.storage.transactions import is_transient

TRIES_MAX = 20
"""How often people may be faster before a run fails."""

STEP = 200
"""Findings that are read or planned at a stretch."""

T = TypeVar("T")


@dataclass(slots=True)
class Recorded:
    """What came of the windows: the findings that this opened, and how many stand that nobody accepted."""

    opened: list[Finding] = field(default_factory=list)
    unaccepted: int = 0


async def record(
    store: Store,
    lease: Grant,
    run: Run,
    resources: Sequence[str],
    windows: Sequence[Window],
    ids: Mapping[str, Any],
) -> Recorded:
    """Write down the windows of these resources, which are all that they have.

    `ids` are what the ids of reservations are in the database, by their labels, which windows have.

    Raises:
        OwnershipLost: somebody else has the lease; nothing more was written then.
    """
    recorded = Recorded()
    writer = Writer(store, lease, run, recorded.opened)

    @retry(stop=stop_after_attempt(TRIES_MAX), retry=retry_if_exception(_is_overtaken), reraise=True)
    async def plan_and_write() -> int:
        plan = await _plan(store, run, resources, windows, ids)
        await writer.write(plan.changes, plan.seen)
        return plan.unaccepted

    recorded.unaccepted = await plan_and_write()
    return recorded


def _is_overtaken(error: BaseException) -> bool:
    """Whether a person or another transaction was faster, so that the findings have to be read again."""
    return isinstance(error, Overtaken) or is_transient(error)


@dataclass(slots=True)
class _Plan:
    """What has to be written, and the findings that are as they were."""

    changes: list[Change] = field(default_factory=list)
    seen: list[Any] = field(default_factory=list)
    unaccepted: int = 0


async def _plan(
    store: Store, run: Run, resources: Sequence[str], windows: Sequence[Window], ids: Mapping[str, Any]
) -> _Plan:
    own = {name: list(those) for name, those in groupby(windows, key=attrgetter("resource"))}
    rows: dict[str, list[dict[str, Any]]] = {}
    async for row in unresolved(store, resources):
        rows.setdefault(row["resource"], []).append(row)
    plan = _Plan()
    for resource in resources:
        here = rows.get(resource, [])
        placed, gone = await _matched_one(store, resource, own.get(resource, []), here)
        planner = Planner(store.clock.now(), run.id, {row["_id"]: row for row in here}, ids)
        async for each in _slowly(placed):
            plan.unaccepted += each.state != "accepted"
            change = planner.placed(each)
            if change is not None:
                plan.changes.append(change)
            else:
                plan.seen.append(each.finding)
        async for left in _slowly(gone):
            plan.changes.append(planner.gone(left))
    return plan


async def _matched_one(store: Store, resource: str, windows: Sequence[Window], rows: list[dict[str, Any]]) -> Matched:
    """Match one resource; resolved findings that may return are added to those that were read."""
    known = [stored_finding(row) async for row in _slowly(rows)]
    async for row in resolved(store, resource, changed(windows, known)):
        rows.append(row)
        known.append(stored_finding(row))
    known.sort(key=attrgetter("id"))
    return await _matched(windows, known, store.clock.millis())


async def _matched(windows: Sequence[Window], known: Sequence[StoredFinding], now: Millis) -> Matched:
    """Match step by step, with everything else that this process does in between."""
    working = finding_identity.match_in_steps(windows, known, now)
    while True:
        try:
            next(working)
        except StopIteration as end:
            matched: Matched = end.value
            return matched
        await asyncio.sleep(0)


async def _slowly(items: Iterable[T]) -> AsyncIterator[T]:
    """These, with a pause for everything else now and then."""
    for place, item in enumerate(items):
        if place % STEP == STEP - 1:
            await asyncio.sleep(0)
        yield item
