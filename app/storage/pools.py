"""Pools: the resources that offer a service, in one small document a service, so that no resource is read for them.

A resource has its schedule and times off, up to a megabyte, and many servers read the whole document for its id. A
resource enters the pool before it offers the service, and never leaves it: the pool has all members, and some that no
longer offer the service. Readers of a pool read the rules of its members, which say who offers the service now.

Pools are updated past Beanie, by `$addToSet`, and of resources only the ids are read.
"""

from collections.abc import Collection, Iterable, Mapping

from pymongo import UpdateOne

from app.domain.ids import ResourceId, ServiceId
from app.storage.client import Store

AT_ONCE = 500
"""Pools that one command reads or changes."""


def pool_row(service: ServiceId) -> str:
    """The id of a service's pool among the guards; ids of resources have no colon."""
    return f"pool:{service}"


async def members_of(store: Store, service: ServiceId) -> list[ResourceId]:
    """The ids of the resources that may offer a service, sorted.

    While its pool is not complete (see `migrate`), they are looked up among the resources.
    """
    pool = await store.database["guards"].find_one({"_id": pool_row(service)})
    if pool is not None and pool.get("complete"):
        return sorted(pool["members"])
    rows = await store.database["resources"].find({"services": service}, {"_id": 1}).to_list(None)
    return sorted(ResourceId(row["_id"]) for row in rows if isinstance(row["_id"], str))


async def join_pools(store: Store, resource: ResourceId, services: Collection[ServiceId]) -> None:
    """Enter a resource into the existing pools of services that it is about to offer."""
    if services:
        pools = {"_id": {"$in": [pool_row(service) for service in services]}}
        await store.database["guards"].update_many(pools, {"$addToSet": {"members": resource}})


async def complete_pool(store: Store, service: ServiceId) -> None:
    """Make the pool of a service, or enter the resources that offer the service and are missing in it.

    The document is made before the resources are read, so that a resource that joins meanwhile is entered as well.
    """
    pool = {"_id": pool_row(service)}
    await store.database["guards"].update_one(pool, {"$setOnInsert": {"members": []}}, upsert=True)
    rows = await store.database["resources"].find({"services": service}, {"_id": 1}).to_list(None)
    entered = {
        "$addToSet": {"members": {"$each": [row["_id"] for row in rows if isinstance(row["_id"], str)]}},
        "$set": {"complete": True},
    }
    await store.database["guards"].update_one(pool, entered)


async def complete_pools(store: Store, services: Collection[ServiceId]) -> None:
    """Enter the resources that offer these services into their pools, which exist, many at once."""
    guards = store.database["guards"]
    changes = [
        ({"_id": pool_row(service)}, {"$addToSet": {"members": {"$each": sorted(members)}}, "$set": {"complete": True}})
        for service, members in (await _resources_by_service(store, services)).items()
    ]
    if not store.capabilities.native:  # mongomock does not know the bulk writes of this driver
        for where, change in changes:
            await guards.update_one(where, change)
        return
    for first in range(0, len(changes), AT_ONCE):
        some = [UpdateOne(where, change) for where, change in changes[first : first + AT_ONCE]]
        await guards.bulk_write(some, ordered=False)


async def incomplete_pools(store: Store, services: Collection[ServiceId]) -> Mapping[ServiceId, int]:
    """The services whose pools are not complete, each with the number of resources that its pool lacks."""
    offered = await _resources_by_service(store, services)
    entered: dict[str, set[object]] = {}
    for first in range(0, len(offered), AT_ONCE):
        pools = [pool_row(service) for service in [*offered][first : first + AT_ONCE]]
        async for pool in store.database["guards"].find({"_id": {"$in": pools}, "complete": True}, {"members": 1}):
            entered[pool["_id"]] = set(pool["members"])
    found: dict[ServiceId, int] = {}
    for service, members in offered.items():
        present = entered.get(pool_row(service))
        if present is None or members - present:
            found[service] = len(members - (present or set()))
    return found


async def _resources_by_service(store: Store, services: Iterable[ServiceId]) -> dict[ServiceId, set[ResourceId]]:
    """The ids of the resources that offer each of these services, by one pass over all resources with services."""
    offered: dict[ServiceId, set[ResourceId]] = {service: set() for service in services}
    where = {"services.0": {"$exists": True}}
    if not offered:
        return offered
    async for row in store.database["resources"].find(where, {"services": 1}):
        for service in row["services"]:
            if type(row["_id"]) is type(service) is str and service in offered:  # BSON's code is text without a hash
                offered[ServiceId(service)].add(ResourceId(row["_id"]))
    return offered
