"""What the worker writes down because time went by: holds that are over, bookings that took place.

Neither adds load, and neither changes what is free: a hold is over at its instant, whoever has written that down.
"""

from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId

from app.booking.drivers import MAJORITY
from app.booking.held import HISTORY_KEPT
from app.booking.stamps import STAMP
from app.storage.client import Store
from app.timeline.lifecycle import Status

BY = "worker"
AT_ONCE = 500
"""How many reservations one call writes at most; the next call goes on."""


async def expire_lapsed(store: Store) -> int:
    """Mark holds whose time has come; how many."""
    now = store.clock.now()
    return await _bring(store, {"status": "pending", "expiresAt": {"$lte": now}}, "pending", "expired", now)


async def complete_ended(store: Store, hours: int) -> int:
    """Complete what was confirmed and ended so many hours ago; how many. 0 hours: never."""
    if not hours:
        return 0
    now = store.clock.now()
    ended = {"status": "confirmed", "endTime": {"$lte": now - timedelta(hours=hours)}}
    return await _bring(store, ended, "confirmed", "completed", now)


async def _bring(store: Store, query: dict[str, Any], before: Status, to: Status, now: datetime) -> int:
    """Each by compare-and-set on its version: whoever changed it meanwhile was right."""
    collection = store.database.get_collection("reservations", write_concern=MAJORITY)
    found = await collection.find(query, {"version": 1}).limit(AT_ONCE).to_list(None)
    entry = {"at": now, "by": BY, "operation": ObjectId(), "from": before, "to": to}
    change = {
        "$set": {"status": to},
        "$currentDate": STAMP,
        "$inc": {"version": 1},
        "$push": {"history": {"$each": [entry], "$slice": -HISTORY_KEPT}},
    }
    written = 0
    for row in found:
        result = await collection.update_one({"_id": row["_id"], "version": row["version"], "status": before}, change)
        written += result.modified_count
    return written
