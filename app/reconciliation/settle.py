"""A second look: what a passing cursor saw above capacity may be a booking that it met twice while it moved.

Nothing is recorded before the resource was read again, at one instant.
"""

import structlog
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference

from app.reconciliation import scan
from app.storage.client import Store
from app.timeline.sweep import Window, sweep

TRIES = 5
"""Snapshots that the server may fail to give; and, without snapshots, pairs of reads that may disagree."""

log = structlog.get_logger()


async def settled(store: Store, resource: str) -> list[Window]:
    """The windows of one resource, by start, as they stand at one instant.

    With transactions that is a snapshot. Without, it is what two reads in succession agree on: a resource that changes
    all the time keeps its real windows through them, and has its false ones only once.
    """
    return await (_in_a_snapshot(store, resource) if store.mode == "strict" else _in_agreement(store, resource))


async def _in_a_snapshot(store: Store, resource: str) -> list[Window]:
    for left in reversed(range(TRIES)):
        async with await store.client.start_session() as session:
            session.start_transaction(ReadConcern("snapshot"), read_preference=ReadPreference.PRIMARY)
            try:
                seen = await scan.one(store, resource, session=session)
                await session.abort_transaction()
            except PyMongoError as error:
                if left and error.has_error_label("TransientTransactionError"):
                    continue
                raise
            return _windows(resource, seen)
    raise AssertionError("The last try returns or raises.")


async def _in_agreement(store: Store, resource: str) -> list[Window]:
    before = _windows(resource, await scan.one(store, resource))
    for _ in range(TRIES):
        after = _windows(resource, await scan.one(store, resource))
        if after == before:
            return after
        both = [window for window in after if window in before]
        before = after
    log.info("a resource changes faster than it can be read twice", resource=resource, agreed=len(both))
    return both


def _windows(resource: str, seen: scan.Occupied) -> list[Window]:
    return list(sweep(seen.rows, {resource: seen.capacity}))
