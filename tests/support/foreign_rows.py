"""Reservations as other programs write them into the database, past all checks."""

from typing import Any

from bson import ObjectId

from app.storage.client import Store
from tests.support.times import HOUR, NINE


def hour_row(resource: Any, start: Any = NINE, end: Any = NINE + HOUR, **fields: Any) -> dict[str, Any]:
    """A confirmed reservation of an hour, in the fields that every program writes."""
    return {"resource": resource, "status": "confirmed", "startTime": start, "endTime": end} | fields


async def insert_rows(store: Store, *rows: dict[str, Any]) -> list[Any]:
    """Insert reservations as they are; their ids."""
    inserted = await store.database["reservations"].insert_many([dict(each) for each in rows])
    return list(inserted.inserted_ids)


async def insert_row(store: Store, **fields: Any) -> Any:
    """Insert a reservation with exactly the given fields, and an id unless they have one; its id."""
    row = {"_id": ObjectId()} | fields
    await store.database["reservations"].insert_one(row)
    return row["_id"]
