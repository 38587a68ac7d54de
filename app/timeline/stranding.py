"""Which bookings an edit of their resource would strand: those that held before it and would not after it."""

from collections.abc import Iterable

from app.timeline.load import Occupancy, in_the_way
from app.timeline.rules import Room


def stranded(bookings: Iterable[Occupancy], before: Room, after: Room) -> list[Occupancy]:
    """The bookings that lose their room or newly break a rule, by start.

    What was wrong before the edit is not its fault, and is not counted.
    """
    bookings = list(bookings)
    lost = {booking.id for booking in bookings if _holds(booking, before) and not _holds(booking, after)}
    if after.capacity < before.capacity:
        lost |= _crowded(bookings, after.capacity) - _crowded(bookings, before.capacity)
    return sorted((booking for booking in bookings if booking.id in lost), key=lambda booking: booking.start)


def _holds(booking: Occupancy, room: Room) -> bool:
    return room.active and (booking.service is None or booking.service in room.services)


def _crowded(bookings: list[Occupancy], capacity: int) -> set[object]:
    if not bookings:
        return set()
    start = min(booking.start for booking in bookings)
    end = max(booking.end for booking in bookings)
    return {booking.id for booking in in_the_way(bookings, start, end, capacity)}
