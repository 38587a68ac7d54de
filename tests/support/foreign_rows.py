"""Rows as others write them past Reserva, and the run that notes them for those who book."""

from typing import Any

from bson import ObjectId

from app.reconciliation.engine import reconcile_reservations
from app.storage.client import Store


async def insert_row(store: Store, **fields: Any) -> Any:
    """A reservation exactly like this, with an id if none is said; its id."""
    row = {"_id": ObjectId()} | fields
    await store.database["reservations"].insert_one(row)
    return row["_id"]


async def reconcile_all(store: Store) -> None:
    """Let a run read all rows: it notes what the conflict lookup misses, and raises the reaches."""
    run = await reconcile_reservations(store, "full")
    assert run.state == "succeeded", run.error
