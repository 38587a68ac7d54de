"""Pools: which resources offer a service, in one small document a service, so that to find them reads no resource.

A resource carries its schedule and times off, up to a megabyte, and many servers read the whole document for its id.
A pool names all who offer the service, and who once did: whoever is about to offer it is entered before, so that no
member is ever missed, and nobody is taken out. Who reads a pool looks at the rules of its members anyway, and they say
who offers the service by now.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypeAlias

from motor.motor_asyncio import AsyncIOMotorDatabase

Database: TypeAlias = "AsyncIOMotorDatabase[dict[str, Any]]"


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
    return sorted(row["_id"] for row in rows)


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
    entered = {"$addToSet": {"members": {"$each": [row["_id"] for row in rows]}}, "$set": {"complete": True}}
    await database["guards"].update_one(pool, entered)


async def lacking(database: Database, services: Iterable[str]) -> Mapping[str, int]:
    """The services whose pools are not complete, each with the number of resources that are missing in it."""
    offered: dict[str, set[str]] = {service: set() for service in services}
    async for row in database["resources"].find({"services.0": {"$exists": True}}, {"services": 1}):
        for service in offered.keys() & set(row["services"]):
            offered[service].add(row["_id"])
    found: dict[str, int] = {}
    for service, resources in offered.items():
        pool = await database["guards"].find_one({"_id": pool_row(service)})
        missing = resources - set(pool["members"] if pool else ())
        if missing or pool is None or not pool.get("complete"):
            found[service] = len(missing)
    return found
