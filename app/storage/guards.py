"""Guards: made with the resource by the catalogue, or by `migrate` where one is missing."""

import re
from collections.abc import AsyncIterator, Collection, Mapping
from itertools import product
from secrets import token_hex
from typing import Any

from bson import Int64, ObjectId
from motor.motor_asyncio import AsyncIOMotorClientSession
from pymongo.errors import BulkWriteError, DuplicateKeyError

from app.domain.instants import to_millis
from app.domain.lifecycle import BLOCKING
from app.storage.client import Store
from app.storage.documents import service_row
from app.storage.foreign_occupancies import OCCUPANCIES, ForeignOccupancy, add_foreign_occupancies, foreign_occupancy
from app.storage.pools import complete_pool
from app.storage.reach import Reach
from app.storage.row_reader import EXPIRY_IGNORING, FIELDS, OccupiedTime, is_found_by_lookup

_DUPLICATE_KEY = 11000
_DIGITS = re.compile(r"[0-9a-f]{24}")


def is_guard(row: Mapping[str, Any]) -> bool:
    """Whether a document of the collection `guards` can be used: as a guard, as a service's row or as a pool."""
    match str(row.get("_id")).partition(":"):
        case ("pool", ":", _):
            return isinstance(row.get("members"), list)
        case ("service", ":", _):
            return isinstance(row.get("rules"), str)
        case _:
            return isinstance(row.get("rules"), str) and type(row.get("seq")) in {int, Int64}


def lookup_ids(resource: str) -> tuple[str | ObjectId, ...]:
    """How rows may name a resource so that the conflict lookup finds them: as text, or by the ObjectId that it is."""
    return (resource, ObjectId(resource)) if _DIGITS.fullmatch(resource) else (resource,)


def new_rules() -> str:
    """A random id for the rules of a resource or service; compared for equality only."""
    return token_hex(12)


async def read_guard(store: Store, identity: str) -> dict[str, Any] | None:
    """The guard of a resource as it is stored; None where there is none."""
    # As a row: the write path compares it field by field with what its transaction reads.
    row: dict[str, Any] | None = await store.database["guards"].find_one({"_id": identity})
    return row


async def reach_of(store: Store, resource_id: str) -> tuple[Reach, list[ForeignOccupancy]]:
    """The reach that needs what is booked on a resource: what the conflict lookup finds, and what is listed beside.

    And what has to be listed there: rows that name the resource as the lookup does, but are too long for it, say.
    """
    reach, missing, now = Reach(), list[ForeignOccupancy](), store.clock.millis()
    async for row in store.database[OCCUPANCIES].find({"resource": resource_id}, {"startTime": 1, "endTime": 1}):
        reach = reach.listing(to_millis(row["startTime"]), to_millis(row["endTime"]))
    async for row in _find_booked(store, resource_id):
        for taken in EXPIRY_IGNORING.occupancies(row):
            if not isinstance(taken, OccupiedTime) or taken.resource != resource_id:
                continue
            if (missed := foreign_occupancy(row, taken, now)) is not None:
                missing.append(missed)
            if missed or is_found_by_lookup(row, taken):
                reach = reach.including(row, taken)
    return reach, missing


async def make_guard(store: Store, resource_id: str, session: AsyncIOMotorClientSession | None = None) -> bool:
    """Make the guard of a resource if it has none, before or with the resource itself.

    Returns:
        Whether it was made; an existing one is left as it is.
    """
    # Rows may be older than their resource: loaded straight into the database, or kept from another system.
    reach, missing = await reach_of(store, resource_id)
    await add_foreign_occupancies(store, missing)
    guard: dict[str, Any] = {"seq": 0, "rules": new_rules(), "reachBack": reach.back, "reachAhead": reach.ahead}
    guard |= {name: True for name in ("long", "foreign") if getattr(reach, name)}
    return await _insert_guard(store, resource_id, guard, session)


async def make_fresh_guards(store: Store, resource_ids: Collection[str]) -> None:
    """Make the guards of resources of which nothing is booked, all at once; existing ones are left as they are."""
    fresh = {"seq": 0, "reachBack": 0, "reachAhead": 0}
    await insert_new(store, "guards", [{"_id": each, "rules": new_rules(), **fresh} for each in resource_ids])


async def insert_new(store: Store, collection: str, documents: list[dict[str, Any]]) -> int:
    """Insert those documents whose id nobody has; the others are left as they are. How many were inserted."""
    if not documents:
        return 0
    try:
        await store.database[collection].insert_many(documents, ordered=False)
    except BulkWriteError as error:
        refused = error.details["writeErrors"]
        if any(each["code"] != _DUPLICATE_KEY for each in refused):
            raise
        return len(documents) - len(refused)
    return len(documents)


async def make_service_row(store: Store, service_id: str, session: AsyncIOMotorClientSession | None = None) -> bool:
    """Make the row of a service among the guards if it has none, and its pool; whether it was made."""
    await complete_pool(store.database, service_id)
    return await _insert_guard(store, service_row(service_id), {"rules": new_rules()}, session)


async def _insert_guard(
    store: Store, identity: str, guard: dict[str, Any], session: AsyncIOMotorClientSession | None
) -> bool:
    try:
        made = await store.database["guards"].update_one(
            {"_id": identity}, {"$setOnInsert": guard}, upsert=True, session=session
        )
    except DuplicateKeyError:
        if session is not None:  # its transaction is lost, and whoever runs it must know
            raise
        return False
    return made.upserted_id is not None


async def _find_booked(store: Store, resource_id: str) -> AsyncIterator[dict[str, Any]]:
    """What blocks a resource, one status a find: equality on both is what every server answers from the index."""
    for resource, status in product(lookup_ids(resource_id), BLOCKING):
        query = {"resource": resource, "status": status}
        async for row in store.database["reservations"].find(query, dict.fromkeys((*FIELDS, "long"), 1)):
            yield row
