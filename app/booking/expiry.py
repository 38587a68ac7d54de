"""The worker's writes: holds that have expired are marked as expired, bookings that ended as completed.

Neither adds load or changes what is free: a hold is over at its instant, whether or not that has been written.
"""

from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime, timedelta

from bson import ObjectId
from pymongo.errors import WriteError

from app.domain.ids import ResourceId
from app.domain.lifecycle import Status
from app.storage.catalogue import CatalogueStore
from app.storage.client import Store
from app.storage.clock import stamped
from app.storage.documents import Resource
from app.storage.reservation_transitions import ReadVersion, ReservationTransitions
from app.storage.reservation_updates import HistoryLine

ACTOR_WORKER = "worker"
"""The name of the worker in a history."""
RESOURCES_PER_QUERY = 200


async def expire_lapsed(store: Store) -> int:
    """Mark the holds whose time has come, by the database's own clock; how many were marked.

    This process's estimate of that clock can be ahead of it, and a hold that was marked too early could not be
    confirmed. The index of holds contains only holds that are not marked.
    """
    now = await stamped(store.database)
    lapsed = ReservationTransitions(store).find_lapsed(now)
    return await _transition_all(store, lapsed, "pending", "expired", lapsed_at=now)


async def complete_ended(store: Store, hours: int) -> int:
    """Complete the confirmed bookings that ended at least `hours` ago (0: never); how many were completed.

    The pass goes through the catalogue, some resources at a time. The conflict lookup finds what is confirmed there
    and began that long ago, however long the history is: all of it has to be completed or is still going on.
    """
    if not hours:
        return 0
    before = store.clock.now() - timedelta(hours=hours)
    completed = 0
    async for resources in CatalogueStore(store).portions_of_ids(Resource, RESOURCES_PER_QUERY):
        ended = ReservationTransitions(store).find_ended([ResourceId(each) for each in resources], before)
        completed += await _transition_all(store, ended, "confirmed", "completed")
    return completed


async def _transition_all(
    store: Store, rows: AsyncIterator[ReadVersion], before: Status, to: Status, *, lapsed_at: datetime | None = None
) -> int:
    """Bring each of these reservations to a status, by compare-and-set; how many were.

    Another writer's change since a reservation was read prevails. One that cannot be written blocks no other.
    """
    line: HistoryLine = {
        "at": store.clock.now(),
        "by": ACTOR_WORKER,
        "operation": ObjectId(),
        "from": before,
        "to": to,
    }
    reservations = ReservationTransitions(store)
    written = 0
    async for row in rows:
        with suppress(WriteError):  # another program stored a version that is no number, or a history that is no list
            written += await reservations.transition_row(row, line, lapsed_at=lapsed_at)
    return written
