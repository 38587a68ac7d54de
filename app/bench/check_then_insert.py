"""The usual way to book in an application: look for an overlapping reservation, and insert if there is none.

Between the two, another request may insert, so this books the same time twice. payload-reserve advises the same query
in a hook and the same indexes.
"""

from typing import Any

from litestar import Litestar, Response, post
from litestar.datastructures import State
from litestar.params import JSONBody
from pymongo import ASCENDING, DESCENDING, IndexModel

from app.bench.bare import TAKEN, bare, document_of, open_reservations, shown
from app.bench.loads import CONFLICT
from app.domain.lifecycle import BLOCKING

INDEXES = [
    IndexModel([(name, ASCENDING) for name in ("resource", "status", "startTime", "endTime")]),
    IndexModel([("customer", ASCENDING), ("startTime", DESCENDING)]),
    IndexModel([("idempotencyKey", ASCENDING)], unique=True, sparse=True),
]


@post("/v1/reservations")
async def check_then_insert(data: JSONBody[dict[str, Any]], state: State) -> Response[dict[str, Any]]:
    """Insert unless a stored reservation overlaps."""
    document = document_of(data)
    overlapping = {
        "resource": document["resource"],
        "status": {"$in": list(BLOCKING)},
        "startTime": {"$lt": document["endTime"]},
        "endTime": {"$gt": document["startTime"]},
    }
    if await state.database.find_one(overlapping, {"_id": 1}):
        return Response(TAKEN, status_code=CONFLICT)
    await state.database.insert_one(document)
    return Response(shown(document))


def create() -> Litestar:
    """The app."""
    return bare(check_then_insert, open_reservations)


async def prepare(url: str) -> None:
    """Build the indexes."""
    async with open_reservations(url) as reservations:
        await reservations.create_indexes(INDEXES)
