"""Which bookings an edit of their resource strands: those that obeyed the rules before it and would not after it."""

from bisect import bisect_left
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from zoneinfo import ZoneInfo

from app.domain.instants import DAY, Duration, Millis
from app.domain.load import Occupancy, meets_any
from app.domain.rules import NO_SERVICES, ResourceRules, ServiceRules, ServicesById, before_and_after, openness
from app.domain.schedule import Window, windows
from app.domain.zones import is_day_start, zone

PERIOD: Duration = 2 * 366 * DAY
"""Opening hours are resolved at once for bookings that begin within this time of each other."""
UNRESOLVED_MAX = 30
"""Up to so many bookings of a period are checked one by one, without resolving its hours beforehand."""


def stranded(
    bookings: Iterable[Occupancy], before: ResourceRules, after: ResourceRules, services: ServicesById = NO_SERVICES
) -> list[Occupancy]:
    """The bookings that newly exceed the capacity or newly break a rule, by start; `services` say when to be open.

    A rule that was broken before the edit, or an instant that was too full before it, strands nothing. Only rules that
    the edit touches are judged. For pending closures see `before_and_after`.
    """
    before, after = before_and_after(before, after)
    bookings = sorted(bookings, key=lambda booking: booking.own_start)
    lost = {booking.id for booking in bookings if _is_given_up(booking, before, after)}
    if before.time_off != after.time_off or before.closed_index is not after.closed_index:
        lost |= _newly_off(bookings, before, after)
    if (before.timezone, before.schedule) != (after.timezone, after.schedule):
        for period in _by_period(bookings):
            old, new = _Version.of(before, period), _Version.of(after, period)
            lost |= {booking.id for booking in period if _is_newly_closed(booking, old, new, services)}
    if after.capacity < before.capacity:
        lost |= {booking.id for booking in bookings if after.capacity < booking.units <= before.capacity}
        lost |= _crowded(bookings, before.capacity, after.capacity)
    return sorted((booking for booking in bookings if booking.id in lost), key=lambda booking: booking.start)


def _is_given_up(booking: Occupancy, before: ResourceRules, after: ResourceRules) -> bool:
    """Whether the resource is no longer active, no longer booked like this, or no longer takes so many guests."""
    if before.active > after.active or after.guests_limit < booking.guests <= before.guests_limit:
        return True
    if booking.service is None:
        return after.service_only > before.service_only
    return booking.service in before.services and booking.service not in after.services


def _newly_off(bookings: Iterable[Occupancy], before: ResourceRules, after: ResourceRules) -> set[Hashable]:
    """The ids of bookings that meet a time off or a closure after the edit and met none before."""
    return {
        booking.id
        for booking in bookings
        if after.is_off(booking.own_start, booking.own_end) and not before.is_off(booking.own_start, booking.own_end)
    }


def _by_period(bookings: Sequence[Occupancy]) -> Iterator[Sequence[Occupancy]]:
    """Bookings, sorted by `own_start`, in lists of those that begin within one `PERIOD`."""
    first = 0
    while first < len(bookings):
        end = bisect_left(bookings, bookings[first].own_start + PERIOD, lo=first, key=lambda booking: booking.own_start)
        yield bookings[first:end]
        first = end


@dataclass(frozen=True, slots=True)
class _Version:
    """A resource before or after the edit, with its open windows of one period, resolved once for many bookings."""

    resource: ResourceRules
    tz: ZoneInfo
    open_windows: Sequence[Window]

    @classmethod
    def of(cls, resource: ResourceRules, bookings: Sequence[Occupancy]) -> "_Version":
        tz = zone(resource.timezone)
        if len(bookings) <= UNRESOLVED_MAX:
            return cls(resource, tz, ())
        last = max(booking.own_end for booking in bookings)
        return cls(
            resource,
            tz,
            windows(
                resource.schedule, tz, bookings[0].own_start, min(last, Millis(bookings[0].own_start + 2 * PERIOD))
            ),
        )

    def is_open(self, booking: Occupancy, service: ServiceRules | None) -> bool:
        """Whether the schedule is open when the service of the booking asks for it."""
        return openness(self.resource, service, booking.own_start, booking.own_end, self.open_windows).ok

    def has_whole_days(self, booking: Occupancy) -> bool:
        """Whether the booking starts and ends with local days; in another zone they begin at other instants."""
        return is_day_start(booking.own_start, self.tz) and is_day_start(booking.own_end, self.tz)


def _is_newly_closed(booking: Occupancy, before: _Version, after: _Version, services: ServicesById) -> bool:
    """Whether one of the rules about opening hours held and no longer does."""
    service = None if booking.service is None else services.get(booking.service)
    if not after.is_open(booking, service) and before.is_open(booking, service):
        return True
    whole_days = service is not None and service.kind == "full-day"
    return whole_days and not after.has_whole_days(booking) and before.has_whole_days(booking)


def _crowded(bookings: list[Occupancy], before: int, after: int) -> set[Hashable]:
    """The ids of bookings at some instant whose load fitted the capacity before the edit and no longer does."""
    steps = [(booking.start, booking.units) for booking in bookings]
    steps += [(booking.end, -booking.units) for booking in bookings]
    load, full = 0, []
    for (instant, change), (following, _) in pairwise(sorted(steps)):
        load += change
        if after < load <= before and instant < following:
            full.append((instant, following))
    return {booking.id for booking in bookings if meets_any(booking, full)}
