"""A second look: what a passing cursor saw above capacity may be a booking that it met twice while it moved.

Nothing is recorded before the resource was read again, at one instant.
"""

from collections.abc import Sequence

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


async def settled(store: Store, resources: Sequence[str]) -> list[Window]:
    """The windows of these resources, by resource, then start, as they stand at one instant.

    With transactions that is a snapshot. Without, it is what two reads in succession agree on: a resource that changes
    all the time keeps its real windows through them, and has its false ones only once.
    """
    return await (_in_a_snapshot(store, resources) if store.mode == "strict" else _in_agreement(store, resources))


async def _in_a_snapshot(store: Store, resources: Sequence[str]) -> list[Window]:
    for left in reversed(range(TRIES)):
        async with await store.client.start_session() as session:
            session.start_transaction(ReadConcern("snapshot"), read_preference=ReadPreference.PRIMARY)
            try:
                seen = await scan.these(store, resources, session=session)
                await session.abort_transaction()
            except PyMongoError as error:
                if left and error.has_error_label("TransientTransactionError"):
                    continue
                raise
            return list(sweep(*seen))
    raise AssertionError("The last try returns or raises.")


async def _in_agreement(store: Store, resources: Sequence[str]) -> list[Window]:
    before = list(sweep(*await scan.these(store, resources)))
    both = before
    for _ in range(TRIES):
        after = list(sweep(*await scan.these(store, resources)))
        if after == before:
            return after
        seen = set(before)
        both = [window for window in after if window in seen]
        before = after
    log.info("resources change faster than they can be read twice", resources=list(resources), agreed=len(both))
    return both
