"""What the worker writes because time went by: holds that have expired, bookings that took place.

Neither adds load or changes what is free: a hold is over at its instant, whether or not that has been written.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from bson import ObjectId
from pymongo.errors import WriteError

from app.booking.drivers import MAJORITY
from app.booking.transitions import HistoryLine, reservation_update
from app.domain.lifecycle import Status
from app.storage.client import Store
from app.storage.clock import stamped

ACTOR_WORKER = "worker"
"""The name of the worker in a history."""
RESERVATIONS_PER_FETCH = 500
"""The size of a cursor's batch."""
RESOURCES_PER_QUERY = 200


async def expire_lapsed(store: Store) -> int:
    """Mark the holds whose time has come, by the database's own clock; how many were marked.

    This process's idea of that clock can be ahead of it, and a hold that was marked early could not be confirmed. The
    index of holds has none that is marked.
    """
    over = {"expiresAt": {"$lte": await stamped(store.database)}}
    return await _transition_all(store, {"status": "pending"} | over, "pending", "expired", still=over)


async def complete_ended(store: Store, hours: int) -> int:
    """Complete the confirmed bookings that ended at least `hours` ago (0: never); how many were completed.

    The pass goes through the catalogue, some resources at a time. The conflict lookup finds what is confirmed there
    and began that long ago, however long the history is: all of it has to be completed or is still going on.
    """
    if not hours:
        return 0
    past = {"$lte": store.clock.now() - timedelta(hours=hours)}
    completed = 0
    async for resources in _resource_ids(store):
        for lookup in _lookups(store, resources, "confirmed"):
            query = lookup | {"startTime": past, "endTime": past}
            completed += await _transition_all(store, query, "confirmed", "completed")
    return completed


async def _resource_ids(store: Store) -> AsyncIterator[list[str]]:
    """The ids of all resources, `RESOURCES_PER_QUERY` at a time."""
    last = ""
    while True:
        query = {"_id": {"$gt": last}}
        found = store.database["resources"].find(query, {"_id": 1}).sort("_id", 1).limit(RESOURCES_PER_QUERY)
        resources = [row["_id"] async for row in found]
        if not resources:
            return
        yield resources
        last = resources[-1]


def _lookups(store: Store, resources: Sequence[str], status: Status) -> list[dict[str, Any]]:
    """The filters by which this server finds the reservations of resources in one status from the conflict lookup."""
    if store.shape == "or":
        return [{"resource": {"$in": [*resources]}, "status": status}]
    return [{"resource": resource, "status": status} for resource in resources]


async def _transition_all(
    store: Store,
    query: Mapping[str, Any],
    before: Status,
    to: Status,
    *,
    still: Mapping[str, Any] | None = None,
) -> int:
    """Bring each reservation that matches to a status, by compare-and-set; how many were.

    The write requires the version that was read, and that the condition `still` holds: another writer's change since
    then prevails. One cursor goes through all of them, so that a reservation that cannot be written blocks no other.
    """
    reservations = store.database.get_collection("reservations", write_concern=MAJORITY)
    line: HistoryLine = {
        "at": store.clock.now(),
        "by": ACTOR_WORKER,
        "operation": ObjectId(),
        "from": before,
        "to": to,
    }
    update = reservation_update(line)
    written = 0
    async for row in reservations.find(query, {"version": 1}, batch_size=RESERVATIONS_PER_FETCH):
        known = {"_id": row["_id"], "version": row.get("version"), "status": before, **(still or {})}
        with suppress(WriteError):  # others wrote a version that is no number, or a history that is no list
            written += (await reservations.update_one(known, update)).modified_count
    return written
