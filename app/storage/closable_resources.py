"""What is read of resources for a closure of many of them: not their schedules, which can be a megabyte each."""

from collections.abc import Collection, Sequence
from typing import NamedTuple, cast

from app.domain.ids import ResourceId, ServiceId
from app.domain.rules import ResourceRules
from app.domain.zones import zone
from app.errors import Problem
from app.storage.bson_types import Filter
from app.storage.client import Store
from app.storage.documents import GuardRow
from app.storage.stored_catalogue import DESCRIBING_FIELDS
from app.storage.stored_rules import resource_rules_of

UNREAD = dict.fromkeys({"schedule", "history"} | (DESCRIBING_FIELDS - {"name"}), 0)
"""The fields that say nothing about times off."""


class ClosableResource(NamedTuple):
    """A resource as far as a closure has to do with it."""

    id: ResourceId
    timezone: str
    by_guests: bool


async def read_guards_of(
    store: Store, resources: Collection[ResourceId], services: Collection[ServiceId]
) -> dict[ResourceId, GuardRow]:
    """The guards of the resources that are named or offer a service; of all, where neither is given."""
    which: Filter = {"reachBack": {"$exists": True}}
    if resources or services:
        named = {*resources}
        if services:
            offering = store.database["resources"].find({"services": {"$in": [*services]}}, {"_id": 1})
            named |= {ResourceId(row["_id"]) async for row in offering if type(row["_id"]) is str}
        which |= {"_id": {"$in": sorted(named)}}
    rows = await store.database["guards"].find(which).to_list(None)
    return {ResourceId(row["_id"]): cast("GuardRow", row) for row in rows}


async def read_closable(store: Store, resources: Sequence[ResourceId]) -> list[ClosableResource]:
    """Those of these resources that can be booked: one whose time zone cannot be read cannot be."""
    found: list[ClosableResource] = []
    rows = store.database["resources"].find({"_id": {"$in": [*resources]}}, {"timezone": 1, "capacityMode": 1})
    async for row in rows:
        try:
            name = zone(row.get("timezone", "UTC")).key
        except (ValueError, TypeError):
            continue
        found.append(ClosableResource(ResourceId(row["_id"]), name, row.get("capacityMode") == "guests"))
    return found


async def read_times_off(store: Store, resources: Sequence[ResourceId]) -> list[ResourceRules]:
    """The rules of resources without their schedules, for their times off; without those that cannot be read."""
    found: list[ResourceRules] = []
    async for row in store.database["resources"].find({"_id": {"$in": [*resources]}}, UNREAD):
        try:
            found.append(resource_rules_of(row))
        except Problem:  # it takes no bookings either
            continue
    return found
