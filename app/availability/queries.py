"""Reads for questions about free times: rules, the guards' reach, and the reservations of a span."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from app.domain.ids import ResourceId, ServiceId
from app.domain.instants import Millis
from app.domain.load import Occupancy
from app.domain.rules import ResourceRules, ServiceRules
from app.storage.bson_types import BsonDocument
from app.storage.client import Store
from app.storage.documents import service_row
from app.storage.occupancy import occupancies_on
from app.storage.pools import members_of
from app.storage.reach import Reach
from app.storage.reservations import ReservationStore
from app.storage.rule_cache import RuleReader

ROWS_MAX = 200_000
"""Reservations that one question may read."""


@dataclass(frozen=True, slots=True)
class BookableResource:
    """A resource with its rules, how far its blocks reach, and the count of changes of its guard."""

    rules: ResourceRules
    reach: Reach
    changes: int

    def occupancies(self, rows: Iterable[BsonDocument]) -> list[Occupancy]:
        """What stored reservations occupy of it."""
        return occupancies_on(self.rules.id, rows, by_guests=self.rules.by_guests)


async def read_resources(
    store: Store,
    rules: RuleReader,
    *,
    resources: Sequence[ResourceId] | None,
    service: ServiceId | None,
    until: float = math.inf,
) -> tuple[ServiceRules | None, list[BookableResource]]:
    """A service (None if there is no such), and the named resources, or the pool: those that offer it and are active.

    The resources are sorted by id. One find reads the pool and one the guards; only edited rules are read again.

    Raises:
        Problem: `overloaded` where the reads are not done at `until`, in seconds of the monotonic clock; `invalid`
            where the service, or a named resource, cannot be read. In a pool such a resource is left out, if there
            are others.
    """
    if resources is None and service is not None:
        wanted: Sequence[ResourceId] = await members_of(store, service)
    else:
        wanted = resources or ()
    read = await rules.read(wanted, [] if service is None else [service], until=until)
    if service is not None and service_row(service) in read.unreadable:
        raise read.unreadable[service_row(service)]
    found = [read.resources[each] for each in sorted(read.resources)]
    if read.unreadable and (resources is not None or not found):
        raise min(read.unreadable.items())[1]
    if resources is None:
        found = [each for each in found if each.active and service in each.services]
    bookable = [BookableResource(each, Reach.of_guard(guard := read.guards[each.id]), guard["seq"]) for each in found]
    return None if service is None else read.services.get(service), bookable


async def read_rows(
    store: Store, resources: Sequence[BookableResource], start: Millis, end: Millis, *, rows_max: int
) -> dict[str, list[BsonDocument]]:
    """The rows that may occupy each resource during `[start, end)` in block times, by the id of the resource.

    Raises:
        Problem: `overloaded` where there are more than `rows_max`.
    """
    reaches = {resource.rules.id: resource.reach for resource in resources}
    return await ReservationStore(store).find_occupying(reaches, start, end, rows_max=rows_max)


async def read_occupancies(
    store: Store, resources: Sequence[BookableResource], start: Millis, end: Millis
) -> dict[str, list[Occupancy]]:
    """The occupancies of each resource that `read_rows` finds."""
    found = await read_rows(store, resources, start, end, rows_max=ROWS_MAX)
    return {resource.rules.id: resource.occupancies(found[resource.rules.id]) for resource in resources}
