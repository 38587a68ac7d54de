"""Which bookings an edit of their resource would strand: those that held before it and would not after it."""

from collections.abc import Container, Iterable
from itertools import pairwise

from app.timeline.load import Occupancy, meets_any
from app.timeline.rules import Room
from app.timeline.schedule import away, is_open, is_open_daily
from app.timeline.zones import is_day_start, zone


def stranded(bookings: Iterable[Occupancy], before: Room, after: Room, daily: Container[str] = ()) -> list[Occupancy]:
    """The bookings that lose their room or newly break a rule, by start; `daily` are the full-day services.

    What was wrong before the edit is not its fault, and is not counted: neither a rule that was broken already, nor an
    instant that was too full already.
    """
    bookings = list(bookings)
    lost = {booking.id for booking in bookings if _breaks_a_rule(booking, before, after, daily)}
    if after.capacity < before.capacity:
        lost |= _crowded(bookings, before.capacity, after.capacity)
    return sorted((booking for booking in bookings if booking.id in lost), key=lambda booking: booking.start)


def _breaks_a_rule(booking: Occupancy, before: Room, after: Room, daily: Container[str]) -> bool:
    """Whether one of the rules that are the resource's affair held and no longer does."""
    whole_days = booking.service is not None and booking.service in daily
    rules = (_is_active, _is_offered, _is_there, *((_has_whole_days, _is_open_daily) if whole_days else (_is_open,)))
    return any(not holds(booking, after) and holds(booking, before) for holds in rules)


def _is_active(_: Occupancy, room: Room) -> bool:
    return room.active


def _is_offered(booking: Occupancy, room: Room) -> bool:
    return booking.service is None or booking.service in room.services


def _is_there(booking: Occupancy, room: Room) -> bool:
    return away(room.time_off, booking.from_, booking.to) is None


def _is_open(booking: Occupancy, room: Room) -> bool:
    return is_open(room.schedule, zone(room.timezone), booking.from_, booking.to).ok


def _is_open_daily(booking: Occupancy, room: Room) -> bool:
    return is_open_daily(room.schedule, zone(room.timezone), booking.from_, booking.to).ok


def _has_whole_days(booking: Occupancy, room: Room) -> bool:
    """Local days end elsewhere in another zone."""
    tz = zone(room.timezone)
    return is_day_start(booking.from_, tz) and is_day_start(booking.to, tz)


def _crowded(bookings: list[Occupancy], before: int, after: int) -> set[object]:
    """Those who are there at some instant that fitted the capacity before the edit and no longer does."""
    steps = [(booking.start, booking.units) for booking in bookings]
    steps += [(booking.end, -booking.units) for booking in bookings]
    load, full = 0, []
    for (instant, change), (following, _) in pairwise(sorted(steps)):
        load += change
        if after < load <= before and instant < following:
            full.append((instant, following))
    return {booking.id for booking in bookings if meets_any(booking, full)}
