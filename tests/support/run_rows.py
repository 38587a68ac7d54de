"""Rows of reconciliations, as earlier processes left them."""

from datetime import datetime
from typing import Any

from bson import ObjectId

from app.storage.client import Store
from app.storage.documents import RunKind
from app.storage.runs import ENDED


async def insert_run(store: Store, kind: RunKind, at: datetime, state: str = "succeeded", **fields: Any) -> ObjectId:
    """A run that was asked for and begun at that time."""
    row = {"kind": kind, "state": state, "createdAt": at, "startedAt": at, "beatAt": at, **fields}
    if state in ENDED:
        row["finishedAt"] = at
    identity = ObjectId(ObjectId.from_datetime(at).binary[:4] + ObjectId().binary[4:])
    await store.database["reconciliations"].insert_one({"_id": identity, **row})
    return identity
