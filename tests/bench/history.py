"""A database with a history: so many reservations of every status, on the same resources and of the same customers."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from random import Random
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from tests.support.load_client import Call, Client
from tests.support.slot_bookings import LENGTH, require
from tests.support.times import DAY

ROOMS, CUSTOMERS = 200, 2_000
PREFIX = "room"
SERVICE = "cut"
UNTIL = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + 30 * DAY
"""Everything ends before this instant, so that the calendar after it looks alike however much is stored."""
STATUSES = {"confirmed": 700, "completed": 150, "cancelled": 100, "expired": 39, "no-show": 10, "pending": 1}
"""Of a thousand reservations."""
BATCH = 5_000


def fill(client: Client, database: Database[dict[str, Any]], reservations: int) -> None:
    """Rooms with so many reservations, back to back: the first is booked through the app, the others are its copies."""
    minutes = {"durationType": "fixed", "durationMinutes": int(LENGTH.total_seconds()) // 60}
    require(201, [client.post(Call("/v1/services", {"id": SERVICE, "name": SERVICE, **minutes}))])
    rooms = [f"{PREFIX}-{number}" for number in range(ROOMS)]
    calls = [Call("/v1/resources", {"id": room, "name": room, "services": [SERVICE]}) for room in rooms]
    require(201, client.in_flow(calls, width=8))
    require(201, [client.post(Call("/v1/customers", {"id": customer(7), "name": "Ann"}))])
    times = {"startTime": (UNTIL - LENGTH).isoformat(), "endTime": UNTIL.isoformat()}
    first = client.post(Call("/v1/reservations", {"resource": f"{PREFIX}-0", "customer": customer(7), **times}))
    require(201, [first])
    row = database["reservations"].find_one({"_id": ObjectId(first.json()["id"])})
    if row is None:
        raise RuntimeError("a reservation was booked, and is not there")
    copies = _copies(row, reservations)
    while some := list(islice(copies, BATCH)):
        database["reservations"].insert_many(some, ordered=False)
    database["guards"].update_many({}, {"$max": {"reachBack": int(LENGTH / timedelta(milliseconds=1))}})


def customer(number: int) -> str:
    """The id of a customer."""
    return f"customer-{number}"


def _copies(row: dict[str, Any], reservations: int) -> Iterator[dict[str, Any]]:
    random = Random(reservations)
    statuses = random.choices([*STATUSES], [*STATUSES.values()], k=reservations)
    for number in range(1, reservations):
        slot, room = divmod(number, ROOMS)
        end = UNTIL - slot * LENGTH
        start, made = end - LENGTH, end - 60 * DAY
        yield row | {
            "_id": ObjectId(),
            "resource": f"{PREFIX}-{room}",
            "customer": customer(random.randrange(CUSTOMERS)),
            "status": statuses[number],
            "startTime": start,
            "endTime": end,
            "blockStart": start,
            "blockEnd": end,
            "createdAt": made,
            "updatedAt": made,
            "history": [row["history"][0] | {"operation": ObjectId()}],
        }
