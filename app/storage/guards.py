"""The store of guards, which are made with their resource, or by `migrate` where one is missing.

Guards are inserted past Beanie, by an upsert that leaves an existing one as it is; reservations are read raw, since
they may be of any program.
"""

import re
from collections.abc import AsyncIterator, Collection
from itertools import product
from secrets import token_hex
from typing import cast

from bson import Int64, ObjectId
from motor.motor_asyncio import AsyncIOMotorClientSession
from pymongo.errors import DuplicateKeyError

from app.domain.ids import ResourceId, ServiceId
from app.domain.instants import to_millis
from app.domain.lifecycle import BLOCKING
from app.storage.bson_types import BsonDocument, Row
from app.storage.bulk_inserts import insert_new
from app.storage.client import Store
from app.storage.documents import GuardRow, service_row
from app.storage.foreign_occupancies import OCCUPANCIES, ForeignOccupancy, add_foreign_occupancies, foreign_occupancy
from app.storage.pools import complete_pool
from app.storage.reach import Reach
from app.storage.row_reader import EXPIRY_IGNORING, FIELDS, OccupiedTime, is_found_by_lookup

_DIGITS = re.compile(r"[0-9a-f]{24}")


def is_guard(row: Row) -> bool:
    """Whether a document of the collection `guards` is a valid guard, or row of a service, a pool or the closures."""
    match str(row.get("_id")).partition(":"):
        case ("pool", ":", _):
            return isinstance(row.get("members"), list)
        case ("service" | "closures", ":", _):
            return isinstance(row.get("rules"), str)
        case _:
            return isinstance(row.get("rules"), str) and type(row.get("seq")) in {int, Int64}


def lookup_ids(resource: str) -> tuple[str | ObjectId, ...]:
    """The ids of a resource in reservations that the conflict lookup finds: a text, and the ObjectId that it spells."""
    return (resource, ObjectId(resource)) if _DIGITS.fullmatch(resource) else (resource,)


def new_rules() -> str:
    """A random id for the rules of a resource or service, which is only compared for equality."""
    return token_hex(12)


async def read_guard(store: Store, identity: str) -> GuardRow | None:
    """The guard of a resource as it is stored; None where there is none."""
    # As a row: the write path compares it field by field with what its transaction reads.
    return cast("GuardRow | None", await store.database["guards"].find_one({"_id": identity}))


async def mark_priority(store: Store, guards: Collection[str], owner: ObjectId, milliseconds: int) -> None:
    """Mark guards as requested by an owner for so many milliseconds from now, by the database's clock."""
    # Past Beanie: one update by an expression of the server's clock.
    until = {"$dateAdd": {"startDate": "$$NOW", "unit": "millisecond", "amount": milliseconds}}
    mark = [{"$set": {"yieldUntil": until, "yieldTo": owner}}]
    await store.database["guards"].update_many({"_id": {"$in": [*guards]}}, mark)


async def reach_of(store: Store, resource_id: ResourceId) -> tuple[Reach, list[ForeignOccupancy]]:
    """The reach that the bookings of a resource need, and the foreign occupancies among them that are not stored yet.

    The reach also covers what is stored in `occupancies`. Foreign are, say, reservations that name the resource as the
    conflict lookup does, but are too long for it.
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


async def make_guard(store: Store, resource_id: ResourceId, session: AsyncIOMotorClientSession | None = None) -> bool:
    """Make the guard of a resource if it has none, before or with the resource itself.

    Returns:
        Whether it was made; an existing guard is left as it is.
    """
    # Reservations may be older than their resource: loaded into the database, or left from another system.
    reach, missing = await reach_of(store, resource_id)
    await add_foreign_occupancies(store, missing)
    guard: BsonDocument = {"seq": 0, "rules": new_rules(), "reachBack": reach.back, "reachAhead": reach.ahead}
    guard |= {name: True for name in ("long", "foreign") if getattr(reach, name)}
    return await _insert_guard(store, resource_id, guard, session)


async def make_fresh_guards(store: Store, resource_ids: Collection[ResourceId]) -> None:
    """Make the guards of resources without bookings, all at once; existing guards are left as they are."""
    fresh = {"seq": 0, "reachBack": 0, "reachAhead": 0}
    await insert_new(store, "guards", [{"_id": each, "rules": new_rules(), **fresh} for each in resource_ids])


async def make_service_row(
    store: Store, service_id: ServiceId, session: AsyncIOMotorClientSession | None = None
) -> bool:
    """Make the row of a service among the guards if it has none, and its pool; whether the row was made."""
    await complete_pool(store, service_id)
    return await _insert_guard(store, service_row(service_id), {"rules": new_rules()}, session)


async def _insert_guard(
    store: Store, identity: str, guard: BsonDocument, session: AsyncIOMotorClientSession | None
) -> bool:
    try:
        made = await store.database["guards"].update_one(
            {"_id": identity}, {"$setOnInsert": guard}, upsert=True, session=session
        )
    except DuplicateKeyError:
        if session is not None:  # the transaction is aborted, so its caller must know
            raise
        return False
    return made.upserted_id is not None


async def _find_booked(store: Store, resource_id: ResourceId) -> AsyncIterator[BsonDocument]:
    """The blocking reservations of a resource, one status a find: every server answers that from the index."""
    for resource, status in product(lookup_ids(resource_id), BLOCKING):
        query = {"resource": resource, "status": status}
        async for row in store.database["reservations"].find(query, dict.fromkeys((*FIELDS, "long"), 1)):
            yield row
