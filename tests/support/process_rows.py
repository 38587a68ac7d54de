"""Rows of processes that book, as a test reads them and as it puts others there."""

from typing import Any

from bson import ObjectId

from app.storage.client import Store
from app.storage.documents import Process


async def process_rows(store: Store) -> list[dict[str, Any]]:
    """Who is known to run."""
    found: list[dict[str, Any]] = await store.database["processes"].find().to_list(None)
    return found


def process_of_another_machine(**fields: Any) -> Process:
    """A process of another machine."""
    row = {"host": "far", "place": "far", "pid": 1, "started": "", "sessions": [], "beat": 1}
    return Process(**({"id": ObjectId(), "mode": "optimistic", "lifecycle": "", **row} | fields))
