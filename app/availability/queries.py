"""What availability reads: the catalogue, the guards' reach, and the reservations of a span, once for all resources."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from app.domain.instants import Millis
from app.domain.load import Occupancy
from app.domain.rules import ResourceRules, ServiceRules
from app.errors import Problem
from app.storage.client import Store
from app.storage.documents import service_row
from app.storage.occupancy import BRANCHES, FIELDS, branches, occupancies_on, read_foreign, window
from app.storage.pools import members_of
from app.storage.reach import Reach
from app.storage.rule_cache import RuleReader
from app.storage.span import Span
from app.storage.values import identity

ROWS_MAX = 200_000
"""Reservations that one question reads."""
Rows: TypeAlias = list[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Place:
    """A resource with what the rules need to know of it, how far its blocks reach, and how often it was booked."""

    room: ResourceRules
    reach: Reach
    changes: int

    def occupancies(self, rows: Rows) -> list[Occupancy]:
        """What these rows occupy of it."""
        return occupancies_on(self.room.id, rows, by_guests=self.room.by_guests)


async def read_places(
    store: Store,
    rules: RuleReader,
    *,
    resources: Sequence[str] | None,
    service: str | None,
    until: float = math.inf,
) -> tuple[ServiceRules | None, list[Place]]:
    """The service, None if there is no such; and these resources, or its pool: what offers it and is active.

    Places are sorted by id. One find of the pool, and one of the guards; what was edited is read as well.

    Raises:
        Problem: `overloaded` where that is not done at `until`, of the monotonic clock; `invalid` where the service,
            or a resource that was named, cannot be read. Of a pool such a resource is left out, if there are others.
    """
    if resources is None and service is not None:
        wanted: Sequence[str] = await members_of(store.database, service)
    else:
        wanted = resources or ()
    read = await rules.read(wanted, [] if service is None else [service], until=until)
    if service is not None and service_row(service) in read.unreadable:
        raise read.unreadable[service_row(service)]
    rooms = [read.rooms[one] for one in sorted(read.rooms)]
    if read.unreadable and (resources is not None or not rooms):
        raise min(read.unreadable.items())[1]
    if resources is None:
        rooms = [room for room in rooms if room.active and service in room.services]
    places = [Place(room, Reach.of_guard(guard := read.guards[room.id]), guard["seq"]) for room in rooms]
    return None if service is None else read.offers.get(service), places


async def read_rows(store: Store, places: Sequence[Place], start: Millis, end: Millis, *, most: int) -> dict[str, Rows]:
    """What may occupy each place during `[start, end)` in block times: one find, whatever the number of places.

    A server that scans for anything but equality (see `Store.shape`) is asked once per resource and status.

    Raises:
        Problem: `overloaded` where there are more than `most`.
    """
    reaches = {place.room.id: place.reach for place in places}
    found: dict[str, Rows] = {resource: [] for resource in reaches}
    if not reaches:
        return found
    spans = [Span(resource, start, end) for resource in reaches]
    queries = branches(spans, reaches)
    if store.shape == "or":
        # Few branches of equalities stay inside the index on every server; many cost more than `$in`.
        few = len(queries) <= BRANCHES
        queries = [{"$or": queries} if few else window([*reaches], start, end, reaches)]
    left = most
    for query in queries:
        rows = await store.database["reservations"].find(query, dict.fromkeys(FIELDS, 1)).limit(left + 1).to_list(None)
        left -= len(rows)
        if left < 0:
            raise _too_many(most)
        for row in rows:
            if (resource := identity(row["resource"])) in found:  # an array is found by each of its values
                found[resource].append(row)
    foreign = await read_foreign(store, spans, reaches, left)
    if len(foreign) > left:
        raise _too_many(most)
    for place in places:
        if place.reach.foreign:  # nobody knows which of them lie here but who reads them
            found[place.room.id] += foreign
    return found


def _too_many(most: int) -> Problem:
    return Problem("overloaded", f"More than {most:,} reservations lie in that span; ask for a shorter one.")


async def read_occupancies(
    store: Store, places: Sequence[Place], start: Millis, end: Millis
) -> dict[str, list[Occupancy]]:
    """Who may occupy each place during `[start, end)` in block times; see `read_rows`."""
    found = await read_rows(store, places, start, end, most=ROWS_MAX)
    return {place.room.id: place.occupancies(found[place.room.id]) for place in places}
