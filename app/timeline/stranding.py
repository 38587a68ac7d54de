"""Which bookings an edit of their resource would strand: those that held before it and would not after it."""

from collections.abc import Iterable
from itertools import pairwise

from app.timeline.load import Occupancy, meets_any
from app.timeline.rules import Room
from app.timeline.schedule import away, is_open, is_open_daily
from app.timeline.zones import is_day_start, zone


def stranded(bookings: Iterable[Occupancy], before: Room, after: Room) -> list[Occupancy]:
    """The bookings that lose their room or newly break a rule, by start.

    What was wrong before the edit is not its fault, and is not counted: neither a rule that was broken already, nor an
    instant that was too full already.
    """
    bookings = list(bookings)
    lost = {booking.id for booking in bookings if _holds(booking, before) and not _holds(booking, after)}
    if after.capacity < before.capacity:
        lost |= _crowded(bookings, before.capacity, after.capacity)
    return sorted((booking for booking in bookings if booking.id in lost), key=lambda booking: booking.start)


def _holds(booking: Occupancy, room: Room) -> bool:
    if not room.active or (booking.service is not None and booking.service not in room.services):
        return False
    return _is_open(booking, room) and away(room.time_off, booking.from_, booking.to) is None


def _is_open(booking: Occupancy, room: Room) -> bool:
    """Whole local days need only some window on each, as full-day services do; the booking does not tell its kind."""
    tz = zone(room.timezone)
    if is_open(room.schedule, tz, booking.from_, booking.to).ok:
        return True
    whole_days = is_day_start(booking.from_, tz) and is_day_start(booking.to, tz)
    return whole_days and is_open_daily(room.schedule, tz, booking.from_, booking.to).ok


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
