"""Rows as others write them past Reserva, and what a run notes of them for those who book."""

from typing import Any

from bson import ObjectId

from app.storage.client import Store
from app.storage.guards import Reach
from app.storage.rows import EVERYBODY, Taken, found_by_lookup
from app.timeline.instants import from_millis


async def put(store: Store, **fields: Any) -> Any:
    """A reservation exactly like this, with an id if none is said; its id."""
    row = {"_id": ObjectId()} | fields
    await store.database["reservations"].insert_one(row)
    return row["_id"]


async def note(store: Store) -> None:
    """Do what a run does after it has read all rows: note what the conflict lookup misses, and raise the reaches."""
    guards = {guard["_id"]: guard async for guard in store.database["guards"].find({"reachBack": {"$exists": True}})}
    reaches = {name: Reach.of_guard(guard) for name, guard in guards.items()}
    noted: list[dict[str, Any]] = []
    async for row in store.database["reservations"].find():
        for taken in EVERYBODY.occupancies(row):
            if not isinstance(taken, Taken) or taken.resource not in reaches:
                continue
            reaches[taken.resource] = reaches[taken.resource].including(row, taken)
            if not found_by_lookup(row, taken):
                times = {"startTime": from_millis(taken.start), "endTime": from_millis(taken.end)}
                noted.append({"resource": taken.resource, "reservation": row["_id"], **times})
    await store.database["occupancies"].delete_many({})
    if noted:
        await store.database["occupancies"].insert_many(noted)
    for name, reach in reaches.items():
        fields = {"reachBack": reach.back, "reachAhead": reach.ahead, "long": reach.long, "foreign": reach.foreign}
        await store.database["guards"].update_one({"_id": name}, {"$set": fields})
