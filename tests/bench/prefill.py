"""A database that has been in use: reservations that are there before anything is measured."""

from itertools import islice
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from tests.support.load_client import Client
from tests.support.slot_bookings import booking, make_rooms, require, start_of

BATCH = 1_000


def fill(client: Client, database: Database[dict[str, Any]], prefix: str, rooms: int, each: int, **more: Any) -> None:
    """Rooms with their first `each` slots taken: one booked through the app, the others copied from it."""
    names = make_rooms(client, prefix, rooms, **more)
    require(201, client.in_flow([booking(name) for name in names], width=8))
    first = database["reservations"].find({"resource": {"$in": names}})
    copies = (_copy(row, slot) for row in list(first) for slot in range(1, each))
    while some := list(islice(copies, BATCH)):
        database["reservations"].insert_many(some, ordered=False)


def _copy(row: dict[str, Any], slot: int) -> dict[str, Any]:
    start, end = start_of(slot), start_of(slot + 1)
    times = {"startTime": start, "endTime": end, "blockStart": start, "blockEnd": end}
    return row | {"_id": ObjectId(), **times, "history": [row["history"][0] | {"operation": ObjectId()}]}
