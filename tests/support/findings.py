"""What tests of findings share: overlaps that a lost race would leave, runs, and words."""

from datetime import timedelta
from typing import Any

import httpx
from bson import ObjectId

from app.reconciliation import engine
from app.storage.client import Store
from app.storage.documents import Run, RunKind
from tests.support.api_client import HOUR, MINUTE, NINE, Visitor, good

URL = "/v1/findings"


async def at_a_room_and_a_desk(client: httpx.AsyncClient, store: Store) -> Visitor:
    """Somebody who may do everything, before a room and a desk that both can be booked for a talk."""
    visitor = Visitor(client, store)
    await visitor.service("talk")
    await visitor.resource("room", services=["talk"])
    await visitor.resource("desk", services=["talk"])
    return visitor


async def doubled(visitor: Visitor, reservation: dict[str, Any], **fields: Any) -> str:
    """Put a copy of a reservation into the database past all checks, as a lost race would; its id."""
    row = await visitor.stored(reservation)
    later = row["createdAt"] + MINUTE
    copy = {**row, "_id": ObjectId(), "createdAt": later, **fields}
    await visitor.store.database["reservations"].insert_one(copy)
    return str(copy["_id"])


async def run_of(visitor: Visitor, kind: RunKind = "full") -> Run:
    """Reconcile, and succeed."""
    run = await engine.reconcile_reservations(visitor.store, kind)
    assert run.state == "succeeded", run.error
    return run


async def only(visitor: Visitor, **filters: str) -> dict[str, Any]:
    """The one finding that there is."""
    (finding,) = good(await visitor.get(URL, **filters))["items"]
    return good(await visitor.get(f"{URL}/{finding['id']}"))


async def word(visitor: Visitor, finding: dict[str, Any], verb: str, **body: str) -> httpx.Response:
    """Acknowledge, accept or resolve."""
    return await visitor.ask("POST", f"{URL}/{finding['id']}/{verb}", json=body)


async def found(store: Store, number: int, **fields: Any) -> ObjectId:
    """Put a finding into the database as a run would have left it: the numberth hour of a room, two on one."""
    start = NINE + number * HOUR
    seen = store.clock.now() - timedelta(days=1)
    row = {
        "_id": ObjectId(),
        "resource": "room",
        "from": start,
        "to": start + HOUR,
        "peak": 2,
        "capacity": 1,
        "excess": 1,
        "state": "open",
        "reservations": [ObjectId(), ObjectId()],
        "reservationCount": 2,
        "firstSeen": seen,
        "lastSeen": seen,
        "updatedAt": seen,
        "run": ObjectId(),
        "version": 1,
        "history": [{"at": seen, "by": "worker", "to": "open"}],
        **fields,
    }
    await store.database["findings"].insert_one(row)
    return ObjectId(row["_id"])
