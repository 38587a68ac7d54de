"""Findings as matching knows them: which are read for a run, and how their reservations are kept.

All unresolved findings of a resource are read. Resolved ones can return only to windows that are not what an
unresolved one was; they are read where those lie, so that a resource where nothing changes costs nothing for its past.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from app.domain import acceptance
from app.domain.finding_identity import Extent, StoredFinding
from app.domain.instants import from_millis, to_millis
from app.domain.sweep import Window
from app.storage.client import Store
from app.storage.documents import Acceptance, Finding
from app.storage.values import label

FINDINGS = "findings"
UNRESOLVED = ["open", "acknowledged", "accepted"]

LISTED = 5_000
LISTED_LETTERS = 2**19
"""As many ids, and as many letters of them, does a finding list; of more, a sample."""

RESOLVED_MOST = 20_000
"""Resolved findings of a resource that may return: those that lie last in time."""

_FIELDS = {"history": 0}


def is_cut(labels: Sequence[str]) -> bool:
    """Whether a finding lists only some of these reservations."""
    return len(labels) > LISTED or sum(map(len, labels)) > LISTED_LETTERS


def listed(labels: Sequence[str], ids: Mapping[str, Any]) -> list[Any]:
    """The ids that a finding lists: all, or the first of them and some at even distances from the rest.

    Whatever stretch of a long window is left later, some of those who occupy it are among them.
    """
    most = LISTED
    chosen = labels
    while is_cut(chosen):
        head, rest = labels[: most // 2], labels[most // 2 :]
        chosen = [*head, *rest[:: len(rest) * 2 // most + 1]]
        most //= 2
    return [ids[name] for name in chosen]


def stored_finding(row: Mapping[str, Any]) -> StoredFinding:
    """A stored finding, as far as matching must know it."""
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


def _extent(part: Mapping[str, Any]) -> Extent:
    return Extent(to_millis(part["from"]), to_millis(part["to"]), frozenset(map(label, part["reservations"])))


def _acceptance(said: Mapping[str, Any] | None) -> acceptance.Acceptance | None:
    if said is None:
        return None
    until: datetime | None = said.get("until")
    return acceptance.Acceptance(
        frozenset(map(label, said["reservations"])),
        said["peak"],
        said["excess"],
        None if until is None else to_millis(until),
        said.get("digest"),
    )


def accepted(finding: Finding, by: str, at: datetime, until: datetime | None = None) -> dict[str, Any]:
    """The acceptance of a finding as it is, as it is stored."""
    said = Acceptance(
        reservations=finding.reservations if finding.digest is None else [],
        digest=finding.digest,
        peak=finding.peak,
        excess=finding.peak - finding.capacity,
        until=until,
        by=by,
        at=at,
    )
    stored: dict[str, Any] = said.model_dump(by_alias=True, exclude_none=True)
    return stored


async def unresolved_resources(store: Store, among: Sequence[str] | None = None) -> set[str]:
    """The resources that have findings which a run may have to resolve, or to open again."""
    where: dict[str, Any] = {"state": {"$in": UNRESOLVED}}
    if among is not None:
        where["resource"] = {"$in": list(among)}
    return {str(name) for name in await store.database[FINDINGS].distinct("resource", where)}


async def unresolved(store: Store, resources: Sequence[str]) -> AsyncIterator[dict[str, Any]]:
    """The unresolved findings of these resources, without their histories."""
    where = {"resource": {"$in": list(resources)}, "state": {"$in": UNRESOLVED}}
    async for row in store.database[FINDINGS].find(where, _FIELDS):
        yield row


async def resolved(store: Store, resource: str, windows: Sequence[Window]) -> AsyncIterator[dict[str, Any]]:
    """The resolved findings of a resource that may return to one of these windows, and those into which they merged."""
    if not windows:
        return
    start, end = min(window.start for window in windows), max(window.end for window in windows)
    where = {"resource": resource, "state": "resolved", "from": {"$lt": from_millis(end)}}
    where["to"] = {"$gt": from_millis(start)}
    wanted = {reservation for window in windows for reservation in window.reservations}
    read: set[Any] = set()
    homes: set[Any] = set()
    findings = store.database[FINDINGS]
    async for row in findings.find(where, _FIELDS, sort=[("from", -1)], limit=RESOLVED_MOST):
        if not wanted.isdisjoint(map(label, row["reservations"])):
            read.add(row["_id"])
            homes.add(row.get("mergedInto"))
            yield row
    while missing := sorted(homes - read - {None})[:RESOLVED_MOST]:
        homes = set()
        read.update(missing)
        async for row in findings.find({"_id": {"$in": missing}, "state": "resolved"}, _FIELDS):
            homes.add(row.get("mergedInto"))
            yield row


def changed(windows: Iterable[Window], known: Iterable[StoredFinding]) -> list[Window]:
    """The windows that are not what an unresolved finding was: only they can take another one."""
    same = {(each.extent.start, each.extent.end): each.extent for each in known}
    return [window for window in windows if not _is_as_it_was(window, same.get((window.start, window.end)))]


def _is_as_it_was(window: Window, extent: Extent | None) -> bool:
    return extent is not None and extent.is_in(window)
