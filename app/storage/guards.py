"""Guards and their reach: made with the resource by the catalogue, or by `migrate` where one is missing.

A reservation meets `[S, E)` only if its `startTime` lies in `(S - reachBack, E + reachAhead)`. So a guard must never
have a smaller reach than what is booked on its resource, whoever put it there.
"""

from collections.abc import AsyncIterator, Collection
from datetime import datetime
from secrets import token_hex
from typing import Any, NamedTuple

from motor.motor_asyncio import AsyncIOMotorClientSession
from pymongo.errors import BulkWriteError, DuplicateKeyError

from app.storage.client import Store
from app.storage.documents import service_row
from app.storage.pools import complete_pool
from app.timeline.instants import MINUTE, Millis, to_millis
from app.timeline.lifecycle import BLOCKING

REACH: Millis = 15 * MINUTE
"""The least reach that is not zero; it grows by doubling, so that raises are rare.

A lookup reads what starts within the reach, so one that fits what is really booked reads the fewest rows: with a day's
reach a booking of an hour read twenty neighbours that could not meet it.
"""

_DUPLICATE_KEY = 11000
_TIMES = {"_id": 0, "startTime": 1, "endTime": 1, "blockStart": 1, "blockEnd": 1, "long": 1}


class Reach(NamedTuple):
    """How far a block stretches from its `startTime`: `back` to its end, `ahead` to its beginning.

    `long`: whether some block is marked `long` and must be looked up by itself.
    """

    back: Millis
    ahead: Millis
    long: bool


def new_rules() -> str:
    """A random id for the rules of a resource or service; compared for equality only."""
    return token_hex(12)


def doubled(need: Millis) -> Millis:
    """The smallest reach that covers `need`: zero, or a doubling of the least one."""
    if need <= 0:
        return 0
    reach = REACH
    while reach < need:
        reach *= 2
    return reach


async def reach_of(store: Store, resource_id: str) -> Reach:
    """The reach that what is booked on a resource needs.

    Blocks marked `long` do not count, they are looked up by themselves. Rows without block times count by their
    times, and what has no times can meet nothing.
    """
    back = ahead = 0
    long = False
    async for row in _booked(store, resource_id):
        start = row.get("startTime")
        if row.get("long") is True:
            long = True
            continue
        if not isinstance(start, datetime):
            continue
        end = row.get("blockEnd", row.get("endTime"))
        begin = row.get("blockStart", start)
        if isinstance(end, datetime):
            back = max(back, to_millis(end) - to_millis(start))
        if isinstance(begin, datetime):
            ahead = max(ahead, to_millis(start) - to_millis(begin))
    return Reach(doubled(back), doubled(ahead), long)


async def make_guard(store: Store, resource_id: str, session: AsyncIOMotorClientSession | None = None) -> bool:
    """Make the guard of a resource if it has none, before or with the resource itself.

    Returns:
        Whether it was made; an existing one is left as it is.
    """
    # Rows may be older than their resource: loaded straight into the database, or kept from another system.
    reach = await reach_of(store, resource_id)
    guard: dict[str, Any] = {"seq": 0, "rules": new_rules(), "reachBack": reach.back, "reachAhead": reach.ahead}
    if reach.long:
        guard["long"] = True
    return await _put(store, resource_id, guard, session)


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
    return await _put(store, service_row(service_id), {"rules": new_rules()}, session)


async def _put(store: Store, identity: str, guard: dict[str, Any], session: AsyncIOMotorClientSession | None) -> bool:
    try:
        made = await store.database["guards"].update_one(
            {"_id": identity}, {"$setOnInsert": guard}, upsert=True, session=session
        )
    except DuplicateKeyError:
        if session is not None:  # its transaction is lost, and whoever runs it must know
            raise
        return False
    return made.upserted_id is not None


async def _booked(store: Store, resource_id: str) -> AsyncIterator[dict[str, Any]]:
    """What blocks a resource, one status a find: equality on both is what every server answers from the index."""
    for status in BLOCKING:
        async for row in store.database["reservations"].find({"resource": resource_id, "status": status}, _TIMES):
            yield row
