"""What the worker writes down because time went by: holds that are over, bookings that took place.

Neither adds load, and neither changes what is free: a hold is over at its instant, whoever has written that down.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from bson import ObjectId
from pymongo.errors import WriteError

from app.booking.drivers import MAJORITY
from app.booking.transitions import status_update
from app.domain.lifecycle import Status
from app.storage.client import Store
from app.storage.clock import stamped

BY = "worker"
AT_ONCE = 500
"""How many reservations a server gives at a time."""
RESOURCES = 200
"""How many resources one query is about."""


async def expire_lapsed(store: Store) -> int:
    """Mark holds whose time has come, by the database's own clock; how many. Their index knows none that is over.

    What this process knows of that clock can be ahead of it, and a hold that was marked early could not be confirmed.
    """
    over = {"expiresAt": {"$lte": await stamped(store.database)}}
    return await _bring(store, {"status": "pending"} | over, "pending", "expired", still=over)


async def complete_ended(store: Store, hours: int) -> int:
    """Complete what was confirmed and ended so many hours ago; how many. 0 hours: never.

    Goes through the catalogue, some resources at a time: what is confirmed there and began that long ago is what is
    to be completed or still goes on, however long the history is, and the conflict lookup finds it.
    """
    if not hours:
        return 0
    past = {"$lte": store.clock.now() - timedelta(hours=hours)}
    written = 0
    async for resources in _catalogue(store):
        for where in _of_status(store, resources, "confirmed"):
            query = where | {"startTime": past, "endTime": past}
            written += await _bring(store, query, "confirmed", "completed")
    return written


async def _catalogue(store: Store) -> AsyncIterator[list[str]]:
    """The ids of all resources, in lists of some hundreds."""
    last = ""
    while True:
        found = store.database["resources"].find({"_id": {"$gt": last}}, {"_id": 1}).sort("_id", 1).limit(RESOURCES)
        resources = [row["_id"] async for row in found]
        if not resources:
            return
        yield resources
        last = resources[-1]


def _of_status(store: Store, resources: Sequence[str], status: Status) -> list[dict[str, Any]]:
    """The filters by which this server finds the reservations of resources in one status from the conflict lookup."""
    if store.shape == "or":
        return [{"resource": {"$in": [*resources]}, "status": status}]
    return [{"resource": resource, "status": status} for resource in resources]


async def _bring(
    store: Store, query: dict[str, Any], before: Status, to: Status, *, still: dict[str, Any] | None = None
) -> int:
    """Each by compare-and-set on its version, and on what must `still` hold: whoever changed it meanwhile was right.

    One cursor goes through them all, so that those that cannot be written stand in nobody's way.
    """
    collection = store.database.get_collection("reservations", write_concern=MAJORITY)
    entry = {"at": store.clock.now(), "by": BY, "operation": ObjectId(), "from": before, "to": to}
    change = status_update(entry)
    written = 0
    async for row in collection.find(query, {"version": 1}, batch_size=AT_ONCE):
        known = {"_id": row["_id"], "version": row.get("version"), "status": before} | (still or {})
        with suppress(WriteError):  # others wrote a version that is no number, or a history that is no list
            written += (await collection.update_one(known, change)).modified_count
    return written
