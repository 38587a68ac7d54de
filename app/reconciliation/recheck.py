"""A second look: what a passing cursor saw above capacity may be a booking that it met twice while it moved.

Nothing is recorded before the resource was read again, at one instant.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from tenacity import retry, retry_if_exception, stop_after_attempt

from app.domain.sweep import PlainRow, Window, sweep
from app.reconciliation import scan
from app.reconciliation.scan import Opaque, ResourceScan
from app.storage.capacities import Limits
from app.storage.client import Store
from app.storage.foreign_occupancies import ForeignOccupancy
from app.storage.reach import Reach
from app.storage.transactions import is_transient, snapshot

TRIES = 5
"""Snapshots that the server may fail to give; and, without snapshots, pairs of reads that may disagree."""
AT_ONCE = 5_000
"""Rows that are swept on the event loop: a few milliseconds, and less than it takes to wait for a thread."""
SHOWN = 20
"""Resources that a line of the log names."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ConfirmedWindows:
    """What stands of some resources: their windows, by resource, then start, with ids as text.

    `ids` are what each id of a reservation is in the database, by its text. `needs` and `foreign` are what the guards
    have to know of these resources.
    """

    windows: list[Window]
    ids: Mapping[str, Any]
    needs: Mapping[str, Reach]
    foreign: Sequence[ForeignOccupancy]


async def confirm_windows(store: Store, resources: Sequence[str], opaque: Opaque) -> ConfirmedWindows:
    """What stands of these resources at one instant.

    With transactions that is a snapshot. Without, it is what two reads in succession agree on: a resource that changes
    all the time keeps its real windows through them, and has its false ones only once.
    """
    both = _in_a_snapshot if store.mode == "strict" else _in_agreement
    return await both(store, resources, opaque)


async def _in_a_snapshot(store: Store, resources: Sequence[str], opaque: Opaque) -> ConfirmedWindows:
    @retry(stop=stop_after_attempt(TRIES), retry=retry_if_exception(is_transient), reraise=True)
    async def read() -> ResourceScan:
        async with snapshot(store) as session:
            return await scan.scan_resources(store, resources, opaque, session=session)

    seen = await read()
    return _settled(seen, await windows_of(seen.rows, seen.limits))


async def _in_agreement(store: Store, resources: Sequence[str], opaque: Opaque) -> ConfirmedWindows:
    seen = await scan.scan_resources(store, resources, opaque)
    before = await windows_of(seen.rows, seen.limits)
    for _ in range(TRIES):
        seen = await scan.scan_resources(store, resources, opaque)
        after = await windows_of(seen.rows, seen.limits)
        if after == before:
            return _settled(seen, after)
        known = set(before)
        both = [window for window in after if window in known]
        before = after
    named = list(resources[:SHOWN])
    log.info("resources change faster than they can be read twice", resources=named, agreed=len(both))
    return _settled(seen, both)


async def windows_of(rows: Sequence[PlainRow], limits: Limits) -> list[Window]:
    """The windows of rows in the order of the sweep; in a thread where one resource has many of them."""
    if len(rows) <= AT_ONCE:
        return [*sweep(rows, limits.capacities, limits.former)]
    return await asyncio.to_thread(lambda: [*sweep(rows, limits.capacities, limits.former)])


def _settled(seen: ResourceScan, windows: list[Window]) -> ConfirmedWindows:
    return ConfirmedWindows(windows, seen.ids, seen.needs, seen.foreign)
