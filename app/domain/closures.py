"""Closures: times at which many resources cannot be booked, by one entry for all of them.

A closure closes the resources that it names and those that offer one of the services that it names; one that names
neither closes all of them, those made later too. Its local dates are those of each resource.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TypeAlias

from app.domain.ids import ResourceId, ServiceId
from app.domain.instants import Millis
from app.domain.schedule import TimeOff, TimeOffIndex
from app.domain.zones import start_of_day, zone

Edge: TypeAlias = date | Millis
"""A local date, which stands for its first instant, or an instant."""

INDEXES_MAX = 1_000
"""Indexes that are shared by resources which the same closures close."""


@dataclass(frozen=True, slots=True)
class Closure:
    """A time `[start, end)` at which resources are closed, and which ones.

    `is_pending`: it closes them already, but may yet be withdrawn.
    """

    id: str
    start: Edge
    end: Edge
    resources: frozenset[ResourceId] = frozenset()
    services: frozenset[ServiceId] = frozenset()
    is_pending: bool = False

    @property
    def is_for_all(self) -> bool:
        """Whether it closes every resource."""
        return not (self.resources or self.services)

    def time_off(self, timezone: str) -> TimeOff | None:
        """When a resource in a time zone is closed; None where the zone skipped all of its dates."""
        tz = zone(timezone)
        start, end = (start_of_day(edge, tz) if isinstance(edge, date) else edge for edge in (self.start, self.end))
        return TimeOff(self.id, start, end) if start < end else None


class Closures:
    """All closures of one moment.

    Args:
        stamp: The id of that moment; other closures have another.
        closures: Several may have one id: a closure, and what it is about to become.
    """

    __slots__ = ("_everywhere", "_indexes", "_of_resource", "_of_service", "_settled", "all", "stamp")

    def __init__(self, stamp: str = "", closures: Iterable[Closure] = ()) -> None:
        self.stamp = stamp
        self.all = (*closures,)
        self._everywhere = frozenset(place for place, each in enumerate(self.all) if each.is_for_all)
        self._of_resource: Mapping[ResourceId, set[int]] = defaultdict(set)
        self._of_service: Mapping[ServiceId, set[int]] = defaultdict(set)
        for place, each in enumerate(self.all):
            for resource in each.resources:
                self._of_resource[resource].add(place)
            for service in each.services:
                self._of_service[service].add(place)
        self._indexes: dict[tuple[str, frozenset[int]], TimeOffIndex] = {}
        self._settled: Closures | None = None

    @property
    def settled(self) -> "Closures":
        """These closures without the pending ones; the same object each time."""
        if self._settled is None:
            left = [each for each in self.all if not each.is_pending]
            self._settled = self if len(left) == len(self.all) else Closures(self.stamp, left)
        return self._settled

    def with_closure(self, closure: Closure) -> "Closures":
        """These closures, but with this one in the place of what has its id."""
        return Closures(self.stamp, [*self.without(closure.id).all, closure])

    def without(self, identity: str) -> "Closures":
        """These closures but one."""
        return Closures(self.stamp, [each for each in self.all if each.id != identity])

    def of(self, resource: ResourceId, services: frozenset[ServiceId], timezone: str) -> TimeOffIndex:
        """When a resource in a time zone is closed, given the services that it offers."""
        if not self.all:
            return NEVER
        places = self._everywhere | self._of_resource.get(resource, frozenset())
        if self._of_service:
            offered = services & self._of_service.keys()
            places = places.union(*(self._of_service[service] for service in offered))
        if not places:
            return NEVER
        index = self._indexes.get((timezone, places))
        if index is None:
            times = (self.all[place].time_off(timezone) for place in sorted(places))
            index = TimeOffIndex(each for each in times if each is not None)
            if len(self._indexes) >= INDEXES_MAX:
                self._indexes.clear()
            self._indexes[timezone, places] = index
        return index


NEVER = TimeOffIndex()
NO_CLOSURES = Closures()
