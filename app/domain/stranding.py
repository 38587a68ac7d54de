"""Which bookings an edit of their resource would strand: those that held before it and would not after it."""

from bisect import bisect_left
from collections.abc import Callable, Container, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from zoneinfo import ZoneInfo

from app.domain.instants import DAY, Millis
from app.domain.load import Occupancy, meets_any
from app.domain.rules import ResourceRules
from app.domain.schedule import Window, is_open, is_open_daily, windows
from app.domain.zones import is_day_start, zone

KNOWN: Millis = 2 * 366 * DAY
"""For how long hours are worked out at once, from the first booking in that time on."""
FEW = 30
"""So many bookings in that time are looked at one by one."""


def stranded(
    bookings: Iterable[Occupancy], before: ResourceRules, after: ResourceRules, daily: Container[str] = ()
) -> list[Occupancy]:
    """The bookings that lose their room or newly break a rule, by start; `daily` are the full-day services.

    What was wrong before the edit is not its fault, and is not counted: neither a rule that was broken already, nor an
    instant that was too full already. Only rules that the edit touches are judged.
    """
    bookings = sorted(bookings, key=lambda booking: booking.from_)
    lost = {booking.id for booking in bookings if _is_given_up(booking, before, after)}
    if before.time_off != after.time_off:
        lost |= _newly_away(bookings, before, after)
    if (before.timezone, before.schedule) != (after.timezone, after.schedule):
        for some in _of_a_time(bookings):
            old, new = _Version.of(before, some), _Version.of(after, some)
            lost |= {booking.id for booking in some if _is_newly_closed(booking, old, new, daily)}
    if after.capacity < before.capacity:
        lost |= {booking.id for booking in bookings if after.capacity < booking.units <= before.capacity}
        lost |= _crowded(bookings, before.capacity, after.capacity)
    return sorted((booking for booking in bookings if booking.id in lost), key=lambda booking: booking.start)


def _is_given_up(booking: Occupancy, before: ResourceRules, after: ResourceRules) -> bool:
    """Whether the resource is not active any more, or does not offer what was booked."""
    return before.active > after.active or (
        booking.service is not None and booking.service in before.services and booking.service not in after.services
    )


def _newly_away(bookings: Iterable[Occupancy], before: ResourceRules, after: ResourceRules) -> set[Hashable]:
    """Those with a time off now that had none."""
    old, new = before.times_off, after.times_off
    return {
        booking.id
        for booking in bookings
        if new.first(booking.from_, booking.to) is not None and old.first(booking.from_, booking.to) is None
    }


def _of_a_time(bookings: Sequence[Occupancy]) -> Iterator[Sequence[Occupancy]]:
    """Bookings that are sorted by `from_`, in lists of those that begin within the same years."""
    first = 0
    while first < len(bookings):
        end = bisect_left(bookings, bookings[first].from_ + KNOWN, lo=first, key=lambda booking: booking.from_)
        yield bookings[first:end]
        first = end


@dataclass(frozen=True, slots=True)
class _Version:
    """A resource before or after the edit, with the stretches of some years, worked out once for many bookings."""

    room: ResourceRules
    tz: ZoneInfo
    known: Sequence[Window]

    @classmethod
    def of(cls, room: ResourceRules, bookings: Sequence[Occupancy]) -> "_Version":
        tz = zone(room.timezone)
        if len(bookings) <= FEW:
            return cls(room, tz, ())
        last = max(booking.to for booking in bookings)
        return cls(room, tz, windows(room.schedule, tz, bookings[0].from_, min(last, bookings[0].from_ + 2 * KNOWN)))

    def is_open(self, booking: Occupancy) -> bool:
        """Whether the schedule is open all the time."""
        return is_open(self.room.schedule, self.tz, booking.from_, booking.to, self.known).ok

    def is_open_daily(self, booking: Occupancy) -> bool:
        """Whether some window starts on each of its days."""
        return is_open_daily(self.room.schedule, self.tz, booking.from_, booking.to).ok

    def has_whole_days(self, booking: Occupancy) -> bool:
        """Local days end elsewhere in another zone."""
        return is_day_start(booking.from_, self.tz) and is_day_start(booking.to, self.tz)


def _is_newly_closed(booking: Occupancy, before: _Version, after: _Version, daily: Container[str]) -> bool:
    """Whether one of the rules about opening hours held and no longer does."""
    rules: tuple[Callable[[_Version, Occupancy], bool], ...]
    if booking.service is not None and booking.service in daily:
        rules = (_Version.has_whole_days, _Version.is_open_daily)
    else:
        rules = (_Version.is_open,)
    return any(not holds(after, booking) and holds(before, booking) for holds in rules)


def _crowded(bookings: list[Occupancy], before: int, after: int) -> set[Hashable]:
    """Those who are there at some instant that fitted the capacity before the edit and no longer does."""
    steps = [(booking.start, booking.units) for booking in bookings]
    steps += [(booking.end, -booking.units) for booking in bookings]
    load, full = 0, []
    for (instant, change), (following, _) in pairwise(sorted(steps)):
        load += change
        if after < load <= before and instant < following:
            full.append((instant, following))
    return {booking.id for booking in bookings if meets_any(booking, full)}
