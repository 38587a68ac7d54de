"""Confirms windows: a window that a cursor saw may be false, because it read a moving booking twice.

No finding is written before its resource was read again, at one instant.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from app.domain.ids import ResourceId
from app.domain.sweep import PlainRow, Window, sweep
from app.reconciliation import scan
from app.reconciliation.scan import ResourceScan
from app.retries import retry
from app.storage.capacities import Limits
from app.storage.client import Store
from app.storage.foreign_occupancies import ForeignOccupancy
from app.storage.reach import Reach
from app.storage.sweep_rows import OpaqueReferences
from app.storage.transactions import is_transient, snapshot

READS_MAX = 5
"""Snapshots that the server may fail to give; without snapshots, pairs of reads that may disagree."""
LOOP_ROWS_MAX = 5_000
"""Rows that are swept on the event loop: a few milliseconds, and less than it takes to wait for a thread."""
LOGGED_RESOURCES_MAX = 20
"""Resources that a line of the log names."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ConfirmedWindows:
    """The confirmed windows of some resources, by resource, then start, with ids as text.

    `ids` are the ids of reservations as they are in the database, by their text. `reaches` and `foreign` are what the
    guards of these resources have to know.
    """

    windows: list[Window]
    ids: Mapping[str, object]
    reaches: Mapping[ResourceId, Reach]
    foreign: Sequence[ForeignOccupancy]


async def confirm_windows(store: Store, resources: Sequence[ResourceId], opaque: OpaqueReferences) -> ConfirmedWindows:
    """The windows of these resources at one instant.

    With transactions they are read in a snapshot. Without, they are those that two successive reads agree on: a real
    window is in both reads, a false one in only one of them.
    """
    read = _read_in_snapshot if store.mode == "strict" else _read_until_stable
    return await read(store, resources, opaque)


async def _read_in_snapshot(
    store: Store, resources: Sequence[ResourceId], opaque: OpaqueReferences
) -> ConfirmedWindows:
    async def read() -> ResourceScan:
        async with snapshot(store) as session:
            return await scan.scan_resources(store, resources, opaque, session=session)

    scanned = await retry(read, READS_MAX, on=is_transient)
    return _confirmed(scanned, await windows_of(scanned.rows, scanned.limits))


async def _read_until_stable(
    store: Store, resources: Sequence[ResourceId], opaque: OpaqueReferences
) -> ConfirmedWindows:
    scanned = await scan.scan_resources(store, resources, opaque)
    before = await windows_of(scanned.rows, scanned.limits)
    for _ in range(READS_MAX):
        scanned = await scan.scan_resources(store, resources, opaque)
        after = await windows_of(scanned.rows, scanned.limits)
        if after == before:
            return _confirmed(scanned, after)
        previous = set(before)
        agreed = [window for window in after if window in previous]
        before = after
    names = list(resources[:LOGGED_RESOURCES_MAX])
    log.info("resources change faster than they can be read twice", resources=names, agreed=len(agreed))
    return _confirmed(scanned, agreed)


async def windows_of(rows: Sequence[PlainRow], limits: Limits) -> list[Window]:
    """The windows of rows in the order of the sweep; in a thread where one resource has many of them."""
    if len(rows) <= LOOP_ROWS_MAX:
        return [*sweep(rows, limits.capacities, limits.former)]
    return await asyncio.to_thread(lambda: [*sweep(rows, limits.capacities, limits.former)])


def _confirmed(scanned: ResourceScan, windows: list[Window]) -> ConfirmedWindows:
    return ConfirmedWindows(windows, scanned.ids, scanned.reaches, scanned.foreign)
