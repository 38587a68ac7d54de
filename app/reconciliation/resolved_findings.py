"""Resolved findings that a run reads, because they may return to a window.

All unresolved findings of a resource are read. Resolved ones can return only to windows that differ from all unresolved
ones; they are read only where such windows are, so that a resource where nothing changes costs nothing for its past.
"""

from collections.abc import AsyncIterator, Iterable, Sequence

from bson import ObjectId

from app.domain.finding_identity import Extent, StoredFinding
from app.domain.ids import ResourceId
from app.domain.instants import from_millis
from app.domain.sweep import Window
from app.storage.client import Store
from app.storage.finding_rows import FindingRow, merged_into
from app.storage.findings import FindingStore
from app.storage.values import label

RESOLVED_MAX = 20_000
"""Resolved findings of a resource that are read, because they may return: those that lie last in time."""


async def returning(store: Store, resource: ResourceId, windows: Sequence[Window]) -> AsyncIterator[FindingRow]:
    """The resolved findings of a resource that may return to one of these windows, and those into which they merged."""
    if not windows:
        return
    findings = FindingStore(store)
    start, end = min(window.start for window in windows), max(window.end for window in windows)
    wanted = {reservation for window in windows for reservation in window.reservations}
    read: set[ObjectId | None] = set()
    absorbers: set[ObjectId | None] = set()
    async for row in findings.resolved_between(resource, from_millis(start), from_millis(end), RESOLVED_MAX):
        if not wanted.isdisjoint(map(label, row["reservations"])):
            read.add(row["_id"])
            absorbers.add(merged_into(row))
            yield row
    while missing := sorted(each for each in absorbers - read if each is not None)[:RESOLVED_MAX]:
        absorbers = set()
        read.update(missing)
        async for row in findings.resolved(missing):
            absorbers.add(merged_into(row))
            yield row


def changed_windows(windows: Iterable[Window], known: Iterable[StoredFinding]) -> list[Window]:
    """The windows that differ from all unresolved findings: only to them can a resolved one return."""
    same = {(each.extent.start, each.extent.end): each.extent for each in known}
    return [window for window in windows if not _is_unchanged(window, same.get((window.start, window.end)))]


def _is_unchanged(window: Window, extent: Extent | None) -> bool:
    return extent is not None and extent.is_in(window)
