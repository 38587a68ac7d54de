"""Pools: which resources offer a service, in one small document a service, so that to find them reads no resource.

A resource carries its schedule and times off, up to a megabyte, and many servers read the whole document for its id.
A pool names all who offer the service, and who once did: whoever is about to offer it is entered before, so that no
member is ever missed, and nobody is taken out. Who reads a pool looks at the rules of its members anyway, and they say
who offers the service by now.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypeAlias

from motor.motor_asyncio import AsyncIOMotorDatabase
from pymongo import UpdateOne

from app.storage.client import Store

Database: TypeAlias = "AsyncIOMotorDatabase[dict[str, Any]]"

AT_ONCE = 500
"""Pools that are read or changed by one command."""


def pool_row(service: str) -> str:
    """The id of a service's pool among the guards; ids of resources have no colon."""
    return f"pool:{service}"


async def members_of(database: Database, service: str) -> list[str]:
    """Who may offer a service, by id.

    A pool that `migrate` has not completed yet is looked for among the resources.
    """
    pool = await database["guards"].find_one({"_id": pool_row(service)})
    if pool is not None and pool.get("complete"):
        return sorted(pool["members"])
    rows = await database["resources"].find({"services": service}, {"_id": 1}).to_list(None)
    return sorted(row["_id"] for row in rows if isinstance(row["_id"], str))


async def join_pools(database: Database, resource: str, services: Collection[str]) -> None:
    """Enter a resource that is about to offer these services, in those pools that are there."""
    if services:
        pools = {"_id": {"$in": [pool_row(service) for service in services]}}
        await database["guards"].update_many(pools, {"$addToSet": {"members": resource}})


async def complete_pool(database: Database, service: str) -> None:
    """Make a service's pool, or enter who offers the service and is missing in it.

    The document is there before the resources are read, so that whoever joins meanwhile is entered as well.
    """
    pool = {"_id": pool_row(service)}
    await database["guards"].update_one(pool, {"$setOnInsert": {"members": []}}, upsert=True)
    rows = await database["resources"].find({"services": service}, {"_id": 1}).to_list(None)
    entered = {
        "$addToSet": {"members": {"$each": [row["_id"] for row in rows if isinstance(row["_id"], str)]}},
        "$set": {"complete": True},
    }
    await database["guards"].update_one(pool, entered)


async def complete_pools(store: Store, services: Collection[str]) -> None:
    """Enter whoever offers these services into their pools, which are there already, many at once."""
    guards = store.database["guards"]
    changes = [
        ({"_id": pool_row(service)}, {"$addToSet": {"members": {"$each": sorted(those)}}, "$set": {"complete": True}})
        for service, those in (await _resources_by_service(store.database, services)).items()
    ]
    if not store.capabilities.native:  # mongomock does not know the bulk writes of this driver
        for where, change in changes:
            await guards.update_one(where, change)
        return
    for first in range(0, len(changes), AT_ONCE):
        some = [UpdateOne(where, change) for where, change in changes[first : first + AT_ONCE]]
        await guards.bulk_write(some, ordered=False)


async def incomplete_pools(database: Database, services: Collection[str]) -> Mapping[str, int]:
    """The services whose pools are not complete, each with the number of resources that are missing in it."""
    offered = await _resources_by_service(database, services)
    entered: dict[str, set[Any]] = {}
    for first in range(0, len(offered), AT_ONCE):
        those = [pool_row(service) for service in [*offered][first : first + AT_ONCE]]
        async for pool in database["guards"].find({"_id": {"$in": those}, "complete": True}, {"members": 1}):
            entered[pool["_id"]] = set(pool["members"])
    found: dict[str, int] = {}
    for service, members in offered.items():
        there = entered.get(pool_row(service))
        if there is None or members - there:
            found[service] = len(members - (there or set()))
    return found


async def _resources_by_service(database: Database, services: Iterable[str]) -> dict[str, set[str]]:
    """Who offers each of these services, by one pass over all that offer something."""
    offered: dict[str, set[str]] = {service: set() for service in services}
    where = {"services.0": {"$exists": True}}
    if not offered:
        return offered
    async for row in database["resources"].find(where, {"services": 1}):
        for service in row["services"]:
            if type(row["_id"]) is type(service) is str and service in offered:  # BSON's code is text without a hash
                offered[service].add(row["_id"])
    return offered
