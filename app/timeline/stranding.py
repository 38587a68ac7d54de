"""Which bookings an edit of their resource would strand: those that held before it and would not after it."""

from collections.abc import Container, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from zoneinfo import ZoneInfo

from app.timeline.instants import DAY, Millis
from app.timeline.load import Occupancy, meets_any
from app.timeline.rules import Room
from app.timeline.schedule import Window, is_open, is_open_daily, windows
from app.timeline.zones import is_day_start, zone

KNOWN: Millis = 2 * 366 * DAY
"""How far from the first booking hours are worked out at once; what is later is looked up one by one."""


def stranded(bookings: Iterable[Occupancy], before: Room, after: Room, daily: Container[str] = ()) -> list[Occupancy]:
    """The bookings that lose their room or newly break a rule, by start; `daily` are the full-day services.

    What was wrong before the edit is not its fault, and is not counted: neither a rule that was broken already, nor an
    instant that was too full already.
    """
    bookings = list(bookings)
    lost: set[Hashable] = set()
    if bookings and replace(before, capacity=after.capacity) != after:
        old, new = _Version.of(before, bookings), _Version.of(after, bookings)
        lost = {booking.id for booking in bookings if _breaks_a_rule(booking, old, new, daily)}
    if after.capacity < before.capacity:
        lost |= _crowded(bookings, before.capacity, after.capacity)
    return sorted((booking for booking in bookings if booking.id in lost), key=lambda booking: booking.start)


@dataclass(frozen=True, slots=True)
class _Version:
    """A resource before or after the edit, with the stretches of its first years, worked out once for all."""

    room: Room
    tz: ZoneInfo
    known: Sequence[Window]

    @classmethod
    def of(cls, room: Room, bookings: Iterable[Occupancy]) -> "_Version":
        tz, first = zone(room.timezone), min(booking.from_ for booking in bookings)
        last = min(max(booking.to for booking in bookings), first + KNOWN)
        return cls(room, tz, windows(room.schedule, tz, first, last))


def _breaks_a_rule(booking: Occupancy, before: _Version, after: _Version, daily: Container[str]) -> bool:
    """Whether one of the rules that are the resource's affair held and no longer does."""
    whole_days = booking.service is not None and booking.service in daily
    rules = (_is_active, _is_offered, _is_there, *((_has_whole_days, _is_open_daily) if whole_days else (_is_open,)))
    return any(not holds(booking, after) and holds(booking, before) for holds in rules)


def _is_active(_: Occupancy, version: _Version) -> bool:
    return version.room.active


def _is_offered(booking: Occupancy, version: _Version) -> bool:
    return booking.service is None or booking.service in version.room.services


def _is_there(booking: Occupancy, version: _Version) -> bool:
    return version.room.times_off.first(booking.from_, booking.to) is None


def _is_open(booking: Occupancy, version: _Version) -> bool:
    return is_open(version.room.schedule, version.tz, booking.from_, booking.to, version.known).ok


def _is_open_daily(booking: Occupancy, version: _Version) -> bool:
    return is_open_daily(version.room.schedule, version.tz, booking.from_, booking.to).ok


def _has_whole_days(booking: Occupancy, version: _Version) -> bool:
    """Local days end elsewhere in another zone."""
    return is_day_start(booking.from_, version.tz) and is_day_start(booking.to, version.tz)


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
