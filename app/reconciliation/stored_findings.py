"""Stored findings in the form that matching needs: which are read for a run, and which reservations they list.

All unresolved findings of a resource are read. Resolved ones can return only to windows that differ from all unresolved
ones; they are read only where such windows are, so that a resource where nothing changes costs nothing for its past.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime

from bson import ObjectId

from app.domain import acceptance
from app.domain.finding_identity import Extent, StoredFinding
from app.domain.ids import ResourceId
from app.domain.instants import from_millis, to_millis
from app.domain.sweep import Window
from app.storage.bson_types import BsonDocument
from app.storage.client import Store
from app.storage.documents import Acceptance, Finding
from app.storage.finding_rows import AcceptanceRow, FindingRow, WindowRow
from app.storage.findings import FindingStore
from app.storage.values import label

LISTED_IDS_MAX = 5_000
LISTED_CHARACTERS_MAX = 2**19
"""The number of ids, and of their characters together, that a finding lists; of more it lists a sample."""

RESOLVED_MAX = 20_000
"""Resolved findings of a resource that are read, because they may return: those that lie last in time."""


def is_sampled(labels: Sequence[str]) -> bool:
    """Whether a finding lists only a sample of these reservations."""
    return len(labels) > LISTED_IDS_MAX or sum(map(len, labels)) > LISTED_CHARACTERS_MAX


def listed_ids(labels: Sequence[str], ids: Mapping[str, object]) -> list[object]:
    """The ids that a finding lists: all, or the first of them and some at even distances from the rest.

    Whatever part of a long window is left later, some of the reservations that occupy it are among them.
    """
    most = LISTED_IDS_MAX
    chosen = labels
    while is_sampled(chosen):
        head, rest = labels[: most // 2], labels[most // 2 :]
        chosen = [*head, *rest[:: len(rest) * 2 // most + 1]]
        most //= 2
    return [ids[name] for name in chosen]


def stored_finding(row: FindingRow) -> StoredFinding:
    """A stored finding, as matching needs it."""
    own = row.get("own")
    return StoredFinding(
        row["_id"],
        _extent(row),
        row["state"],
        _acceptance(row.get("acceptance")),
        row.get("acknowledged") is not None,
        row.get("mergedInto"),
        None if own is None else _extent(own),
    )


def _extent(part: WindowRow) -> Extent:
    return Extent(to_millis(part["from"]), to_millis(part["to"]), frozenset(map(label, part["reservations"])))


def _acceptance(stored: AcceptanceRow | None) -> acceptance.Acceptance | None:
    if stored is None:
        return None
    until: datetime | None = stored.get("until")
    return acceptance.Acceptance(
        frozenset(map(label, stored["reservations"])),
        stored["peak"],
        stored["excess"],
        None if until is None else to_millis(until),
        stored.get("digest"),
    )


def new_acceptance(finding: Finding, by: str, at: datetime, until: datetime | None = None) -> BsonDocument:
    """The acceptance of a finding as it is now, in the form in which it is stored."""
    new = Acceptance(
        reservations=finding.reservations if finding.digest is None else [],
        digest=finding.digest,
        peak=finding.peak,
        excess=finding.peak - finding.capacity,
        until=until,
        by=by,
        at=at,
    )
    fields: BsonDocument = new.model_dump(by_alias=True, exclude_none=True)
    return fields


async def returning(store: Store, resource: ResourceId, windows: Sequence[Window]) -> AsyncIterator[FindingRow]:
    """The resolved findings of a resource that may return to one of these windows, and those into which they merged."""
    if not windows:
        return
    findings = FindingStore(store)
    start, end = min(window.start for window in windows), max(window.end for window in windows)
    wanted = {reservation for window in windows for reservation in window.reservations}
    read: set[ObjectId | None] = set()
    merged_into: set[ObjectId | None] = set()
    async for row in findings.resolved_between(resource, from_millis(start), from_millis(end), RESOLVED_MAX):
        if not wanted.isdisjoint(map(label, row["reservations"])):
            read.add(row["_id"])
            merged_into.add(row.get("mergedInto"))
            yield row
    while missing := sorted(each for each in merged_into - read if each is not None)[:RESOLVED_MAX]:
        merged_into = set()
        read.update(missing)
        async for row in findings.resolved(missing):
            merged_into.add(row.get("mergedInto"))
            yield row


def changed_windows(windows: Iterable[Window], known: Iterable[StoredFinding]) -> list[Window]:
    """The windows that differ from all unresolved findings: only to them can a resolved one return."""
    same = {(each.extent.start, each.extent.end): each.extent for each in known}
    return [window for window in windows if not _is_unchanged(window, same.get((window.start, window.end)))]


def _is_unchanged(window: Window, extent: Extent | None) -> bool:
    return extent is not None and extent.is_in(window)
