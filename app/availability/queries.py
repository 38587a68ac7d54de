"""What availability reads: the catalogue, the guards' reach, and the reservations of a span, once for all resources."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from app.booking.facts import offer_of, room_of
from app.booking.intents import Span
from app.booking.occupants import BRANCHES, FIELDS, Reach, branches, occupancy_of, window
from app.storage.client import Store
from app.storage.documents import Resource, Service
from app.timeline.instants import Millis
from app.timeline.load import Occupancy
from app.timeline.rules import Offer, Room


@dataclass(frozen=True, slots=True)
class Place:
    """A resource with what the rules need to know of it, and how far its blocks reach."""

    room: Room
    reach: Reach


async def read_offer(store: Store, service: str) -> Offer | None:
    """A service; None if there is none."""
    row = await store.database["services"].find_one({"_id": service})
    return None if row is None else offer_of(Service.model_validate(row))


async def read_places(store: Store, *, resource: str | None = None, service: str | None = None) -> list[Place]:
    """The resource, or the service's pool: what offers it and is active; by id."""
    query = {"_id": resource} if resource is not None else {"services": service, "active": True}
    rows = await store.database["resources"].find(query).sort("_id", 1).to_list(None)
    rooms = [room_of(Resource.model_validate(row)) for row in rows]
    reaches = await _reaches(store, [room.id for room in rooms])
    return [Place(room, reaches[room.id]) for room in rooms if room.id in reaches]


async def _reaches(store: Store, resources: Sequence[str]) -> dict[str, Reach]:
    rows = await store.database["guards"].find({"_id": {"$in": [*resources]}}).to_list(None)
    return {row["_id"]: Reach(row["reachBack"], row["reachAhead"], bool(row.get("long"))) for row in rows}


async def read_occupancies(
    store: Store, places: Iterable[Place], start: Millis, end: Millis
) -> dict[str, list[Occupancy]]:
    """Who may occupy each place during `[start, end)` in block times: one find, whatever the number of places.

    A server that scans for anything but equality (see `Store.shape`) is asked once per resource and status.
    """
    reaches = {place.room.id: place.reach for place in places}
    if not reaches:
        return {}
    queries = branches([Span(resource, start, end) for resource in reaches], reaches)
    if store.shape == "or":
        # Few branches of equalities stay inside the index on every server; many cost more than `$in`.
        few = len(queries) <= BRANCHES
        queries = [{"$or": queries} if few else window([*reaches], start, end, reaches)]
    found: dict[str, list[Occupancy]] = {resource: [] for resource in reaches}
    for query in queries:
        rows = await store.database["reservations"].find(query, dict.fromkeys(FIELDS, 1)).to_list(None)
        for row in rows:
            found[row["resource"]].append(occupancy_of(row))
    return found
