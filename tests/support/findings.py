"""What tests of findings share: overlaps that a lost race would leave, runs and decisions."""

from datetime import timedelta
from typing import Any

import httpx
from bson import ObjectId

from app.storage.client import Store
from app.storage.documents import Run, RunKind
from tests.support.api_client import ApiClient, ok
from tests.support.foreign_checks import reconcile_run
from tests.support.times import HOUR, MINUTE, NINE

URL = "/v1/findings"


async def reviewer_with_resources(client: httpx.AsyncClient, store: Store) -> ApiClient:
    """A client with every scope, with a room and a desk that can both be booked for a talk."""
    api = ApiClient(client, store)
    await api.service("talk")
    await api.resource("room", services=["talk"])
    await api.resource("desk", services=["talk"])
    return api


async def insert_duplicate(api: ApiClient, reservation: dict[str, Any], **fields: Any) -> str:
    """Put a copy of a reservation into the database past all checks, as a lost race would; its id."""
    row = await api.stored(reservation)
    later = row["createdAt"] + MINUTE
    copy = {**row, "_id": ObjectId(), "createdAt": later, **fields}
    await api.store.database["reservations"].insert_one(copy)
    return str(copy["_id"])


async def reconcile(api: ApiClient, kind: RunKind = "full") -> Run:
    """Run a reconciliation, and check that it succeeded."""
    return await reconcile_run(api.store, kind)


async def only_finding(api: ApiClient, **filters: str) -> dict[str, Any]:
    """The only finding of the list."""
    (finding,) = ok(await api.get(URL, **filters))["items"]
    return ok(await api.get(f"{URL}/{finding['id']}"))


async def post_decision(api: ApiClient, finding: dict[str, Any], verb: str, **body: str) -> httpx.Response:
    """Acknowledge, accept or resolve."""
    return await api.request("POST", f"{URL}/{finding['id']}/{verb}", json=body)


async def insert_finding(store: Store, number: int, **fields: Any) -> ObjectId:
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
